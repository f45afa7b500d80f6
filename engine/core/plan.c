/* How much memory an instance takes, and laying it out. */
#include "internal.h"

#include <string.h>

#define BATCH_MAX 4096u
#define LIMIT ((uint64_t)1 << 46) /* far above any real model: sums below it cannot overflow 64 bits */

struct layout {
    uint64_t fast, bulk;
    int too_large;
};

static uint64_t round64(uint64_t bytes) { return (bytes + 63) & ~(uint64_t)63; }

/* Takes `bytes` from a region and returns where they begin. */
static uint64_t take(uint64_t *region, uint64_t bytes, int *too_large) {
    const uint64_t at = *region;
    if (bytes > LIMIT || at > LIMIT) {
        *too_large = 1;
        return 0;
    }
    *region = round64(at + bytes);
    return at;
}

static struct buffer_plan plan_ring(const struct format_buffer *b, uint64_t block_rows, struct layout *state) {
    struct buffer_plan plan = {0, 0, 0, 0};
    const uint64_t history = b->history;
    uint64_t capacity = history + block_rows;
    if (history > block_rows) capacity *= 2;
    if (capacity >= (uint64_t)1 << 30) {
        state->too_large = 1;
        return plan;
    }
    plan.capacity_rows = (uint32_t)capacity;
    plan.period = history > block_rows ? (uint32_t)(capacity / 2) : 0;
    const uint64_t bytes = capacity * b->row_stride * number_bytes(b);
    plan.offset = (size_t)take(b->bulk ? &state->bulk : &state->fast, bytes, &state->too_large);
    return plan;
}

/* Lays out one method's state for one stream; writes the plans when they are given. */
static void plan_method(const tudor_model *model, const struct format_method *m, uint32_t max_samples,
                        struct method_plan *plan, struct buffer_plan *plans, struct layout *state) {
    const struct format_buffer *buffers = buffers_of(model, m);
    const uint64_t frames = ((uint64_t)max_samples + m->frame_samples - 1) / m->frame_samples;
#ifndef TUDOR_NO_LOOP
    if (frames * m->loop_rows >= (uint64_t)1 << 30) state->too_large = 1;
#endif
    take(&state->fast, (uint64_t)m->buffers_count * sizeof(uint32_t), &state->too_large);
    plan->words = (size_t)take(&state->fast, (uint64_t)m->state_words * sizeof(float), &state->too_large);
    plan->max_frames = (uint32_t)frames;
    for (uint32_t b = 0; b < m->buffers_count; b++) {
        struct buffer_plan ring = {0, 0, 0, 0};
        const uint64_t block_rows = frames * buffers[b].rows;
        if (block_rows >= (uint64_t)1 << 30) state->too_large = 1;
        if (buffers[b].history && !state->too_large) ring = plan_ring(&buffers[b], block_rows, state);
        if (plans) plans[b] = ring;
    }
    plan->fast_state_bytes = (size_t)state->fast;
    plan->bulk_state_bytes = (size_t)state->bulk;
}

static uint64_t attribute_floats(const tudor_model *model) {
    uint64_t floats = 0;
    for (uint32_t i = 0; i < header_of(model)->attributes_count; i++) floats += attribute_of(model, i)->count;
    return floats;
}

