/* Checks of one op: its values exist, shapes and rates fit, history suffices, weights and state lie inside. */
#include "check.h"

#ifdef TUDOR_NO_LOG
enum { KNOWN_ACTS = ACT_LOG };
#else
enum { KNOWN_ACTS = ACT_END };
#endif

enum { IN = 1, SIDE = 2, OUT = 4 };

/* Bits of the operands whose rows are int16. A value that does not exist is someone else's fault. */
static int int16_operands(const struct look *l) {
    const uint32_t used[] = {l->op->in_a, l->op->in_b, l->op->out, l->op->pre, l->op->post};
    int found = 0;
    for (int i = 0; i < 5; i++) {
        const struct format_value *v = value(l, used[i]);
        if (v && l->buffers[v->buffer].type == FORMAT_ROWS_INT16) found |= 1 << i;
    }
    return found;
}

/* Which number formats an op takes. */
static int check_numbers(const struct look *l) {
    const struct format_op *op = l->op;
    const struct op_facts f = l->facts;
    const int any = int16_operands(l);
    if (op->dtype > FORMAT_DTYPE_INT16 || (op->dtype && f.weights != OP_WEIGHTS_ANY)) return TUDOR_ERROR_NUMBERS;
#ifdef TUDOR_NO_FLOAT
    if (f.weights == OP_WEIGHTS_ANY && op->dtype < FORMAT_DTYPE_INT8) return TUDOR_ERROR_UNSUPPORTED;
#endif
#ifdef TUDOR_NO_BF16
    if (op->dtype == FORMAT_DTYPE_BFLOAT16) return TUDOR_ERROR_UNSUPPORTED;
#endif
#ifdef TUDOR_NO_INT
    if (op->dtype >= FORMAT_DTYPE_INT8 || any) return TUDOR_ERROR_UNSUPPORTED;
#endif
    switch (f.rows) {
    case OP_ROWS_WEIGHTS:
        if (op->dtype < FORMAT_DTYPE_INT8) break; /* float32 rows only */
        return (any & IN) && (any & SIDE || op->in_b == FORMAT_NONE) ? 0 : TUDOR_ERROR_NUMBERS;
    case OP_ROWS_ANY: return 0;
    case OP_ROWS_TO_INT16: return (any & (IN | OUT)) == OUT ? 0 : TUDOR_ERROR_NUMBERS;
    case OP_ROWS_TO_FLOAT32: return (any & (IN | OUT)) == IN ? 0 : TUDOR_ERROR_NUMBERS;
    default: break;
    }
    return any ? TUDOR_ERROR_NUMBERS : 0;
}

/* Words that are its own lie in the method's state. */
static int check_state(const struct look *l) {
    const uint64_t words = tudor_state_words(l->op, l->values);
    return words && l->op->state + words > l->method->state_words ? TUDOR_ERROR_STATE : 0;
}

/* A value of this many channels at this rate. */
static int fits(const struct look *l, uint32_t index, uint64_t channels, uint32_t rows) {
    const struct format_value *v = value(l, index);
    if (!v) return TUDOR_ERROR_VALUE;
    if (v->channels != channels) return TUDOR_ERROR_CHANNELS;
    return rows_of(l, v) == rows ? 0 : TUDOR_ERROR_RATE;
}

static int optional_fits(const struct look *l, uint32_t index, uint64_t channels, uint32_t rows) {
    return index == FORMAT_NONE ? 0 : fits(l, index, channels, rows);
}

static int check_act(const struct look *l, uint64_t channels) {
    const struct format_op *op = l->op;
    if (!(op->slope >= -1e6f && op->slope <= 1e6f)) return TUDOR_ERROR_SHAPE;
    return op->act == ACT_SNAKE ? check_params(l, 2 * channels) : 0;
}

static int check_gate(const struct look *l) {
    return l->op->act == ACT_TANH || l->op->act == ACT_LINEAR ? 0 : TUDOR_ERROR_KIND;
}

