/* The chip's memories, as models share them. */
#ifndef TUDOR_DAISY_MEMORY_H
#define TUDOR_DAISY_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* Quickest first: the order of engine/boards/board.py. */
enum rig_place { RIG_DTCM, RIG_AXI, RIG_D2, RIG_SDRAM, RIG_MEMORIES, RIG_NOWHERE = RIG_MEMORIES };

struct rig_memory {
    void *at; /* aligned to 64 */
    size_t bytes; /* what is left of it */
};

#ifdef __cplusplus
extern "C" {
#endif

/* From the first memory from `from` on that has room, before `end`, as _take() in engine/boards/placement.py; 0 if none
 * has, and `in` is then RIG_NOWHERE. */
void *rig_take(struct rig_memory *memory, enum rig_place from, enum rig_place end, size_t bytes, enum rig_place *in);

#ifdef __cplusplus
}
#endif

#endif
