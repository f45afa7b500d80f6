/* One op of one stream's block: finds its rows and hands them to the kernels. */
#include "internal.h"
#include "random.h"

#include <string.h>

static void *at(const struct play *p, struct place place) {
    char *const first = p->plans[place.buffer].base + place.offset;
#ifdef TUDOR_NO_LOOP
    return first;
#else
    return first + (size_t)p->step * place.step;
#endif
}
static void *optional_at(const struct play *p, struct place place) {
    return place.buffer == FORMAT_NONE ? 0 : at(p, place);
}

/* Rows in and out of an op's arguments, of whatever kind these are. */
#define PLACE(args, p, o) ((args)->x.data = at(p, (o)->x), (args)->y.data = at(p, (o)->y))

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
    a.packed = (const char *)a.packed + run * (size_t)c->shape.packed_bytes;
    const size_t x_numbers = (c->shape.runs == 1 ? 0 : (size_t)group * c->shape.cin) + first_frame * a.x_frame;
    a.x = (const char *)a.x + x_numbers * (a.dtype >= FORMAT_DTYPE_INT8 ? sizeof(int16_t) : sizeof(float));
    skip(&a.side, first_frame, 0);
    skip(&a.y, first_frame, channel);
    skip(&a.finish.pre, first_frame, channel);
    skip(&a.finish.post, first_frame, channel);
    if (a.finish.snake) a.finish.snake += channel;
    c->kernel(&a);
}

static void (*conv_kernel(const struct tudor_kernels *k, const struct format_op *op))(const struct conv_args *) {
#ifndef TUDOR_NO_INT
    if (op->dtype >= FORMAT_DTYPE_INT8) return op->kind == OP_CONV ? k->int_conv : k->int_depthwise;
#endif
    return op->kind == OP_CONV ? k->conv : k->depthwise;
}

/* The values that an attribute has in the stream that is played. */
static const float *values_of_attribute(const struct play *p, uint32_t attribute) {
    return tudor_attribute_values(p->t, p->stream, attribute);
}

#ifndef TUDOR_NO_CONTROL
/* Whether an attribute says that nothing depends on what comes out. */
static int is_left_out(const struct play *p, const struct format_op *op) {
    return op->attr_a != FORMAT_NONE && !(*values_of_attribute(p, op->attr_a) > (float)op->seed);
}
#endif