static int check_conv_shape(const struct format_op *op, const struct format_value *in, const struct format_value *out) {
    if (op->kernel == 0 || op->kernel > FORMAT_MAX_ROWS || op->stride == 0 || op->stride > FORMAT_MAX_ROWS ||
        op->dilation == 0 || op->dilation > FORMAT_MAX_ROWS || op->phases == 0 || op->phases > FORMAT_MAX_ROWS ||
        op->groups == 0 || op->gate > 1)
        return TUDOR_ERROR_SHAPE;
    if ((uint64_t)out->channels * op->phases > FORMAT_MAX_ROWS) return TUDOR_ERROR_SHAPE;
    if (op->kind == OP_DEPTHWISE)
        return in->channels == out->channels && op->groups == in->channels && op->phases == 1 && !op->gate
                   ? 0
                   : TUDOR_ERROR_SHAPE;
    if (in->channels % op->groups || out->channels % op->groups) return TUDOR_ERROR_CHANNELS;
    if (op->gate && (op->groups != 1 || op->phases != 1)) return TUDOR_ERROR_SHAPE;
    return 0;
}

/* A side input has one row per frame. */
static int check_side(const struct look *l, uint32_t frames) {
    const struct format_op *op = l->op;
    if (op->in_b == FORMAT_NONE) return 0;
    if (!value(l, op->in_b)) return TUDOR_ERROR_VALUE;
    if (op->kind == OP_DEPTHWISE || op->groups != 1 || op->phases != 1) return TUDOR_ERROR_SHAPE;
    return rows_of(l, value(l, op->in_b)) == frames ? 0 : TUDOR_ERROR_RATE;
}

static int check_conv(const struct look *l) {
    const struct format_op *op = l->op;
    const struct format_value *in = value(l, op->in_a), *out = value(l, op->out);
    int code = check_conv_shape(op, in, out);
#ifndef TUDOR_NO_CONTROL
    if (!code && op->attr_a != FORMAT_NONE)
        code = op->phases == 1 ? check_attribute_length(l, op->attr_a, 1) : TUDOR_ERROR_SHAPE;
#endif
    if (code) return code;
    const uint32_t in_rows = rows_of(l, in), out_rows = rows_of(l, out);
    if (in_rows % op->stride || (uint64_t)in_rows / op->stride * op->phases != out_rows) return TUDOR_ERROR_RATE;
    if (op->phases > 1) { /* phases are written side by side: rows without gaps, nothing added */
        if (out->first_channel || l->buffers[out->buffer].row_stride != out->channels) return TUDOR_ERROR_SHAPE;
        if (op->pre != FORMAT_NONE || op->post != FORMAT_NONE) return TUDOR_ERROR_SHAPE;
    }
    if ((code = check_window(l, in)) != 0) return code;
    if ((code = check_act(l, (uint64_t)out->channels * op->phases)) != 0) return code;
    if (op->gate && (code = check_gate(l)) != 0) return code;
    if ((code = optional_fits(l, op->pre, (uint64_t)out->channels * (op->gate ? 2 : 1), out_rows)) != 0) return code;
    if ((code = optional_fits(l, op->post, out->channels, out_rows)) != 0) return code;
    if ((code = check_side(l, in_rows / op->stride)) != 0) return code;
    const struct conv_shape s = tudor_conv_shape(op, l->values);
    const uint64_t k = (uint64_t)op->kernel * s.cin + s.side, width = s.outputs + 3ull;
    if (k * width >= (uint64_t)1 << 34) return TUDOR_ERROR_WEIGHTS; /* before it could overflow a 32-bit size */
    const uint64_t bytes = s.packed_bytes * s.runs;
    if (op->weights_bytes != bytes || tudor_weights_outside(header_of(l->model), op->weights, bytes))
        return TUDOR_ERROR_WEIGHTS;
    return 0;
}

static int check_rnn(const struct look *l) {
    const struct format_op *op = l->op;
    const struct format_value *in = value(l, op->in_a), *out = value(l, op->out);
    const uint64_t h = out->channels, gates = op->kind == OP_LSTM ? 4 : 3;
    if (in->channels != gates * h) return TUDOR_ERROR_CHANNELS;
    if (rows_of(l, in) != rows_of(l, out)) return TUDOR_ERROR_RATE;
    if (h > 16384 || in->delay) return TUDOR_ERROR_SHAPE;
    const size_t size = (size_t)h;
    const uint64_t floats = op->kind == OP_LSTM ? packed_count(4 * size, size)
                                                : (uint64_t)packed_count(2 * size, size) + packed_count(size, size);
    if (op->weights_bytes != floats * 4 || tudor_weights_outside(header_of(l->model), op->weights, floats * 4))
        return TUDOR_ERROR_WEIGHTS;
    return 0;
}

