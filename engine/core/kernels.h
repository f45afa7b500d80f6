/* What each instruction set offers: the same table of functions, the same bits. */
#ifndef TUDOR_KERNELS_H
#define TUDOR_KERNELS_H

#include "format.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Rows of channels in memory: row r begins at data + r * row. The numbers are float32 if scale is 0, else int16
 * that stand for q * scale. Kernels for float32 do not look at the scale: nobody hands them other rows. */
struct rows {
    void *data;
    size_t row; /* numbers */
    float scale;
};

static inline size_t bytes_of_number(const struct rows *rows) {
    return rows->scale != 0.0f ? sizeof(int16_t) : sizeof(float);
}

static inline void skip(struct rows *rows, uint32_t count, uint32_t channels) {
    const size_t numbers = (size_t)count * rows->row + channels;
    if (rows->data) rows->data = (char *)rows->data + numbers * bytes_of_number(rows);
}

static inline void put_zeros(const struct rows *y, uint32_t rows, uint32_t channels) {
    const size_t size = bytes_of_number(y);
    char *row = y->data;
    for (uint32_t r = 0; r < rows; r++, row += y->row * size) memset(row, 0, channels * size);
}

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
 * The bias is float32; weights are float32, or bfloat16, which is widened exactly when it is read.
 * A strip is one stream of whole cache lines, whatever the vector length; four strips are a panel, the piece that
 * work is cut into. Depthwise: the same with K = taps.
 * Frame f reads taps at x + f * x_frame + tap * x_tap. Taps that lie side by side may be given as one long tap. */
struct conv_args {
    const void *x; /* float, or int16_t where weights are whole numbers */
    size_t x_frame, x_tap;
    uint32_t taps, cin, outputs, frames;
    struct rows side; /* one more tap, of other channels: its weights follow the others */
    uint32_t side_channels;
    const void *packed;
    uint32_t dtype; /* of the weights, as in the file */
    uint32_t first_panel, end_panel;
    struct rows y;
    struct finish finish;
    uint32_t gate; /* panels hold halves a | b, and y is act(a) * sigmoid(b), `outputs` / 2 wide */
};

/* The same of whole numbers (kernels_int.inc). x and side are int16, weights int8, sums int32 that start at the bias and wrap
 * (an exporter sees to it that they cannot): exact, so order is free. Then in float32, where every step is exact or
 * correctly rounded on every machine:
 *   s = float(sum) * step;  two planes of weights, low + 256 * high: s = fma(256, float(high sum), float(sum)) * step
 *   y = act(s + pre) + post, rounded to int16 (nearest even, saturated, NaN is 0) or stored as float32.
 *
 * Packed weights, N outputs, K = pairs of channels; each tap and the side input are padded to whole pairs:
 *   step[N up to 16] | bias[N up to 16] | low plane | high plane, if there is one
 * A plane is strips of 32 outputs, the last one of the rest, rounded up to 2. With half = its width / 2, a strip is
 *   [K][half] words of 4 int8: w(o, k), w(o + half, k), w(o, k + 1), w(o + half, k + 1)
 * so that on a Cortex-M7 SXTB16 of the word, or of the word turned by 8, is a pair of weights for SMLAD, and on other
 * machines two shifts are pairs for a vector of outputs. Depthwise: a plane is [taps][N]. */

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

struct norm_args {
    struct rows x, y;
    uint32_t rows, channels, centre;
    float epsilon;
    const float *scale, *bias; /* [channels] each */
};

struct attention_args {
    struct rows x, y; /* x: q, k, v, `channels` each, and window - 1 rows before */
    uint32_t rows, channels, heads, window;
    float *state;
};

#define PITCH_MOST_WIDTH 64u
struct pitch_args {
    struct rows x, y; /* x: window - hop rows before; y: pitch, clarity */
    uint32_t rows;    /* of y */
    uint32_t window, hop, hops, parts, lags, step, width; /* hops: frames that are compared, of `parts` that are kept */
    uint32_t octave_check;
    const float *params;
    float *state;
};

struct tone_args {
    struct rows x, y; /* x: pitch, clarity, bands */
    uint32_t rows;    /* of x */
    uint32_t hop, bands, count, middle_c;
    const float *params;
    float *state;
};

/* From sound to a spectrum, or back: not in the table, but plain C for every machine. */
struct transform_args {
    struct rows x, y;
    uint32_t rows;           /* of the spectrum */
    uint32_t fft, hop;       /* samples of a window; from one to the next */
    uint32_t seed, key;      /* of the noise: random.h */
    float floor;             /* of magnitudes */
    const float *tables;
    float *state;
};

static inline struct rows rows_at(float *data, size_t row) { return (struct rows){data, row, 0.0f}; }

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
    void (*int_conv)(const struct conv_args *);
    void (*int_depthwise)(const struct conv_args *);
    /* A row-wise kernel on rows of any number format. x_half: columns from a to b of a gated one, else 0. */
    void (*mixed)(const struct map_args *, void (*kernel)(const struct map_args *), uint32_t x_half, uint32_t pre_half);
    void (*norm)(const struct norm_args *);
    void (*attention)(const struct attention_args *);
    void (*pitch_track)(const struct pitch_args *);
    void (*harmonics)(const struct tone_args *);
    void (*exponentials)(const float *x, float *y, uint32_t count, float factor);
};

extern const struct tudor_kernels tudor_kernels_ref;
extern const struct tudor_kernels tudor_kernels_scalar;
extern const struct tudor_kernels tudor_kernels_avx2;
extern const struct tudor_kernels tudor_kernels_avx512;
extern const struct tudor_kernels tudor_kernels_avx512vnni;
extern const struct tudor_kernels tudor_kernels_neon;

/* The best table for this processor, or the one named; NULL if it cannot run here. */
const struct tudor_kernels *tudor_best_kernels(void);
const struct tudor_kernels *tudor_find_kernels(const char *name);

static inline size_t packed_width(size_t outputs) { return (outputs + 3) / 4 * 4; }
static inline size_t packed_bias(size_t outputs) { return (outputs + 15) / 16 * 16; }
/* Where the weights of an output begin, counted from the bias's end: first of K, `row` apart. */
static inline size_t packed_at(size_t outputs, size_t k, size_t output, size_t *row) {
    const size_t strips = outputs / 16 * 16;
    *row = output < strips ? 16 : packed_width(outputs - strips);
    return output < strips ? output / 16 * 16 * k + output % 16 : strips * k + (output - strips);
}
static inline const float *packed_lane(const float *packed, size_t outputs, size_t k, size_t output, size_t *row) {
    return packed + packed_bias(outputs) + packed_at(outputs, k, output, row);
}
static inline size_t packed_count(size_t outputs, size_t k) { return packed_bias(outputs) + k * packed_width(outputs); }

/* The same for whole numbers, in bytes. */
static inline size_t int_head(size_t outputs) { return 2 * packed_bias(outputs) * sizeof(float); }
static inline size_t int_pairs(size_t taps, size_t cin, size_t side) { return taps * ((cin + 1) / 2) + (side + 1) / 2; }
static inline size_t int_plane(size_t outputs, size_t pairs) { return pairs * ((outputs + 1) / 2 * 4); }
static inline size_t int_strip_half(size_t outputs, size_t output) {
    const size_t rest = outputs - output / 32 * 32;
    return rest >= 32 ? 16 : (rest + 1) / 2;
}

#endif
