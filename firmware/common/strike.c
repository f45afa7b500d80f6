/* Gates of a drum voice: when they are taken, by which stroke, and what is made ahead of them; see strokes.c. */
#include "instrument.h"

#define STALE_SECONDS 10u /* a gate that came a tenth of a second ago, while the voice rested, is over */

/* From the first row on; `ahead`: of a gate that has not come. */
static void begin_stroke(struct player *p, struct stroke *v, const float *asked, uint32_t at, uint32_t ahead) {
    const struct strokes *const s = &p->strokes;
    memcpy(v->asked, asked, (size_t)p->streams * p->latents * sizeof *asked);
    v->ahead = ahead;
    v->rings = !ahead;
    v->number = s->number;
    v->onset = at + s->delay;
    v->until = at;
    v->first = s->lead + 1;
    v->unheard = s->lead;
    v->made = v->silent = 0;
    stroke_plan(p, v);
}

static int is_asked(const struct player *p, const struct stroke *v, const float *row) {
    return v->ahead && !p->strokes.spoilt && !memcmp(v->asked, row, (size_t)p->streams * p->latents * sizeof *row);
}

/* What was made ahead is what the gate asks for. */
static void let_sound(struct player *p, struct stroke *v, uint32_t gate) {
    v->ahead = 0;
    v->rings = 1;
    v->onset = v->until = gate + p->strokes.fade;
    v->slices = 0;
    stroke_plan(p, v);
}

static int take_gate(struct player *p, float *const *out, uint32_t now, uint32_t gate) {
    struct strokes *const s = &p->strokes;
    struct stroke *const rang = &s->stroke[s->sounds], *const next = &s->stroke[s->count - 1 - s->sounds];
    const int fault = stroke_catch_up(p, rang, gate);
    stroke_hand_out(p, out, now, gate);
    stroke_close(p, rang);
    if (next != rang && is_asked(p, next, s->waiting) && !next->rows) {
        let_sound(p, next, gate);
        s->sounds = (uint32_t)(next - s->stroke);
    } else {
        if (next->ahead) stroke_close(p, next);
        begin_stroke(p, rang, s->waiting, gate, 0);
    }
    s->waits = 0;
    s->number++;
    return fault;
}

/* The next stroke is made ahead once controls stand still, and given up when they move. */
static void look_ahead(struct player *p, int still, uint32_t now) {
    struct strokes *const s = &p->strokes;
    struct stroke *const rings = &s->stroke[s->sounds], *const next = &s->stroke[s->count - 1 - s->sounds];
    if (s->count < 2 || (rings->rings && since(rings->onset, now) > 0)) return;
    if (next->ahead && !next->fresh && !rings->part && !next->part && !stroke_attributes(p)) s->spoilt = 1;
    if (next->ahead && !is_asked(p, next, s->row)) stroke_close(p, next);
    if (next->ahead || next->closing || !still || s->waits) return;
    s->spoilt = 0;
    begin_stroke(p, next, s->row, now, 1);
}

/* Looks at the controls: once for each row's time, and when a gate has come. */
static void listen(const tudor_module *m, struct player *p, uint32_t samples, uint32_t now) {
    struct strokes *const s = &p->strokes;
    const size_t bytes = (size_t)p->streams * p->latents * sizeof *s->row;
    const uint64_t struck = p->struck & p->subject.gates;
    s->since += samples;
    if (!struck && (uint64_t)s->since * p->up < (uint64_t)p->frame * p->down) return;
    s->since = 0;
    memcpy(s->before, s->row, bytes);
    edit_rows(m, p, s->row, 1);
    for (uint32_t k = 0; k < p->streams; k++) s->row[k * p->latents + (uint32_t)s->gate] = 0.0f;
    p->struck &= ~struck;
    if (struck) {
        memcpy(s->waiting, s->row, bytes);
        s->struck = p->struck_at[s->gate];
        s->waits = 1;
    }
    look_ahead(p, !memcmp(s->before, s->row, bytes), now);
}

/* When a gate that waits is taken: not before what it is to cut off has begun, and not before now. */
static uint32_t taken_at(const tudor_module *m, struct strokes *s) {
    const struct stroke *const v = &s->stroke[s->sounds];
    if (since(s->drawn, s->struck) > (int32_t)(m->config.sample_rate_hz / STALE_SECONDS)) s->waits = 0;
    const uint32_t at = since(s->drawn, s->struck) > 0 ? s->drawn : s->struck;
    return v->rings && since(v->onset, at) > 0 ? v->onset : at;
}

int strokes_run(tudor_module *m, struct player *p, float *const *out, int leads) {
    struct strokes *const s = &p->strokes;
    const uint32_t block = m->config.block_samples, now = atomic_load_explicit(&m->now, memory_order_relaxed);
    int fault = 0;
    s->drawn = now;
    if (p->reset) player_clear(p);
    for (uint32_t at = 0, end, gate; at < block; at = end) {
        end = block - at < TICK_SAMPLES ? block : at + TICK_SAMPLES;
        if (leads) controls_until(m, end);
        listen(m, p, end - at, now + at);
        while (s->waits && (gate = taken_at(m, s), s->waits) && since(now + end, gate) > 0)
            fault |= take_gate(p, out, now, gate);
        fault |= stroke_work(p, now + end);
        stroke_hand_out(p, out, now, now + end);
    }
    player_outputs(m, p, out);
    return fault;
}
