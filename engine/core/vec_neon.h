/* Four lanes of aarch64 NEON. */
#ifndef TUDOR_VEC_NEON_H
#define TUDOR_VEC_NEON_H

#include <arm_neon.h>

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

#endif
