/* tudor_process: streams one after the other, each through all ops of the method, whole or in slices. */
#include "fpenv.h"
#include "internal.h"

static struct play begin(tudor *t, int index, uint32_t frames, uint32_t stream) {
    const struct method_plan *plan = &t->plans[index];
    struct play p = {.t = t, .frames = frames};
    p.stream = stream;
    p.method = method_of(&t->model, (uint32_t)index);
    p.buffers = buffers_of(&t->model, p.method);
    p.values = values_of(&t->model, p.method);
    p.first_op = ops_of(&t->model, p.method);
    p.plans = t->buffers + plan->first_buffer;
    p.ops = t->ops + p.method->first_op;
    p.fast_state = t->fast + plan->fast_state + stream * plan->fast_state_bytes;
    p.bulk_state = t->bulk ? t->bulk + plan->bulk_state + stream * plan->bulk_state_bytes : 0;
    p.slots = (uint32_t *)(void *)p.fast_state;
    p.words = (float *)(void *)(p.fast_state + plan->words);
    if (tudor_is_forced(&t->forced, index))
        p.forced = t->forced.out + (size_t)stream * t->forced.rows * p.method->out_channels;
    return p;
}

/* Planar audio [channels][rows] into rows, and back. */
static void load(const struct play *p, const float *in) {
    const struct rows rows_in = tudor_rows(p, p->method->input_value);
    float *x = rows_in.data;
    const uint32_t channels = p->method->in_channels, rows = p->frames * (p->method->frame_samples / p->method->in_ratio);
    for (uint32_t c = 0; c < channels; c++, in += rows)
        for (uint32_t r = 0; r < rows; r++) x[r * rows_in.row + c] = in[r];
}

static void store(const struct play *p, float *out) {
    const struct rows rows_out = tudor_rows(p, p->method->output_value);
    const float *y = rows_out.data;
    const uint32_t channels = p->method->out_channels;
    const uint32_t rows = p->frames * (p->method->frame_samples / p->method->out_ratio);
    for (uint32_t c = 0; c < channels; c++, out += rows)
        for (uint32_t r = 0; r < rows; r++) out[r] = y[r * rows_out.row + c];
}

static size_t stream_floats(uint32_t samples, uint32_t channels, uint32_t ratio) {
    return (size_t)samples / ratio * channels;
}

int tudor_check_call(const tudor *t, int method, const float *in, const float *out, uint32_t samples) {
    if (!t || !in || !out) return TUDOR_ERROR_NULL_POINTER;
    if (method < 0 || (uint32_t)method >= t->methods) return TUDOR_ERROR_METHOD;
    const uint32_t frame = method_of(&t->model, (uint32_t)method)->frame_samples;
    if (samples == 0 || samples % frame || samples / frame > t->plans[method].max_frames) return TUDOR_ERROR_FRAMES;
    return 0;
}

/* A method's steps: 0 is loading, then its ops, the whole loop as one, then storing. */
static uint32_t last_step(const struct format_method *m) {
    return m->ops_count + 1 - (loop_ops(m) ? loop_ops(m) - 1 : 0);
}
static int is_loop(const struct format_method *m, uint32_t step) { return loop_ops(m) && step == m->loop_first + 1; }
static uint32_t op_of(const struct format_method *m, uint32_t step) {
    return loop_ops(m) && step > m->loop_first + 1 ? step - 2 + loop_ops(m) : step - 1;
}

int tudor_process(tudor *t, int method, const float *in, float *out, uint32_t samples) {
    const int error = tudor_check_call(t, method, in, out, samples);
    if (error) return error;
    if (t->busy_method >= 0) return TUDOR_ERROR_BUSY;
    if (tudor_forced_apart(&t->forced, method, samples)) return TUDOR_ERROR_FRAMES;
    const struct format_method *m = method_of(&t->model, (uint32_t)method);
    const uint32_t mode = fpenv_enter();
    for (uint32_t stream = 0; stream < t->streams; stream++) {
        const struct play p = begin(t, method, samples / m->frame_samples, stream);
        tudor_rings_begin(&p);
        load(&p, in + stream * stream_floats(samples, m->in_channels, m->in_ratio));
        for (uint32_t step = 1; step < last_step(m); step++)
            if (is_loop(m, step))
                tudor_run_loop(&p, (struct loop_place){0, 0}, (struct loop_place){p.frames * m->loop_rows, 0});
            else
                tudor_run_op(&p, &p.first_op[op_of(m, step)], 0, TUDOR_ALL_UNITS);
        store(&p, out + stream * stream_floats(samples, m->out_channels, m->out_ratio));
        tudor_rings_end(&p);
    }
    tudor_force_over(&t->forced, method);
    fpenv_leave(mode);
    return 0;
}

