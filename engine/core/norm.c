/* Normalisation over the channels of each row. Plain C for every machine: sums run in four lanes, channel c in lane
 * c % 4, which are added in pairs. */
#include "internal.h"
#include "vec_scalar.h"

#include "vmath.inc"

static float power(const float *x, uint32_t count, float mean) {
    float lanes[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    for (uint32_t c = 0; c < count; c++) lanes[c % 4] += (x[c] - mean) * (x[c] - mean);
    return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

static float sum(const float *x, uint32_t count) {
    float lanes[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    for (uint32_t c = 0; c < count; c++) lanes[c % 4] += x[c];
    return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

void tudor_norm(const struct map_args *a, const float *params, float epsilon, int centred) {
    const uint32_t n = a->channels;
    const float *scale = params, *bias = params + n, share = 1.0f / (float)n;
    for (uint32_t r = 0; r < a->rows; r++) {
        const float *x = (const float *)a->x.data + r * a->x.row;
        float *y = (float *)a->y.data + r * a->y.row;
        const float mean = centred ? sum(x, n) * share : 0.0f;
        const float factor = 1.0f / v_sqrt(power(x, n, mean) * share + epsilon);
        for (uint32_t c = 0; c < n; c++) y[c] = v_flush((x[c] - mean) * factor * scale[c] + bias[c]);
    }
}
