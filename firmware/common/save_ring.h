/* Records in a flash: the newest whole one is there after a power cut at any moment, and wear is spread.
 *
 *   save_ring ring;
 *   save_ring_open(&ring, &flash);                  // finds the newest record
 *   save_ring_read(&ring, memory, sizeof memory);   // its bytes; 0: there is none
 *
 *   save_ring_begin(&ring, data, bytes);            // then, whenever the moment is good for save_ring_next(&ring):
 *   while (save_ring_next(&ring) != SAVE_IDLE) save_ring_step(&ring);
 *   if (ring.failed) ...                            // it is not there; the one before still is
 *
 * A record is a header (magic, kind, sequence number, bytes, two CRCs) and its bytes, on a boundary of 64 bytes; the next
 * one follows behind it, and behind the last sector the first one comes. A sector is erased only when a record needs it,
 * never one that the newest record lies in, and what was written is read back. Writing is cut into steps since a flash
 * that is written or erased cannot be read: nothing that lies in it may be needed during a step that is SAVE_PROGRAM or
 * SAVE_ERASE. No hardware in here. One thread calls all of it. */
#ifndef TUDOR_MODULE_SAVE_RING_H
#define TUDOR_MODULE_SAVE_RING_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A part of a flash. Addresses begin with it at 0. The functions return 0 if it went well as far as they can tell. */
typedef struct save_flash {
    uint32_t bytes, sector_bytes; /* whole sectors, at least 4; what is erased at once, a multiple of 64 */
    uint32_t page_bytes;          /* most that is written at once: divides a sector */
    void *context;
    int (*read)(void *context, uint32_t at, void *to, uint32_t bytes);
    int (*program)(void *context, uint32_t at, const void *from, uint32_t bytes); /* within a page, erased before */
    int (*erase)(void *context, uint32_t at); /* the sector at `at`, to 0xff */
} save_flash;

enum save_step {
    SAVE_IDLE,    /* nothing is to be done */
    SAVE_LOOK,    /* reads: whether the place is empty */
    SAVE_ERASE,   /* one sector: takes long */
    SAVE_PROGRAM, /* one page */
    SAVE_CHECK    /* reads back */
};

#define SAVE_HEADER_BYTES 32u
#define SAVE_ALIGN 64u

typedef struct save_ring {
    save_flash flash;
    uint32_t kind;
    uint32_t newest, newest_bytes; /* where its header lies; UINT32_MAX: there is none. Bytes without the header */
    uint32_t sequence, next;       /* of the newest; where the next one may lie */
    const uint8_t *data;           /* that is being saved; null: room for it is only made */
    uint8_t header[SAVE_HEADER_BYTES];
    uint32_t bytes, need, done, sector; /* of data; of the record with all; written so far; to be erased */
    uint32_t tries, step;
    int failed;                    /* the last save did not succeed */
    uint32_t saved, failures, erased; /* since the start: records written, places that did not keep them, sectors */
} save_ring;

/* `kind`: what the records hold and how; records of others are passed over, and overwritten in their turn.
 * 0, or -1: such a flash cannot hold a ring. */
int save_ring_open(save_ring *ring, const save_flash *flash, uint32_t kind);
/* Most bytes of a record, so that the newest one never stands in the next one's way. */
uint32_t save_ring_limit(const save_flash *flash);
/* Bytes of the newest record, copied to `to` if there is room for them all; 0: there is none. */
uint32_t save_ring_read(const save_ring *ring, void *to, uint32_t room);
/* Begins to save. `data` stays as it is until the ring is idle. -1: it is too long, or another one is on its way. */
int save_ring_begin(save_ring *ring, const void *data, uint32_t bytes);
/* Begins to make room for a record of so many bytes, so that it need not be erased later. */
int save_ring_make_room(save_ring *ring, uint32_t bytes);
enum save_step save_ring_next(const save_ring *ring);
void save_ring_step(save_ring *ring);

#ifdef __cplusplus
}
#endif

#endif
