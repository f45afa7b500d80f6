/* A drum voice that a gate strikes has a clock of frames of its own, which begins anew at each gate:
 *
 *   gate        |                                                     |
 *   what rang   ...\___ dies away                             ...........\___
 *   made        | rows 0 to lead: a burst | lead + 1 | lead + 2 | ... | a burst ...
 *   heard       |------- delay -----------| lead     | lead + 1 | ...
 *
 * A stroke begins from the model's fresh state, with noise of its own: it is the same whatever rang before it and wherever in a
 * block its gate came. The sound of rows ahead of the onset is silence, and thrown away. The work of a burst, and later of each
 * row, is spread over the time until it is due. Rows come a little early, so that there is sound for what rang to die away in.
 * A board may make the first rows of the next stroke ahead, beside the one that rings. A gate that asks for just that one is
 * heard as soon as what rings has died away; any other is made anew, and heard as late as without. Both are the same stroke. */
#include "instrument.h"

#define RESTS_AFTER 64u   /* rows of silence on end */
#define EARLY_AFTER 8u    /* rows in which they come to be made early, so that none has less time than it lasts */
#define AHEAD_ROWS 2u     /* a row of the next stroke is made in the time of so many */
#define SEEDS 7919u       /* apart, so that strokes of one seed are not those of the next */
#define SEED_LIMIT 0xFFFFFFu

/* ---- handing out ---- */

static float next_sample(struct stroke *v, uint32_t channel) {
    struct resampler *const r = &v->out[channel];
    struct fifo *const f = &v->queue[channel];
    if (!r->table) return fifo_get(f);
    for (; r->phase >= r->up; r->phase -= r->up) resampler_push(r, fifo_get(f));
    const float y = resampler_value(r);
    r->phase += r->down;
    return y;
}

static void empty_queue(const struct player *p, struct stroke *v) {
    for (uint32_t c = 0; c < p->out_channels; c++) {
        v->queue[c].first = v->queue[c].count = 0;
        if (!v->out[c].table) continue;
        resampler_start(&v->out[c]);
        v->out[c].phase = v->out[c].up; /* the first sample out wants one in */
    }
}

static float handed(const struct player *p, struct stroke *v, uint32_t channel) {
    if (v->closing) return v->tail[channel][p->strokes.fade - v->closing];
    return v->rings && since(p->strokes.drawn, v->onset) >= 0 ? next_sample(v, channel) : 0.0f;
}

/* Up to a time, into a block that began at `now`. */
void stroke_hand_out(struct player *p, float *const *out, uint32_t now, uint32_t until) {
    struct strokes *const s = &p->strokes;
    for (; since(until, s->drawn) > 0; s->drawn++) {
        for (uint32_t c = 0; c < p->out_channels; c++) {
            float *const y = &out[c][s->drawn - now];
            *y = handed(p, &s->stroke[0], c);
            if (s->count > 1) *y += handed(p, &s->stroke[1], c);
        }
        for (uint32_t k = 0; k < s->count; k++)
            if (s->stroke[k].closing) s->stroke[k].closing--;
    }
}

/* What rings dies away from here on: of what was made already. */
void stroke_close(struct player *p, struct stroke *v) {
    const uint32_t fade = p->strokes.fade;
    const float part = 1.0f / (float)(fade + 1);
    if (v->rings && since(p->strokes.drawn, v->onset) >= 0) {
        for (uint32_t i = 0; i < fade; i++)
            for (uint32_t c = 0; c < p->out_channels; c++)
                v->tail[c][i] = next_sample(v, c) * smooth_step((float)(fade - i) * part);
        v->closing = fade;
    }
    if (v->part) tudor_reset_method(p->t, p->strokes.method); /* its call is given up */
    v->rings = v->ahead = v->rows = v->part = v->slices = v->had = 0;
    v->fresh = 1;
    empty_queue(p, v);
}

void strokes_close(struct player *p) {
    if (!p->strokes.count) return;
    for (uint32_t k = 0; k < p->strokes.count; k++) stroke_close(p, &p->strokes.stroke[k]);
    p->struck &= ~p->subject.gates;
    p->strokes.waits = p->strokes.number = 0;
}

void strokes_start(struct player *p) {
    strokes_close(p);
    p->strokes.since = 0;
    for (uint32_t k = 0; k < p->strokes.count; k++) p->strokes.stroke[k].closing = 0;
}

/* ---- work ---- */

/* The next call: rows of the burst, the last of which are due at the onset, then one after the other. */
void stroke_plan(const struct player *p, struct stroke *v) {
    const struct strokes *const s = &p->strokes;
    const uint32_t most = v->ahead ? 1 : STROKES_ROWS;
    v->had = v->slices;
    v->began = v->from;
    v->rows = v->first > most ? most : v->first ? v->first : !v->ahead;
    v->from = v->until;
    if (v->ahead) {
        v->first -= v->rows;
        v->until = v->wanted = v->from + AHEAD_ROWS * (uint32_t)((uint64_t)p->frame * p->down / p->up);
    } else if (v->first) {
        v->first -= v->rows;
        v->until = v->wanted = v->onset - (uint32_t)((uint64_t)s->delay * v->first / (s->lead + 1));
    } else {
        const uint32_t sounds = v->onset + (uint32_t)((v->made * p->down + p->up - 1) / p->up);
        const uint64_t rows = v->made / p->frame - 1;
        v->until = sounds - s->fade * (rows < EARLY_AFTER ? (uint32_t)rows : EARLY_AFTER) / EARLY_AFTER;
        v->wanted = sounds - s->fade;
    }
    v->part = 0;
    v->slices = p->schedule.slices * v->rows;
}

