/* What the kernels are told about each op, worked out once, when an instance is made. */
#include "internal.h"

/* What a step of a loop costs each op besides its numbers: counted on a Cortex-M7, in MACs as in shape.c. */
#define LOOP_STEP_COST 200u

/* A method's records, while its ops are planned. */
struct planned {
    const tudor *t;
    const struct format_buffer *buffers;
    const struct format_value *values;
    const struct format_op *op;
    const struct tudor_part *parts; /* copies of weights */
    uint32_t parts_count;
#ifndef TUDOR_NO_LOOP
    uint32_t steps; /* of a loop per frame; 0: the op runs for whole blocks */
#endif
};

#ifdef TUDOR_NO_PARTS
static const float *weights_of(const struct planned *m) { return weights_at(&m->t->model, m->op->weights); }

static const float *params_of(const struct planned *m) {
    return m->op->params == FORMAT_NONE ? 0 : weights_at(&m->t->model, m->op->params);
}
#else
/* Weights of the op: in the part that holds all of them and what vector loads may read behind, else in the file. */
static const float *placed_at(const struct planned *m, uint32_t offset, uint64_t bytes) {
    for (uint32_t i = 0; i < m->parts_count; i++) {
        const struct tudor_part *const part = &m->parts[i];
        if (offset >= part->offset && offset - part->offset + bytes + FORMAT_ALIGN <= part->bytes)
            return (const float *)(const void *)((const char *)part->at + (offset - part->offset));
    }
    return weights_at(&m->t->model, offset);
}

static const float *weights_of(const struct planned *m) { return placed_at(m, m->op->weights, m->op->weights_bytes); }

static const float *params_of(const struct planned *m) {
    const uint32_t bytes = tudor_params_bytes(m->op, m->values);
    return bytes ? placed_at(m, m->op->params, bytes) : 0;
}
#endif

static struct place place_of(const struct planned *m, uint32_t value) {
    if (value == FORMAT_NONE) return (struct place){.buffer = FORMAT_NONE};
    const struct format_value *v = &m->values[value];
    const struct format_buffer *b = &m->buffers[v->buffer];
    const ptrdiff_t numbers = (ptrdiff_t)v->first_channel - (ptrdiff_t)v->delay * (ptrdiff_t)b->row_stride;
    struct place place = {.buffer = v->buffer, .offset = numbers * (ptrdiff_t)number_bytes(b)};
#ifndef TUDOR_NO_LOOP
    if (m->steps) place.step = b->rows / m->steps * b->row_stride * (uint32_t)number_bytes(b);
#endif
    return place;
}

/* A value's rows, still without their place. */
static struct rows row_of(const struct planned *m, uint32_t value) {
    if (value == FORMAT_NONE) return (struct rows){0};
    const struct format_buffer *b = &m->buffers[m->values[value].buffer];
    return (struct rows){0, b->row_stride, b->scale};
}

static uint32_t rows_of(const struct planned *m, uint32_t value) {
    return m->buffers[m->values[value].buffer].rows;
}

static struct finish plan_finish(const struct planned *m, uint32_t channels) {
    const struct format_op *op = m->op;
    const float *snake = op->act == ACT_SNAKE ? params_of(m) : 0;
    return (struct finish){op->act, op->slope, snake, channels, {0}, {0}};
}