/* A block's work as one line of cost: per stream loading (step 0), the units of each op, storing (the last step). A unit
 * belongs to the slice in which it begins. The instance remembers where the last slice ended, so that a slice looks at
 * no more ops than it runs. */
#define LAST UINT64_MAX

struct share {
    uint64_t each, tail; /* cost of a unit; of one in the last panel, which may be narrower */
    uint32_t units, wide; /* all; those before the last panel */
};

static uint64_t end_cost(const struct play *p, uint32_t channels, uint32_t ratio) {
    return (uint64_t)channels * (p->method->frame_samples / ratio) * p->frames + 1;
}

static struct share whole(uint64_t cost) { return (struct share){.each = cost, .tail = 1, .units = 1, .wide = 1}; }

/* A convolution is cut into panels of outputs and groups of frames, a transform into its rows, others not at all. */
static struct share share_of(const struct play *p, uint32_t step) {
    const struct format_method *m = p->method;
    if (step == 0) return whole(end_cost(p, m->in_channels, m->in_ratio));
    if (step == last_step(m)) return whole(end_cost(p, m->out_channels, m->out_ratio));
    const struct format_op *op = &p->first_op[op_of(m, step)];
    const struct op_plan *o = &p->ops[op_of(m, step)];
    const uint64_t cost = (uint64_t)o->cost * p->frames;
#ifndef TUDOR_NO_SPECTRUM
    if (op->kind == OP_RESYNTH || op->kind == OP_SPECTRUM) {
        const uint32_t rows = p->frames * (op->kind == OP_RESYNTH ? o->rows / o->args.transform.hop : o->rows);
        const uint64_t each = tudor_quotient(cost, rows) + 1;
        return (struct share){.each = each, .tail = each, .units = rows, .wide = rows - 1};
    }
#endif
    if (!is_conv(op)) return whole(cost);
    const struct conv_args *a = &o->args.conv;
    const uint32_t parts = tudor_frame_parts(p->frames * o->rows);
    const uint64_t panels = (uint64_t)o->runs * a->end_panel, units = panels * parts;
    if (units - 1 >= (1u << 30) - 1) return whole(cost);
    const uint32_t rest = o->runs == 1 ? (a->outputs - 1) % TUDOR_PANEL_OUTPUTS + 1 : TUDOR_PANEL_OUTPUTS;
    const uint64_t outputs = (panels - 1) * TUDOR_PANEL_OUTPUTS + rest;
    const uint64_t line = tudor_quotient(cost, outputs * parts); /* one output of one group of frames */
    return (struct share){.each = line * TUDOR_PANEL_OUTPUTS + 1, .tail = line * rest + 1, .units = (uint32_t)units,
                          .wide = (uint32_t)units - parts};
}

static uint64_t cost_before(const struct share *s, uint32_t unit) {
    return unit <= s->wide ? s->each * unit : s->each * s->wide + s->tail * (unit - s->wide);
}

/* How many units begin before `high`. */
static uint32_t units_before(uint64_t high, const struct share *s, uint64_t at) {
    if (high == LAST) return s->units;
    if (high <= at) return 0;
    const uint64_t wide = s->each * s->wide, ahead = high - at;
    const int in_tail = ahead > wide;
    const uint64_t first = in_tail ? s->wide : 0, each = in_tail ? s->tail : s->each;
    const uint64_t end = first + tudor_quotient((in_tail ? ahead - wide : ahead) + each - 1, each);
    return end < s->units ? (uint32_t)end : s->units;
}

static void run_step(const struct play *p, uint32_t step, uint32_t first, uint32_t end, uint32_t units, const float *in,
                     float *out) {
    if (step == 0) {
        tudor_rings_begin(p);
        load(p, in);
    } else if (step == last_step(p->method)) {
        store(p, out);
        tudor_rings_end(p);
    } else {
        tudor_run_op(p, &p->first_op[op_of(p->method, step)], first, first == 0 && end == units ? TUDOR_ALL_UNITS : end);
    }
}

/* The same of a loop. Whether it is over. */
static int run_loop_until(const struct play *p, struct cursor *c, uint64_t high, int audio) {
#ifdef TUDOR_NO_LOOP
    return (void)p, (void)c, (void)high, (void)audio, 1;
#else
    const uint32_t rows = tudor_loop_rows(p);
    const struct loop_place from = {c->unit, c->row_unit};
    struct loop_place to = {rows, 0};
    uint64_t cost = 0;
    if (high == LAST)
        cost = tudor_loop_cost(p);
    else
        to = tudor_loop_before(p, high > c->at ? high - c->at : 0, &cost);
    if (to.row < from.row || (to.row == from.row && to.unit <= from.unit)) return 0;
    if (audio) tudor_run_loop(p, from, to);
    c->unit = to.row;
    c->row_unit = to.unit;
    c->spent = c->at + cost;
    if (to.row < rows) return 0;
    c->at += cost;
    return 1;
#endif
}

