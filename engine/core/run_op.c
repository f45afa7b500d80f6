/* One op of one stream's block: finds its rows and hands them to the kernels. */
#include "internal.h"

static float *at(const struct play *p, struct place place) { return p->plans[place.buffer].base + place.offset; }
static float *optional_at(const struct play *p, struct place place) {
    return place.buffer == FORMAT_NONE ? 0 : at(p, place);
}

static void skip_rows(struct rows *rows, uint32_t count) {
    if (rows->data) rows->data += (size_t)count * rows->row;
}

/* A convolution that is cut: into runs, and for slices into units. */
struct cut_conv {
    const struct conv_args *whole;
    struct conv_shape shape;
    uint32_t out_channels, phases;
    void (*kernel)(const struct conv_args *);
};

/* Some panels of one run, some frames. */
static void conv_part(const struct cut_conv *c, uint32_t run, uint32_t first_panel, uint32_t end_panel,
                      uint32_t first_frame, uint32_t frames) {
    struct conv_args a = *c->whole;
    const uint32_t group = run / c->phases, phase = run % c->phases;
    const uint32_t channel = c->shape.runs == 1 ? 0 : phase * c->out_channels + group * c->shape.outputs;
    a.first_panel = first_panel;
    a.end_panel = end_panel;
    a.frames = frames;
    a.packed += run * c->shape.packed;
    a.x += (c->shape.runs == 1 ? 0 : (size_t)group * c->shape.cin) + first_frame * a.x_frame;
    a.y.data += channel;
    if (a.finish.pre.data) a.finish.pre.data += channel;
    if (a.finish.post.data) a.finish.post.data += channel;
    skip_rows(&a.side, first_frame);
    skip_rows(&a.y, first_frame);
    skip_rows(&a.finish.pre, first_frame);
    skip_rows(&a.finish.post, first_frame);
    if (a.finish.snake) a.finish.snake += channel;
    c->kernel(&a);
}

static void run_conv(const struct play *p, const struct format_op *op, struct op_plan *o, uint32_t first_unit,
                     uint32_t end_unit) {
    struct conv_args *a = &o->args.conv;
    void (*kernel)(const struct conv_args *) = op->kind == OP_CONV ? p->t->kernels->conv : p->t->kernels->depthwise;
    a->frames = p->frames * o->rows;
    a->x = at(p, o->x);
    a->y.data = at(p, o->y);
    a->side.data = optional_at(p, o->b);
    a->finish.pre.data = optional_at(p, o->pre);
    a->finish.post.data = optional_at(p, o->post);
    const int all = end_unit == TUDOR_ALL_UNITS;
    if (all && o->runs == 1) {
        kernel(a);
        return;
    }
    const struct cut_conv c = {a, tudor_conv_shape(op, p->values), p->values[op->out].channels, op->phases, kernel};
    if (all) {
        for (uint32_t run = 0; run < c.shape.runs; run++) conv_part(&c, run, 0, c.shape.panels, 0, a->frames);
        return;
    }
    const uint32_t parts = tudor_frame_parts(a->frames);
    for (uint32_t unit = first_unit; unit < end_unit; unit++) {
        const uint32_t panel = unit / parts % c.shape.panels, run = unit / parts / c.shape.panels;
        const uint32_t from = unit % parts * TUDOR_UNIT_FRAMES, left = a->frames - from;
        conv_part(&c, run, panel, panel + 1, from, left < TUDOR_UNIT_FRAMES ? left : TUDOR_UNIT_FRAMES);
    }
}

#ifndef TUDOR_NO_RNN
static void run_rnn(const struct play *p, const struct format_op *op, struct op_plan *o) {
    struct rnn_args *a = &o->args.rnn;
    a->rows = p->frames * o->rows;
    a->gates.data = at(p, o->x);
    a->y.data = at(p, o->y);
    a->state = p->words + op->state;
    if (op->kind == OP_LSTM)
        p->t->kernels->lstm(a);
    else
        p->t->kernels->gru(a);
}
#endif

static struct map_args *place_map(const struct play *p, struct op_plan *o) {
    struct map_args *a = &o->args.map;
    a->rows = p->frames * o->rows;
    a->x.data = at(p, o->x);
    a->y.data = at(p, o->y);
    a->b.data = optional_at(p, o->b);
    return a;
}

void tudor_run_op(const struct play *p, const struct format_op *op, uint32_t first_unit, uint32_t end_unit) {
    const struct tudor_kernels *k = p->t->kernels;
    struct op_plan *o = &p->ops[op - p->first_op];
    switch (op->kind) {
    case OP_CONV:
    case OP_DEPTHWISE: run_conv(p, op, o, first_unit, end_unit); break;
    case OP_GUARD: tudor_guard(place_map(p, o), &p->t->nonfinite); break;
    case OP_MAP:
    case OP_COPY: k->map(place_map(p, o)); break; /* a copy has the linear activation */
    case OP_GATED: k->gated(place_map(p, o)); break;
    case OP_ADD: k->add(place_map(p, o)); break;
    case OP_MUL: k->mul(place_map(p, o)); break;
    case OP_AFFINE: k->affine(place_map(p, o)); break;
#ifndef TUDOR_NO_NOISE
    case OP_NOISE: tudor_noise_multiply(place_map(p, o), op->seed, p->words + op->state); break;
    case OP_GAUSSIAN:
        tudor_latent_sample(place_map(p, o), op->seed, *tudor_attribute_values(p->t, op->attr_a), p->words + op->state);
        break;
#endif
#ifndef TUDOR_NO_RNN
    case OP_LSTM:
    case OP_GRU: run_rnn(p, op, o); break;
#endif
    default: break;
    }
}
