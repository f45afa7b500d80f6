/* What one core can do at most: fused multiply-adds per second, and bytes read per second.
 * Compiled on the machine that is measured, for the instruction set it has (or is held to). */
#include <stddef.h>

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif
#define LANES (VECTOR_BYTES / 4)

typedef float vec __attribute__((vector_size(VECTOR_BYTES)));

/* Independent chains: enough to hide the latency of an addition on every pipe, few enough for the
 * registers (16 with AVX2 and SSE, 32 with AVX-512 and NEON). */
#if defined(__AVX512F__) || defined(__aarch64__)
#define CHAINS 24
#else
#define CHAINS 12
#endif

int tudor_peak_lanes(void) { return LANES; }

/* Floating-point operations done by one call with `rounds`. */
double tudor_peak_flops(long rounds) { return 2.0 * CHAINS * LANES * (double)rounds; }

float tudor_peak_fma(long rounds, float factor, float offset)
{
    vec acc[CHAINS], total = {0};
    vec a = factor - (vec){0}, b = offset - (vec){0};
    float sum = 0;
    for (int i = 0; i < CHAINS; i++)
        acc[i] = b + (float)i;
    for (long r = 0; r < rounds; r++) {
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS; i++)
            acc[i] = acc[i] * a + b;
    }
    for (int i = 0; i < CHAINS; i++)
        total += acc[i];
    for (int i = 0; i < LANES; i++)
        sum += total[i];
    return sum;
}

/* Reads `count` floats (a multiple of 8 * LANES, aligned to 64 bytes) `repeats` times. */
float tudor_peak_read(const float *data, size_t count, long repeats)
{
    const vec *x = (const vec *)data;
    vec acc[8], total = {0};
    float sum = 0;
    for (int i = 0; i < 8; i++)
        acc[i] = (vec){0};
    for (long r = 0; r < repeats; r++) {
        for (size_t n = 0; n < count / LANES; n += 8) {
#pragma GCC unroll 8
            for (int i = 0; i < 8; i++)
                acc[i] += x[n + (size_t)i];
        }
    }
    for (int i = 0; i < 8; i++)
        total += acc[i];
    for (int i = 0; i < LANES; i++)
        sum += total[i];
    return sum;
}
