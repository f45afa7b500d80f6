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

static void run_conv(const struct play *p, const struct format_op *op, uint32_t first_unit, uint32_t end_unit) {
    const struct format_value *in = &p->values[op->in_a], *out = &p->values[op->out];
    const struct conv_shape s = tudor_conv_shape(op, in->channels, out->channels);
    const struct rows x = tudor_rows(p, op->in_a), y = tudor_rows(p, op->out);
    const size_t span = (size_t)(op->kernel - 1) * op->dilation;
    struct conv_args a = {0};
    /* the window of the first frame ends at the newest row of its group of `stride` */
    const float *first = x.data + (ptrdiff_t)x.row * ((ptrdiff_t)op->stride - 1 - (ptrdiff_t)span);
    a.x_frame = x.row * op->stride;
    a.x_tap = x.row * op->dilation;
    a.taps = op->kernel;
    a.cin = s.cin;
    a.outputs = s.outputs;
    a.frames = rows_of(p, op->in_a) / op->stride;
    a.gate = op->gate;
    a.finish = (struct finish){op->act, op->act ? op->slope : 1.0f,
                               0, s.runs * s.outputs, optional_rows(p, op->pre), optional_rows(p, op->post)};
    const float *snake = op->act == ACT_SNAKE ? weights_at(&p->t->model, op->params) : 0;
    const struct finish finish = a.finish;
    if (end_unit > s.runs * s.panels) end_unit = s.runs * s.panels;
    for (uint32_t run = first_unit / s.panels; run * s.panels < end_unit; run++) {
        const uint32_t from = run * s.panels, group = run / op->phases, phase = run % op->phases;
        const uint32_t channel = s.runs == 1 ? 0 : phase * out->channels + group * s.outputs;
        a.first_panel = first_unit > from ? first_unit - from : 0;
        a.end_panel = end_unit - from < s.panels ? end_unit - from : s.panels;
        a.x = s.runs == 1 ? first : first + group * s.cin;
        a.y = (struct rows){y.data + channel, y.row * op->phases};
        a.packed = weights_at(&p->t->model, op->weights) + run * s.packed;
        a.finish.snake = snake ? snake + channel : 0;
        if (finish.pre.data) a.finish.pre.data = finish.pre.data + channel;
        if (finish.post.data) a.finish.post.data = finish.post.data + channel;
        if (op->kind == OP_DEPTHWISE)
            p->t->kernels->depthwise(&a);
        else
            p->t->kernels->conv(&a);
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
