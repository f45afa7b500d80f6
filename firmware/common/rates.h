/* From the board's sample rate to the model's and back, and when the slices of a frame are run. */
#ifndef TUDOR_MODULE_RATES_H
#define TUDOR_MODULE_RATES_H

#include <stddef.h>
#include <stdint.h>

struct fifo {
    float *data;
    uint32_t size, first, count;
};
static inline void fifo_put(struct fifo *f, float x) {
    if (f->count == f->size) return;
    const uint32_t at = f->first + f->count++;
    f->data[at < f->size ? at : at - f->size] = x;
}
static inline float fifo_get(struct fifo *f) {
    if (f->count == 0) return 0.0f;
    const float x = f->data[f->first];
    f->first = f->first + 1 < f->size ? f->first + 1 : 0;
    f->count--;
    return x;
}

struct resampler {
    uint32_t up, down; /* out rate : in rate, reduced */
    uint32_t taps;
    const float *table; /* [up][taps], oldest sample first */
    float *history;     /* [2 * taps], the last taps contiguous */
    uint32_t at, phase;
};
size_t resampler_taps(uint32_t up, uint32_t down, uint32_t quality);
void resampler_design(float *table, uint32_t up, uint32_t down, uint32_t quality);
void resampler_start(struct resampler *r);
void resampler_push(struct resampler *r, float x);
float resampler_value(const struct resampler *r);

/* When which slice runs: block c runs those that are due after it, (c + 1) * step / unit - delay. */
struct schedule {
    uint32_t slices;
    uint32_t delay; /* slices */
    uint32_t prime; /* samples of silence at the model's rate that the output starts with */
    uint64_t step, unit;
};
int plan_schedule(struct schedule *s, uint32_t frame, uint32_t block, uint32_t up, uint32_t down, int has_input);

#endif