static void run_conv(const struct play *p, const struct format_op *op, struct op_plan *o, uint32_t first_unit,
                     uint32_t end_unit) {
    struct conv_args *a = &o->args.conv;
    void (*kernel)(const struct conv_args *) = conv_kernel(p->t->kernels, op);
    a->frames = p->frames * o->rows;
    a->x = at(p, o->x);
    a->y.data = at(p, o->y);
#ifndef TUDOR_NO_CONTROL
    if (is_left_out(p, op)) {
        put_zeros(&a->y, a->frames, p->values[op->out].channels);
        return;
    }
#endif
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
    for (uint32_t unit = first_unit; unit < end_unit;) { /* all units of a panel at once */
        const uint32_t panel = unit / parts % c.shape.panels, run = unit / parts / c.shape.panels;
        const uint32_t part = unit % parts, rest = parts - part;
        const uint32_t count = end_unit - unit < rest ? end_unit - unit : rest;
        const uint32_t from = part * TUDOR_UNIT_FRAMES;
        conv_part(&c, run, panel, panel + 1, from, count == rest ? a->frames - from : count * TUDOR_UNIT_FRAMES);
        unit += count;
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

#ifndef TUDOR_NO_NORM
static void run_norm(const struct play *p, struct op_plan *o) {
    struct norm_args *a = &o->args.norm;
    a->rows = p->frames * o->rows;
    PLACE(a, p, o);
    p->t->kernels->norm(a);
}
#endif

#ifndef TUDOR_NO_ATTENTION
static void run_attention(const struct play *p, const struct format_op *op, struct op_plan *o) {
    struct attention_args *a = &o->args.attention;
    a->rows = p->frames * o->rows;
    PLACE(a, p, o);
    a->state = p->words + op->state;
    p->t->kernels->attention(a);
}
#endif

#ifndef TUDOR_NO_TONES
static void run_pitch_track(const struct play *p, const struct format_op *op, struct op_plan *o) {
    struct pitch_args *a = &o->args.pitch;
    a->rows = p->frames * o->rows;
    PLACE(a, p, o);
    a->state = p->words + op->state;
    p->t->kernels->pitch_track(a);
}

static void run_harmonics(const struct play *p, const struct format_op *op, struct op_plan *o) {
    struct tone_args *a = &o->args.tone;
    a->rows = p->frames * (o->rows / a->hop);
    PLACE(a, p, o);
    a->state = p->words + op->state;
    p->t->kernels->harmonics(a);
}
#endif

static struct map_args *place_map(const struct play *p, struct op_plan *o) {
    struct map_args *a = &o->args.map;
    a->rows = p->frames * o->rows;
    PLACE(a, p, o);
    a->b.data = optional_at(p, o->b);
    return a;
}

/* half: columns from a to b of a gated one, else 0. */
static void run_rows(const struct play *p, struct op_plan *o, void (*kernel)(const struct map_args *), uint32_t half) {
    const struct map_args *a = place_map(p, o);
#ifndef TUDOR_NO_INT
    if (a->x.scale != 0.0f || a->b.scale != 0.0f || a->y.scale != 0.0f) {
        p->t->kernels->mixed(a, kernel, half, 0);
        return;
    }
#endif
    (void)half;
    kernel(a);
}

static void run_affine(const struct play *p, const struct format_op *op, struct op_plan *o) {
    struct map_args *a = &o->args.map;
    if (op->attr_a != FORMAT_NONE) a->scale = values_of_attribute(p, op->attr_a);
    if (op->attr_b != FORMAT_NONE) a->bias = values_of_attribute(p, op->attr_b);
    run_rows(p, o, p->t->kernels->affine, 0);
}

#ifndef TUDOR_NO_CONTROL
static void run_control(const struct play *p, const struct format_op *op, struct op_plan *o) {
    const struct map_args *a = place_map(p, o);
    const float *values = values_of_attribute(p, op->attr_a);
    float *y = a->y.data;
    for (uint32_t r = 0; r < a->rows; r++, y += a->y.row) memcpy(y, values, a->channels * sizeof *y);
}
#endif

#ifndef TUDOR_NO_NOISE
static uint32_t key_of(const struct play *p, const struct format_op *op) {
    return noise_key(p->stream, op->attr_seed ? *values_of_attribute(p, op->attr_seed - 1) : 0.0f);
}

static struct draw_args draw_of(const struct play *p, const struct format_op *op) {
    struct draw_args d = {.kernels = p->t->kernels, .limit = op->slope, .words = p->words + op->state, .top_p = 1.0f};
    d.seed = op->seed;
    d.key = key_of(p, op);
    d.each = p->values[op->in_a].channels / p->values[op->out].channels;
    d.temperature = *values_of_attribute(p, op->attr_a);
    if (op->kind == OP_CATEGORICAL) d.top_p = *values_of_attribute(p, op->attr_b);
    return d;
}

static void run_draw(const struct play *p, const struct format_op *op, struct op_plan *o) {
    const struct forced *f = &p->t->forced;
    const int forced = p->forced && op == p->first_op + f->draw;
    if (!forced || f->drawn) {
        const struct draw_args d = draw_of(p, op);
        (op->kind == OP_CATEGORICAL ? tudor_categorical : tudor_logistic_mixture)(place_map(p, o), &d);
    }
#ifndef TUDOR_NO_FORCE
    if (forced) tudor_forced_draw(p, op, place_map(p, o));
#endif
}
#endif

#ifndef TUDOR_NO_SPECTRUM
/* Its units are rows of the spectrum. */
static void run_transform(const struct play *p, const struct format_op *op, struct op_plan *o, uint32_t first, uint32_t end) {
    struct transform_args *a = &o->args.transform;
    const uint32_t in = op->kind == OP_RESYNTH ? 1 : a->hop, out = op->kind == OP_RESYNTH ? a->hop : 1; /* of a unit */
    PLACE(a, p, o);
    a->state = p->words + op->state;
    a->key = key_of(p, op);
    skip(&a->x, first * in, 0);
    skip(&a->y, first * out, 0);
    a->rows = (end == TUDOR_ALL_UNITS ? p->frames * (o->rows / out) : end) - first;
    (op->kind == OP_RESYNTH ? tudor_resynth : tudor_spectrum)(a, p->t->kernels);
}
#endif

static void run_two(const struct play *p, const struct format_op *op, struct op_plan *o,
                    void (*kernel)(const struct map_args *)) {
#ifndef TUDOR_NO_FORCE
    if (tudor_opens_gate(p, op)) kernel = p->t->kernels->map; /* linear: the first operand as it is */
#endif
    (void)op;
    run_rows(p, o, kernel, 0);
}

void tudor_run_op(const struct play *p, const struct format_op *op, uint32_t first_unit, uint32_t end_unit) {
    const struct tudor_kernels *k = p->t->kernels;
    struct op_plan *o = &p->ops[op - p->first_op];
    switch (op->kind) {
    case OP_CONV: case OP_DEPTHWISE: run_conv(p, op, o, first_unit, end_unit); break;
    case OP_GUARD: tudor_guard(place_map(p, o), &p->t->nonfinite); break;
    case OP_MAP:
    case OP_COPY: /* copies have the linear activation */
    case OP_QUANTISE: case OP_DEQUANTISE: run_rows(p, o, k->map, 0); break;
    case OP_GATED: run_rows(p, o, k->gated, o->args.map.channels); break;
    case OP_ADD: run_two(p, op, o, k->add); break;
    case OP_MUL: run_two(p, op, o, k->mul); break;
    case OP_AFFINE: run_affine(p, op, o); break;
#ifndef TUDOR_NO_LOOP
    case OP_FRACTIONAL_DELAY:
        tudor_fractional_delay(place_map(p, o), op->phases, op->kernel + op->seed - 2, op->seed);
        break;
#endif
#ifndef TUDOR_NO_CONTROL
    case OP_CONTROL: run_control(p, op, o); break;
    case OP_NOTE: tudor_note(place_map(p, o), (float)op->kernel, p->words + op->state); break;
#endif
#ifndef TUDOR_NO_ATTENTION
    case OP_ATTENTION: run_attention(p, op, o); break;
#endif
#ifndef TUDOR_NO_TONES
    case OP_PITCH_TRACK: run_pitch_track(p, op, o); break;
    case OP_HARMONICS: run_harmonics(p, op, o); break;
#endif
#ifndef TUDOR_NO_SPECTRUM
    case OP_SPECTRUM: case OP_RESYNTH: run_transform(p, op, o, first_unit, end_unit); break;
#endif
#ifndef TUDOR_NO_NORM
    case OP_NORM: run_norm(p, o); break;
#endif
#ifndef TUDOR_NO_NOISE
    case OP_CATEGORICAL:
    case OP_LOGISTIC_MIXTURE: run_draw(p, op, o); break;
    case OP_EMBED:
        tudor_embed(place_map(p, o), o->args.map.scale,
                    op->weights_bytes / ((uint32_t)sizeof(float) * o->args.map.channels));
        break;
    case OP_NOISE: tudor_noise_multiply(place_map(p, o), op->seed, key_of(p, op), p->words + op->state); break;
    case OP_GAUSSIAN:
        tudor_latent_sample(place_map(p, o), op->seed, key_of(p, op), *values_of_attribute(p, op->attr_a),
                            p->words + op->state);
        break;
    case OP_KEYED_NOISE: tudor_keyed_noise(place_map(p, o), op->seed, key_of(p, op)); break;
#endif
#ifndef TUDOR_NO_RNN
    case OP_LSTM: case OP_GRU: run_rnn(p, op, o); break;
#endif
    default: break;
    }
}
