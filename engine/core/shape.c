/* Shapes and costs of ops, worked out from the file in one place for the checks, the player and the op table. */
#include "internal.h"

#define OP(code, NAME, name, inputs, weights, rows, state, acts, fuses, output_cost, input_cost, meaning) \
    [code] = {inputs, OP_WEIGHTS_##weights, OP_ROWS_##rows, OP_STATE_##state, acts, output_cost, input_cost},
const struct op_facts tudor_op_facts[OP_END] = {
#include "ops.inc"
};
#define ACT(code, NAME, name, cost, meaning) [code] = cost,
static const uint8_t act_cost[ACT_END] = {
#include "ops.inc"
};

/* 64 bits: the file is not checked yet when this is first asked. */
static uint64_t packed_bytes(const struct format_op *op, const struct conv_shape *s) {
    const uint64_t k = (uint64_t)op->kernel * s->cin + s->side, head = (s->outputs + 15ull) / 16 * 16 * 4;
    const uint64_t width = (s->outputs + 3ull) / 4 * 4;
    const uint64_t pairs = op->kernel * ((s->cin + 1ull) / 2) + (s->side + 1ull) / 2;
    const uint64_t plane = op->kind == OP_DEPTHWISE ? (uint64_t)op->kernel * s->outputs
                                                    : pairs * ((s->outputs + 1ull) / 2 * 4);
    if (op->dtype >= FORMAT_DTYPE_INT8) return 2 * head + plane * (op->dtype == FORMAT_DTYPE_INT16 ? 2 : 1);
    return head + k * width * (op->dtype == FORMAT_DTYPE_BFLOAT16 ? 2 : 4);
}

struct conv_shape tudor_conv_shape(const struct format_op *op, const struct format_value *values) {
    const uint32_t in_channels = values[op->in_a].channels, out_channels = values[op->out].channels;
    const uint32_t outputs = op->gate ? 2 * out_channels : out_channels;
    struct conv_shape s = {1, in_channels, 0, outputs, 0, 0};
    if (op->kind == OP_DEPTHWISE) {
        s.cin = 1;
    } else if (op->groups == 1) { /* phases side by side: one dense run */
        s.side = op->in_b == FORMAT_NONE ? 0 : values[op->in_b].channels;
        s.outputs *= op->phases;
    } else {
        s.runs = op->groups * op->phases;
        s.cin /= op->groups;
        s.outputs /= op->groups;
    }
    s.panels = (s.outputs + TUDOR_PANEL_OUTPUTS - 1) / TUDOR_PANEL_OUTPUTS;
    s.packed_bytes = packed_bytes(op, &s);
    return s;
}

uint32_t tudor_params_bytes(const struct format_op *op, const struct format_value *values) {
    const uint32_t pair = 2 * sizeof(float), each = pair * values[op->out].channels;
    if (facts_of(op)->acts) return op->act != ACT_SNAKE ? 0 : is_conv(op) ? each * op->phases : each;
    switch (op->kind) {
    case OP_AFFINE: return op->attr_a == FORMAT_NONE || op->attr_b == FORMAT_NONE ? each : 0;
#ifndef TUDOR_NO_NORM
    case OP_NORM: return each;
#endif
#ifndef TUDOR_NO_TONES
    case OP_PITCH_TRACK: return pair;
    case OP_HARMONICS: return 2 * pair;
#endif
#ifndef TUDOR_NO_SPECTRUM
    case OP_SPECTRUM: return op->kernel * (uint32_t)sizeof(float);
    case OP_RESYNTH: return (op->kernel + TUDOR_EXPONENTIALS) * (uint32_t)sizeof(float);
#endif
    default: return 0;
    }
}

#ifndef TUDOR_NO_SPECTRUM
/* Of a row: a transform, and what is done to each bin. Counted on a Cortex-M7, in MACs as below. */
static uint64_t transform_macs(const struct format_op *op) {
    uint64_t passes = 0;
    while (op->kernel >> passes > 1) passes++;
    return 5 * op->kernel * passes / 2 + (op->kind == OP_RESYNTH ? 200 : 80) * (op->kernel / 2 + 1ull);
}
#endif

uint64_t tudor_op_macs(const struct format_op *op, const struct format_value *values,
                       const struct format_buffer *buffers) {
    const struct format_value *in = &values[op->in_a], *out = &values[op->out];
    const uint64_t in_rows = buffers[in->buffer].rows, h = out->channels;
    if (is_conv(op)) {
        const struct conv_shape s = tudor_conv_shape(op, values);
        return (uint64_t)(buffers[in->buffer].rows / op->stride) * s.runs * s.outputs * ((uint64_t)op->kernel * s.cin + s.side);
    }
#ifndef TUDOR_NO_ATTENTION
    if (op->kind == OP_ATTENTION) return in_rows * 2 * h * op->kernel;
#endif
#ifndef TUDOR_NO_TONES
    if (op->kind == OP_HARMONICS) return in_rows * op->kernel * (8ull * op->phases + 16);
    if (op->kind == OP_PITCH_TRACK) { /* differences of a frame, sums of frames, the lag again, smoothing */
        const uint64_t lags = op->phases, compared = op->kernel - lags * op->groups;
        return in_rows / op->stride * (lags * (op->stride / op->groups + compared / op->stride) +
                                       (2ull * op->groups + 1) * compared + (2ull * op->seed - 1) * op->kernel);
    }
#endif
#ifndef TUDOR_NO_SPECTRUM
    if (op->kind == OP_SPECTRUM) return in_rows / op->stride * transform_macs(op);
    if (op->kind == OP_RESYNTH) return in_rows * transform_macs(op);
#endif
#ifndef TUDOR_NO_RNN
    if (op->kind == OP_LSTM) return in_rows * 4 * h * h;
    if (op->kind == OP_GRU) return in_rows * 3 * h * h;
#endif
    (void)h;
    return 0;
}

/* What one number of an op's output costs beside its MACs, in MACs: rough, only used to cut even slices. */
static uint64_t number_cost(const struct format_op *op, const struct format_value *values) {
    const struct op_facts *facts = facts_of(op);
    const uint64_t passes = 2, gate = op->gate && is_conv(op) ? tudor_op_facts[OP_GATED].output_cost : 0;
    uint64_t cost = passes + facts->output_cost + act_cost[op->act] + gate;
#ifndef TUDOR_NO_NOISE
    cost += (uint64_t)facts->input_cost * values[op->in_a].channels / values[op->out].channels;
#else
    (void)values;
#endif
    return cost;
}

#ifndef TUDOR_NO_INT
/* What 16-bit rows add to that: MACs of integers are cheap, and each number is widened and rounded again. In MACs of
 * 1.25 instructions of a Cortex-M7; counted on the shipped models. */
static uint64_t integer_cost(const struct format_op *op, uint64_t macs, uint64_t rows, uint64_t numbers) {
    if (op->kind == OP_DEPTHWISE) return 270 * rows + 75 * numbers + 500;
    if (op->kind != OP_CONV) return 24 * numbers + 200;
    const uint64_t planes = op->dtype == FORMAT_DTYPE_INT16 ? 2 : 1;
    const uint64_t added = op->pre != FORMAT_NONE || op->post != FORMAT_NONE ? 32 : 4;
    return macs * (planes - 1) + 270 * rows + added * numbers + 500;
}
#endif

uint64_t tudor_op_cost(const struct format_op *op, const struct format_value *values,
                       const struct format_buffer *buffers) {
    const struct format_value *out = &values[op->out];
    const uint64_t numbers = (uint64_t)buffers[out->buffer].rows * out->channels;
    return tudor_op_macs(op, values, buffers) + numbers * number_cost(op, values) + 100;
}

uint64_t tudor_op_slice_cost(const struct format_op *op, const struct format_value *values,
                             const struct format_buffer *buffers) {
    const struct format_value *out = &values[op->out];
    uint64_t cost = tudor_op_cost(op, values, buffers);
#ifndef TUDOR_NO_INT
    const struct format_buffer *in_rows = &buffers[values[op->in_a].buffer], *out_rows = &buffers[out->buffer];
    if (in_rows->type == FORMAT_ROWS_INT16 || out_rows->type == FORMAT_ROWS_INT16)
        return cost + integer_cost(op, tudor_op_macs(op, values, buffers),
                                   in_rows->rows / (op->stride ? op->stride : 1),
                                   (uint64_t)out_rows->rows * out->channels);
#endif
    /* of those that few numbers go into, as a drum voice has them: counted on a Cortex-M7 */
    if (is_conv(op)) cost += (uint64_t)buffers[out->buffer].rows * out->channels * (op->kind == OP_DEPTHWISE ? 60 : 10);
    return cost;
}
