/* Shapes and costs of ops, worked out from the file in one place for the checks, the player and the op table. */
#include "internal.h"

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
    s.panels = (s.outputs + 63) / 64;
    s.packed_bytes = packed_bytes(op, &s);
    return s;
}

static int is_conv(const struct format_op *op) { return op->kind == OP_CONV || op->kind == OP_DEPTHWISE; }

uint32_t tudor_op_units(const struct format_op *op, const struct format_value *values,
                        const struct format_buffer *buffers, uint32_t frames) {
    const struct format_value *in = &values[op->in_a];
    if (!is_conv(op)) return 1;
    const struct conv_shape s = tudor_conv_shape(op, values);
    const uint64_t rows = (uint64_t)frames * (buffers[in->buffer].rows / op->stride);
    const uint64_t units = (uint64_t)s.runs * s.panels * tudor_frame_parts((uint32_t)rows);
    return units < 1u << 30 ? (uint32_t)units : 0;
}

uint64_t tudor_op_macs(const struct format_op *op, const struct format_value *values,
                       const struct format_buffer *buffers) {
    const struct format_value *in = &values[op->in_a], *out = &values[op->out];
    const uint64_t in_rows = buffers[in->buffer].rows, h = out->channels;
    if (is_conv(op)) {
        const struct conv_shape s = tudor_conv_shape(op, values);
        return in_rows / op->stride * s.runs * s.outputs * ((uint64_t)op->kernel * s.cin + s.side);
    }
    if (op->kind == OP_LSTM) return in_rows * 4 * h * h;
    if (op->kind == OP_GRU) return in_rows * 3 * h * h;
    return 0;
}

/* What one number of an op's output costs beside its MACs, in MACs: rough, only used to cut even slices. */
static uint64_t number_cost(const struct format_op *op) {
    static const uint8_t act[ACT_END] = {2, 3, 12, 10, 11, 10, 12};
    const uint64_t gate = op->gate || op->kind == OP_GATED ? 12 : 0;
    switch (op->kind) {
    case OP_LSTM: return 50;
    case OP_GRU: return 35;
    case OP_GAUSSIAN: return 60;
    case OP_NOISE: return 10;
    default: return act[op->act] + gate;
    }
}

uint64_t tudor_op_cost(const struct format_op *op, const struct format_value *values,
                       const struct format_buffer *buffers) {
    const struct format_value *out = &values[op->out];
    const uint64_t numbers = (uint64_t)buffers[out->buffer].rows * out->channels;
    return tudor_op_macs(op, values, buffers) + numbers * number_cost(op) + 100;
}
