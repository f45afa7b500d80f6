/* Sixteen lanes of AVX-512F. */
#ifndef TUDOR_VEC_AVX512_H
#define TUDOR_VEC_AVX512_H

#include <immintrin.h>

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

#endif
