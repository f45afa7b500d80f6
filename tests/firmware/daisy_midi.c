/* MIDI bytes into the Daisy's instrument from two wires.
 *
 *   daisy_midi STORE clock     the audio's own thread feeds them: a clock of 120 beats a minute within running status.
 *                              Prints tempo, flags, held notes' pitch and what was dropped.
 *   daisy_midi STORE hammer    both wires from threads of their own, while blocks are played: for the thread sanitizer. */
#include "midi_in.h"
#include "rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define MESSAGES 20000u

static struct rig rig;
static struct rig_inputs inputs;
static _Atomic int done;

static void block(void) {
    static float in[2][RIG_BLOCK], out[2][RIG_BLOCK];
    const float *const from[2] = {in[0], in[1]};
    float *const to[2] = {out[0], out[1]};
    struct rig_outputs outputs;
    rig_block(&rig, &inputs, from, to, &outputs);
}

static void *wire(void *context) {
    struct midi_in *const in = context;
    for (uint32_t i = 0; i < MESSAGES; i++) { /* running status, a clock and active sensing in between */
        const uint8_t bytes[6] = {(uint8_t)(i % 128), 0xf8, 0xfe, (uint8_t)(i / 128 % 128), 0xfe, 0xfe};
        if (i == 0) midi_in_bytes((const uint8_t[]){0xb0 | 1}, 1, in);
        midi_in_bytes(bytes, 2 + i % 2 * 4, in);
        if (i % 2 == 0) midi_in_bytes(bytes + 2, 4, in);
    }
    atomic_fetch_add(&done, 1);
    return 0;
}

static void clocked(struct midi_in *in) {
    uint32_t sent = 0;
    midi_in_bytes((const uint8_t[]){0xfa, 0x90}, 2, in);
    for (uint32_t b = 0; b < 4000; b++) {
        for (; sent * 125u < b * 6u; sent++) { /* 48 clocks a second, 1000 blocks a second */
            const uint8_t note[5] = {(uint8_t)(60 + sent % 12), 0xf8, sent % 2 ? 100 : 0, 0xfe, 0xfe};
            midi_in_bytes(note, 3, in);
            midi_in_bytes(note + 3, 2, in);
        }
        block();
    }
}

int main(int argc, char **argv) {
    static uint8_t store[1 << 20] __attribute__((aligned(64)));
    if (argc < 3) return 2;
    FILE *const f = fopen(argv[1], "rb");
    const size_t bytes = f ? fread(store, 1, sizeof store, f) : 0;
    if (f) fclose(f);
    struct rig_board board = {.own = {aligned_alloc(64, 160 << 10), 160 << 10}, .store = store, .store_bytes = bytes,
                              .knobs = 4, .cvs = 4, .spares = 4, .channels = 2};
    for (int i = 0; i < RIG_MEMORIES; i++) board.memory[i] = (struct rig_memory){aligned_alloc(64, 1 << 20), 1 << 20};
    if (rig_start(&rig, &board) || rig.fault || rig.why.code) return fprintf(stderr, "not started: %s\n", rig.why.text), 3;
    struct midi_in in[2] = {{.m = rig.m, .lane = RIG_LANE_WIRE}, {.m = rig.m, .lane = RIG_LANE_USB}};
    module_status s;
    if (argv[2][0] == 'c') {
        clocked(&in[0]);
    } else {
        pthread_t threads[2];
        for (int i = 0; i < 2; i++) pthread_create(&threads[i], 0, wire, &in[i]);
        while (atomic_load(&done) < 2) block();
        for (int i = 0; i < 2; i++) pthread_join(threads[i], 0);
        for (int i = 0; i < 20; i++) block();
    }
    module_read_status(rig.m, &s);
    printf("tempo %.3f flags %u ignored %u dropped %u beat %u blocks %u\n", (double)s.tempo, s.flags, s.ignored,
           s.dropped, s.beat, s.blocks);
    return 0;
}
