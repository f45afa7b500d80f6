/* What the next block of a method puts out instead of what it would draw (force.c). */
#ifndef TUDOR_FORCE_H
#define TUDOR_FORCE_H

#include "format.h"

#include <stdint.h>

/* Builds for small machines may leave out loops, or draws: then there is nothing to force. */
#if defined TUDOR_NO_LOOP || defined TUDOR_NO_NOISE
#define TUDOR_NO_FORCE
#endif

struct forced {
    const float *out;       /* [batch][channels][rows]; NULL: it draws */
    float *drawn;           /* the same of what it would have drawn; NULL: nobody asks, and it does not */
    int method;
    uint32_t samples, rows; /* of the block; of each channel */
    uint32_t draw;          /* the op that draws: behind it in the loop stands nothing but its gate */
    const struct format_op *table; /* outside the loop: whose rows the draws number; NULL: they come out as they are */
};

static inline int tudor_is_forced(const struct forced *f, int method) { return f->out && f->method == method; }
/* Whether a block of another length was announced. */
static inline int tudor_forced_apart(const struct forced *f, int method, uint32_t samples) {
    return tudor_is_forced(f, method) && f->samples != samples;
}
static inline void tudor_force_over(struct forced *f, int method) {
    if (tudor_is_forced(f, method)) f->out = 0;
}

struct play;
struct map_args;
/* The rows of a draw that is forced: if anybody asks for them, what was drawn stands there already. */
void tudor_forced_draw(const struct play *p, const struct format_op *op, const struct map_args *a);
/* Whether an op is part of the gate behind it, which then lets all through. */
int tudor_opens_gate(const struct play *p, const struct format_op *op);

#endif
