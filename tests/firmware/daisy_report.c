/* The Daisy's answer by USB MIDI, over a terminal: one thread plays blocks as the audio's interrupt does, one reads what a
 * computer sends as USB's does, and the main loop answers.
 *
 *   daisy_report STORE FILE SECONDS     FILE: number of an open file, both ways. Ends when it reads MIDI's stop, and prints
 *                                       how often it was asked, and blocks that were played. */
#define _POSIX_C_SOURCE 200809L /* nanosleep */
#include "midi_in.h"
#include "report.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static struct rig rig;
static struct midi_in usb;
static _Atomic int over, blocks;
static int file;

static void *audio(void *unused) {
    static float in[2][RIG_BLOCK], out[2][RIG_BLOCK];
    const float *const from[2] = {in[0], in[1]};
    float *const to[2] = {out[0], out[1]};
    (void)unused;
    while (!atomic_load(&over)) {
        struct rig_inputs inputs = {0};
        struct rig_outputs outputs;
        rig_block(&rig, &inputs, from, to, &outputs);
        atomic_fetch_add(&blocks, 1);
    }
    return 0;
}

static void *interrupt(void *unused) {
    uint8_t bytes[64];
    (void)unused;
    while (!atomic_load(&over)) {
        struct pollfd ready = {file, POLLIN, 0};
        if (poll(&ready, 1, 20) < 1) continue;
        const ssize_t count = read(file, bytes, sizeof bytes);
        if (count > 0) midi_in_bytes(bytes, (size_t)count, &usb);
        if (count > 0 && bytes[count - 1] == 0xfc) atomic_store(&over, 1);
    }
    return 0;
}

/* A block takes 250 of its 1000 ticks. */
static uint32_t clock_ticks(void *unused) {
    static uint32_t ticks;
    (void)unused;
    return ticks += 250;
}

/* A computer's driver takes three bytes of a packet with code 4 or 7, two with 6, one with 5. */
static int packets_hold(const uint8_t *answer, size_t length) {
    static uint8_t packets[REPORT_PACKETS_BYTES];
    for (size_t bytes = length; bytes > length - 3; bytes--) {
        const size_t all = report_packets(answer, bytes, packets);
        size_t at = 0;
        for (size_t i = 0; i < all; i += 4) {
            const size_t took = packets[i] == 4 || packets[i] == 7 ? 3 : packets[i] == 6 ? 2 : packets[i] == 5;
            if ((packets[i] > 4) != (i + 4 == all) || took == 0) return 0;
            for (size_t k = 0; k < took; k++)
                if (packets[i + 1 + k] != answer[at++]) return 0;
        }
        if (at != bytes) return 0;
    }
    return 1;
}

int main(int argc, char **argv) {
    static uint8_t store[1 << 20] __attribute__((aligned(64)));
    if (argc < 4) return 2;
    FILE *const f = fopen(argv[1], "rb");
    const size_t bytes = f ? fread(store, 1, sizeof store, f) : 0;
    if (f) fclose(f);
    file = atoi(argv[2]);
    struct rig_board board = {.own = {aligned_alloc(64, 160 << 10), 160 << 10}, .store = store, .store_bytes = bytes,
                              .knobs = 4, .cvs = 4, .spares = 4, .channels = 2, .clock = clock_ticks,
                              .clock_hz = 1000 * RIG_RATE_HZ / RIG_BLOCK};
    for (int i = 0; i < RIG_MEMORIES; i++) board.memory[i] = (struct rig_memory){aligned_alloc(64, 1 << 20), 1 << 20};
    if (rig_start(&rig, &board)) return 3;
    usb.m = rig.m;
    usb.lane = RIG_LANE_USB;
    pthread_t threads[2];
    pthread_create(&threads[0], 0, audio, 0);
    pthread_create(&threads[1], 0, interrupt, 0);
    int asked = 0;
    for (int turn = 0; turn < 1000 * atoi(argv[3]) && !atomic_load(&over); turn++) {
        nanosleep(&(struct timespec){0, 1000000}, 0);
        rig_attend(&rig, (uint32_t)turn);
        if (!midi_in_asked(&usb)) continue;
        uint8_t answer[REPORT_BYTES];
        const struct report_stack stack = {12016, 16384};
        const size_t length = report_answer(&rig, &stack, answer);
        if (!packets_hold(answer, length)) return 5;
        if (write(file, answer, length) != (ssize_t)length) return 4;
        asked++;
    }
    atomic_store(&over, 1);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], 0);
    printf("asked %d blocks %d\n", asked, atomic_load(&blocks));
    return 0;
}
