/* How a frame's work is spread over blocks that it does not align with.
 *
 * With equal rates, g = gcd(frame, block): a frame is cut into frame/g slices and every block runs block/g of them,
 * beginning as soon as the first frame is complete. frame 128, block 48, g 16: 8 slices, 3 in every block:
 *
 *   audio    |---- block 0 ----|---- block 1 ----|---- block 2 ----|---- block 3 ----|
 *   frames   |------------------ frame 0 -------------------|------------------ frame 1 ---
 *   slices    .     .     .     .     .     .     .     0.0 | 0.1   0.2   0.3  ...
 *
 * With rates that differ, a frame lasts frame * down / up of the board's samples, and if the exact cut would be very
 * fine, a coarser one is taken: blocks then differ by at most one slice. Delays are not derived but found by walking
 * through one period of blocks, frames and rates, so they are the smallest that work. */
#include "instrument.h"

/* Model samples that have come in with `blocks`, and that are needed to give them out: see resampler_*. */
static uint64_t come_in(uint64_t samples, uint32_t up, uint32_t down) { return (samples * up + down - 1) / down; }
static uint64_t needed(uint64_t samples, uint32_t up, uint32_t down) { return (samples - 1) * up / down + 1; }

static uint32_t cut(uint64_t frame_time, uint64_t block_time) {
    const uint64_t common = common_divisor(frame_time, block_time), exact = frame_time / common;
    if (exact <= 64 || (exact <= SLICES_LIMIT && block_time / common <= 4)) return (uint32_t)exact;
    const uint64_t coarse = (4 * frame_time + block_time - 1) / block_time; /* four in a block, or one a frame */
    return coarse < 1 ? 1 : coarse < SLICES_LIMIT ? (uint32_t)coarse : SLICES_LIMIT;
}

int plan_schedule(struct schedule *s, uint32_t frame, uint32_t block, uint32_t up, uint32_t down, int has_input) {
    const uint64_t frame_time = (uint64_t)frame * down, block_time = (uint64_t)block * up;
    const uint64_t period = frame_time / common_divisor(frame_time, block_time);
    if (period > PERIOD_LIMIT) return MODULE_ERROR_RATE;
    s->slices = cut(frame_time, block_time);
    s->step = block_time * s->slices;
    s->unit = frame_time;
    uint64_t delay = 0, prime = 0;
    for (uint64_t c = 1; has_input && c <= period; c++) {
        const uint64_t due = c * s->step / s->unit;
        const uint64_t complete = come_in(c * block, up, down) / frame * s->slices;
        if (due > complete && due - complete > delay) delay = due - complete;
    }
    for (uint64_t c = 1; c <= 2 * period; c++) {
        const uint64_t due = c * s->step / s->unit, done = due > delay ? (due - delay) / s->slices * frame : 0;
        const uint64_t out = needed(c * block, up, down);
        if (out > done && out - done > prime) prime = out - done;
    }
    s->delay = (uint32_t)delay;
    s->prime = (uint32_t)prime;
    return 0;
}
