/* Records in a flash. Header: "TUDRSAVE", kind, sequence, bytes, CRC of the bytes, 0, CRC of the header so far; words are
 * little-endian on every machine. */
#include "save_ring.h"

#include "crc.h"

#include <string.h>

#define NOWHERE UINT32_MAX
#define MAGIC "TUDRSAVE"
#define TRIES 4u /* places that may fail to keep a record before it is given up */
#define PIECE 64u

/* ---- words ---- */

static uint32_t word_at(const uint8_t *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}
static void put_word(uint8_t *at, uint32_t value) {
    for (int i = 0; i < 4; i++) at[i] = (uint8_t)(value >> 8 * i);
}
static uint32_t whole(uint32_t bytes) { return (bytes + SAVE_HEADER_BYTES + SAVE_ALIGN - 1) / SAVE_ALIGN * SAVE_ALIGN; }

static int reads(const save_ring *r, uint32_t at, void *to, uint32_t bytes) {
    return r->flash.read(r->flash.context, at, to, bytes) == 0;
}

/* ---- finding ---- */

uint32_t save_ring_limit(const save_flash *f) {
    const uint32_t third = f->bytes / 3, lost = f->sector_bytes + SAVE_HEADER_BYTES + SAVE_ALIGN;
    return third > lost ? third - lost : 0;
}

static int is_possible(const save_flash *f) {
    return f && f->read && f->program && f->erase && f->page_bytes && f->sector_bytes % SAVE_ALIGN == 0 &&
           f->sector_bytes >= SAVE_ALIGN && f->sector_bytes % f->page_bytes == 0 && f->bytes % f->sector_bytes == 0 &&
           f->bytes / f->sector_bytes >= 4 && f->bytes < NOWHERE / 2;
}

/* Whether a whole record begins at `at`. */
static int is_record(const save_ring *r, uint32_t at, uint32_t *sequence, uint32_t *bytes) {
    uint8_t piece[PIECE];
    if (r->flash.bytes - at < SAVE_HEADER_BYTES || !reads(r, at, piece, SAVE_HEADER_BYTES)) return 0;
    if (memcmp(piece, MAGIC, 8) || word_at(piece + 28) != module_crc32(0, piece, 28)) return 0;
    const uint32_t wanted = word_at(piece + 20);
    *sequence = word_at(piece + 12);
    *bytes = word_at(piece + 16);
    if (word_at(piece + 8) != r->kind || *bytes == 0 || *bytes > save_ring_limit(&r->flash) ||
        *bytes > r->flash.bytes - at - SAVE_HEADER_BYTES)
        return 0;
    uint32_t crc = 0;
    for (uint32_t i = 0; i < *bytes; i += PIECE) {
        const uint32_t n = *bytes - i < PIECE ? *bytes - i : PIECE;
        if (!reads(r, at + SAVE_HEADER_BYTES + i, piece, n)) return 0;
        crc = module_crc32(crc, piece, n);
    }
    return crc == wanted;
}

int save_ring_open(save_ring *r, const save_flash *flash, uint32_t kind) {
    if (!is_possible(flash) || !save_ring_limit(flash)) return -1;
    *r = (save_ring){.flash = *flash, .kind = kind, .newest = NOWHERE};
    for (uint32_t at = 0; at < flash->bytes;) {
        uint32_t sequence, bytes;
        if (!is_record(r, at, &sequence, &bytes)) {
            at += SAVE_ALIGN;
            continue;
        }
        if (r->newest == NOWHERE || (int32_t)(sequence - r->sequence) > 0) {
            r->newest = at;
            r->newest_bytes = bytes;
            r->sequence = sequence;
        }
        at += whole(bytes);
    }
    r->next = r->newest == NOWHERE ? 0 : r->newest + whole(r->newest_bytes);
    return 0;
}

uint32_t save_ring_read(const save_ring *r, void *to, uint32_t room) {
    if (r->newest == NOWHERE) return 0;
    if (r->newest_bytes <= room && !reads(r, r->newest + SAVE_HEADER_BYTES, to, r->newest_bytes)) return 0;
    return r->newest_bytes;
}

/* ---- writing ---- */

static int begin(save_ring *r, const void *data, uint32_t bytes) {
    if (r->step != SAVE_IDLE || bytes == 0 || bytes > save_ring_limit(&r->flash)) return -1;
    r->data = data;
    r->bytes = bytes;
    r->need = whole(bytes);
    r->tries = 0;
    r->step = SAVE_LOOK;
    return 0;
}

int save_ring_begin(save_ring *r, const void *data, uint32_t bytes) {
    if (!data || begin(r, data, bytes)) return -1;
    memset(r->header, 0, sizeof r->header);
    memcpy(r->header, MAGIC, 8);
    put_word(r->header + 8, r->kind);
    put_word(r->header + 12, r->sequence + 1 + r->failures); /* never one that a place without trust may hold */
    put_word(r->header + 16, bytes);
    put_word(r->header + 20, module_crc32(0, data, bytes));
    put_word(r->header + 28, module_crc32(0, r->header, 28));
    return 0;
}

