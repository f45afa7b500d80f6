/* Eight lanes of AVX2 with FMA. */
#ifndef TUDOR_VEC_AVX2_H
#define TUDOR_VEC_AVX2_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define VW 8
typedef __m256 V;
typedef __m256 M;

static const int32_t v_tail_bits[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
#define V_TAIL(n) _mm256_loadu_si256((const __m256i *)(const void *)(v_tail_bits + 8 - (n)))
#define V_LOAD(p) _mm256_loadu_ps(p)
#define V_LOAD_N(p, n) _mm256_maskload_ps(p, V_TAIL(n))
#define V_STORE(p, a) _mm256_storeu_ps(p, a)
#define V_STORE_N(p, a, n) _mm256_maskstore_ps(p, V_TAIL(n), a)
#define V_SET1(f) _mm256_set1_ps(f)
#define V_FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define V_ADD(a, b) _mm256_add_ps(a, b)
#define V_SUB(a, b) _mm256_sub_ps(a, b)
#define V_MUL(a, b) _mm256_mul_ps(a, b)
#define V_DIV(a, b) _mm256_div_ps(a, b)
#define V_GT(a, b) _mm256_cmp_ps(a, b, _CMP_GT_OQ)
#define V_GE(a, b) _mm256_cmp_ps(a, b, _CMP_GE_OQ)
#define V_SELECT(m, a, b) _mm256_blendv_ps(b, a, m)
#define V_MAX(a, b) _mm256_max_ps(a, b)
#define V_MIN(a, b) _mm256_min_ps(a, b)
#define V_ABS(a) _mm256_and_ps(a, _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff)))
#define V_SHL23(a) _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(a), 23))
#define V_SQRT(a) _mm256_sqrt_ps(a)
#define V_EXPONENT(a) \
    _mm256_castsi256_ps(_mm256_or_si256(_mm256_srli_epi32(_mm256_castps_si256(a), 23), _mm256_set1_epi32(0x4b000000)))
#define V_MANTISSA(a)                                                                                           \
    _mm256_castsi256_ps(_mm256_or_si256(_mm256_and_si256(_mm256_castps_si256(a), _mm256_set1_epi32(0x7fffff)), \
                                        _mm256_set1_epi32(0x3f800000)))

#define V_LOAD_BF16(p) \
    _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)(p))), 16))

/* Sixteen of them in one load: the even ones are a shift away, the odd ones a mask, without a shuffle. */
#define V_LOAD_BF16_PAIR(p, strip, even, odd)                                              \
    do {                                                                                   \
        const __m256i two = _mm256_loadu_si256((const __m256i *)(const void *)(p));        \
        (void)(strip);                                                                     \
        (even) = _mm256_castsi256_ps(_mm256_slli_epi32(two, 16));                          \
        (odd) = _mm256_castsi256_ps(_mm256_and_si256(two, _mm256_set1_epi32(-0x10000)));   \
    } while (0)
#define V_TO_PAIR(a, b)                                                                    \
    do {                                                                                   \
        const __m256d even = _mm256_castps_pd(_mm256_shuffle_ps(a, b, 0x88));              \
        const __m256d odd = _mm256_castps_pd(_mm256_shuffle_ps(a, b, 0xdd));               \
        (a) = _mm256_castpd_ps(_mm256_permute4x64_pd(even, 0xd8));                         \
        (b) = _mm256_castpd_ps(_mm256_permute4x64_pd(odd, 0xd8));                          \
    } while (0)
#define V_FROM_PAIR(a, b)                                                                  \
    do {                                                                                   \
        const __m256 low = _mm256_unpacklo_ps(a, b), high = _mm256_unpackhi_ps(a, b);      \
        (a) = _mm256_permute2f128_ps(low, high, 0x20);                                     \
        (b) = _mm256_permute2f128_ps(low, high, 0x31);                                     \
    } while (0)

/* Whole numbers: eight sums, words of four int8 and pairs of int16 (kernels_int.inc). */
#define IVW 8
typedef __m256i IV;
typedef __m256i IW;
#define IV_LOAD(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define IV_STORE(p, a) _mm256_storeu_si256((__m256i *)(void *)(p), a)
#define IV_DOT(sum, w, x) _mm256_add_epi32(sum, _mm256_madd_epi16(w, x))
#define IW_LOAD(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define IW_EVEN(w) _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8)
#define IW_ODD(w) _mm256_srai_epi16(w, 8)
#define IW_RAISED(w) _mm256_xor_si256(w, _mm256_set1_epi16(0x80))
#define IW_ONES _mm256_set1_epi16(1)
#define IV_ZERO _mm256_setzero_si256()
#define IV_UNRAISED(raised, odd, more) \
    _mm256_sub_epi32(_mm256_sub_epi32(raised, _mm256_slli_epi32(odd, 8)), _mm256_set1_epi32((int32_t)(more)))
#define IV_REAL(sum, bias) _mm256_cvtepi32_ps(_mm256_add_epi32(sum, IV_LOAD(bias)))
#define IW_PAIR(p) _mm256_set1_epi32(load_pair(p))
#define IW_X16(p) _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)(p)))
#define IW_W8(p) _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(p)))

static inline int32_t load_pair(const int16_t *p) {
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return pair;
}

/* NaN to 0, then nearest even. Only the upper bound matters: what is too negative becomes the lowest int32. */
static inline __m128i v_to_int16(__m256 a) {
    const __m256 number = _mm256_and_ps(a, _mm256_cmp_ps(a, a, _CMP_ORD_Q));
    const __m256i q = _mm256_cvtps_epi32(_mm256_min_ps(number, _mm256_set1_ps(32767.0f)));
    return _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
}

static inline void v_store16_n(int16_t *p, __m256 a, int n) {
    int16_t lanes[8];
    _mm_storeu_si128((__m128i *)(void *)lanes, v_to_int16(a));
    memcpy(p, lanes, (size_t)n * sizeof *p);
}

#define V_FROM_INT(p) _mm256_cvtepi32_ps(IV_LOAD(p))
#define V_LOAD16(p) _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)(const void *)(p))))
#define V_STORE16(p, a) _mm_storeu_si128((__m128i *)(void *)(p), v_to_int16(a))
#define V_STORE16_N(p, a, n) v_store16_n(p, a, n)

#endif
