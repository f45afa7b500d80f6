/* The Daisy's panel under a script: what a builder does, block by block, and what is seen.
 *
 *   panel STORE IN OUT            IN: a struct done for each block, OUT: a struct seen.
 *   panel STORE IN OUT crowded    the board says that its stack was nearly full. */
#include "platform.h"
#include "rig.h"
#include "words.h"

struct done {
    float analog, level; /* of every knob and CV; of a square wave of 1 kHz at the input */
    uint32_t gates;      /* bits */
    uint32_t load;       /* ticks of 1/1000 of a block that processing takes */
};

struct seen {
    float cv[RIG_CV_OUTS], latent;
    uint32_t lights, led, clipped, state, misses, frame_blocks;
};

static uint32_t now, load;
static uint32_t ticks(void *context) {
    const uint32_t was = now;
    (void)context;
    now += load;
    return was;
}

void host_main(int count, char **words) {
    static struct rig rig;
    size_t store_bytes, in_bytes;
    if (count < 4) platform_exit(2);
    const void *const store = platform_read(words[1], &store_bytes);
    const struct done *const done = platform_read(words[2], &in_bytes);
    const uint32_t blocks = (uint32_t)(in_bytes / sizeof *done);
    struct rig_board board = {.own = {platform_memory(160 << 10, 0), 160 << 10}, .store = store, .store_bytes = store_bytes,
                              .knobs = 4, .cvs = 4, .channels = 1, .buttons = 0xc, .clock = ticks, .clock_hz = 1000000};
    for (int i = 0; i < RIG_MEMORIES; i++) board.memory[i] = (struct rig_memory){platform_memory(1 << 20, 0), 1 << 20};
    struct seen *const seen = platform_memory(blocks * sizeof *seen, 0);
    if (rig_start(&rig, &board)) platform_exit(3);
    rig.crowded = count > 4;
    for (uint32_t b = 0; b < blocks; b++) {
        struct rig_inputs inputs;
        struct rig_outputs outputs;
        module_status status;
        float audio[RIG_BLOCK];
        for (int i = 0; i < RIG_ANALOG; i++) inputs.analog[i] = done[b].analog;
        for (int i = 0; i < RIG_GATES; i++) inputs.gate[i] = done[b].gates >> i & 1;
        for (int i = 0; i < RIG_BLOCK; i++) audio[i] = i < RIG_BLOCK / 2 ? done[b].level : -done[b].level;
        load = done[b].load;
        const float *const in[1] = {audio};
        float *const out[1] = {audio};
        rig_block(&rig, &inputs, in, out, &outputs);
        module_read_status(rig.m, &status);
        seen[b] = (struct seen){{outputs.cv[0], outputs.cv[1]}, status.latent[0], outputs.lights, (uint32_t)outputs.led,
                                (uint32_t)outputs.clipped, status.state, status.misses, rig.bank.need[0].slices};
    }
    print_fact("refused", (uint64_t)rig.why.code);
    platform_write(words[3], seen, blocks * sizeof *seen);
    platform_exit(0);
}