static int check_affine(const struct look *l) {
    const struct format_op *op = l->op;
    const uint32_t channels = value(l, op->out)->channels;
    int code = 0;
    if (op->attr_a == FORMAT_NONE || op->attr_b == FORMAT_NONE) code = check_params(l, 2 * (uint64_t)channels);
    if (!code && op->attr_a != FORMAT_NONE) code = check_attribute_length(l, op->attr_a, channels);
    if (!code && op->attr_b != FORMAT_NONE) code = check_attribute_length(l, op->attr_b, channels);
    return code ? code : fits(l, op->in_a, channels, rows_of(l, value(l, op->out)));
}

#ifndef TUDOR_NO_NOISE
/* `parts` numbers for each of `classes` inputs of an output. */
static int check_draw(const struct look *l, uint32_t parts) {
    const struct format_op *op = l->op;
    const uint32_t in = value(l, op->in_a)->channels, out = value(l, op->out)->channels;
    if (in % out || in / out % parts) return TUDOR_ERROR_CHANNELS;
    if (!(op->slope > 0.0f && op->slope <= 1e6f)) return TUDOR_ERROR_SHAPE;
    int code = check_attribute_length(l, op->attr_a, 1);
    if (!code && op->kind == OP_CATEGORICAL) code = check_attribute_length(l, op->attr_b, 1);
    if (!code) code = check_seed(l);
    return code ? code : fits(l, op->in_a, in, rows_of(l, value(l, op->out)));
}

static int check_embed(const struct look *l) {
    const struct format_op *op = l->op;
    const uint64_t row = value(l, op->out)->channels * sizeof(float);
    if (op->weights_bytes == 0 || op->weights_bytes % row ||
        tudor_weights_outside(header_of(l->model), op->weights, op->weights_bytes))
        return TUDOR_ERROR_WEIGHTS;
    return fits(l, op->in_a, 1, rows_of(l, value(l, op->out)));
}
#endif

#ifndef TUDOR_NO_ATTENTION
/* groups: heads; kernel: rows of the window, of which all but the newest are remembered. */
static int check_attention(const struct look *l) {
    const struct format_op *op = l->op;
    const struct format_value *in = value(l, op->in_a), *out = value(l, op->out);
    if (op->kernel < 2 || op->kernel > FORMAT_MAX_ROWS || op->stride != 1 || op->dilation != 1 || op->groups == 0 ||
        out->channels % op->groups)
        return TUDOR_ERROR_SHAPE;
    const int code = check_window(l, in);
    return code ? code : fits(l, op->in_a, 3 * (uint64_t)out->channels, rows_of(l, out));
}
#endif

#ifndef TUDOR_NO_NORM
/* slope is what is added to the mean square: the root and its inverse stay finite. */
static int check_norm(const struct look *l) {
    const struct format_op *op = l->op;
    if (!(op->slope >= 0x1p-60f && op->slope <= 1e6f) || op->gate > 1) return TUDOR_ERROR_SHAPE;
    return check_params(l, 2 * (uint64_t)value(l, op->out)->channels);
}
#endif

#ifndef TUDOR_NO_LOOP
/* phases: the least lag; seed: rows that are taken off; kernel: those that are looked at. */
static int check_fractional_delay(const struct look *l) {
    const struct format_op *op = l->op;
    const struct format_value *in = value(l, op->in_a), *out = value(l, op->out);
    if (op->kernel < 2 || op->kernel > FORMAT_MAX_ROWS || op->stride != 1 || op->dilation != 1 || op->phases == 0 ||
        op->seed > op->phases || op->phases > FORMAT_MAX_ROWS || (uint64_t)op->kernel + op->seed < op->phases + 2ull)
        return TUDOR_ERROR_SHAPE;
    if (out->channels != 1) return TUDOR_ERROR_CHANNELS;
    const int code = check_window(l, in);
    return code ? code : fits(l, op->in_a, 1, rows_of(l, out));
}
#endif

