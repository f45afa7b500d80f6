/* Latents that were generated for a whole frame are decoded in pieces, and each is handed on as soon as it is complete: what
 * is heard is then later than its controls by the generator's time and one piece, not by a frame.
 *
 *   work      | generate  | decode 0 | decode 1 | decode 2 | decode 3 | generate ...
 *   heard       ...                  |    0     |     1    |     2 ...                */
#include "instrument.h"

#define PIECES 8u /* at most: each costs a call */

uint64_t stage_cost(const struct player *p, uint32_t stage) {
    tudor_method_info info;
    tudor_op_info op;
    uint64_t cost = 1;
    if (tudor_method(&p->model, p->stage[stage].method, &info)) return cost;
    for (int i = 0; !tudor_op(&p->model, p->stage[stage].method, i, &op); i++) cost += op.cost;
    return cost * (p->frame / info.frame_samples);
}

static uint32_t end_of(const struct player *p, uint32_t piece) { /* in parts of the second stage */
    return p->stage[1].parts * (piece + 1) / p->pieces;
}

void share_parts(struct player *p, uint64_t first, uint64_t second) {
    const uint32_t fine = p->schedule.slices * FINE;
    uint64_t parts = (fine * first + (first + second) / 2) / (first + second);
    if (parts < 1) parts = 1;
    if (parts > fine - p->pieces) parts = fine - p->pieces;
    p->stage[0].parts = (uint32_t)parts;
    p->stage[1].parts = fine - (uint32_t)parts;
}

/* Samples of a frame that are complete when so many of its slices have run. */
static uint32_t complete(const struct player *p, uint32_t slices) {
    uint32_t pieces = 0;
    while (pieces < p->pieces && p->stage[0].parts + end_of(p, pieces) <= slices * FINE) pieces++;
    return pieces * (p->frame / p->pieces);
}

/* How many pieces, and with them a shorter queue: its least is found as schedule.c finds it. */
void plan_pieces(struct player *p, uint32_t block) {
    struct schedule *const s = &p->schedule;
    const uint64_t period = s->unit / common_divisor(s->unit, (uint64_t)block * p->up);
    tudor_method_info info;
    p->pieces = 1;
    if (p->edited != 0 || p->stages != 2 || s->slices == 1 || s->delay || tudor_method(&p->model, p->stage[1].method, &info))
        return;
    const uint32_t rows = p->frame / info.frame_samples;
    for (uint32_t pieces = 2; pieces <= PIECES && pieces < s->slices * FINE; pieces++)
        if (rows % pieces == 0) p->pieces = pieces;
    if (p->pieces == 1) return;
    p->decoded = info.in_channels;
    p->decoded_rows = p->frame / info.in_ratio;
    share_parts(p, stage_cost(p, 0), stage_cost(p, 1));
    s->prime = 0;
    for (uint64_t c = 1; c <= 2 * period; c++) {
        const uint64_t due = c * s->step / s->unit, out = (c * block - 1) * p->up / p->down + 1;
        const uint64_t done = due / s->slices * p->frame + complete(p, (uint32_t)(due % s->slices));
        if (out > done && out - done > s->prime) s->prime = (uint32_t)(out - done);
    }
}

void lay_pieces(struct player *p, struct region *fast) {
    tudor_method_info info;
    if (p->pieces == 1 || tudor_method(&p->model, p->stage[1].method, &info)) return;
    const size_t each = p->streams * sizeof(float), samples = p->frame / p->pieces;
    p->piece[0] = take(fast, info.in_channels * (samples / info.in_ratio) * each);
    p->piece[1] = take(fast, info.out_channels * samples * each);
}

/* Rows of all latents, as the decoder wants them: one channel after the other. */
static void gather(const struct player *p, uint32_t piece, uint32_t rows) {
    const uint32_t channels = p->streams * p->decoded, all = rows * p->pieces;
    for (uint32_t c = 0; c < channels; c++)
        memcpy(p->piece[0] + c * rows, p->buffer[1] + c * all + piece * rows, rows * sizeof(float));
}

/* The next part of the second stage; `y`: null until samples are complete. An error of the runtime, or 0. */
int run_piece(struct player *p, uint32_t part, float **y, uint32_t *samples) {
    uint32_t piece = 0;
    while (part >= end_of(p, piece)) piece++;
    const uint32_t begins = piece ? end_of(p, piece - 1) : 0, parts = end_of(p, piece) - begins;
    const int whole = p->pieces == 1;
    const float *const in = p->buffer[1];
    float *const out = whole ? p->buffer[2] : p->piece[1];
    *samples = p->frame / p->pieces;
    if (!whole && part == begins) gather(p, piece, p->decoded_rows / p->pieces);
    *y = part + 1 == begins + parts ? out : 0;
    return tudor_process_slice(p->t, p->stage[1].method, whole ? in : p->piece[0], out, *samples, part - begins, parts);
}
