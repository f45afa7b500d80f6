/* Everything at once, each from a thread of its own, under the thread sanitizer: audio, two that push, one that loads
 * and unloads, one that reads the status and has saved what hands have set. Now and then an event names no input: those
 * are counted by the instrument, and must be as many as went into the lanes. Prints how often each came round.
 *
 *   common_threads MODEL */
#include "module.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static tudor_module *m;
static char *file;
static size_t file_bytes;
static _Atomic int stop;
static _Atomic unsigned pushed, loads, busy, reads, torn, saves, strange, full;

static void *push(void *lane) {
    uint32_t n = 1;
    while (!atomic_load(&stop)) {
        n = n * 1664525u + 1013904223u;
        module_event e = {.at_samples = module_now(m), .kind = (uint16_t)(1 + (n >> 8) % 3),
                          .source = (uint16_t)((n >> 16) % 6), .value = (float)(n >> 8) * 0x1p-24f};
        if ((n >> 10) % 64 == 0) e = (module_event){.kind = MODULE_SELECT, .source = (uint16_t)((n >> 16) % 3)};
        if ((n >> 9) % 50 == 0) e.kind = 99;
        if (module_push(m, (uint32_t)(uintptr_t)lane, &e)) {
            atomic_fetch_add(&full, 1);
            continue;
        }
        atomic_fetch_add(&pushed, 1);
        if (e.kind == 99) atomic_fetch_add(&strange, 1);
    }
    return 0;
}

static void *load(void *unused) {
    void *fast[3] = {0}, *bulk[3] = {0};
    (void)unused;
    for (uint32_t i = 0; !atomic_load(&stop); i++) {
        const uint32_t slot = i % 3;
        module_need need;
        if (module_unload(m, slot)) {
            atomic_fetch_add(&busy, 1);
            continue;
        }
        free(fast[slot]); /* the audio thread must not be in there */
        free(bulk[slot]);
        fast[slot] = bulk[slot] = 0;
        if (i % 5 == 0 || module_measure(m, file, file_bytes, 0, 0, &need, 0)) continue;
        fast[slot] = aligned_alloc(64, need.fast_bytes);
        bulk[slot] = aligned_alloc(64, need.bulk_bytes + 64);
        if (module_load(m, slot, "x", file, file_bytes, 0, 0, fast[slot], need.fast_bytes, bulk[slot], need.bulk_bytes, 0))
            exit(7);
        atomic_fetch_add(&loads, 1);
    }
    return 0;
}

static void *read_status(void *unused) {
    uint32_t last = 0;
    uint8_t *const saved = malloc(module_save_bytes(m));
    (void)unused;
    if (module_save(m, saved, module_save_bytes(m))) exit(6);
    while (!atomic_load(&stop)) {
        module_status s;
        if (module_saved(m) && saved[0] == 1) {
            memset(saved, 0, module_save_bytes(m)); /* it is ours until it is asked for again */
            if (module_save(m, saved, module_save_bytes(m))) exit(6);
            atomic_fetch_add(&saves, 1);
        }
        module_read_status(m, &s);
        if (s.blocks < last || s.state > MODULE_RECOVERING || s.slot > MODULE_SLOTS) atomic_fetch_add(&torn, 1);
        last = s.blocks;
        atomic_fetch_add(&reads, 1);
    }
    return 0;
}

int main(int argc, char **argv) {
    module_config c;
    pthread_t threads[4];
    float in[64], out[64];
    const float *const from[1] = {in};
    float *const to[1] = {out};
    if (argc < 3) return 9;
    file = aligned_alloc(64, 1 << 20);
    FILE *f = fopen(argv[1], "rb");
    if (!f || !file) return 8;
    file_bytes = fread(file, 1, 1 << 20, f);
    fclose(f);
    module_defaults(&c);
    c.block_samples = 64;
    c.lanes = 2;
    c.fade_ms = 2;
    const size_t bytes = (module_bytes(&c) + 63) / 64 * 64; /* aligned_alloc wants whole units */
    if (module_init(&c, aligned_alloc(64, bytes), bytes, &m)) return 7;
    memset(in, 0, sizeof in);
    pthread_create(&threads[0], 0, push, (void *)0);
    pthread_create(&threads[1], 0, push, (void *)1);
    pthread_create(&threads[2], 0, load, 0);
    pthread_create(&threads[3], 0, read_status, 0);
    for (long i = 0; i < atol(argv[2]); i++) module_process(m, from, to);
    atomic_store(&stop, 1);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], 0);
    module_status s;
    for (int i = 0; i < 8; i++) module_process(m, from, to); /* what is in the lanes yet */
    module_read_status(m, &s);
    printf("pushed=%u loads=%u busy=%u reads=%u torn=%u saves=%u strange=%u ignored=%u full=%u dropped=%u\n", pushed,
           loads, busy, reads, torn, saves, strange, s.ignored, full, s.dropped);
    return torn != 0;
}
