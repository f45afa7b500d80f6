/* firmware/daisy/qspi.c against the chip's QUADSPI registers and an IS25LP064A, as their manuals say that they behave: a
 * flash that is read continuously takes no instruction, writes only clear bits, wants to be enabled before each, and
 * cannot be read meanwhile; no interrupt may come, since its code lies there. Then a ring of saves on top.
 *
 *   qspi_chip SAVES */
#include "qspi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHIP (8u << 20)
#define MAPPED_CCR (3u << 26 | 1u << 28 | 3u << 24 | 6u << 18 | 3u << 14 | 2u << 12 | 3u << 10 | 1u << 8 | 0xeb)
#define RING 0x10000u
#define RING_BYTES 0x10000u

static uint8_t flash[CHIP], data[256];
static int shielded;
static uint32_t cr = 1, ccr = MAPPED_CCR, ar, abr = 0xa0, dlr, flags, given, off;
static int continuous = 1, enabled, busy, writes, erases;

#define MUST(is) do { if (!(is)) { printf("wrong: %s\n", #is); exit(1); } } while (0)

static uint32_t mode(void) { return ccr >> 26 & 3; }

uint32_t qspi_interrupts_off(void) {
    const uint32_t before = off;
    off = 1;
    return before;
}
void qspi_interrupts_restore(uint32_t before) {
    MUST(ccr == MAPPED_CCR && abr == 0xa0 && !busy && !enabled && !shielded);
    off = before;
}
void qspi_shield(int on) {
    MUST(off && mode() == 3); /* while it still or again can be read */
    shielded = on;
}

static void finish(void) { /* of a page program, when its last byte is there */
    for (uint32_t i = 0; i <= dlr; i++) {
        const uint32_t at = (ar & ~255u) | ((ar + i) & 255u); /* it wraps within its page */
        flash[at] &= data[i];
    }
    busy = 5;
    enabled = 0;
    writes++;
    flags |= 2;
}

static void begin(void) {
    MUST(off && shielded);
    const uint32_t lines = ccr >> 8 & 3, code = ccr & 255;
    given = 0;
    if (!lines) { /* reads on, and ends or not */
        MUST(mode() == 1 && (ccr >> 10 & 3) == 3 && (ccr >> 14 & 3) == 3 && (ccr >> 18 & 31) == 6);
        MUST(continuous || ((ar & 0xffffff) == 0xffffff && abr == 0xff));
        continuous = (abr & 0xf0) == 0xa0;
        flags |= 2;
        return;
    }
    MUST(!continuous && lines == 1);
    MUST(code == 0x05 || !busy);
    if (code == 0x06) enabled = 1;
    if (code == 0x02 || code == 0xd7) MUST(enabled && (ccr >> 12 & 3) == 2 && (ccr >> 10 & 3) == 1);
    if (code == 0x02) return; /* waits for its bytes */
    if (code == 0xd7) {
        memset(flash + (ar & 0xfff000), 0xff, 4096);
        busy = 50;
        enabled = 0;
        erases++;
    }
    MUST(code == 0x06 || code == 0xd7 || code == 0x05);
    flags |= 2;
}

uint32_t qspi_register(uint32_t offset) {
    switch (offset) {
    case 0x00: return cr;
    case 0x08: return flags | 4u; /* there is always room */
    case 0x14: return ccr;
    case 0x1c: return abr;
    default: MUST(!"a register that is not read"); return 0;
    }
}

void qspi_set_register(uint32_t offset, uint32_t value) {
    switch (offset) {
    case 0x00:
        if (value & 2) ccr &= ~(3u << 26); /* aborted: no longer mapped */
        cr = value & ~2u;
        break;
    case 0x0c: flags &= ~value; break;
    case 0x10: dlr = value; break;
    case 0x14:
        MUST(mode() != 3); /* it would be ignored: busy */
        ccr = value;
        if (mode() == 3)
            continuous = 1; /* with the first access */
        else if (!(ccr >> 10 & 3))
            begin();
        break;
    case 0x18:
        ar = value;
        begin();
        break;
    case 0x1c: abr = value; break;
    default: MUST(!"a register that is not written");
    }
}

uint8_t qspi_data(void) {
    MUST(mode() == 1);
    if ((ccr >> 8 & 3) == 0) return 0xff;
    const uint8_t status = (uint8_t)((busy ? 1 : 0) | (enabled ? 2 : 0) | 0x40);
    if (busy) busy--;
    return status;
}

void qspi_set_data(uint8_t byte) {
    MUST(mode() == 0 && (ccr & 255) == 0x02 && given <= dlr && dlr < 256);
    data[given++] = byte;
    if (given == dlr + 1) finish();
}

uint8_t qspi_mapped(uint32_t at) {
    MUST(mode() == 3 && !busy && !shielded && at < CHIP);
    return flash[at];
}

int main(int count, char **words) {
    static uint8_t record[3000], got[3000];
    const save_flash part = qspi_flash(QSPI_MAPPED + RING, RING_BYTES);
    save_ring ring;
    memset(flash, 0x5a, sizeof flash);
    memset(flash + RING, 0xff, RING_BYTES / 2);
    for (int n = 0; n < (count > 1 ? atoi(words[1]) : 10); n++) {
        const uint32_t bytes = 1 + ((uint32_t)n * 2654435761u >> 8) % (uint32_t)sizeof record;
        for (uint32_t i = 0; i < bytes; i++) record[i] = (uint8_t)(i * 7 + (uint32_t)n * 31);
        MUST(save_ring_open(&ring, &part, 1) == 0);
        MUST(save_ring_begin(&ring, record, bytes) == 0);
        while (save_ring_next(&ring) != SAVE_IDLE) save_ring_step(&ring);
        MUST(!ring.failed && !ring.failures && !off);
        MUST(save_ring_open(&ring, &part, 1) == 0);
        MUST(save_ring_read(&ring, got, sizeof got) == bytes && !memcmp(got, record, bytes));
    }
    for (uint32_t i = 0; i < CHIP; i++) MUST((i >= RING && i < RING + RING_BYTES) || flash[i] == 0x5a);
    printf("writes %d\nerases %d\n", writes, erases);
    return 0;
}
