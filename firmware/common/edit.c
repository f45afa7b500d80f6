/* What controls do to a model: attributes once a frame, latents row by row. */
#include "instrument.h"

#define FREEZE_SECONDS 0.03f
#define LATENT_LIMIT 8.0f /* where the runtime's own guard clamps */

static float pitch_value(const struct player *p) {
    const float octaves = player_scalar(p, TARGET_PITCH); /* 0: middle C, MIDI note 60 */
    if (p->subject.pitch_unit == PITCH_OCTAVES) return octaves;
    return p->subject.pitch_unit == PITCH_HZ ? 261.625565f * exponential2(octaves) : 60.0f + 12.0f * octaves;
}

/* ---- attributes ---- */

uint32_t attribute_at(const struct player *p, int attribute) {
    tudor_attribute_info info;
    uint32_t at = 0;
    for (int a = 0; a < attribute && !tudor_attribute(&p->model, a, &info); a++) at += info.count;
    return at;
}

static void attributes_from_connections(struct player *p) {
    for (int pass = 0; pass < 2; pass++) /* knobs replace the default, CVs add to that */
        for (uint32_t i = 0; i < p->mapping.count; i++) {
            const struct connection *const c = &p->mapping.connections[i];
            if (c->target != TARGET_ATTRIBUTE || !c->live || c->adds != pass) continue;
            float *const value = &p->attributes[attribute_at(p, c->attribute) + c->index];
            *value = pass ? *value + c->value : c->value;
        }
    if (p->subject.pitch >= 0) p->attributes[attribute_at(p, p->subject.pitch)] = pitch_value(p);
}

void player_attributes(struct player *p) {
    tudor_attribute_info info;
    float *now = p->attributes, *set = p->attributes_set;
    for (int a = 0; !tudor_attribute(&p->model, a, &info); now += info.count, a++)
        memcpy(now, info.defaults, info.count * sizeof *now);
    attributes_from_connections(p);
    now = p->attributes;
    for (int a = 0; !tudor_attribute(&p->model, a, &info); now += info.count, set += info.count, a++) {
        if (memcmp(now, set, info.count * sizeof *now) == 0) continue;
        memcpy(set, now, info.count * sizeof *now);
        tudor_set_attribute(p->t, a, now, info.count);
    }
}

/* ---- latents ---- */

static void gather(struct player *p) {
    uint8_t is_set[MODULE_LATENTS] = {0};
    const int source = p->way == MODULE_SOURCE;
    memcpy(p->offset[0], p->offset[1], sizeof p->offset[0]);
    memcpy(p->spread[0], p->spread[1], sizeof p->spread[0]);
    p->swap[0] = p->swap[1];
    p->walk[0] = p->walk[1];
    p->swap[1] = player_scalar(p, TARGET_SWAP);
    p->walk[1] = player_scalar(p, TARGET_WALK);
    for (uint32_t i = 0; i < p->latents; i++) {
        p->offset[1][i] = source ? p->subject.rest[i] : 0.0f;
        p->spread[1][i] = 1.0f;
    }
    for (uint32_t i = 0; i < p->mapping.count; i++) {
        const struct connection *const c = &p->mapping.connections[i];
        if (!c->live || (c->target != TARGET_LATENT && c->target != TARGET_SPREAD)) continue;
        const uint8_t bit = c->target == TARGET_LATENT ? 1 : 2;
        float *const to = bit == 1 ? &p->offset[1][c->index] : &p->spread[1][c->index];
        if (!c->adds && !(is_set[c->index] & bit)) *to = 0.0f; /* the first knob replaces the base; */
        if (!c->adds) is_set[c->index] |= bit;
    }
    for (uint32_t i = 0; i < p->mapping.count; i++) { /* then all add up */
        const struct connection *const c = &p->mapping.connections[i];
        if (!c->live) continue;
        if (c->target == TARGET_LATENT) p->offset[1][c->index] += c->value;
        if (c->target == TARGET_SPREAD) p->spread[1][c->index] += c->value;
    }
}

/* Whether this row is the one that is held. What has a tape holds more than a row. */
static int freeze_step(const tudor_module *m, struct player *p) {
    if (p->tape.size) return 0;
    const float step = p->row_seconds / FREEZE_SECONDS;
    const int catches = m->controls.frozen && !p->caught;
    p->freeze = clamped(p->freeze + (m->controls.frozen ? step : -step), 0.0f, 1.0f);
    if (m->controls.frozen || p->freeze <= 0.0f) p->caught = m->controls.frozen;
    return catches;
}

static void freeze_row(struct player *p, float *frozen, float *z, int catches) {
    if (catches) memcpy(frozen, z, p->latents * sizeof *z);
    if (p->freeze <= 0.0f) return;
    /* At 1 the row itself: z + (frozen - z) is off by a last bit that depends on what is played meanwhile. */
    for (uint32_t i = 0; i < p->latents; i++) z[i] = p->freeze < 1.0f ? z[i] + p->freeze * (frozen[i] - z[i]) : frozen[i];
}

static void swap_row(const struct player *p, float *z, float amount) {
    float from[MODULE_LATENTS];
    const uint32_t n = p->free_count, whole = (uint32_t)amount;
    const float part = amount - (float)whole;
    if (amount <= 0.0f || n == 0) return;
    for (uint32_t i = 0; i < n; i++) from[i] = z[p->free[i]];
    for (uint32_t i = 0; i < n; i++) {
        const float a = from[(i + whole) % n], b = from[(i + whole + 1) % n];
        z[p->free[i]] = a + part * (b - a);
    }
}

