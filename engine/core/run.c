/* tudor_process: streams one after the other, each through all ops of the method, whole or in slices. */
#include "fpenv.h"
#include "internal.h"

static struct play begin(tudor *t, int index, uint32_t frames, uint32_t stream) {
    const struct method_plan *plan = &t->plans[index];
    struct play p = {.t = t, .frames = frames};
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

static int check_call(const tudor *t, int method, const float *in, const float *out, uint32_t samples) {
    if (!t || !in || !out) return TUDOR_ERROR_NULL_POINTER;
    if (method < 0 || (uint32_t)method >= t->methods) return TUDOR_ERROR_METHOD;
    const uint32_t frame = method_of(&t->model, (uint32_t)method)->frame_samples;
    if (samples == 0 || samples % frame || samples / frame > t->plans[method].max_frames) return TUDOR_ERROR_FRAMES;
    return 0;
}

int tudor_process(tudor *t, int method, const float *in, float *out, uint32_t samples) {
    const int error = check_call(t, method, in, out, samples);
    if (error) return error;
    if (t->busy_method >= 0) return TUDOR_ERROR_BUSY;
    const struct format_method *m = method_of(&t->model, (uint32_t)method);
    const struct format_op *ops = ops_of(&t->model, m);
    const uint32_t mode = fpenv_enter();
    for (uint32_t stream = 0; stream < t->batch; stream++) {
        const struct play p = begin(t, method, samples / m->frame_samples, stream);
        tudor_rings_begin(&p);
        load(&p, in + stream * stream_floats(samples, m->in_channels, m->in_ratio));
        for (uint32_t i = 0; i < m->ops_count; i++) tudor_run_op(&p, &ops[i], 0, TUDOR_ALL_UNITS);
        store(&p, out + stream * stream_floats(samples, m->out_channels, m->out_ratio));
        tudor_rings_end(&p);
    }
    fpenv_leave(mode);
    return 0;
}

/* A block's work as one line of cost: per stream loading, the units of each op, storing. A unit belongs to the slice
 * in which it begins. */
struct line {
    uint64_t at, low, high; /* cost so far; the slice's part */
    uint64_t spent;         /* cost of the slice's units */
};

/* Which of `units` equal parts, `cost` together, begin inside the slice. */
static void cut(struct line *l, uint64_t cost, uint32_t units, uint32_t *first, uint32_t *end) {
    const uint64_t each = cost / units ? cost / units : 1;
    const uint64_t from = l->low > l->at ? (l->low - l->at + each - 1) / each : 0;
    const uint64_t to = l->high > l->at ? (l->high - l->at + each - 1) / each : 0;
    *first = from < units ? (uint32_t)from : units;
    *end = to < units ? (uint32_t)to : units;
    if (*end < *first) *end = *first;
    l->at += each * units;
    l->spent += each * (*end - *first);
}

static uint64_t end_cost(const struct play *p, uint32_t channels, uint32_t ratio) {
    return (uint64_t)channels * (p->method->frame_samples / ratio) * p->frames + 1;
}

/* Walks one stream's line; runs what lies in the slice if there is audio to run on. */
static void walk(const struct play *p, struct line *l, const float *in, float *out) {
    const struct format_method *m = p->method;
    const struct format_op *ops = ops_of(&p->t->model, m);
    uint32_t first, end;
    cut(l, end_cost(p, m->in_channels, m->in_ratio), 1, &first, &end);
    if (first < end && in) {
        tudor_rings_begin(p);
        load(p, in);
    } else if (in) {
        tudor_rings_place(p); /* another stream may have been there since */
    }
    for (uint32_t i = 0; i < m->ops_count; i++) {
        const uint32_t units = tudor_op_units(&ops[i], p->values, p->buffers, p->frames);
        cut(l, tudor_op_cost(&ops[i], p->values, p->buffers) * p->frames, units ? units : 1, &first, &end);
        if (first < end && in) tudor_run_op(p, &ops[i], first, units ? end : TUDOR_ALL_UNITS);
    }
    cut(l, end_cost(p, m->out_channels, m->out_ratio), 1, &first, &end);
    if (first < end && out) {
        store(p, out);
        tudor_rings_end(p);
    }
}

static uint64_t walk_all(tudor *t, int method, const float *in, float *out, uint32_t samples, struct line *l) {
    const struct format_method *m = method_of(&t->model, (uint32_t)method);
    for (uint32_t stream = 0; stream < t->batch; stream++) {
        const struct play p = begin(t, method, samples / m->frame_samples, stream);
        walk(&p, l, in ? in + stream * stream_floats(samples, m->in_channels, m->in_ratio) : 0,
             out ? out + stream * stream_floats(samples, m->out_channels, m->out_ratio) : 0);
    }
    return l->at;
}

static struct line slice_of(uint64_t total, uint32_t slice, uint32_t slices) {
    struct line l = {0, total / slices * slice + total % slices * slice / slices, 0, 0};
    const uint32_t next = slice + 1;
    l.high = next == slices ? UINT64_MAX / 2 : total / slices * next + total % slices * next / slices;
    return l;
}

int tudor_process_slice(tudor *t, int method, const float *in, float *out, uint32_t samples, uint32_t slice,
                        uint32_t slices) {
    const int error = check_call(t, method, in, out, samples);
    if (error) return error;
    if (slices == 0 || slice >= slices) return TUDOR_ERROR_ARGUMENT;
    const int expected = t->busy_method < 0 ? slice == 0
                                            : t->busy_method == method && t->busy_samples == samples &&
                                                  t->busy_slices == slices && t->next_slice == slice;
    if (!expected) return TUDOR_ERROR_BUSY;
    const uint32_t mode = fpenv_enter();
    struct line whole = {0, 0, 0, 0};
    struct line part = slice_of(walk_all(t, method, 0, 0, samples, &whole), slice, slices);
    walk_all(t, method, in, out, samples, &part);
    fpenv_leave(mode);
    t->busy_method = slice + 1 == slices ? -1 : method;
    t->busy_samples = samples;
    t->busy_slices = slices;
    t->next_slice = slice + 1;
    return 0;
}

int tudor_slice_costs(const tudor *t, int method, uint32_t samples, uint32_t slices, uint64_t *worst,
                      uint64_t *total) {
    static const float there = 0.0f;
    const int error = check_call(t, method, &there, &there, samples);
    if (error) return error;
    if (slices == 0 || !worst || !total) return TUDOR_ERROR_ARGUMENT;
    struct line whole = {0, 0, 0, 0};
    tudor *reader = (tudor *)(uintptr_t)t; /* nothing is run without audio */
    *total = walk_all(reader, method, 0, 0, samples, &whole);
    *worst = 0;
    for (uint32_t slice = 0; slice < slices; slice++) {
        struct line part = slice_of(*total, slice, slices);
        walk_all(reader, method, 0, 0, samples, &part);
        if (part.spent > *worst) *worst = part.spent;
    }
    return 0;
}
