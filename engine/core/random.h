/* Noise from integers alone: a hash of what an op, its attribute `seed`, the stream and the row are, and the channel.
 * No sequence to follow, so every machine and every cutting of the input draws the same. */
#ifndef TUDOR_RANDOM_H
#define TUDOR_RANDOM_H

#include <stdint.h>
#include <string.h>

#define COUNTER_PERIOD (1u << 24)
#define NOISE_MULTIPLIER 0x21f0aaadu

static inline uint32_t noise_hash(uint32_t n, uint32_t key) {
    n ^= n >> 16;
    n *= NOISE_MULTIPLIER;
    n ^= key;
    n ^= n >> 15;
    n *= 0x735a2d97u;
    return n ^ n >> 15;
}

/* 24 bits, in [-1, 1): every step is exact in float32. */
static inline float noise_uniform(uint32_t n, uint32_t key) { return (float)(noise_hash(n, key) >> 8) * 0x1p-23f - 1.0f; }

/* Every stream has noise of its own, and another with every seed. Stream 0 of seed 0: 0, which changes nothing. */
static inline uint32_t noise_key(uint32_t stream, float seed) {
    const uint32_t whole = seed >= 0.0f && seed < 0x1p24f ? (uint32_t)seed : 0; /* a file's default may be anything */
    return noise_hash(stream * NOISE_MULTIPLIER + noise_hash(whole, 0), 0);
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