static int check_kind(const struct look *l) {
    const struct format_op *op = l->op;
    const uint32_t channels = value(l, op->out)->channels, rows = rows_of(l, value(l, op->out));
    int code = l->facts.inputs > 1 ? fits(l, op->in_b, channels, rows) : 0;
    if (code) return code;
    switch (op->kind) {
    case OP_CONV:
    case OP_DEPTHWISE: return check_conv(l);
#ifndef TUDOR_NO_RNN
    case OP_LSTM:
    case OP_GRU: return check_rnn(l);
#endif
    case OP_AFFINE: return check_affine(l);
#ifndef TUDOR_NO_CONTROL
    case OP_CONTROL: code = check_attribute_length(l, op->attr_a, channels); break;
    case OP_NOTE:
        if (channels < 2 || op->kernel == 0 || op->kernel >= 1u << 24) return TUDOR_ERROR_SHAPE;
        break;
#endif
    case OP_MAP: code = check_act(l, channels); break;
#ifndef TUDOR_NO_ATTENTION
    case OP_ATTENTION: return check_attention(l);
#endif
#ifndef TUDOR_NO_TONES
    case OP_PITCH_TRACK: return tudor_check_pitch(l);
    case OP_HARMONICS: return tudor_check_harmonics(l);
#endif
#ifndef TUDOR_NO_SPECTRUM
    case OP_SPECTRUM: return tudor_check_spectrum(l);
    case OP_RESYNTH: return tudor_check_resynth(l);
#endif
#ifndef TUDOR_NO_NORM
    case OP_NORM: code = check_norm(l); break;
#endif
#ifndef TUDOR_NO_LOOP
    case OP_FRACTIONAL_DELAY: return check_fractional_delay(l);
#endif
    case OP_GATED:
        code = check_gate(l);
        return code ? code : fits(l, op->in_a, 2 * (uint64_t)channels, rows);
#ifndef TUDOR_NO_NOISE
    case OP_NOISE: code = check_seed(l); break;
    case OP_KEYED_NOISE:
        code = check_seed(l);
        return code ? code : fits(l, op->in_a, 1, rows);
    case OP_CATEGORICAL: return check_draw(l, 1);
    case OP_LOGISTIC_MIXTURE: return check_draw(l, 3);
    case OP_EMBED: return check_embed(l);
    case OP_GAUSSIAN:
        code = check_attribute_length(l, op->attr_a, 1);
        if (!code) code = check_seed(l);
        return code ? code : fits(l, op->in_a, 2 * (uint64_t)channels, rows);
#endif
    case OP_ADD:
    case OP_MUL:
    case OP_GUARD:
    case OP_COPY:
    case OP_QUANTISE:
    case OP_DEQUANTISE: break;
    default: return TUDOR_ERROR_UNSUPPORTED;
    }
    return code ? code : fits(l, op->in_a, channels, rows);
}

int tudor_check_op(struct look *l) {
    const struct format_op *op = l->op;
    const struct format_value *out = value(l, op->out);
    int code = 0;
    if (!value(l, op->in_a) || !out || out->delay) return TUDOR_ERROR_VALUE;
    if (op->name >= header_of(l->model)->text_bytes) return TUDOR_ERROR_TEXT;
    if (op->kind == 0 || op->kind >= OP_END) return TUDOR_ERROR_KIND;
    l->facts = tudor_op_facts[op->kind];
#ifndef TUDOR_NO_NOISE /* else nobody reads it */
    if (op->attr_seed && l->facts.state != OP_STATE_COUNTER && l->facts.state != OP_STATE_DRAW &&
        l->facts.state != OP_STATE_INVERSE && op->kind != OP_KEYED_NOISE)
        return TUDOR_ERROR_RESERVED;
#endif
    if ((code = check_numbers(l)) != 0) return code;
    if (op->act >= KNOWN_ACTS || (op->act != ACT_LINEAR && !l->facts.acts)) return TUDOR_ERROR_KIND;
    if ((code = check_kind(l)) != 0) return code;
    return check_state(l);
}