int save_ring_make_room(save_ring *r, uint32_t bytes) { return begin(r, 0, bytes); }

enum save_step save_ring_next(const save_ring *r) { return (enum save_step)r->step; }

static void finish(save_ring *r, int failed) {
    r->failed = failed;
    r->data = 0;
    r->step = SAVE_IDLE;
}

/* The place does not keep what is written: the next sector, or the end of it. */
static void try_elsewhere(save_ring *r, uint32_t behind) {
    r->failures++;
    r->next = (behind / r->flash.sector_bytes + 1) * r->flash.sector_bytes;
    r->step = SAVE_LOOK;
    if (++r->tries == TRIES) finish(r, 1);
}

static int is_blank(const save_ring *r, uint32_t at, uint32_t end) {
    uint8_t piece[PIECE];
    for (; at < end; at += PIECE) {
        const uint32_t n = end - at < PIECE ? end - at : PIECE;
        if (!reads(r, at, piece, n)) return 0;
        for (uint32_t i = 0; i < n; i++)
            if (piece[i] != 0xff) return 0;
    }
    return 1;
}

static int holds_newest(const save_ring *r, uint32_t sector) {
    return r->newest != NOWHERE && r->newest < sector + r->flash.sector_bytes &&
           sector < r->newest + whole(r->newest_bytes);
}

/* Finds a blank place for the record, or the first sector that is to be erased for it. */
static void look(save_ring *r) {
    const uint32_t size = r->flash.sector_bytes;
    for (uint32_t moves = 0; moves < 4; moves++) {
        if (r->next >= r->flash.bytes || r->need > r->flash.bytes - r->next) r->next = 0;
        const uint32_t end = r->next + r->need, first = r->next / size * size;
        if (r->next != first) { /* behind a record: what is left of its sector is taken if it is blank */
            const uint32_t rest = first + size < end ? first + size : end;
            if (!is_blank(r, r->next, rest)) {
                r->next = first + size;
                continue;
            }
        }
        uint32_t sector = r->next == first ? first : first + size;
        while (sector < end && is_blank(r, sector, sector + size < end ? sector + size : end)) sector += size;
        r->done = 0;
        r->sector = sector;
        r->step = sector < end ? SAVE_ERASE : SAVE_PROGRAM;
        if (sector < end && holds_newest(r, sector)) finish(r, 1); /* only if places failed before */
        if (r->step == SAVE_PROGRAM && !r->data) finish(r, 0);
        return;
    }
    finish(r, 1);
}

static void erase(save_ring *r) {
    const uint32_t end = r->sector + r->flash.sector_bytes;
    r->erased++;
    const int failed = r->flash.erase(r->flash.context, r->sector);
    if (failed || !is_blank(r, r->sector, end))
        try_elsewhere(r, r->sector);
    else
        r->step = SAVE_LOOK;
}

/* Byte `i` of header and data as they follow each other. */
static uint8_t byte_at(const save_ring *r, uint32_t i) {
    return i < SAVE_HEADER_BYTES ? r->header[i] : r->data[i - SAVE_HEADER_BYTES];
}

/* One page. Data first: a header is there only when all before it is. */
static void program(save_ring *r) {
    uint8_t page[256];
    const uint32_t all = r->bytes + SAVE_HEADER_BYTES, most = r->flash.page_bytes < 256 ? r->flash.page_bytes : 256;
    const uint32_t from = r->done < r->bytes ? r->done + SAVE_HEADER_BYTES : r->done - r->bytes;
    const uint32_t stop = r->done < r->bytes ? all : SAVE_HEADER_BYTES, at = r->next + from;
    uint32_t n = most - at % most;
    if (n > stop - from) n = stop - from;
    for (uint32_t i = 0; i < n; i++) page[i] = byte_at(r, from + i);
    if (r->flash.program(r->flash.context, at, page, n)) {
        try_elsewhere(r, r->next + r->need - 1);
        return;
    }
    r->done += n;
    if (r->done == all) r->step = SAVE_CHECK;
}

static void check(save_ring *r) {
    uint8_t piece[PIECE];
    const uint32_t all = r->bytes + SAVE_HEADER_BYTES;
    for (uint32_t i = 0; i < all; i += PIECE) {
        const uint32_t n = all - i < PIECE ? all - i : PIECE;
        int same = reads(r, r->next + i, piece, n);
        for (uint32_t k = 0; same && k < n; k++) same = piece[k] == byte_at(r, i + k);
        if (same) continue;
        try_elsewhere(r, r->next + r->need - 1);
        return;
    }
    r->newest = r->next;
    r->newest_bytes = r->bytes;
    r->sequence = word_at(r->header + 12);
    r->next += r->need;
    r->saved++;
    finish(r, 0);
}

void save_ring_step(save_ring *r) {
    switch (r->step) {
    case SAVE_LOOK: look(r); break;
    case SAVE_ERASE: erase(r); break;
    case SAVE_PROGRAM: program(r); break;
    case SAVE_CHECK: check(r); break;
    default: break;
    }
}
