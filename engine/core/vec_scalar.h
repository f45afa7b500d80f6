/* One lane: Cortex-M7, the plain C reference, and any machine without a body of its own. */
#ifndef TUDOR_VEC_SCALAR_H
#define TUDOR_VEC_SCALAR_H

#include <stdint.h>
#include <string.h>

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__aarch64__)
static inline float scalar_fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
#else
/* Without the instruction: the product of two floats is exact in double; the sum is rounded to odd there (the last
 * bit says whether anything was lost), so that the second rounding, to float, is the only one that counts. */
static inline float scalar_fma(float a, float b, float c) {
    double product = (double)a * (double)b, addend = (double)c;
    double sum = product + addend;
    double virtual_part = sum - product;
    double lost = (product - (sum - virtual_part)) + (addend - virtual_part);
    if (lost != 0.0) {
        int64_t bits;
        memcpy(&bits, &sum, sizeof bits);
        if ((bits & 1) == 0) bits += ((lost > 0.0) == (sum > 0.0)) ? 1 : -1;
        memcpy(&sum, &bits, sizeof sum);
    }
    return (float)sum;
}
#endif

static inline float scalar_shift23(float a) {
    uint32_t bits;
    memcpy(&bits, &a, sizeof bits);
    bits <<= 23;
    memcpy(&a, &bits, sizeof bits);
    return a;
}

#define VW 1
typedef float V;
typedef int M;
#define V_LOAD(p) (*(p))
#define V_LOAD_N(p, n) ((void)(n), *(p))
#define V_STORE(p, a) (*(p) = (a))
#define V_STORE_N(p, a, n) (*(p) = (a))
#define V_SET1(f) (f)
#define V_FMA(a, b, c) scalar_fma(a, b, c)
#define V_ADD(a, b) ((a) + (b))
#define V_SUB(a, b) ((a) - (b))
#define V_MUL(a, b) ((a) * (b))
#define V_DIV(a, b) ((a) / (b))
#define V_GT(a, b) ((a) > (b))
#define V_GE(a, b) ((a) >= (b))
#define V_SELECT(m, a, b) ((m) ? (a) : (b))
#define V_MAX(a, b) ((a) > (b) ? (a) : (b))
#define V_MIN(a, b) ((a) < (b) ? (a) : (b))
#define V_ABS(a) __builtin_fabsf(a)
#define V_SHL23(a) scalar_shift23(a)

#endif
