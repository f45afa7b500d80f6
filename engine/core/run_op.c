/* One op of one stream's block: finds its rows and hands them to the kernels. */
#include "internal.h"

static const float *attribute_values(const tudor *t, uint32_t attribute) {
    const float *at = t->attributes;
    for (uint32_t i = 0; i < attribute; i++) at += attribute_of(&t->model, i)->count;
    return at;
}

static struct rows optional_rows(const struct play *p, uint32_t value) {
    return value == FORMAT_NONE ? (struct rows){0, 0} : tudor_rows(p, value);
}

static uint32_t rows_of(const struct play *p, uint32_t value) {
    return p->frames * p->buffers[p->values[value].buffer].rows;
}

/* A convolution before it is cut: all panels of the first run, all frames. */
struct conv_plan {
    struct conv_args args;
    struct conv_shape shape;
    const float *packed, *snake;
    uint32_t out_channels, phases;
    void (*kernel)(const struct conv_args *);
};

static void plan_conv(const struct play *p, const struct format_op *op, struct conv_plan *c) {
    const struct rows x = tudor_rows(p, op->in_a), y = tudor_rows(p, op->out);
    const ptrdiff_t span = (ptrdiff_t)(op->kernel - 1) * (ptrdiff_t)op->dilation;
    const struct conv_shape s = tudor_conv_shape(op, p->values);
    const uint32_t rows = rows_of(p, op->in_a);
    const int depthwise = op->kind == OP_DEPTHWISE;
    struct conv_args *a = &c->args;
    /* the window of the first frame ends at the newest row of its group of `stride` */
    a->x = x.data + (ptrdiff_t)x.row * ((ptrdiff_t)op->stride - 1 - span);
    a->x_frame = x.row * op->stride;
    a->x_tap = x.row * op->dilation;
    a->taps = op->kernel;
    a->cin = s.cin;
    if (a->x_tap == a->cin && !depthwise) { /* taps lie side by side: one long run instead of many short ones */
        a->cin *= a->taps;
        a->taps = 1;
    }
    a->outputs = s.outputs;
    a->frames = op->stride == 1 ? rows : rows / op->stride;
    a->side = s.side ? tudor_rows(p, op->in_b) : (struct rows){0, 0};
    a->side_channels = s.side;
    a->first_panel = 0;
    a->end_panel = s.panels;
    a->y = (struct rows){y.data, y.row * op->phases};
    a->gate = op->gate;
    a->packed = c->packed = weights_at(&p->t->model, op->weights);
    c->snake = op->act == ACT_SNAKE ? weights_at(&p->t->model, op->params) : 0;
    a->finish = (struct finish){op->act, op->slope, c->snake, s.runs * s.outputs, optional_rows(p, op->pre),
                                optional_rows(p, op->post)};
    c->shape = s;
    c->out_channels = p->values[op->out].channels;
    c->phases = op->phases;
    c->kernel = depthwise ? p->t->kernels->depthwise : p->t->kernels->conv;
}

static void skip_rows(struct rows *rows, uint32_t count) {
    if (rows->data) rows->data += (size_t)count * rows->row;
}

/* Some panels of one run, some frames. */
static void conv_part(const struct conv_plan *c, uint32_t run, uint32_t first_panel, uint32_t end_panel,
                      uint32_t first_frame, uint32_t frames) {
    struct conv_args a = c->args;
    const uint32_t group = run / c->phases, phase = run % c->phases;
    const uint32_t channel = c->shape.runs == 1 ? 0 : phase * c->out_channels + group * c->shape.outputs;
    a.first_panel = first_panel;
    a.end_panel = end_panel;
    a.frames = frames;
    a.packed = c->packed + run * c->shape.packed;
    a.x += (c->shape.runs == 1 ? 0 : (size_t)group * c->shape.cin) + first_frame * a.x_frame;
    a.y.data += channel;
    if (a.finish.pre.data) a.finish.pre.data += channel;
    if (a.finish.post.data) a.finish.post.data += channel;
    skip_rows(&a.side, first_frame);
    skip_rows(&a.y, first_frame);
    skip_rows(&a.finish.pre, first_frame);
    skip_rows(&a.finish.post, first_frame);
    a.finish.snake = c->snake ? c->snake + channel : 0;
    c->kernel(&a);
}

