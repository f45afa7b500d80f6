/* Eight lanes of AVX2 with FMA. */
#ifndef TUDOR_VEC_AVX2_H
#define TUDOR_VEC_AVX2_H

#include <immintrin.h>
#include <stdint.h>

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

#endif
