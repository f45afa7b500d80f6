/* Memory, common divisors, exponentials, curves. */
#include "instrument.h"

#include "vec_scalar.h"

#include "vmath.inc"

void *take(struct region *region, size_t bytes) {
    const size_t at = region->used;
    region->used = (at + bytes + 63) & ~(size_t)63;
    return region->base ? region->base + at : 0;
}

uint64_t common_divisor(uint64_t a, uint64_t b) {
    while (b) {
        const uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

float exponential2(float octaves) { return v_exp(clamped(octaves, -20.0f, 20.0f) * 0.693147181f); }

float logarithm2(float x) { return v_log(x, 0x1p-60f) * 1.44269504f; }

float shaped(uint32_t curve, float x) {
    switch (curve) {
    case CURVE_SQUARE: return x * x;
    case CURVE_CUBE: return x * x * x;
    case CURVE_ROOT: return 1.0f - (1.0f - x) * (1.0f - x);
    case CURVE_S: return smooth_step(x);
    default: return x;
    }
}
