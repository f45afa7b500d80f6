/* Ops that draw from a distribution that the network gives, and the table that turns what was drawn into rows. Plain C
 * but for the exponentials, which are the vector kernels'. */
#include "internal.h"
#include "random.h"
#include "vec_scalar.h"

#include "vmath.inc"

#define GROUP 16u /* numbers of a partial sum: sums are made of those, in order */
#define LEAST_TEMPERATURE 1e-3f

static float inverse_of(float temperature) { return 1.0f / V_MAX(temperature, LEAST_TEMPERATURE); }

/* Of those from `first` on that are at least `least`. */
static float group_sum(const float *weights, uint32_t first, uint32_t count, float least) {
    const uint32_t end = count - first < GROUP ? count : first + GROUP;
    float sum = 0.0f;
    if (least == 0.0f) { /* all of them: none is negative */
        for (uint32_t c = first; c < end; c++) sum += weights[c];
        return sum;
    }
    for (uint32_t c = first; c < end; c++) sum += weights[c] >= least ? weights[c] : 0.0f;
    return sum;
}

static float sum_of(const float *weights, uint32_t count, float least) {
    float sum = 0.0f;
    for (uint32_t first = 0; first < count; first += GROUP) sum += group_sum(weights, first, count, least);
    return sum;
}

/* The greatest weight with which all at least as great hold `share` of the whole. Floats from 0 to 1 are ordered as
 * their bits are. */
static float least_kept(const float *weights, uint32_t count, float share) {
    const float wanted = share * sum_of(weights, count, 0.0f);
    uint32_t low = 0, high = 0x3f800001; /* the bits of 1, and one more */
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        float least;
        memcpy(&least, &middle, sizeof least);
        if (sum_of(weights, count, least) >= wanted)
            low = middle;
        else
            high = middle;
    }
    float least;
    memcpy(&least, &low, sizeof least);
    return least;
}

/* The first one at which the sum exceeds `u` (0 to 1) of the whole; the last of the kept ones if rounding says never. */
static uint32_t pick(const float *weights, uint32_t count, float least, float u) {
    const float wanted = u * sum_of(weights, count, least);
    float reached = 0.0f;
    uint32_t first = 0, last = 0;
    for (; count - first > GROUP; first += GROUP) {
        const float sum = group_sum(weights, first, count, least);
        if (reached + sum > wanted) break;
        reached += sum;
    }
    for (uint32_t c = first; c < count; c++) {
        if (!(weights[c] >= least) || weights[c] == 0.0f) continue;
        last = c;
        if ((reached += weights[c]) > wanted) break;
    }
    return last;
}

static float half_uniform(uint32_t n, uint32_t key) { return 0.5f * noise_uniform(n, key) + 0.5f; }

void tudor_categorical(const struct map_args *a, const struct draw_args *d) {
    const uint32_t start = counter_read(d->words), classes = d->each;
    const float inverse = inverse_of(d->temperature);
    float *weights = d->words + 1;
    for (uint32_t r = 0; r < a->rows; r++) {
        const uint32_t first = (start + r) % COUNTER_PERIOD * a->channels + d->seed;
        const float *x = (const float *)a->x.data + r * a->x.row;
        float *y = (float *)a->y.data + r * a->y.row;
        for (uint32_t c = 0; c < a->channels; c++, x += classes) {
            d->kernels->exponentials(x, weights, classes, inverse);
            const float least = d->top_p < 1.0f ? least_kept(weights, classes, V_MAX(d->top_p, 0.0f)) : 0.0f;
            y[c] = (float)pick(weights, classes, least, half_uniform(first + c, d->key));
        }
    }
    counter_write(d->words, start + a->rows);
}

/* log(u / (1 - u)) of a uniform u that is never 0 or 1: 23 bits, so that both parts are whole numbers below 2^24. */
static float logistic(uint32_t n, uint32_t key) {
    const uint32_t odd = noise_hash(n, key) >> 9 << 1 | 1u;
    return v_log((float)odd / (float)((1u << 24) - odd), 0.0f);
}

void tudor_logistic_mixture(const struct map_args *a, const struct draw_args *d) {
    const uint32_t start = counter_read(d->words), parts = d->each / 3;
    const float inverse = inverse_of(d->temperature);
    float *weights = d->words + 1;
    for (uint32_t r = 0; r < a->rows; r++) {
        const uint32_t first = (start + r) % COUNTER_PERIOD * 2 * a->channels + d->seed;
        const float *x = (const float *)a->x.data + r * a->x.row; /* logits, means, log scales of each channel */
        float *y = (float *)a->y.data + r * a->y.row;
        for (uint32_t c = 0; c < a->channels; c++, x += 3 * parts) {
            d->kernels->exponentials(x, weights, parts, inverse);
            const uint32_t k = pick(weights, parts, 0.0f, half_uniform(first + 2 * c, d->key));
            const float scale = d->temperature * v_exp(V_MIN(V_MAX(x[2 * parts + k], -16.0f), 4.0f));
            const float drawn = scalar_fma(scale, logistic(first + 2 * c + 1, d->key), x[parts + k]);
            y[c] = v_flush(V_MIN(V_MAX(drawn, -d->limit), d->limit));
        }
    }
    counter_write(d->words, start + a->rows);
}

void tudor_embed(const struct map_args *a, const float *table, uint32_t count) {
    for (uint32_t r = 0; r < a->rows; r++) {
        const float x = *((const float *)a->x.data + r * a->x.row), most = (float)(count - 1);
        const float number = x >= 0.0f ? V_MIN(x + 0.5f, most) : 0.0f; /* NaN: the first */
        memcpy((float *)a->y.data + r * a->y.row, table + (size_t)number * a->channels, a->channels * sizeof(float));
    }
}
