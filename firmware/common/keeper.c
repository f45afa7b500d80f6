#include "keeper.h"

#include <string.h>

#define QUIET 0.0005f /* -66 dB: nobody hears that it stands for a moment */

int keeper_open(struct keeper *k, tudor_module *m, const save_flash *flash, void *memory, size_t bytes,
                module_complaint *why) {
    *k = (struct keeper){.state = KEEPER_OFF};
    const size_t room = (module_save_bytes(m) + 63) / 64 * 64;
    if (!flash->bytes || bytes < 2 * room || room > save_ring_limit(flash) || save_ring_open(&k->ring, flash, SAVES_KIND))
        return -1;
    k->room = (uint32_t)room;
    k->copy = memory;
    k->last = k->copy + room;
    k->last_bytes = save_ring_read(&k->ring, k->last, k->room);
    if (k->last_bytes > k->room) k->last_bytes = 0;
    if (k->last_bytes) module_restore(m, k->last, k->last_bytes, why);
    k->state = KEEPER_WAITS;
    return 0;
}

void keeper_make_room(struct keeper *k) {
    if (k->state == KEEPER_OFF || save_ring_make_room(&k->ring, KEEPER_ROOM)) return;
    while (save_ring_next(&k->ring) != SAVE_IDLE) save_ring_step(&k->ring);
}

static void look_around(struct keeper *k, const tudor_module *m, uint32_t now_ms) {
    module_status s;
    module_read_status(m, &s);
    if (s.in_peak > QUIET || s.out_peak > QUIET) k->loud_ms = now_ms;
    const uint32_t changes = module_changes(m);
    if (changes != k->changes) k->moved_ms = now_ms;
    k->changes = changes;
}

static void begin(struct keeper *k, tudor_module *m, uint32_t now_ms) {
    if (k->changes == k->saved_changes || now_ms - k->moved_ms < KEEPER_STILL_MS) return;
    k->saved_changes = k->changes;
    if (!module_save(m, k->copy, k->room)) k->state = KEEPER_COPIES;
}

/* The audio thread has made a copy: written if it is another than the last one. */
static void write(struct keeper *k, tudor_module *m) {
    const uint32_t bytes = (uint32_t)module_saved(m);
    if (!bytes) return;
    const int same = bytes == k->last_bytes && !memcmp(k->copy, k->last, bytes);
    k->state = same || save_ring_begin(&k->ring, k->copy, bytes) ? KEEPER_WAITS : KEEPER_WRITES;
    k->last_bytes = bytes;
    memcpy(k->last, k->copy, bytes);
}

static void step(struct keeper *k, uint32_t now_ms, int may_write) {
    const enum save_step next = save_ring_next(&k->ring);
    if ((next == SAVE_PROGRAM || next == SAVE_ERASE) && !may_write) return;
    if (next == SAVE_ERASE && !k->any_time && now_ms - k->loud_ms < KEEPER_QUIET_MS) return;
    save_ring_step(&k->ring);
    if (save_ring_next(&k->ring) != SAVE_IDLE) return;
    k->state = KEEPER_WAITS;
    k->failed = k->ring.failed;
    if (k->failed) k->last_bytes = 0; /* the same would be tried again when something changes */
}

int keeper_owes(const struct keeper *k) {
    return k->state != KEEPER_OFF && (k->state != KEEPER_WAITS || k->changes != k->saved_changes || k->failed);
}

void keeper_attend(struct keeper *k, tudor_module *m, uint32_t now_ms, int may_write) {
    if (k->state == KEEPER_OFF) return;
    look_around(k, m, now_ms);
    if (k->state == KEEPER_WAITS)
        begin(k, m, now_ms);
    else if (k->state == KEEPER_COPIES)
        write(k, m);
    else
        step(k, now_ms, may_write);
}
