/* What each instruction set offers: the same table of functions, the same bits. */
#ifndef TUDOR_KERNELS_H
#define TUDOR_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* Rows of channels in memory: row r begins at data + r * row. */
struct rows {
    float *data;
    size_t row; /* floats */
};

/* After the sum: y = act(sum + pre) + post. Rows without data are not there. */
struct finish {
    uint32_t act;
    float slope;
    const float *snake; /* a[channels], then 1/a[channels] */
    uint32_t snake_channels;
    struct rows pre, post;
};

/* A convolution, dense or depthwise. Packed weights, N outputs, K = taps * cin + side_channels:
 *   bias[N rounded up to 16] | strip 0: [K][16] | strip 1: [K][16] | … | last strip: [K][rest rounded up to 4]
 * A strip is one stream of whole cache lines, whatever the vector length; four strips are a panel, the piece that
 * work is cut into. Depthwise: the same with K = taps.
 * Frame f reads taps at x + f * x_frame + tap * x_tap. Taps that lie side by side may be given as one long tap. */
struct conv_args {
    const float *x;
    size_t x_frame, x_tap;
    uint32_t taps, cin, outputs, frames;
    struct rows side; /* one more tap, of other channels: its weights follow the others */
    uint32_t side_channels;
    const float *packed;
    uint32_t first_panel, end_panel;
    struct rows y;
    struct finish finish;
    uint32_t gate; /* panels hold halves a | b, and y is act(a) * sigmoid(b), `outputs` / 2 wide */
};

struct map_args {
    struct rows x, b, y; /* b: second operand of add, mul */
    uint32_t rows, channels;
    struct finish finish;
    const float *scale, *bias; /* affine */
};

struct rnn_args {
    struct rows gates; /* input parts; overwritten with the gates */
    struct rows y;
    uint32_t rows, hidden;
    const float *packed; /* lstm: [H -> 4H]; gru: [H -> 2H], then [H -> H] with its bias */
    float *state;        /* lstm: h, c; gru: h, scratch */
};

struct tudor_kernels {
    const char *name;
    void (*conv)(const struct conv_args *);
    void (*depthwise)(const struct conv_args *);
    void (*map)(const struct map_args *);
    void (*gated)(const struct map_args *);
    void (*add)(const struct map_args *);
    void (*mul)(const struct map_args *);
    void (*affine)(const struct map_args *);
    void (*lstm)(const struct rnn_args *);
    void (*gru)(const struct rnn_args *);
};

extern const struct tudor_kernels tudor_kernels_ref;
extern const struct tudor_kernels tudor_kernels_scalar;
extern const struct tudor_kernels tudor_kernels_avx2;
extern const struct tudor_kernels tudor_kernels_avx512;
extern const struct tudor_kernels tudor_kernels_neon;

/* The best table for this processor, or the one named; NULL if it cannot run here. */
const struct tudor_kernels *tudor_find_kernels(const char *name);

static inline size_t packed_width(size_t outputs) { return (outputs + 3) / 4 * 4; }
static inline size_t packed_bias(size_t outputs) { return (outputs + 15) / 16 * 16; }
/* Weights of an output: first of K, `row` floats apart. */
static inline const float *packed_lane(const float *packed, size_t outputs, size_t k, size_t output, size_t *row) {
    const size_t strips = outputs / 16 * 16;
    const float *w = packed + packed_bias(outputs);
    *row = output < strips ? 16 : packed_width(outputs - strips);
    return output < strips ? w + output / 16 * 16 * k + output % 16 : w + strips * k + (output - strips);
}
static inline size_t packed_count(size_t outputs, size_t k) { return packed_bias(outputs) + k * packed_width(outputs); }

#endif
