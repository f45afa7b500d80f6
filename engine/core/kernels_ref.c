/* The plain reference: loops as the definitions read, one number at a time. It says what the fast kernels must give,
 * bit for bit; nobody plays audio with it. */
#include "kernels.h"
#include "vec_scalar.h"

#include "vmath.inc"

#define ALWAYS_INLINE static inline
#define UNROLL
#include "kernels_rows.inc"

static float weight(const struct conv_args *a, size_t k_count, size_t k, uint32_t output) {
    size_t row;
    const size_t at = packed_at(a->outputs, k_count, output, &row) + k * row;
    const float *w = (const float *)a->packed + packed_bias(a->outputs);
    return a->dtype == FORMAT_DTYPE_BFLOAT16 ? scalar_from_bf16(((const uint16_t *)(const void *)w)[at]) : w[at];
}

static float one_sum(const struct conv_args *a, const float *x, const float *side, uint32_t output, float start) {
    const size_t main_count = (size_t)a->taps * a->cin, k_count = main_count + a->side_channels;
    float sum = start;
    for (uint32_t tap = 0; tap < a->taps; tap++)
        for (uint32_t c = 0; c < a->cin; c++)
            sum = scalar_fma(x[tap * a->x_tap + c], weight(a, k_count, tap * a->cin + c, output), sum);
    for (uint32_t c = 0; c < a->side_channels; c++)
        sum = scalar_fma(side[c], weight(a, k_count, main_count + c, output), sum);
    return sum;
}

static float one_act(const struct finish *f, float x, uint32_t channel) {
    const float *snake = f->act == ACT_SNAKE ? f->snake + channel : 0;
    return v_act(x, f->act, f->slope, snake, f->snake_channels, 1);
}

static void ref_conv_gated(const struct conv_args *a, const float *x, const float *side, uint32_t frame,
                           uint32_t panel) {
    const struct finish *f = &a->finish;
    const uint32_t rest = a->outputs - panel * 64, half = (rest < 64 ? rest : 64) / 2;
    const float *bias = a->packed;
    for (uint32_t i = 0; i < half; i++) {
        const uint32_t channel = panel * 32 + i;
        float first = one_sum(a, x, side, panel * 64 + i, bias[panel * 64 + i]);
        float second = one_sum(a, x, side, panel * 64 + half + i, bias[panel * 64 + half + i]);
        if (f->pre.data) {
            first += *AT(f->pre, frame, channel);
            second += *AT(f->pre, frame, channel + a->outputs / 2);
        }
        float y = one_act(f, first, 0) * v_sigmoid(second);
        if (f->post.data) y += *AT(f->post, frame, channel);
        *AT(a->y, frame, channel) = v_flush(y);
    }
}

static void ref_conv(const struct conv_args *a) {
    const struct finish *f = &a->finish;
    for (uint32_t frame = 0; frame < a->frames; frame++) {
        const float *x = (const float *)a->x + (size_t)frame * a->x_frame;
        const float *side = a->side_channels ? AT(a->side, frame, 0) : 0;
        for (uint32_t panel = a->first_panel; panel < a->end_panel; panel++) {
            if (a->gate) {
                ref_conv_gated(a, x, side, frame, panel);
                continue;
            }
            for (uint32_t o = panel * 64; o < a->outputs && o < panel * 64 + 64; o++) {
                float y = one_sum(a, x, side, o, ((const float *)a->packed)[o]);
                if (f->pre.data) y += *AT(f->pre, frame, o);
                y = one_act(f, y, o);
                if (f->post.data) y += *AT(f->post, frame, o);
                *AT(a->y, frame, o) = v_flush(y);
            }
        }
    }
}

static void ref_depthwise(const struct conv_args *a) {
    const struct finish *f = &a->finish;
    const uint32_t end = a->outputs < a->end_panel * 64 ? a->outputs : a->end_panel * 64;
    for (uint32_t frame = 0; frame < a->frames; frame++)
        for (uint32_t c = a->first_panel * 64; c < end; c++) {
            float y = ((const float *)a->packed)[c];
            for (uint32_t tap = 0; tap < a->taps; tap++)
                y = scalar_fma(((const float *)a->x)[frame * a->x_frame + tap * a->x_tap + c],
                               weight(a, a->taps, tap, c), y);
            if (f->pre.data) y += *AT(f->pre, frame, c);
            y = one_act(f, y, c);
            if (f->post.data) y += *AT(f->post, frame, c);
            *AT(a->y, frame, c) = v_flush(y);
        }
}

static void hidden_part(const float *packed, uint32_t outputs, uint32_t hidden, const float *h, const float *start,
                        float *y) {
    const struct conv_args a = {.taps = 1, .cin = hidden, .outputs = outputs, .packed = packed};
    for (uint32_t o = 0; o < outputs; o++) y[o] = one_sum(&a, h, 0, o, start[o]);
}

#include "kernels_rnn.inc"
#include "kernels_mixed.inc"
#include "kernels_norm.inc"
#include "kernels_attention.inc"
#include "kernels_tones.inc"
#include "kernels_draw.inc"
#include "kernels_ref_int.inc"

const struct tudor_kernels tudor_kernels_ref = {"ref", ref_conv, ref_depthwise, map, gated, add, mul, affine, lstm, gru,
                                                ref_int_conv, ref_int_depthwise, mixed, norm, attention, pitch_track,
                                                harmonics, exponentials};