/* All panels of the first run. */
static void plan_conv(const struct planned *m, struct op_plan *o) {
    const struct format_op *op = m->op;
    const struct conv_shape s = tudor_conv_shape(op, m->values);
    const struct format_buffer *in = &m->buffers[m->values[op->in_a].buffer];
    const size_t x_row = in->row_stride;
    const ptrdiff_t span = (ptrdiff_t)(op->kernel - 1) * (ptrdiff_t)op->dilation;
    struct conv_args *a = &o->args.conv;
    /* the window of the first frame ends at the newest row of its group of `stride` */
    o->x.offset += (ptrdiff_t)(x_row * number_bytes(in)) * ((ptrdiff_t)op->stride - 1 - span);
    a->x_frame = x_row * op->stride;
    a->x_tap = x_row * op->dilation;
    a->taps = op->kernel;
    a->cin = s.cin;
    /* taps lie side by side: one long run, not many short ones; whole weights are padded to pairs in each tap */
    const uint32_t per_tap = op->dtype >= FORMAT_DTYPE_INT8 ? (s.cin + 1) / 2 * 2 : s.cin;
    if (a->x_tap == per_tap && op->kind == OP_CONV) {
        a->cin = per_tap * a->taps;
        a->taps = 1;
    }
    a->outputs = s.outputs;
    a->side_channels = s.side;
    if (s.side) {
        o->b = place_of(m, op->in_b);
        a->side = row_of(m, op->in_b);
    }
    a->end_panel = s.panels;
    a->y = row_of(m, op->out);
    a->y.row *= op->phases;
    a->gate = op->gate;
    a->dtype = op->dtype;
    a->packed = weights_of(m);
    a->finish = plan_finish(m, s.runs * s.outputs);
    a->finish.pre = row_of(m, op->pre);
    a->finish.post = row_of(m, op->post);
    o->pre = place_of(m, op->pre);
    o->post = place_of(m, op->post);
    o->rows = rows_of(m, op->in_a) / op->stride;
    o->runs = s.runs;
}

static void plan_affine(const struct planned *m, struct map_args *a) {
    const struct format_op *op = m->op;
    const float *params = params_of(m);
    if (op->attr_a == FORMAT_NONE) a->scale = params; /* an attribute's are the stream's, and found when it is run */
    if (op->attr_b == FORMAT_NONE) a->bias = params + a->channels;
}

static void plan_map(const struct planned *m, struct op_plan *o) {
    const struct format_op *op = m->op;
    struct map_args *a = &o->args.map;
    a->channels = m->values[op->out].channels;
    a->x = row_of(m, op->in_a);
    a->y = row_of(m, op->out);
    a->finish = plan_finish(m, a->channels);
    if (facts_of(op)->inputs > 1) { /* elsewhere in_b means nothing, and nobody has checked it */
        o->b = place_of(m, op->in_b);
        a->b = row_of(m, op->in_b);
    }
    if (op->kind == OP_AFFINE) plan_affine(m, a);
    if (op->kind == OP_EMBED) a->scale = weights_of(m); /* its table */
}

#ifndef TUDOR_NO_NORM
static struct norm_args plan_norm(const struct planned *m) {
    const struct format_op *op = m->op;
    const uint32_t channels = m->values[op->out].channels;
    const float *params = params_of(m);
    return (struct norm_args){row_of(m, op->in_a), row_of(m, op->out), 0, channels, op->gate, op->slope, params,
                              params + channels};
}
#endif

#ifndef TUDOR_NO_TONES
static void plan_pitch(const struct planned *m, struct op_plan *o) {
    const struct format_op *op = m->op;
    struct pitch_args *a = &o->args.pitch;
    a->x = row_of(m, op->in_a);
    a->y = row_of(m, op->out);
    /* the window of the first frame ends at the newest of its rows */
    o->x.offset += (ptrdiff_t)(a->x.row * sizeof(float)) * ((ptrdiff_t)op->stride - (ptrdiff_t)op->kernel);
    a->window = op->kernel;
    a->hop = op->stride;
    a->lags = op->phases;
    a->step = op->groups;
    a->width = op->seed;
    a->parts = tudor_pitch_parts(op);
    a->octave_check = op->gate;
    a->hops = (a->window - a->lags * a->step - 2 * a->width + 2) / a->hop;
    a->params = params_of(m);
}

static void plan_tone(const struct planned *m, struct tone_args *a) {
    const struct format_op *op = m->op;
    *a = (struct tone_args){row_of(m, op->in_a), row_of(m, op->out), 0, op->phases,
                            m->values[op->in_a].channels - 2, op->kernel, op->seed,
                            params_of(m), 0};
}
#endif

