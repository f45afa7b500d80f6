/* When something happened, in samples of the instrument's clock. */
#ifndef TUDOR_PI_MOMENT_H
#define TUDOR_PI_MOMENT_H

#include <stdint.h>

/* The audio thread marks the beginning of each block: its first sample and CLOCK_MONOTONIC in ns, both modulo 2^32, in
 * one word, so that they are read as a pair. 0: no block has been played. */
uint64_t moment_mark(uint32_t samples, uint64_t at_ns);

/* When a block began whose thread woke up at `now_ns`. Waking up is late by this and that, never early: times follow
 * each other at the block's length, drawn to the earlier ones at once and to the later ones slowly. `expected_ns`: kept
 * from block to block, 0 at first; what is a whole block off begins anew. */
uint64_t moment_began(uint64_t *expected_ns, uint64_t now_ns, uint64_t block_ns);

/* CLOCK_MONOTONIC. No system call: the C library reads it from memory that the kernel shares. */
uint64_t moment_now_ns(void);

/* The sample at which `at_ns` falls, into `samples`. 0: the mark does not tell, since there is none or it is further
 * than `most_samples` before, or a second after. */
int moment_samples(uint64_t mark, uint32_t rate_hz, uint32_t most_samples, uint64_t at_ns, uint32_t *samples);

#endif
