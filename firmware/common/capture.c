/* A sound's code, found beside the audio thread; see capture.h. */
#include "capture.h"

#include "instrument.h"

enum { IDLE, HEARS, HEARD, FOUND };

struct capture {
    struct player *player;
    tudor *t;
    int method;
    uint32_t window, need, count; /* samples of the model, of the board, and how many of these were heard */
    uint32_t channels, codes;
    float *heard, *sound, *code;  /* [need], [channels][window], [codes] */
    struct resampler r;
    _Atomic uint32_t state;
};

/* The method that finds a code as long as that of the loops; -1: there is none. */
static int embedding(const struct player *p, tudor_method_info *info) {
    const int method = tudor_find_role(&p->model, TUDOR_ROLE_EMBED);
    if (p->way != MODULE_SOURCE || !p->subject.loops || tudor_method(&p->model, method, info)) return -1;
    return info->in_ratio == 1 && info->in_channels <= MODULE_CHANNELS && info->out_channels == p->free_count &&
                   info->out_ratio == info->frame_samples
               ? method
               : -1;
}

/* 0: it cannot be had. The rest of the memory is the instance's. */
static int lay_capture(struct capture *c, struct player *p, const module_config *config, struct region *r, tudor_sizes *sizes) {
    tudor_method_info info;
    float *table = 0;
    c->player = p;
    c->method = embedding(p, &info);
    if (c->method < 0 || tudor_measure(&p->model, 1, info.frame_samples, sizes)) return 0;
    c->window = info.frame_samples;
    c->channels = info.in_channels;
    c->codes = info.out_channels;
    c->need = (uint32_t)(((uint64_t)c->window * p->down + p->up - 1) / p->up);
    if (p->up != p->down) {
        const uint32_t quality = config->resample_taps;
        c->r = (struct resampler){.up = p->up, .down = p->down, .taps = (uint32_t)resampler_taps(p->up, p->down, quality)};
        c->r.history = take(r, 2 * (size_t)c->r.taps * sizeof(float));
        c->r.table = table = take(r, (size_t)c->r.taps * p->up * sizeof(float));
        c->need += c->r.taps / 2; /* the filter's delay */
        if (r->base) resampler_design(table, p->up, p->down, quality);
    }
    c->heard = take(r, c->need * sizeof(float));
    c->sound = take(r, (size_t)c->window * c->channels * sizeof(float));
    c->code = take(r, c->codes * sizeof(float));
    return 1;
}

static struct player *loaded(const tudor_module *m, uint32_t slot) {
    return m && slot < MODULE_SLOTS ? m->slots[slot].player : 0;
}

size_t capture_bytes(const tudor_module *m, uint32_t slot) {
    struct region r = {0, 0};
    struct capture c;
    tudor_sizes sizes;
    struct player *const p = loaded(m, slot);
    memset(&c, 0, sizeof c);
    (void)take(&r, sizeof c);
    if (!p || !lay_capture(&c, p, &m->config, &r, &sizes)) return 0;
    (void)take(&r, sizes.fast_bytes);
    (void)take(&r, sizes.bulk_bytes);
    return r.used;
}

int capture_open(tudor_module *m, uint32_t slot, void *memory, size_t bytes) {
    const size_t need = capture_bytes(m, slot);
    tudor_sizes sizes;
    if (!need || !memory) return MODULE_ERROR_ARGUMENT;
    if (bytes < need || ((uintptr_t)memory & 63) != 0) return MODULE_ERROR_MEMORY;
    memset(memory, 0, need);
    struct region r = {memory, 0};
    struct capture *const c = take(&r, sizeof *c);
    if (!lay_capture(c, loaded(m, slot), &m->config, &r, &sizes)) return MODULE_ERROR_MODEL;
    void *const fast = take(&r, sizes.fast_bytes), *const bulk = take(&r, sizes.bulk_bytes);
    if (tudor_init(&c->player->model, 1, c->window, fast, sizes.fast_bytes, bulk, sizes.bulk_bytes, &c->t))
        return MODULE_ERROR_MODEL;
    atomic_store_explicit(&m->slots[slot].capture, c, memory_order_release);
    return 0;
}

/* ---- the audio thread ---- */

static struct capture *capture_of(tudor_module *m) {
    const struct voice *const v = &m->voice[m->voice[1].player ? 1 : 0];
    return v->player ? atomic_load_explicit(&m->slots[v->slot].capture, memory_order_acquire) : 0;
}

void capture_begin(tudor_module *m) {
    struct capture *const c = capture_of(m);
    if (!c || atomic_load_explicit(&c->state, memory_order_relaxed) == HEARD) return; /* it is being looked at */
    c->count = 0;
    atomic_store_explicit(&c->state, HEARS, memory_order_relaxed);
}

/* At a block's end. */
void capture_step(tudor_module *m) {
    struct capture *const c = capture_of(m);
    const uint32_t channels = m->config.in_channels;
    if (!c) return;
    const uint32_t state = atomic_load_explicit(&c->state, memory_order_acquire);
    if (state == FOUND) {
        place_set(c->player, c->code);
        atomic_store_explicit(&c->state, IDLE, memory_order_relaxed);
    }
    if (state != HEARS) return;
    for (uint32_t i = 0; i < m->config.block_samples && c->count < c->need; i++) {
        const float left = channels ? m->trimmed[0][i] : 0.0f;
        c->heard[c->count++] = channels == 2 ? 0.5f * (left + m->trimmed[1][i]) : left;
    }
    if (c->count == c->need) atomic_store_explicit(&c->state, HEARD, memory_order_release);
}

/* ---- the control thread ---- */

static void convert(struct capture *c) {
    uint32_t have = 0, skip = c->r.table ? (uint32_t)((uint64_t)c->r.taps / 2 * c->r.up / c->r.down) : 0;
    if (c->r.table) resampler_start(&c->r);
    for (uint32_t i = 0; i < c->need && have < c->window; i++) {
        if (!c->r.table) {
            c->sound[have++] = c->heard[i];
            continue;
        }
        resampler_push(&c->r, c->heard[i]);
        for (; c->r.phase < c->r.up && have < c->window; c->r.phase += c->r.down) {
            const float x = resampler_value(&c->r);
            if (skip) skip--;
            else c->sound[have++] = x;
        }
        c->r.phase -= c->r.up;
    }
    memset(c->sound + have, 0, (c->window - have) * sizeof(float));
    for (uint32_t i = 1; i < c->channels; i++) memcpy(c->sound + i * c->window, c->sound, c->window * sizeof(float));
}

int capture_attend(tudor_module *m) {
    int found = 0;
    for (uint32_t slot = 0; m && slot < MODULE_SLOTS; slot++) {
        struct capture *const c = atomic_load_explicit(&m->slots[slot].capture, memory_order_relaxed);
        if (!c || atomic_load_explicit(&c->state, memory_order_acquire) != HEARD) continue;
        convert(c);
        tudor_reset_method(c->t, c->method);
        const int error = tudor_process(c->t, c->method, c->sound, c->code, c->window);
        atomic_store_explicit(&c->state, error ? IDLE : FOUND, memory_order_release);
        found |= !error;
    }
    return found;
}