static void run_conv(const struct play *p, const struct format_op *op, uint32_t first_unit, uint32_t end_unit) {
    struct conv_plan c;
    plan_conv(p, op, &c);
    if (end_unit == TUDOR_ALL_UNITS) {
        if (c.shape.runs == 1) {
            c.kernel(&c.args);
            return;
        }
        for (uint32_t run = 0; run < c.shape.runs; run++) conv_part(&c, run, 0, c.shape.panels, 0, c.args.frames);
        return;
    }
    const uint32_t parts = tudor_frame_parts(c.args.frames);
    for (uint32_t unit = first_unit; unit < end_unit; unit++) {
        const uint32_t panel = unit / parts % c.shape.panels, run = unit / parts / c.shape.panels;
        const uint32_t from = unit % parts * TUDOR_UNIT_FRAMES, left = c.args.frames - from;
        conv_part(&c, run, panel, panel + 1, from, left < TUDOR_UNIT_FRAMES ? left : TUDOR_UNIT_FRAMES);
    }
}

static struct map_args map_args(const struct play *p, const struct format_op *op) {
    struct map_args m = {tudor_rows(p, op->in_a), {0, 0}, tudor_rows(p, op->out), rows_of(p, op->out),
                         p->values[op->out].channels, {0}, 0, 0};
    m.finish.act = op->act;
    m.finish.slope = op->slope;
    if (op->kind == OP_ADD || op->kind == OP_MUL) m.b = tudor_rows(p, op->in_b);
    if (op->kind == OP_MAP && op->act == ACT_SNAKE) {
        m.finish.snake = weights_at(&p->t->model, op->params);
        m.finish.snake_channels = m.channels;
    }
    return m;
}

static void run_affine(const struct play *p, const struct format_op *op) {
    struct map_args m = map_args(p, op);
    const float *params = op->params == FORMAT_NONE ? 0 : weights_at(&p->t->model, op->params);
    m.scale = op->attr_a == FORMAT_NONE ? params : attribute_values(p->t, op->attr_a);
    m.bias = op->attr_b == FORMAT_NONE ? params + m.channels : attribute_values(p->t, op->attr_b);
    p->t->kernels->affine(&m);
}

#ifndef TUDOR_NO_RNN
static void run_rnn(const struct play *p, const struct format_op *op) {
    struct rnn_args a = {tudor_rows(p, op->in_a), tudor_rows(p, op->out), rows_of(p, op->out),
                         p->values[op->out].channels, weights_at(&p->t->model, op->weights), p->words + op->state};
    if (op->kind == OP_LSTM)
        p->t->kernels->lstm(&a);
    else
        p->t->kernels->gru(&a);
}
#endif

void tudor_run_op(const struct play *p, const struct format_op *op, uint32_t first_unit, uint32_t end_unit) {
    const struct tudor_kernels *k = p->t->kernels;
    if (op->kind == OP_CONV || op->kind == OP_DEPTHWISE) {
        run_conv(p, op, first_unit, end_unit);
        return;
    }
    const struct map_args m = map_args(p, op);
    switch (op->kind) {
    case OP_GUARD: tudor_guard(&m, &p->t->nonfinite); break;
    case OP_MAP:
    case OP_COPY: k->map(&m); break; /* a copy has the linear activation */
    case OP_GATED: k->gated(&m); break;
    case OP_ADD: k->add(&m); break;
    case OP_MUL: k->mul(&m); break;
    case OP_AFFINE: run_affine(p, op); break;
#ifndef TUDOR_NO_NOISE
    case OP_NOISE: tudor_noise_multiply(&m, op->seed, p->words + op->state); break;
    case OP_GAUSSIAN:
        tudor_latent_sample(&m, op->seed, *attribute_values(p->t, op->attr_a), p->words + op->state);
        break;
#endif
#ifndef TUDOR_NO_RNN
    case OP_LSTM:
    case OP_GRU: run_rnn(p, op); break;
#endif
    default: break;
    }
}
