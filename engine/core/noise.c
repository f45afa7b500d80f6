/* The input guard and counter-based noise: rare and small, so plain C for every machine. */
#include "internal.h"
#include "vec_scalar.h"

#include "vmath.inc"

#define COUNTER_PERIOD (1u << 24)

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

#define MULTIPLIER 0x21f0aaadu

static uint32_t hash(uint32_t n, uint32_t key) {
    n ^= n >> 16;
    n *= MULTIPLIER;
    n ^= key;
    n ^= n >> 15;
    n *= 0x735a2d97u;
    return n ^ n >> 15;
}

/* 24 bits, in [-1, 1): every step is exact in float32. */
static float uniform(uint32_t n, uint32_t key) { return (float)(hash(n, key) >> 8) * 0x1p-23f - 1.0f; }

/* Every stream has noise of its own, and another with every seed. Stream 0 of seed 0: 0, which changes nothing. */
uint32_t tudor_noise_key(uint32_t stream, float seed) {
    const uint32_t whole = seed >= 0.0f && seed < 0x1p24f ? (uint32_t)seed : 0; /* the default in a file may be anything */
    return hash(stream * MULTIPLIER + hash(whole, 0), 0);
}

static uint32_t counter_read(const float *word) {
    uint32_t counter;
    memcpy(&counter, word, sizeof counter);
    return counter % COUNTER_PERIOD;
}

static void counter_write(float *word, uint32_t counter) {
    counter %= COUNTER_PERIOD;
    memcpy(word, &counter, sizeof counter);
}

void tudor_noise_multiply(const struct map_args *a, uint32_t seed, uint32_t key, float *counter) {
    const uint32_t start = counter_read(counter);
    for (uint32_t r = 0; r < a->rows; r++) {
        const uint32_t first = (start + r) % COUNTER_PERIOD * a->channels + seed;
        const float *x = (const float *)a->x.data + r * a->x.row;
        float *y = (float *)a->y.data + r * a->y.row;
        for (uint32_t c = 0; c < a->channels; c++) y[c] = v_flush(x[c] * uniform(first + c, key));
    }
    counter_write(counter, start + a->rows);
}

/* g: four uniforms (variance 4/3) scaled to variance 1 */
void tudor_latent_sample(const struct map_args *a, uint32_t seed, uint32_t key, float temperature, float *counter) {
    const uint32_t start = counter_read(counter), latents = a->channels;
    for (uint32_t r = 0; r < a->rows; r++) {
        const uint32_t first = (start + r) % COUNTER_PERIOD * 4 * latents + seed;
        const float *x = (const float *)a->x.data + r * a->x.row;
        float *y = (float *)a->y.data + r * a->y.row;
        for (uint32_t c = 0; c < latents; c++) {
            const uint32_t n = first + c;
            const float low = uniform(n, key) + uniform(n + latents, key);
            const float high = uniform(n + 2 * latents, key) + uniform(n + 3 * latents, key);
            const float g = (low + high) * 0.866025404f;
            const float log_std = V_MIN(V_MAX(x[latents + c], -10.0f), 2.0f);
            y[c] = v_flush(scalar_fma(temperature * v_exp(log_std), g, x[c]));
        }
    }
    counter_write(counter, start + a->rows);
}