/* The whole instance. With t == NULL it only measures. */
static int lay_out(const tudor_model *model, uint32_t batch, uint32_t max_samples, tudor *t, struct layout *total,
                   tudor_sizes *sizes) {
    const struct format_header *h = header_of(model);
    struct method_plan scratch_plan, *plans = 0;
    struct layout all = {0, 0, 0};
    take(&all.fast, sizeof(struct tudor), &all.too_large);
    const uint64_t plans_at = take(&all.fast, (uint64_t)h->methods_count * sizeof *plans, &all.too_large);
    const uint64_t buffers_at =
        take(&all.fast, (uint64_t)h->buffers_count * sizeof(struct buffer_plan), &all.too_large);
    const uint64_t ops_at = take(&all.fast, (uint64_t)h->ops_count * sizeof(struct op_plan), &all.too_large);
    const uint64_t attributes_at = take(&all.fast, attribute_floats(model) * batch * sizeof(float), &all.too_large);
    const uint64_t state_at = all.fast;
    if (t) {
        t->plans = plans = (struct method_plan *)(void *)(t->fast + plans_at);
        t->buffers = (struct buffer_plan *)(void *)(t->fast + buffers_at);
        t->ops = (struct op_plan *)(void *)(t->fast + ops_at);
        t->attributes = (float *)(void *)(t->fast + attributes_at);
        t->attribute_floats = (size_t)attribute_floats(model);
    }
    uint64_t arena_bytes = 0;
    for (uint32_t i = 0; i < h->methods_count && !all.too_large; i++) {
        const struct format_method *m = method_of(model, i);
        struct method_plan *plan = t ? &plans[i] : &scratch_plan;
        struct layout state = {0, 0, 0};
        plan_method(model, m, max_samples, plan, t ? t->buffers + m->first_buffer : 0, &state);
        plan->first_buffer = m->first_buffer;
        all.too_large |= state.too_large;
        plan->fast_state = (size_t)take(&all.fast, state.fast * batch, &all.too_large);
        plan->bulk_state = (size_t)take(&all.bulk, state.bulk * batch, &all.too_large);
        const uint64_t need = (uint64_t)plan->max_frames * m->arena_bytes;
        if (need > arena_bytes) arena_bytes = need;
    }
    const uint64_t state_end = all.fast;
    const uint64_t arena_at = take(&all.fast, arena_bytes, &all.too_large);
    take(&all.fast, 64, &all.too_large); /* a vector load at the last number stays inside */
    const uint64_t bulk_bytes = all.bulk;
    if (all.bulk) take(&all.bulk, 64, &all.too_large);
    if (all.too_large || all.fast > SIZE_MAX / 2 || all.bulk > SIZE_MAX / 2) return TUDOR_ERROR_TOO_LARGE;
    if (t) {
        t->fast_state = (size_t)state_at;
        t->fast_state_bytes = (size_t)(state_end - state_at);
        t->bulk_state_bytes = (size_t)bulk_bytes;
        t->arena = (size_t)arena_at;
    }
    *total = all;
    *sizes = (tudor_sizes){(size_t)all.fast, (size_t)all.bulk, (size_t)(state_end - state_at + bulk_bytes)};
    return 0;
}

int tudor_measure(const tudor_model *model, uint32_t batch, uint32_t max_samples, tudor_sizes *sizes) {
    struct layout total;
    if (!model || !sizes) return TUDOR_ERROR_NULL_POINTER;
    if (batch == 0 || batch > BATCH_MAX || max_samples == 0 || max_samples >= 1u << 30) return TUDOR_ERROR_ARGUMENT;
    return lay_out(model, batch, max_samples, 0, &total, sizes);
}

static void set_defaults(tudor *t) {
    float *at = t->attributes;
    for (uint32_t stream = 0; stream < t->batch; stream++)
        for (uint32_t i = 0; i < header_of(&t->model)->attributes_count; i++) {
            const struct format_attribute *a = attribute_of(&t->model, i);
            memcpy(at, weights_at(&t->model, a->defaults), a->count * sizeof *at);
            at += a->count;
        }
}

int tudor_init(const tudor_model *model, uint32_t batch, uint32_t max_samples, void *fast, size_t fast_bytes,
               void *bulk, size_t bulk_bytes, tudor **instance) {
    tudor_sizes need;
    struct layout total;
    if (!model || !instance || !fast) return TUDOR_ERROR_NULL_POINTER;
    const int error = tudor_measure(model, batch, max_samples, &need);
    if (error) return error;
    if (need.bulk_bytes && !bulk) return TUDOR_ERROR_NULL_POINTER;
    if (fast_bytes < need.fast_bytes || bulk_bytes < need.bulk_bytes) return TUDOR_ERROR_ARGUMENT;
    if ((uintptr_t)fast % 64 || (uintptr_t)bulk % 64) return TUDOR_ERROR_ALIGNMENT;
    memset(fast, 0, need.fast_bytes);
    if (need.bulk_bytes) memset(bulk, 0, need.bulk_bytes);
    tudor *t = fast;
    t->model = *model;
    t->batch = t->streams = batch;
    t->methods = header_of(model)->methods_count;
    t->fast = fast;
    t->bulk = bulk;
    t->busy_method = -1;
    t->kernels = tudor_best_kernels();
    lay_out(model, batch, max_samples, t, &total, &need);
    set_defaults(t);
    tudor_plan_ops(t, 0, 0);
    for (uint32_t i = 0; i < t->methods; i++) tudor_put_start(t, i);
    *instance = t;
    return 0;
}

