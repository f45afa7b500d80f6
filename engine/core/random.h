/* Noise from integers alone: a hash of what an op, its attribute `seed`, the stream and the row are, and the channel.
 * No sequence to follow, so every machine and every cutting of the input draws the same. */
#ifndef TUDOR_RANDOM_H
#define TUDOR_RANDOM_H

#include <stdint.h>
#include <string.h>

#define COUNTER_PERIOD (1u << 24)

static inline uint32_t noise_hash(uint32_t n) {
    n ^= n >> 16;
    n *= 0x21f0aaadu;
    n ^= n >> 15;
    n *= 0x735a2d97u;
    return n ^ n >> 15;
}

/* 24 bits, in [-1, 1): every step is exact in float32. */
static inline float noise_uniform(uint32_t n) { return (float)(noise_hash(n) >> 8) * 0x1p-23f - 1.0f; }

/* Where an op's numbers begin. Stream 0 with the seed 0 has the op's own, for hash(0) is 0. */
static inline uint32_t noise_base(uint32_t op_seed, float seed, uint32_t stream) {
    const float whole = seed >= 0.0f ? seed : 0.0f; /* NaN too */
    const uint32_t number = whole < 16777216.0f ? (uint32_t)whole : 16777215u;
    return op_seed + noise_hash(noise_hash(number) + stream);
}

/* Rows played so far, in a state word. */
static inline uint32_t counter_read(const float *word) {
    uint32_t counter;
    memcpy(&counter, word, sizeof counter);
    return counter % COUNTER_PERIOD;
}

static inline void counter_write(float *word, uint32_t counter) {
    counter %= COUNTER_PERIOD;
    memcpy(word, &counter, sizeof counter);
}

#endif
