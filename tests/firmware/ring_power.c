/* The ring of saves (save_ring.h) over a simulated flash, on any machine. Writing clears bits and never sets one, erasing
 * sets a sector's; both can be cut between any two bytes, and the byte that was under way then holds anything.
 *
 *   ring_power SAVES     prints facts; exit code 1 and the place where something was not as it should be */
#include "platform.h"
#include "save_ring.h"
#include "words.h"

#include <string.h>

#define SECTOR 1024u
#define SECTORS 8u
#define BYTES (SECTOR * SECTORS)
#define MOST 1400u
#define KIND 7u
#define NEVER UINT32_MAX

struct chip {
    uint8_t bytes[BYTES];
    uint32_t left;          /* bytes that may be written or erased before the power goes */
    uint32_t spent, broken; /* bits of sectors that keep nothing */
    uint32_t worn[SECTORS];
    int deaf;               /* says that all is well and does nothing */
};

static struct chip chip, before;
static uint8_t data[2][MOST], got[MOST];
static uint32_t seed = 1;

static uint32_t any(void) {
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

static _Noreturn void wrong(const char *what, uint64_t where) {
    platform_complain(what);
    print_fact("", where);
    platform_exit(1);
}
#define EXPECT(is, where) do { if (!(is)) wrong(#is, (uint64_t)(where)); } while (0)

static int read_chip(void *context, uint32_t at, void *to, uint32_t bytes) {
    const struct chip *const c = context;
    EXPECT(at <= BYTES && bytes <= BYTES - at, at);
    memcpy(to, c->bytes + at, bytes);
    return 0;
}

/* One byte towards what it is to be; 0: the power is gone, and left it half done. */
static int touch(struct chip *c, uint32_t at, uint8_t goal) {
    if (c->left == 0) return 0;
    c->spent++;
    const int whole = --c->left > 0;
    const uint8_t now = c->bytes[at], some = (uint8_t)any();
    if (!(c->broken >> at / SECTOR & 1)) c->bytes[at] = whole ? goal : (uint8_t)((now & some) | (goal & ~some));
    return whole;
}

static int program_chip(void *context, uint32_t at, const void *from, uint32_t bytes) {
    struct chip *const c = context;
    EXPECT(bytes && bytes <= 256 && at / 256 == (at + bytes - 1) / 256, at);
    for (uint32_t i = 0; i < bytes && !c->deaf; i++)
        if (!touch(c, at + i, c->bytes[at + i] & ((const uint8_t *)from)[i])) return 0;
    return 0;
}

static int erase_chip(void *context, uint32_t at) {
    struct chip *const c = context;
    EXPECT(at % SECTOR == 0 && at < BYTES, at);
    c->worn[at / SECTOR]++;
    for (uint32_t i = 0; i < SECTOR && !c->deaf; i++)
        if (!touch(c, at + i, 0xff)) return 0;
    return 0;
}

static const save_flash flash = {BYTES, SECTOR, 256, &chip, read_chip, program_chip, erase_chip};

static uint32_t fill(uint32_t n) { /* the record number n, the same each time */
    uint32_t x = n * 2654435761u + 1;
    const uint32_t bytes = 1 + (x >> 8) % MOST;
    for (uint32_t i = 0; i < bytes; i++) data[n & 1][i] = (uint8_t)((x = x * 1664525u + 1013904223u) >> 24);
    return bytes;
}

static int holds(const save_ring *r, uint32_t n) { /* NEVER: nothing */
    if (n == NEVER) return save_ring_read(r, got, MOST) == 0;
    const uint32_t bytes = fill(n);
    return save_ring_read(r, got, MOST) == bytes && memcmp(got, data[n & 1], bytes) == 0;
}

static int save(save_ring *r, uint32_t n) {
    const uint32_t bytes = fill(n);
    EXPECT(save_ring_begin(r, data[n & 1], bytes) == 0, n);
    EXPECT(save_ring_begin(r, data[n & 1], bytes) == -1, n);
    for (uint32_t steps = 0; save_ring_next(r) != SAVE_IDLE; steps++) {
        EXPECT(steps < 200, n);
        save_ring_step(r);
        if (chip.left == 0) return -1; /* the processor is off, too */
    }
    return r->failed;
}

static void fresh(void) {
    memset(&chip, 0, sizeof chip);
    memset(chip.bytes, 0xff, sizeof chip.bytes);
    chip.left = NEVER;
}

/* Every save is cut at every byte. Then the last whole record is there, and the next save finds its way. */
static void cuts(uint32_t saves) {
    save_ring ring;
    uint32_t cut = 0, kept = 0;
    fresh();
    for (uint32_t n = 0; n < saves; n++) {
        before = chip;
        EXPECT(save_ring_open(&ring, &flash, KIND) == 0, n);
        chip.spent = 0;
        EXPECT(save(&ring, n) == 0 && holds(&ring, n), n);
        const uint32_t all = chip.spent;
        const struct chip after = chip;
        for (uint32_t k = 1; k < all; k++) {
            chip = before;
            chip.left = k;
            EXPECT(save_ring_open(&ring, &flash, KIND) == 0, n);
            EXPECT(save(&ring, n) == -1, n);
            chip.left = NEVER;
            EXPECT(save_ring_open(&ring, &flash, KIND) == 0, n);
            const int is_new = holds(&ring, n);
            EXPECT(is_new || holds(&ring, n ? n - 1 : NEVER), (uint64_t)n * 100000 + k);
            kept += (uint32_t)is_new;
            if (k % 7 == 0) EXPECT(save(&ring, n + 1) == 0 && holds(&ring, n + 1), (uint64_t)n * 100000 + k);
            cut++;
        }
        chip = after;
        EXPECT(save_ring_open(&ring, &flash, KIND) == 0 && holds(&ring, n), n);
    }
    print_fact("cuts", cut);
    print_fact("kept", kept);
}

/* Any bit of the newest record turns: it is the record before that is read, never anything else. */
static void flips(uint32_t step) {
    save_ring ring;
    uint32_t flipped = 0, older = 0;
    fresh();
    EXPECT(save_ring_open(&ring, &flash, KIND) == 0, 0);
    for (uint32_t n = 0; n < 20; n++) EXPECT(save(&ring, n) == 0, n);
    const uint32_t at = ring.newest, bytes = ring.newest_bytes + SAVE_HEADER_BYTES;
    for (uint32_t bit = 0; bit < 8 * bytes; bit += step) {
        chip.bytes[at + bit / 8] ^= (uint8_t)(1u << bit % 8);
        EXPECT(save_ring_open(&ring, &flash, KIND) == 0, bit);
        flipped++;
        older += (uint32_t)holds(&ring, 18);
        chip.bytes[at + bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    EXPECT(older == flipped, flipped - older);
    for (uint32_t round = 0; round < 200; round++) { /* noise everywhere: whatever it is, it is a record or none */
        for (uint32_t i = 0; i < 64; i++) chip.bytes[any() % BYTES] = (uint8_t)any();
        EXPECT(save_ring_open(&ring, &flash, KIND) == 0, round);
        uint32_t n = 0;
        while (n < 20 && !holds(&ring, n)) n++;
        EXPECT(n < 20 || holds(&ring, NEVER), round);
    }
    EXPECT(save_ring_open(&ring, &flash, KIND + 1) == 0 && holds(&ring, NEVER), 0);
    print_fact("flips", flipped);
}

/* Sectors that keep nothing: found by reading back, and gone round. */
static void worn_out(void) {
    save_ring ring;
    uint32_t told = 0, found = 0;
    for (uint32_t bad = 0; bad < SECTORS; bad++) {
        fresh();
        EXPECT(save_ring_open(&ring, &flash, KIND) == 0, bad);
        for (uint32_t n = 0; n < 60; n++) {
            if (n == 20) chip.broken = 1u << bad;
            EXPECT(save(&ring, n) == 0 && holds(&ring, n), bad * 100 + n);
        }
        found += ring.failures;
        EXPECT(save_ring_open(&ring, &flash, KIND) == 0 && holds(&ring, 59), bad);
        chip.broken = 0xff;
        EXPECT(save(&ring, 60) == 1 && holds(&ring, 59), bad);
        chip.broken = 0, chip.deaf = 1;
        EXPECT(save(&ring, 61) == 1 && holds(&ring, 59), bad);
        told += 2;
        EXPECT(save_ring_open(&ring, &flash, KIND) == 0 && holds(&ring, 59), bad);
        chip.deaf = 0;
        EXPECT(save(&ring, 62) == 0 && holds(&ring, 62), bad);
    }
    EXPECT(found >= SECTORS, found);
    print_fact("told", told);
    print_fact("found", found);
}

static void wear(uint32_t saves) {
    save_ring ring;
    uint32_t least = NEVER, most = 0;
    fresh();
    EXPECT(save_ring_open(&ring, &flash, KIND) == 0, 0);
    for (uint32_t n = 0; n < saves; n++) EXPECT(save(&ring, n) == 0, n);
    for (uint32_t s = 0; s < SECTORS; s++) {
        if (chip.worn[s] < least) least = chip.worn[s];
        if (chip.worn[s] > most) most = chip.worn[s];
    }
    print_fact("least_worn", least);
    print_fact("most_worn", most);
}

/* Room that was made at rest is there when it is wanted: nothing is erased in between. */
static void room(void) {
    save_ring ring;
    fresh();
    EXPECT(save_ring_open(&ring, &flash, KIND) == 0, 0);
    for (uint32_t n = 0; n < 40; n++) {
        EXPECT(save_ring_make_room(&ring, MOST) == 0, n);
        while (save_ring_next(&ring) != SAVE_IDLE) {
            EXPECT(save_ring_next(&ring) != SAVE_PROGRAM, n);
            save_ring_step(&ring);
        }
        EXPECT(!ring.failed && (n == 0 || holds(&ring, n - 1)), n);
        const uint32_t erased = ring.erased;
        EXPECT(save(&ring, n) == 0 && ring.erased == erased && holds(&ring, n), n);
    }
    EXPECT(save_ring_begin(&ring, data, save_ring_limit(&flash) + 1) == -1, 0);
    EXPECT(save_ring_begin(&ring, data, 0) == -1, 0);
    EXPECT(save_ring_make_room(&ring, save_ring_limit(&flash)) == 0, 0);
    print_fact("limit", save_ring_limit(&flash));
}

void host_main(int count, char **words) {
    const char *word = count > 1 ? words[1] : "8";
    const uint32_t saves = read_number(&word);
    cuts(saves);
    flips(saves < 20 ? 61 : 1);
    worn_out();
    wear(20 * saves);
    room();
    print_fact("end", any());
    platform_exit(0);
}