/* Goes on from where `c` stands to the cost `high`; runs what lies there if there is audio to run on. */
static void run_until(tudor *t, int method, const float *in, float *out, uint32_t samples, struct cursor *c,
                      uint64_t high) {
    const struct format_method *m = method_of(&t->model, (uint32_t)method);
    for (; c->stream < t->streams; c->stream++, c->step = 0) {
        const struct play p = begin(t, method, samples / m->frame_samples, c->stream);
        const float *const x = in ? in + c->stream * stream_floats(samples, m->in_channels, m->in_ratio) : 0;
        float *const y = out ? out + c->stream * stream_floats(samples, m->out_channels, m->out_ratio) : 0;
        if (in && c->step && t->streams > 1) tudor_rings_place(&p); /* another stream may have been there since */
        for (; c->step <= last_step(m); c->step++, c->unit = c->row_unit = 0) {
            if (is_loop(m, c->step)) {
                if (!run_loop_until(&p, c, high, in != 0)) return;
                continue;
            }
            const struct share s = share_of(&p, c->step);
            const uint32_t first = c->unit, end = units_before(high, &s, c->at);
            if (first < end) {
                if (in) run_step(&p, c->step, first, end, s.units, x, y);
                c->spent = c->at + cost_before(&s, end);
                c->unit = end;
            }
            if (c->unit < s.units) return;
            c->at += cost_before(&s, s.units);
        }
    }
}

/* Where a slice ends. */
static uint64_t end_of(uint64_t total, uint32_t slice, uint32_t slices) {
    return slice + 1 == slices ? LAST : (tudor_quotient(total, slices) + 1) * (slice + 1);
}

static uint64_t cost_of(tudor *t, int method, uint32_t samples) {
    struct cursor whole = {0, 0, 0, 0, 0, 0};
    run_until(t, method, 0, 0, samples, &whole, LAST);
    return whole.spent;
}

int tudor_process_slice(tudor *t, int method, const float *in, float *out, uint32_t samples, uint32_t slice,
                        uint32_t slices) {
    const int error = tudor_check_call(t, method, in, out, samples);
    if (error) return error;
    if (slices == 0 || slice >= slices) return TUDOR_ERROR_ARGUMENT;
    const int expected = t->busy_method < 0 ? slice == 0
                                            : t->busy_method == method && t->busy_samples == samples &&
                                                  t->busy_slices == slices && t->next_slice == slice;
    if (!expected) return TUDOR_ERROR_BUSY;
    if (tudor_forced_apart(&t->forced, method, samples)) return TUDOR_ERROR_FRAMES;
    struct method_plan *const plan = &t->plans[method];
    if (plan->sliced_samples != samples) { /* once: hosts play blocks of one size */
        plan->sliced_cost = cost_of(t, method, samples);
        plan->sliced_samples = samples;
    }
    if (slice == 0) t->at = (struct cursor){0, 0, 0, 0, 0, 0};
    const uint32_t mode = fpenv_enter();
    run_until(t, method, in, out, samples, &t->at, end_of(plan->sliced_cost, slice, slices));
    fpenv_leave(mode);
    t->busy_method = slice + 1 == slices ? -1 : method;
    if (t->busy_method < 0) tudor_force_over(&t->forced, method);
    t->busy_samples = samples;
    t->busy_slices = slices;
    t->next_slice = slice + 1;
    return 0;
}

int tudor_slice_costs(const tudor *t, int method, uint32_t samples, uint32_t slices, uint64_t *worst,
                      uint64_t *total) {
    static const float there = 0.0f;
    const int error = tudor_check_call(t, method, &there, &there, samples);
    if (error) return error;
    if (slices == 0 || !worst || !total) return TUDOR_ERROR_ARGUMENT;
    tudor *reader = (tudor *)(uintptr_t)t; /* nothing is run without audio */
    struct cursor c = {0, 0, 0, 0, 0, 0};
    *total = cost_of(reader, method, samples);
    *worst = 0;
    for (uint32_t slice = 0; slice < slices; slice++) {
        const uint64_t before = c.spent;
        run_until(reader, method, 0, 0, samples, &c, end_of(*total, slice, slices));
        if (c.spent - before > *worst) *worst = c.spent - before;
    }
    return 0;
}
