/* When what hands have set is written into the ring of saves: when it has stood still for a while, in steps that the
 * sound does not notice. */
#ifndef TUDOR_MODULE_KEEPER_H
#define TUDOR_MODULE_KEEPER_H

#include "module.h"
#include "save_ring.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SAVES_KIND 1u         /* of the ring's records */
#define KEEPER_STILL_MS 4000u /* nobody has touched anything for so long */
#define KEEPER_QUIET_MS 1000u /* silence in and out for so long: a sector may be erased */
#ifndef KEEPER_ROOM
#define KEEPER_ROOM 14336u /* bytes that are erased ahead at the start: the longest gesture, or some fifty saves without */
#endif

enum keeper_state { KEEPER_OFF, KEEPER_WAITS, KEEPER_COPIES, KEEPER_WRITES };

struct keeper {
    save_ring ring;
    uint8_t *copy, *last; /* what is being saved; what the ring holds */
    uint32_t room, last_bytes;
    uint32_t state, changes, saved_changes;
    uint32_t moved_ms, loud_ms; /* when something was last changed; when sound was last heard */
    int any_time; /* the board sets it: its flash is erased without disturbing the sound */
    int failed; /* the last save was not kept by the flash: the one before is what there is */
};

/* Opens the ring and sets what it holds; `memory` for two copies, module_save_bytes each. 0, or -1: nothing is kept. */
int keeper_open(struct keeper *keeper, tudor_module *m, const save_flash *flash, void *memory, size_t bytes,
                module_complaint *why);
/* Before the audio starts: erases ahead. */
void keeper_make_room(struct keeper *keeper);
/* To be called once a block or so, not from the audio interrupt. may_write: nothing reads from the flash at present. */
void keeper_attend(struct keeper *keeper, tudor_module *m, uint32_t now_ms, int may_write);
/* Something was set, as of the last call of keeper_attend, that is not there yet. */
int keeper_owes(const struct keeper *keeper);

#ifdef __cplusplus
}
#endif

#endif
