/* Four lanes of aarch64 NEON. */
#ifndef TUDOR_VEC_NEON_H
#define TUDOR_VEC_NEON_H

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

#define VW 4
typedef float32x4_t V;
typedef uint32x4_t M;

static inline V v_load_n(const float *p, int n) {
    float lanes[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    for (int i = 0; i < n; i++) lanes[i] = p[i];
    return vld1q_f32(lanes);
}

static inline void v_store_n(float *p, V a, int n) {
    float lanes[4];
    vst1q_f32(lanes, a);
    for (int i = 0; i < n; i++) p[i] = lanes[i];
}

#define V_LOAD(p) vld1q_f32(p)
#define V_LOAD_N(p, n) v_load_n(p, n)
#define V_STORE(p, a) vst1q_f32(p, a)
#define V_STORE_N(p, a, n) v_store_n(p, a, n)
#define V_SET1(f) vdupq_n_f32(f)
#define V_FMA(a, b, c) vfmaq_f32(c, a, b)
#define V_ADD(a, b) vaddq_f32(a, b)
#define V_SUB(a, b) vsubq_f32(a, b)
#define V_MUL(a, b) vmulq_f32(a, b)
#define V_DIV(a, b) vdivq_f32(a, b)
#define V_GT(a, b) vcgtq_f32(a, b)
#define V_GE(a, b) vcgeq_f32(a, b)
#define V_SELECT(m, a, b) vbslq_f32(m, a, b)
/* not vmaxq/vminq: those treat NaN and signed zeros otherwise than x86 and plain C do */
#define V_MAX(a, b) vbslq_f32(vcgtq_f32(a, b), a, b)
#define V_MIN(a, b) vbslq_f32(vcgtq_f32(b, a), a, b)
#define V_ABS(a) vabsq_f32(a)
#define V_SHL23(a) vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(a), 23))
#define V_SQRT(a) vsqrtq_f32(a)
#define V_EXPONENT(a) \
    vreinterpretq_f32_u32(vorrq_u32(vshrq_n_u32(vreinterpretq_u32_f32(a), 23), vdupq_n_u32(0x4b000000)))
#define V_MANTISSA(a)                                                                                    \
    vreinterpretq_f32_u32(vorrq_u32(vandq_u32(vreinterpretq_u32_f32(a), vdupq_n_u32(0x7fffff)), \
                                    vdupq_n_u32(0x3f800000)))

#define V_LOAD_BF16(p) vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16))

/* Whole numbers: four sums, words of four int8 and pairs of int16 (kernels_int.inc). A sum is kept in two halves, of
 * the first and of the second of each pair, side by side; they meet when it is stored. */
#define IVW 4
typedef struct {
    int32x4_t low, high;
} IV;
typedef int16x8_t IW;

static inline IV iv_load(const int32_t *p) {
    const int32x4_t sums = vld1q_s32(p), zero = vdupq_n_s32(0);
    return (IV){vzip1q_s32(sums, zero), vzip2q_s32(sums, zero)};
}

static inline IW iw_pair(const int16_t *p) {
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return vreinterpretq_s16_s32(vdupq_n_s32(pair));
}

static inline IW iw_w8(const int8_t *p) {
    int32_t four;
    memcpy(&four, p, sizeof four);
    const int16x8_t wide = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
    return vreinterpretq_s16_s32(vmovl_s16(vget_low_s16(wide)));
}

static inline void v_store16_n(int16_t *p, V a, int n) {
    int16_t lanes[4];
    vst1_s16(lanes, vqmovn_s32(vcvtnq_s32_f32(a)));
    for (int i = 0; i < n; i++) p[i] = lanes[i];
}

#define IV_LOAD(p) iv_load(p)
#define IV_STORE(p, a) vst1q_s32(p, vpaddq_s32((a).low, (a).high))
#define IV_DOT(sum, w, x) \
    ((IV){vmlal_s16((sum).low, vget_low_s16(w), vget_low_s16(x)), vmlal_high_s16((sum).high, w, x)})
#define IW_LOAD(p) vreinterpretq_s16_s8(vld1q_s8(p))
#define IW_EVEN(w) vshrq_n_s16(vshlq_n_s16(w, 8), 8)
#define IW_ODD(w) vshrq_n_s16(w, 8)
#define IV_ZERO ((IV){vdupq_n_s32(0), vdupq_n_s32(0)})
#define IV_REAL(sum, bias) vcvtq_f32_s32(vaddq_s32(vpaddq_s32((sum).low, (sum).high), vld1q_s32(bias)))
#define IW_PAIR(p) iw_pair(p)
#define IW_X16(p) vreinterpretq_s16_u32(vmovl_u16(vreinterpret_u16_s16(vld1_s16(p))))
#define IW_W8(p) iw_w8(p)
#define V_FROM_INT(p) vcvtq_f32_s32(vld1q_s32(p))
#define V_LOAD16(p) vcvtq_f32_s32(vmovl_s16(vld1_s16(p)))
#define V_STORE16(p, a) vst1_s16(p, vqmovn_s32(vcvtnq_s32_f32(a))) /* nearest even, NaN is 0, saturates */
#define V_STORE16_N(p, a, n) v_store16_n(p, a, n)

#endif
