#include "saves.h"

#include "notes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int file_of(void *context) { return ((const struct saves *)context)->file; }

/* From the card, and not from what the kernel remembers of it. */
static int read_card(void *context, uint32_t at, void *to, uint32_t bytes) {
    const off_t from = (off_t)at + SAVES_SECTOR;
    (void)posix_fadvise(file_of(context), from, (off_t)bytes, POSIX_FADV_DONTNEED);
    return pread(file_of(context), to, bytes, from) == (ssize_t)bytes ? 0 : -1;
}

static int write_card(void *context, uint32_t at, const void *from, uint32_t bytes) {
    return pwrite(file_of(context), from, bytes, (off_t)at + SAVES_SECTOR) == (ssize_t)bytes ? 0 : -1;
}

static int erase_card(void *context, uint32_t at) {
    uint8_t blank[SAVES_SECTOR];
    memset(blank, 0xff, sizeof blank);
    return write_card(context, at, blank, sizeof blank);
}

static int has_label(int file) {
    char label[sizeof SAVES_LABEL - 1];
    return pread(file, label, sizeof label, 0) == (ssize_t)sizeof label && !memcmp(label, SAVES_LABEL, sizeof label) &&
           lseek(file, 0, SEEK_END) >= (off_t)(SAVES_BYTES + SAVES_SECTOR);
}

void saves_open(struct saves *s, tudor_module *m, const char *path) {
    module_complaint why = {0};
    *s = (struct saves){.file = -1, .path = path};
    if (!strcmp(path, "off")) return;
    s->file = open(path, O_RDWR | O_DSYNC | O_CLOEXEC);
    if (s->file < 0) {
        note("saves: %.60s: %s; nothing is kept when the power goes", path, strerror(errno));
        return;
    }
    const size_t bytes = 2 * (module_save_bytes(m) + 64);
    void *const memory = malloc(bytes);
    const save_flash flash = {SAVES_BYTES, SAVES_SECTOR, 256, s, read_card, write_card, erase_card};
    if (!has_label(s->file))
        note("saves: %.60s is not a partition that `tudor flash pi` made; nothing is kept when the power goes", path);
    else if (memory && !keeper_open(&s->keeper, m, &flash, memory, bytes, &why))
        s->keeper.any_time = 1;
    if (why.code) note("saves: %.60s: %.100s", path, why.text);
    if (s->keeper.state == KEEPER_OFF) {
        saves_close(s);
        free(memory);
    }
}

void saves_attend(struct saves *s, tudor_module *m, uint32_t now_ms) {
    if (s->file < 0) return;
    keeper_attend(&s->keeper, m, now_ms, 1);
    if (s->keeper.failed && !s->told) note("saves: %.60s does not keep what is written; the card wears out", s->path);
    s->told = s->keeper.failed;
}

void saves_close(struct saves *s) {
    if (s->file >= 0) close(s->file);
    s->file = -1;
}
