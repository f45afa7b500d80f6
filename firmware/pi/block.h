/* The audio path between the card's memory and the instrument: no lock, no memory, no system call. */
#ifndef TUDOR_PI_BLOCK_H
#define TUDOR_PI_BLOCK_H

#include "module.h"

#include <stdint.h>

/* As the card has its samples, interleaved, little-endian. S24_3: 24 bits in three bytes; S24: in the lower three of
 * four. */
enum sample_format { SAMPLE_S32, SAMPLE_S24_3, SAMPLE_S24, SAMPLE_S16, SAMPLE_FLOAT, SAMPLE_FORMATS };

uint32_t sample_bytes(enum sample_format format);

/* `count` frames of `stride` samples from card memory into planes, from index `at`; channels beyond `channels` are
 * left out. Full scale is 1. */
void block_read(enum sample_format format, const void *from, uint32_t stride, uint32_t channels, float *const *planes,
                uint32_t at, uint32_t count);
/* The way back, rounded to nearest and clamped; what the card has more of repeats the last channel. */
void block_write(enum sample_format format, void *to, uint32_t stride, uint32_t channels, const float *const *planes,
                 uint32_t at, uint32_t count);

#endif
