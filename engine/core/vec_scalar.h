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

static inline uint32_t scalar_bits(float a) {
    uint32_t bits;
    memcpy(&bits, &a, sizeof bits);
    return bits;
}
static inline float scalar_float(uint32_t bits) {
    float a;
    memcpy(&a, &bits, sizeof a);
    return a;
}

/* Square root, correctly rounded, of what is not negative. By instruction and not by __builtin_sqrtf, which may call the
 * C library for negative numbers; where there is none, digit by digit: 25 bits of the root, the last for rounding. */
#if (defined(__SSE2__) || defined(_M_X64)) && !defined(TUDOR_SOFT_SQRT)
#include <emmintrin.h>
static inline float scalar_sqrt(float a) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(a))); }
#elif defined(__aarch64__) && defined(__GNUC__) && !defined(TUDOR_SOFT_SQRT)
static inline float scalar_sqrt(float a) {
    __asm__("fsqrt %s0, %s1" : "=w"(a) : "w"(a));
    return a;
}
#elif defined(__ARM_FP) && (__ARM_FP & 4) && defined(__GNUC__) && !defined(TUDOR_SOFT_SQRT)
static inline float scalar_sqrt(float a) {
    __asm__("vsqrt.f32 %0, %1" : "=t"(a) : "t"(a));
    return a;
}
#else
static inline float scalar_sqrt(float a) {
    const uint32_t bits = scalar_bits(a);
    if (!(a > 0.0f) || bits >= 0x7f800000u) return a;
    int32_t exponent = (int32_t)(bits >> 23) - 127;
    uint64_t fraction = bits & 0x7fffffu;
    if (bits < 0x800000u) { /* denormal */
        for (exponent = -126; fraction < 0x800000u; exponent--) fraction <<= 1;
    } else {
        fraction |= 0x800000u;
    }
    if (exponent & 1) fraction <<= 1; /* an even exponent: exponent - (exponent & 1) */
    uint64_t rest = fraction << 25, root = 0; /* root < 2^25 of rest < 2^50 */
    for (uint64_t bit = (uint64_t)1 << 48; bit; bit >>= 2) {
        if (rest >= root + bit) {
            rest -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    /* a tie is impossible: a root of 25 bits whose last is 1 has a square of more than 24 */
    root = (root >> 1) + (root & 1);
    const int32_t half = (exponent - (exponent & 1)) / 2;
    return scalar_float((uint32_t)root + ((uint32_t)(half + 126) << 23));
}
#endif

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
#define V_SQRT(a) scalar_sqrt(a)
/* Of positive numbers: 2^23 + the biased exponent, and the mantissa in [1, 2). */
#define V_EXPONENT(a) scalar_float(scalar_bits(a) >> 23 | 0x4b000000u)
#define V_MANTISSA(a) scalar_float((scalar_bits(a) & 0x7fffffu) | 0x3f800000u)

static inline float scalar_from_bf16(uint16_t upper) {
    const uint32_t bits = (uint32_t)upper << 16;
    float a;
    memcpy(&a, &bits, sizeof a);
    return a;
}
#define V_LOAD_BF16(p) scalar_from_bf16(*(p))

/* Whole numbers: one sum, a word of four int8, a pair of int16 (kernels_int.inc). Sums wrap. */
#define IVW 1
typedef uint32_t IV;
typedef uint32_t IW;

static inline uint32_t iv_product(uint32_t a, uint32_t b) { return (uint32_t)((int32_t)(int16_t)a * (int16_t)b); }

#if defined(__ARM_FEATURE_DSP) && !defined(__aarch64__)
/* Volatile, and the loads too, so that they stay in the order in which they are written: the compiler's own order
 * needs more registers than there are, and twice the instructions. */
static inline uint32_t iw_load(const void *p) {
    typedef uint32_t __attribute__((may_alias, aligned(1))) word;
    uint32_t loaded;
    __asm__ volatile("ldr %0, %1" : "=r"(loaded) : "m"(*(const word *)p));
    return loaded;
}
static inline uint32_t iw_even(uint32_t word) {
    uint32_t pair;
    __asm__ volatile("sxtb16 %0, %1" : "=r"(pair) : "r"(word));
    return pair;
}
static inline uint32_t iw_odd(uint32_t word) {
    uint32_t pair;
    __asm__ volatile("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word));
    return pair;
}
static inline uint32_t iv_dot(uint32_t sum, uint32_t w, uint32_t x) {
    __asm__ volatile("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(w), "r"(x));
    return sum;
}
#else
static inline uint32_t iw_load(const void *p) {
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}
static inline uint32_t iw_even(uint32_t word) {
    return (uint32_t)(int32_t)(int8_t)word << 16 >> 16 | (uint32_t)(int32_t)(int8_t)(word >> 16) << 16;
}
static inline uint32_t iw_odd(uint32_t word) { return iw_even(word >> 8); }
static inline uint32_t iv_dot(uint32_t sum, uint32_t w, uint32_t x) {
    return sum + iv_product(w, x) + iv_product(w >> 16, x >> 16);
}
#endif

/* Nearest even, saturated, NaN is 0. */
#if defined(__ARM_FEATURE_DSP) && defined(__ARM_FP) && !defined(__aarch64__)
static inline int16_t scalar_to_int16(float a) {
    float rounded;
    int32_t q;
    __asm__("vcvtr.s32.f32 %0, %1" : "=t"(rounded) : "t"(a));
    memcpy(&q, &rounded, sizeof q);
    __asm__("ssat %0, #16, %0" : "+r"(q));
    return (int16_t)q;
}
#else
static inline int16_t scalar_to_int16(float a) {
    if (a >= 32767.0f) return INT16_MAX;
    if (a <= -32768.0f) return INT16_MIN;
    a = a == a ? a + 0x1.8p23f : 0x1.8p23f; /* the lower bits of this sum are the rounded number */
    int32_t bits;
    memcpy(&bits, &a, sizeof bits);
    return (int16_t)(uint16_t)(bits & 0xffff);
}
#endif

#define IV_LOAD(p) ((uint32_t) * (p))
#define IV_STORE(p, a) (*(p) = (int32_t)(a))
#define IV_DOT(sum, w, x) iv_dot(sum, w, x)
#define IV_DOT1(sum, w, x) ((sum) + iv_product(w, x)) /* of the first of each pair alone */
#define IW_LOAD(p) iw_load(p)
#define IW_EVEN(w) iw_even(w)
#define IW_ODD(w) iw_odd(w)
#define IW_PAIR(p) iw_load(p)
#define IW_X16(p) ((uint16_t) * (p))
#define IW_W8(p) ((uint32_t)(int32_t) * (p))
#define V_FROM_INT(p) ((float)*(p))
#define V_LOAD16(p) ((float)*(p))
#define V_STORE16(p, a) (*(p) = scalar_to_int16(a))
#define V_STORE16_N(p, a, n) (*(p) = scalar_to_int16(a))

#endif
