/* Sums of what was counted between a beginning and an end; shared by the program and the emulator's plugin. */
#ifndef TUDOR_HOST_TALLY_H
#define TUDOR_HOST_TALLY_H

#include <stdint.h>

/* Slots: nothing at all (what counting itself costs), whole calls, then the operations of the method. */
#define TALLY_EMPTY 0u
#define TALLY_CALLS 1u
#define TALLY_OPS 2u
#define TALLY_SLOTS 2048u

/* The system call that marks a beginning or an end under a plugin: no kernel has one of this number. */
#define TALLY_MARK 4242

struct tally {
    uint64_t start, calls, sum, worst;
};

static inline void tally_begin(struct tally *t, uint64_t now) { t->start = now; }

static inline void tally_end(struct tally *t, uint64_t now) {
    const uint64_t spent = now - t->start;
    t->calls++;
    t->sum += spent;
    if (spent > t->worst) t->worst = spent;
}

#endif
