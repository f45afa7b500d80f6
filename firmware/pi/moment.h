/* When something happened, in samples of the instrument's clock. */
#ifndef TUDOR_PI_MOMENT_H
#define TUDOR_PI_MOMENT_H

#include <stdint.h>

/* The audio thread marks the beginning of each block: its first sample and CLOCK_MONOTONIC in ns, both modulo 2^32, in
 * one word, so that they are read as a pair. 0: no block has been played. */
uint64_t moment_mark(uint32_t samples, uint64_t at_ns);

/* CLOCK_MONOTONIC. No system call: the C library reads it from memory that the kernel shares. */
uint64_t moment_now_ns(void);

/* The sample at which `at_ns` falls, into `samples`. 0: the mark does not tell, since there is none or it is further
 * than `most_samples` before, or a second after. */
int moment_samples(uint64_t mark, uint32_t rate_hz, uint32_t most_samples, uint64_t at_ns, uint32_t *samples);

#endif