int tudor_reset_method(tudor *t, int method) {
    if (!t) return TUDOR_ERROR_NULL_POINTER;
    if (method < 0 || (uint32_t)method >= t->methods) return TUDOR_ERROR_METHOD;
    const struct method_plan *plan = &t->plans[method];
    memset(t->fast + plan->fast_state, 0, plan->fast_state_bytes * t->batch);
    if (plan->bulk_state_bytes) memset(t->bulk + plan->bulk_state, 0, plan->bulk_state_bytes * t->batch);
    tudor_put_start(t, (uint32_t)method);
    if (t->busy_method == method) t->busy_method = -1;
    tudor_force_over(&t->forced, method);
    return 0;
}

int tudor_reset(tudor *t) {
    if (!t) return TUDOR_ERROR_NULL_POINTER;
    for (uint32_t i = 0; i < t->methods; i++) tudor_reset_method(t, (int)i);
    return 0;
}

int tudor_use_streams(tudor *t, uint32_t streams) {
    if (!t) return TUDOR_ERROR_NULL_POINTER;
    if (t->busy_method >= 0) return TUDOR_ERROR_BUSY;
    if (streams == 0 || streams > t->batch) return TUDOR_ERROR_ARGUMENT;
    t->streams = streams;
    for (uint32_t i = 0; i < t->methods; i++) t->plans[i].sliced_samples = 0; /* a block costs something else */
    return 0;
}

int tudor_save_state(const tudor *t, void *to, size_t bytes) {
    if (!t || !to) return TUDOR_ERROR_NULL_POINTER;
    if (t->busy_method >= 0) return TUDOR_ERROR_BUSY;
    if (bytes != t->fast_state_bytes + t->bulk_state_bytes) return TUDOR_ERROR_ARGUMENT;
    memcpy(to, t->fast + t->fast_state, t->fast_state_bytes);
    if (t->bulk_state_bytes) memcpy((char *)to + t->fast_state_bytes, t->bulk, t->bulk_state_bytes);
    return 0;
}

static int slots_are_sound(const tudor *t, const char *state, uint32_t method) {
    const struct format_method *m = method_of(&t->model, method);
    const struct method_plan *plan = &t->plans[method];
    for (uint32_t stream = 0; stream < t->batch; stream++)
        for (uint32_t b = 0; b < m->buffers_count; b++) {
            const struct buffer_plan *ring = &t->buffers[plan->first_buffer + b];
            uint32_t slot;
            memcpy(&slot, state + stream * plan->fast_state_bytes + b * sizeof slot, sizeof slot);
            const uint32_t history = buffers_of(&t->model, m)[b].history;
            const uint32_t most = ring->period ? ring->period - 1 : ring->capacity_rows - history;
            if (slot > most) return 0;
        }
    return 1;
}

int tudor_load_state(tudor *t, const void *from, size_t bytes) {
    if (!t || !from) return TUDOR_ERROR_NULL_POINTER;
    if (bytes != t->fast_state_bytes + t->bulk_state_bytes) return TUDOR_ERROR_ARGUMENT;
    for (uint32_t i = 0; i < t->methods; i++) /* where each method's rings stand must be a place inside them */
        if (!slots_are_sound(t, (const char *)from + (t->plans[i].fast_state - t->fast_state), i))
            return TUDOR_ERROR_STATE;
    memcpy(t->fast + t->fast_state, from, t->fast_state_bytes);
    if (t->bulk_state_bytes) memcpy(t->bulk, (const char *)from + t->fast_state_bytes, t->bulk_state_bytes);
    if (t->busy_method >= 0) tudor_force_over(&t->forced, t->busy_method);
    t->busy_method = -1;
    return 0;
}
