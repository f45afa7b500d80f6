/* Sixteen lanes of AVX-512F. */
#ifndef TUDOR_VEC_AVX512_H
#define TUDOR_VEC_AVX512_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define VW 16
typedef __m512 V;
typedef __mmask16 M;
#define V_TAIL(n) ((__mmask16)((1u << (n)) - 1u))
#define V_LOAD(p) _mm512_loadu_ps(p)
#define V_LOAD_N(p, n) _mm512_maskz_loadu_ps(V_TAIL(n), p)
#define V_STORE(p, a) _mm512_storeu_ps(p, a)
#define V_STORE_N(p, a, n) _mm512_mask_storeu_ps(p, V_TAIL(n), a)
#define V_SET1(f) _mm512_set1_ps(f)
#define V_FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define V_ADD(a, b) _mm512_add_ps(a, b)
#define V_SUB(a, b) _mm512_sub_ps(a, b)
#define V_MUL(a, b) _mm512_mul_ps(a, b)
#define V_DIV(a, b) _mm512_div_ps(a, b)
#define V_GT(a, b) _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ)
#define V_GE(a, b) _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ)
#define V_SELECT(m, a, b) _mm512_mask_blend_ps(m, b, a)
#define V_MAX(a, b) _mm512_max_ps(a, b)
#define V_MIN(a, b) _mm512_min_ps(a, b)
#define V_ABS(a) _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(0x7fffffff)))
#define V_SHL23(a) _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(a), 23))
#define V_SQRT(a) _mm512_sqrt_ps(a)
#define V_EXPONENT(a) \
    _mm512_castsi512_ps(_mm512_or_si512(_mm512_srli_epi32(_mm512_castps_si512(a), 23), _mm512_set1_epi32(0x4b000000)))
#define V_MANTISSA(a)                                                                                           \
    _mm512_castsi512_ps(_mm512_or_si512(_mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(0x7fffff)), \
                                        _mm512_set1_epi32(0x3f800000)))

/* One shuffle puts each number into the upper half of a lane, zeros below. */
static inline __m512 v_load_bf16(const uint16_t *p) {
    const __m512i lanes = _mm512_set_epi16(15, 0, 14, 0, 13, 0, 12, 0, 11, 0, 10, 0, 9, 0, 8, 0, 7, 0, 6, 0, 5, 0, 4, 0, 3, 0,
                                           2, 0, 1, 0, 0, 0);
    const __m512i numbers = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(const void *)p));
    return _mm512_castsi512_ps(_mm512_maskz_permutexvar_epi16(0xaaaaaaaau, lanes, numbers));
}
#define V_LOAD_BF16(p) v_load_bf16(p)

/* Sixteen of two strips in one register: the even ones are a shift away, the odd ones a mask, without a shuffle. */
#define V_LOAD_BF16_PAIR(p, strip, even, odd)                                                              \
    do {                                                                                                   \
        const __m256i first = _mm256_loadu_si256((const __m256i *)(const void *)(p));                      \
        const __m256i second = _mm256_loadu_si256((const __m256i *)(const void *)((p) + (strip)));         \
        const __m512i two = _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);                  \
        (even) = _mm512_castsi512_ps(_mm512_slli_epi32(two, 16));                                          \
        (odd) = _mm512_castsi512_ps(_mm512_and_si512(two, _mm512_set1_epi32(-0x10000)));                   \
    } while (0)
static inline void v_regroup(__m512 *a, __m512 *b, __m512i first, int step) {
    const __m512 left = *a, right = *b;
    *a = _mm512_permutex2var_ps(left, first, right);
    *b = _mm512_permutex2var_ps(left, _mm512_add_epi32(first, _mm512_set1_epi32(step)), right);
}
#define V_TO_PAIR(a, b) \
    v_regroup(&(a), &(b), _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), 1)
#define V_FROM_PAIR(a, b) v_regroup(&(a), &(b), _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), 8)

/* Whole numbers: sixteen sums, words of four int8 and pairs of int16 (kernels_int.inc). */
#define IVW 16
typedef __m512i IV;
typedef __m512i IW;
#define IV_LOAD(p) _mm512_loadu_si512(p)
#define IV_STORE(p, a) _mm512_storeu_si512(p, a)
#define IV_DOT(sum, w, x) _mm512_add_epi32(sum, _mm512_madd_epi16(w, x))
#define IW_LOAD(p) _mm512_loadu_si512(p)
#define IW_EVEN(w) _mm512_srai_epi16(_mm512_slli_epi16(w, 8), 8)
#define IW_ODD(w) _mm512_srai_epi16(w, 8)
#define IW_RAISED(w) _mm512_xor_si512(w, _mm512_set1_epi16(0x80))
#define IW_ONES _mm512_set1_epi16(1)
#define IV_ZERO _mm512_setzero_si512()
#define IV_UNRAISED(raised, odd, more) \
    _mm512_sub_epi32(_mm512_sub_epi32(raised, _mm512_slli_epi32(odd, 8)), _mm512_set1_epi32((int32_t)(more)))
#define IV_REAL(sum, bias) _mm512_cvtepi32_ps(_mm512_add_epi32(sum, IV_LOAD(bias)))
#define IW_PAIR(p) _mm512_set1_epi32(load_pair(p))
#define IW_X16(p) _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(p)))
#define IW_W8(p) _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)(p)))

static inline int32_t load_pair(const int16_t *p) {
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return pair;
}

/* NaN to 0, then nearest even. Only the upper bound matters: what is too negative becomes the lowest int32. */
static inline __m512i v_to_int(__m512 a) {
    const __mmask16 number = _mm512_cmp_ps_mask(a, a, _CMP_ORD_Q);
    return _mm512_cvtps_epi32(_mm512_maskz_min_ps(number, a, _mm512_set1_ps(32767.0f)));
}

#define V_FROM_INT(p) _mm512_cvtepi32_ps(IV_LOAD(p))
#define V_LOAD16(p) \
    _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(p))))
#define V_STORE16(p, a) _mm256_storeu_si256((__m256i *)(void *)(p), _mm512_cvtsepi32_epi16(v_to_int(a)))
#define V_STORE16_N(p, a, n) _mm512_mask_cvtsepi32_storeu_epi16(p, V_TAIL(n), v_to_int(a))

#endif
