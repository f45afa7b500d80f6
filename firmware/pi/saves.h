/* What hands have set, in a partition of the card that is a ring of records (common/save_ring.h) and no file system: nothing
 * is mounted, the root and the boot partition stay read-only, and a power cut at any byte leaves the last whole record.
 * `tudor flash pi` makes the partition (firmware/flash/saves.py) and writes a label, without which nothing is written. */
#ifndef TUDOR_PI_SAVES_H
#define TUDOR_PI_SAVES_H

#include "keeper.h"

#define SAVES_LABEL "TUDOR SAVES 1\n"
#define SAVES_SECTOR 4096u /* the label's, and each of the ring's */
#define SAVES_BYTES (64u * SAVES_SECTOR)

struct saves {
    struct keeper keeper;
    int file; /* -1: none */
    int told;
    const char *path;
};

/* Sets what was saved; the slots are loaded before. "off": nothing is kept. */
void saves_open(struct saves *saves, tudor_module *m, const char *path);
/* Again and again, not from the audio thread. */
void saves_attend(struct saves *saves, tudor_module *m, uint32_t now_ms);
void saves_close(struct saves *saves);

#endif