#ifndef TUDOR_NO_SPECTRUM
static void plan_transform(const struct planned *m, struct op_plan *o) {
    const struct format_op *op = m->op;
    struct transform_args *a = &o->args.transform;
    *a = (struct transform_args){.x = row_of(m, op->in_a), .y = row_of(m, op->out), .fft = op->kernel,
                                 .hop = op->stride, .seed = op->seed, .floor = op->slope, .tables = params_of(m)};
    if (op->kind == OP_RESYNTH)
        a->hop = op->phases;
    else /* the window of the first frame ends at the newest of its rows */
        o->x.offset += (ptrdiff_t)(a->x.row * sizeof(float)) * ((ptrdiff_t)op->stride - (ptrdiff_t)op->kernel);
}
#endif

static void plan_op(const struct planned *m, struct op_plan *o) {
    const struct format_op *op = m->op;
    const struct place none = {.buffer = FORMAT_NONE};
    const uint64_t cost = tudor_op_slice_cost(op, m->values, m->buffers);
    *o = (struct op_plan){.rows = rows_of(m, op->out), .runs = 1, .b = none, .pre = none, .post = none};
    o->cost = cost < UINT32_MAX ? (uint32_t)cost : UINT32_MAX;
    o->x = place_of(m, op->in_a);
    o->y = place_of(m, op->out);
    if (is_conv(op)) {
        plan_conv(m, o);
#ifndef TUDOR_NO_RNN
    } else if (op->kind == OP_LSTM || op->kind == OP_GRU) {
        o->args.rnn = (struct rnn_args){row_of(m, op->in_a), row_of(m, op->out), 0, m->values[op->out].channels,
                                        weights_of(m), 0};
#endif
#ifndef TUDOR_NO_ATTENTION
    } else if (op->kind == OP_ATTENTION) {
        o->args.attention = (struct attention_args){row_of(m, op->in_a), row_of(m, op->out), 0,
                                                    m->values[op->out].channels, op->groups, op->kernel, 0};
#endif
#ifndef TUDOR_NO_TONES
    } else if (op->kind == OP_PITCH_TRACK) {
        plan_pitch(m, o);
    } else if (op->kind == OP_HARMONICS) {
        plan_tone(m, &o->args.tone);
#endif
#ifndef TUDOR_NO_SPECTRUM
    } else if (op->kind == OP_SPECTRUM || op->kind == OP_RESYNTH) {
        plan_transform(m, o);
#endif
#ifndef TUDOR_NO_NORM
    } else if (op->kind == OP_NORM) {
        o->args.norm = plan_norm(m);
#endif
    } else {
        plan_map(m, o);
    }
}

void tudor_plan_ops(tudor *t, const struct tudor_part *parts, uint32_t parts_count) {
    for (uint32_t i = 0; i < t->methods; i++) {
        const struct format_method *method = method_of(&t->model, i);
        struct planned m = {.t = t, .buffers = buffers_of(&t->model, method), .parts = parts, .parts_count = parts_count};
        m.values = values_of(&t->model, method);
        m.op = ops_of(&t->model, method);
        for (uint32_t k = 0; k < method->ops_count; k++, m.op++) {
            struct op_plan *const o = &t->ops[method->first_op + k];
#ifndef TUDOR_NO_LOOP
            m.steps = in_loop(method, k) ? steps_of(m.op, m.values, m.buffers) : 0;
#endif
            plan_op(&m, o);
#ifndef TUDOR_NO_LOOP
            if (m.steps) { /* told about one step */
                o->rows = 1;
                o->period = method->loop_rows / m.steps;
                const uint64_t cost = o->cost + LOOP_STEP_COST * (uint64_t)m.steps;
                o->cost = cost < UINT32_MAX ? (uint32_t)cost : UINT32_MAX;
            }
#endif
        }
    }
}