/* Where walks and jumps have come to in this row, for all streams. */
static void move_step(const tudor_module *m, struct player *p, float *walked, float t, uint64_t position) {
    const float walk = p->walk[0] + t * (p->walk[1] - p->walk[0]);
    place_step(p);
    for (uint32_t at = 0; at < p->free_count; at++) {
        const uint32_t i = p->free[at];
        const float half = 0.5f * (p->subject.ranges[i].high - p->subject.ranges[i].low);
        walked[i] = walk > 0.0f ? walk * half * walk_of(m, p, i) : 0.0f;
    }
    if (!m->controls.frozen) walk_step(p, position);
}

static void move_row(const struct player *p, const float *walked, float *z) {
    for (uint32_t at = 0; at < p->free_count; at++) {
        const uint32_t i = p->free[at];
        z[i] += p->jump[i];
        z[i] += walked[i];
    }
}

/* What the model is told of time, as it will be when the row begins to be heard. */
static void tell_time(const tudor_module *m, const struct player *p, float *z, uint64_t position) {
    const int *const at = p->subject.clock;
    const struct transport *const t = &m->transport;
    if (at[CLOCK_PHASE] >= 0) z[at[CLOCK_PHASE]] = transport_bar_phase(t, position);
    if (at[CLOCK_TEMPO] >= 0) z[at[CLOCK_TEMPO]] = logarithm2(transport_tempo(t) * (1.0f / 128.0f));
    if (at[CLOCK_BAR] >= 0) z[at[CLOCK_BAR]] = (float)((uint32_t)(position >> 40) / t->meter % 4);
}

/* Gates that strike: open in the row in which they were struck, and how late in it that was. `began`: of the frame,
 * in samples of the board, as controls have it. Two rows in a row would be one stroke: then the second waits. */
static void strike_row(struct player *p, float *z, uint32_t row, uint32_t began) {
    const float length = (float)p->frame / (float)p->rows * (float)p->down / (float)p->up;
    for (uint32_t i = 0; i < p->latents; i++) {
        const uint64_t bit = UINT64_C(1) << i;
        if (!p->subject.late[i]) continue;
        const float since = (float)(int32_t)(p->struck_at[i] - began) / length - (float)row;
        const int hit = p->struck & bit && !(p->opened & bit) && since < 1.0f;
        p->opened = hit ? p->opened | bit : p->opened & ~bit;
        if (hit) p->struck &= ~bit;
        z[i] = hit ? 1.0f : 0.0f;
        z[p->subject.late[i] - 1] = hit ? clamped(since, 0.0f, 1.0f) : 0.0f;
    }
}

static void finish_row(struct player *p, float *z, float t) {
    for (uint32_t i = 0; i < p->latents; i++) {
        const struct range r = p->subject.ranges[i];
        const float half = 0.5f * (r.high - r.low);
        const float spread = p->spread[0][i] + t * (p->spread[1][i] - p->spread[0][i]);
        const float offset = p->offset[0][i] + t * (p->offset[1][i] - p->offset[0][i]);
        z[i] = flushed(clamped(clamped(z[i] * spread + offset, r.low - half, r.high + half), -LATENT_LIMIT, LATENT_LIMIT));
    }
    if (p->way == MODULE_SOURCE && p->subject.pitch_latent >= 0) z[p->subject.pitch_latent] = pitch_value(p);
    if (p->way == MODULE_BEND && p->subject.pitch_bent >= 0) {
        float *const pitch = &z[p->subject.pitch_bent];
        *pitch = flushed(clamped(*pitch + player_scalar(p, TARGET_PITCH), -LATENT_LIMIT, LATENT_LIMIT));
    }
}

/* rows: [streams][latents][rows] of the frame, as the encoder gave them, or to be generated. */
void edit_rows(const tudor_module *m, struct player *p, float *rows, int generated) {
    float z[MODULE_LATENTS], walked[MODULE_LATENTS];
    const uint32_t last = p->rows - 1;
    const uint64_t begins = player_heard(m, p), row_step = (uint64_t)(p->row_seconds * (float)m->config.sample_rate_hz *
                                                                      (float)m->transport.step);
    const int strikes = p->subject.strikes && p->way == MODULE_SOURCE && !p->strokes.count;
    p->heard = begins;
    p->lasts = row_step * p->rows;
    const uint32_t now = atomic_load_explicit(&((tudor_module *)(uintptr_t)m)->now, memory_order_relaxed),
                   began = now + m->next_tick - (uint32_t)((uint64_t)p->frame * p->down / p->up);
    gather(p);
    for (uint32_t r = 0; r < p->rows; r++) {
        const float t = (float)(r + 1) / (float)p->rows;
        const uint64_t position = begins + r * row_step + row_step / 2;
        move_step(m, p, walked, t, position);
        const int catches = freeze_step(m, p);
        for (uint32_t s = 0; s < p->streams; s++) {
            float *const own = rows + (size_t)s * p->latents * p->rows + r;
            for (uint32_t i = 0; i < p->latents; i++) z[i] = generated ? 0.0f : own[i * p->rows];
            move_row(p, walked, z);
            freeze_row(p, p->frozen[s], z, catches);
            swap_row(p, z, p->swap[0] + t * (p->swap[1] - p->swap[0]));
            finish_row(p, z, t);
            if (strikes && !s) strike_row(p, z, r, began);
            for (uint32_t i = 0; strikes && s && i < p->latents; i++) z[i] = rows[i * p->rows + r];
            if (p->way == MODULE_SOURCE) tell_time(m, p, z, begins + r * row_step);
            for (uint32_t i = 0; i < p->latents; i++) own[i * p->rows] = z[i];
        }
    }
    for (uint32_t i = 0; i < p->latents; i++) { /* of two streams the left one's */
        const struct range range = p->subject.ranges[i];
        p->shown[i] = (rows[i * p->rows + last] - range.low) / (range.high - range.low);
    }
}
