/* Weights apart from a file that lies in slow memory: those that are read most often in the quickest memories with room. */
#ifndef TUDOR_DAISY_APART_H
#define TUDOR_DAISY_APART_H

#include "memory.h"
#include "module.h"

#ifdef __cplusplus
extern "C" {
#endif

#define APART_MOST 192u /* PARTS_LIMIT of engine/boards/placement.py */

struct apart {
    uint32_t count;
    tudor_part list[APART_MOST];
    uint32_t readings[APART_MOST]; /* of each, while a frame is played */
};

/* Which stretches of a file's weights lie where, as _apart() in engine/boards/placement.py: takes room from all memories
 * before SDRAM. `bytes`: what is taken of each. What finds no room stays in the file. */
void apart_plan(struct apart *apart, const tudor_model *model, const module_need *need,
                struct rig_memory memory[RIG_MEMORIES], uint32_t bytes[RIG_MEMORIES]);
/* Copies them there from the weights of a file. */
void apart_copy(const struct apart *apart, const void *weights);

#ifdef __cplusplus
}
#endif

#endif
