#include "apart.h"

#include <string.h>

#define SPARE 64u /* bytes behind weights that belong to them: tudor_use_parts */

/* A stretch that methods share counts once, as often as the one that reads it most. */
static void add(struct apart *p, uint64_t offset, uint64_t bytes, uint64_t readings) {
    const uint32_t whole = (uint32_t)((bytes + 63) / 64 * 64 + SPARE), often = (uint32_t)readings;
    uint32_t i = 0;
    if (!bytes) return;
    while (i < p->count && p->list[i].offset != offset) i++;
    if (i == APART_MOST) return;
    if (i == p->count) {
        p->count++;
        p->list[i] = (tudor_part){0, (uint32_t)offset, 0};
        p->readings[i] = 0;
    }
    if (p->list[i].bytes < whole) p->list[i].bytes = whole;
    if (p->readings[i] < often) p->readings[i] = often;
}

static void gather(struct apart *p, const tudor_model *model, const module_need *need) {
    p->count = 0;
    for (uint32_t stage = 0; stage < need->stages; stage++) {
        tudor_method_info method;
        tudor_op_info op;
        if (tudor_method(model, need->method[stage], &method)) return;
        const uint64_t frames = need->frame_samples / method.frame_samples;
        for (int i = 0; !tudor_op(model, need->method[stage], i, &op); i++) {
            const uint64_t calls = op.steps ? op.steps * frames : 1;
            const uint64_t shared = calls * op.phases * op.shared_rows, rows = op.rows * frames;
            const uint64_t readings = calls * (shared ? (rows + shared - 1) / shared : 1);
            add(p, op.weights_offset, op.weights_bytes, readings);
            add(p, op.params_offset, op.params_bytes, readings);
        }
    }
}

/* The most read first; else as they came. */
static void sort(struct apart *p) {
    for (uint32_t i = 1; i < p->count; i++) {
        const tudor_part part = p->list[i];
        const uint32_t readings = p->readings[i];
        uint32_t to = i;
        for (; to && p->readings[to - 1] < readings; to--) {
            p->list[to] = p->list[to - 1];
            p->readings[to] = p->readings[to - 1];
        }
        p->list[to] = part;
        p->readings[to] = readings;
    }
}

void apart_plan(struct apart *p, const tudor_model *model, const module_need *need,
                struct rig_memory memory[RIG_MEMORIES], uint32_t bytes[RIG_MEMORIES]) {
    uint32_t kept = 0;
    gather(p, model, need);
    sort(p);
    for (uint32_t i = 0; i < p->count; i++) {
        enum rig_place in;
        p->list[i].at = rig_take(memory, RIG_DTCM, RIG_SDRAM, p->list[i].bytes, &in);
        if (in == RIG_NOWHERE) continue;
        bytes[in] += p->list[i].bytes;
        p->list[kept++] = p->list[i];
    }
    p->count = kept;
}

void apart_copy(const struct apart *p, const void *weights) {
    for (uint32_t i = 0; i < p->count; i++)
        memcpy((void *)(uintptr_t)p->list[i].at, (const char *)weights + p->list[i].offset, p->list[i].bytes);
}