/* What rows of its next call ask for. Those of the burst are made before their time: they ask for what the gate did. Later ones
 * ask for what the controls do by now, which a model hears as far as it does not hold what its gate took. */
static const float *asked_now(const struct player *p, const struct stroke *v) { return v->made ? p->strokes.row : v->asked; }

/* The instance goes on with this stroke. */
static void take_up(struct player *p, struct stroke *v) {
    struct strokes *const s = &p->strokes;
    const uint32_t index = (uint32_t)(v - s->stroke);
    if (s->loaded != index) {
        tudor_save_state(p->t, s->stroke[s->loaded].state, s->state_bytes);
        if (!v->fresh) tudor_load_state(p->t, v->state, s->state_bytes);
        s->loaded = index;
    }
    if (v->fresh) tudor_reset_method(p->t, s->method);
    v->fresh = 0;
}

/* Takes the model's attributes from the controls; whether the stroke that is made ahead was made with these. */
int stroke_attributes(struct player *p) {
    player_attributes(p);
    return p->strokes.count < 2 || !memcmp(p->strokes.attributes, p->attributes, p->attributes_used * sizeof(float));
}

static void begin_call(struct player *p, struct stroke *v) {
    struct strokes *const s = &p->strokes;
    float *to = p->buffer[0];
    const float *const asked = asked_now(p, v);
    const uint32_t is_first = v->fresh;
    take_up(p, v);
    if (!stroke_attributes(p)) {
        if (v->ahead && is_first) memcpy(s->attributes, p->attributes, p->attributes_used * sizeof(float));
        else s->spoilt = 1;
    }
    if (s->seed >= 0) {
        const uint32_t own = (uint32_t)p->attributes[attribute_at(p, s->seed)];
        const float seed = (float)((own + SEEDS * v->number) & SEED_LIMIT);
        tudor_set_attribute(p->t, s->seed, &seed, 1);
    }
    for (uint32_t i = 0; i < p->streams * p->latents; i++)
        for (uint32_t r = 0; r < v->rows; r++)
            *to++ = i % p->latents != (uint32_t)s->gate ? asked[i] : is_first && r == 0 ? 1.0f : 0.0f;
}

static int is_silent(const float *x, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (x[i] != 0.0f) return 0;
    return 1;
}

/* Its rows are complete. */
static int end_call(struct player *p, struct stroke *v, int error) {
    const uint32_t samples = v->rows * p->frame, unheard = v->unheard < v->rows ? v->unheard : v->rows;
    const float *const y = p->buffer[1];
    if (error || !is_sound(y, (size_t)p->out_channels * samples, EXPLODED)) {
        stroke_close(p, v);
        return 1;
    }
    for (uint32_t c = 0; c < p->out_channels; c++)
        for (uint32_t i = unheard * p->frame; i < samples; i++) fifo_put(&v->queue[c], y[(size_t)c * samples + i]);
    v->unheard -= unheard;
    v->made += (v->rows - unheard) * p->frame;
    v->silent = is_silent(y, p->out_channels * samples) ? v->silent + v->rows - unheard : 0;
    stroke_plan(p, v);
    if (v->silent >= RESTS_AFTER) v->rings = v->rows = 0;
    return 0;
}

static int run_slice(struct player *p, struct stroke *v) {
    if (v->part == 0) begin_call(p, v);
    const int error = tudor_process_slice(p->t, p->strokes.method, p->buffer[0], p->buffer[1], v->rows * p->frame, v->part,
                                          v->slices);
    return error || ++v->part == v->slices ? end_call(p, v, error) : 0;
}

/* Slices of a stroke's call that are to have run by `time`. */
static int32_t due_slices(const struct stroke *v, uint32_t time) {
    const int32_t passed = since(time, v->from), lasts = since(v->until, v->from);
    if (passed >= lasts) return (int32_t)v->slices;
    return passed <= 0 ? 0 : (int32_t)((uint64_t)(uint32_t)passed * v->slices / (uint32_t)lasts);
}

/* What runs next: the call that has begun, since the runtime plays one at a time; else the one that is due first. */
static struct stroke *chosen(struct strokes *s, uint32_t time) {
    struct stroke *found = 0;
    for (uint32_t k = 0; k < s->count; k++) {
        struct stroke *const v = &s->stroke[k];
        if (!v->rows || since(time, v->from) <= 0) continue;
        if (v->part) return v;
        if (!found || since(found->until, v->until) > 0) found = v;
    }
    return found;
}

/* Whether there is more to be done by `time`: all that is due in full, and of the rest as much together as is due together. */
static int is_behind(const struct strokes *s, uint32_t time) {
    int32_t behind = 0;
    for (uint32_t k = 0; k < s->count; k++) {
        const struct stroke *const v = &s->stroke[k];
        const int32_t early = since(v->from, time); /* what was made too early counts until its time */
        if (v->had && early > 0) behind -= (int32_t)((uint64_t)(uint32_t)early * v->had / (v->from - v->began));
        if (!v->rows) continue;
        if (since(time, v->until) >= 0) return 1;
        behind += due_slices(v, time) - (int32_t)v->part;
    }
    return behind > 0;
}

int stroke_work(struct player *p, uint32_t time) {
    struct stroke *v;
    int fault = 0;
    while (is_behind(&p->strokes, time) && (v = chosen(&p->strokes, time)) != 0) fault |= run_slice(p, v);
    return fault;
}

/* All rows of a stroke whose sound may have to die away after `time`, and what has begun before them. */
int stroke_catch_up(struct player *p, struct stroke *v, uint32_t time) {
    struct stroke *const other = &p->strokes.stroke[v == p->strokes.stroke];
    int fault = 0;
    while (v->rows && since(time, v->wanted) >= 0) fault |= run_slice(p, other->part ? other : v);
    return fault;
}
