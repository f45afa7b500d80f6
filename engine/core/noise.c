/* The input guard, counter-based noise and the fractional delay: rare and small, so plain C for every machine. */
#include "internal.h"
#include "random.h"
#include "vec_scalar.h"

#include "vmath.inc"

/* Non-finite numbers become 0, magnitudes are clamped to 8. In place. */
void tudor_guard(const struct map_args *a, uint64_t *nonfinite) {
    uint32_t bad = 0;
    for (uint32_t r = 0; r < a->rows; r++) {
        const float *x = (const float *)a->x.data + r * a->x.row;
        float *y = (float *)a->y.data + r * a->y.row;
        for (uint32_t c = 0; c < a->channels; c++) {
            const float value = x[c];
            const int finite = V_ABS(value) <= 0x1.fffffep127f; /* false for NaN too */
            bad += !finite;
            y[c] = v_flush(finite ? V_MIN(V_MAX(value, -8.0f), 8.0f) : 0.0f);
        }
    }
    *nonfinite += bad;
}

#ifndef TUDOR_NO_LOOP
/* x: the sound, with `most` - `ahead` + 1 rows before; b: the lag. */
void tudor_fractional_delay(const struct map_args *a, uint32_t least, uint32_t most, uint32_t ahead) {
    const float low = (float)least, high = (float)most;
    for (uint32_t r = 0; r < a->rows; r++) {
        const float *x = (const float *)a->x.data + r * a->x.row, asked = *((const float *)a->b.data + r * a->b.row);
        float lag = asked >= 1.0f ? asked : 1.0f; /* NaN: 1 */
        if (lag < low) lag *= (float)((uint32_t)(low / lag) + 1);
        lag = V_MAX(V_MIN(lag, high) - (float)ahead, 0.0f);
        const uint32_t whole = (uint32_t)lag;
        const float late = *(x - whole * a->x.row), early = *(x - (whole + 1) * a->x.row);
        ((float *)a->y.data)[r * a->y.row] = v_flush(scalar_fma(lag - (float)whole, early - late, late));
    }
}
#endif

void tudor_noise_multiply(const struct map_args *a, uint32_t seed, uint32_t key, float *counter) {
    const uint32_t start = counter_read(counter);
    for (uint32_t r = 0; r < a->rows; r++) {
        const uint32_t first = (start + r) % COUNTER_PERIOD * a->channels + seed;
        const float *x = (const float *)a->x.data + r * a->x.row;
        float *y = (float *)a->y.data + r * a->y.row;
        for (uint32_t c = 0; c < a->channels; c++) y[c] = v_flush(x[c] * noise_uniform(first + c, key));
    }
    counter_write(counter, start + a->rows);
}

/* Close to normal: the sum of four uniforms (variance 4/3), `lanes` apart, scaled to variance 1. */
static float noise_normal(uint32_t n, uint32_t lanes, uint32_t key) {
    const float low = noise_uniform(n, key) + noise_uniform(n + lanes, key);
    const float high = noise_uniform(n + 2 * lanes, key) + noise_uniform(n + 3 * lanes, key);
    return (low + high) * 0.866025404f;
}

void tudor_latent_sample(const struct map_args *a, uint32_t seed, uint32_t key, float temperature, float *counter) {
    const uint32_t start = counter_read(counter), latents = a->channels;
    for (uint32_t r = 0; r < a->rows; r++) {
        const uint32_t first = (start + r) % COUNTER_PERIOD * 4 * latents + seed;
        const float *x = (const float *)a->x.data + r * a->x.row;
        float *y = (float *)a->y.data + r * a->y.row;
        for (uint32_t c = 0; c < latents; c++) {
            const float g = noise_normal(first + c, latents, key);
            const float log_std = V_MIN(V_MAX(x[latents + c], -10.0f), 2.0f);
            y[c] = v_flush(scalar_fma(temperature * v_exp(log_std), g, x[c]));
        }
    }
    counter_write(counter, start + a->rows);
}

/* The nearest whole number that a counter may be; NaN: 0. Of x + 0.5 it would be too much from 2^23 on. */
static uint32_t whole_number(float x) {
    const float held = x >= 0.0f ? V_MIN(x, (float)(COUNTER_PERIOD - 1)) : 0.0f;
    const uint32_t whole = (uint32_t)held;
    return whole + (held - (float)whole >= 0.5f);
}

void tudor_keyed_noise(const struct map_args *a, uint32_t seed, uint32_t key) {
    for (uint32_t r = 0; r < a->rows; r++) {
        const uint32_t number = whole_number(*((const float *)a->x.data + r * a->x.row));
        const uint32_t first = number * 4 * a->channels + seed;
        float *y = (float *)a->y.data + r * a->y.row;
        for (uint32_t c = 0; c < a->channels; c++) y[c] = noise_normal(first + c, a->channels, key);
    }
}
