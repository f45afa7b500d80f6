/* Drum voices that gates strike. Each has a clock of frames of its own, which begins anew at its gate:
 *
 *   gate        |                                                     |
 *   what rang   ...\___ dies away                             ...........\___
 *   made        | rows 0 to lead: a burst | lead + 1 | lead + 2 | ... | a burst ...
 *   heard       |------- delay -----------| lead     | lead + 1 | ...
 *
 * A stroke begins from the model's fresh state, with noise of its own, so that it is the same whatever rang before it and
 * wherever in a block or a frame its gate came. The sound of rows ahead of the onset is silence, and thrown away. The work of a
 * burst, and later of each row, is spread over the time until it is due. Rows are made a little early, so that there is
 * always enough sound for what rang to die away in. */
#include "instrument.h"

#define RESTS_AFTER 64u      /* rows of silence on end */
#define EARLY_AFTER 8u       /* rows in which they come to be made early, so that none has less time than it lasts */
#define STALE_SECONDS 10u    /* a gate that came a tenth of a second ago, while the voice rested, is over */
#define SEEDS 7919u          /* apart, so that strokes of one seed are not those of the next */
#define SEED_LIMIT 0xFFFFFFu

static int32_t since(uint32_t later, uint32_t earlier) { return (int32_t)(later - earlier); }

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

/* Up to a time, into a block that began at `now`. The first voice finds nothing there. */
static void hand_out(struct player *p, struct stroke *v, float *const *out, uint32_t now, uint32_t until) {
    const int alone = v == p->strokes.voice;
    for (; since(until, v->drawn) > 0; v->drawn++) {
        const uint32_t i = v->drawn - now;
        const int heard = v->rings && since(v->drawn, v->onset) >= 0;
        for (uint32_t c = 0; c < p->out_channels; c++) {
            const float x = v->closing ? v->tail[c][p->strokes.fade - v->closing] : heard ? next_sample(v, c) : 0.0f;
            out[c][i] = alone ? x : out[c][i] + x;
        }
        if (v->closing) v->closing--;
    }
}

/* What rings dies away from here on: of what was made already. */
static void close_voice(struct player *p, struct stroke *v) {
    const uint32_t fade = p->strokes.fade;
    const float part = 1.0f / (float)(fade + 1);
    if (v->rings && since(v->drawn, v->onset) >= 0) {
        for (uint32_t i = 0; i < fade; i++)
            for (uint32_t c = 0; c < p->out_channels; c++)
                v->tail[c][i] = next_sample(v, c) * smooth_step((float)(fade - i) * part);
        v->closing = fade;
    }
    v->rings = v->rows = 0;
    tudor_reset_method(p->t, v->method);
    empty_queue(p, v);
}

void strokes_close(struct player *p) {
    p->struck &= ~p->strokes.gates;
    for (uint32_t k = 0; k < p->strokes.count; k++) {
        close_voice(p, &p->strokes.voice[k]);
        p->strokes.voice[k].waits = p->strokes.voice[k].number = 0;
    }
}

void strokes_start(struct player *p) {
    strokes_close(p);
    p->strokes.since = 0;
    for (uint32_t k = 0; k < p->strokes.count; k++) p->strokes.voice[k].closing = 0;
}

/* ---- work ---- */

/* The next call: rows of the burst, the last of which are due at the onset, then one after the other. */
static void plan_call(const struct player *p, struct stroke *v) {
    const struct strokes *const s = &p->strokes;
    v->rows = v->first > STROKES_ROWS ? STROKES_ROWS : v->first ? v->first : 1;
    v->from = v->until;
    if (v->first) {
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

static void begin_call(struct player *p, struct stroke *v) {
    float *to = p->buffer[0], seed;
    const int is_first = v->unheard == p->strokes.lead && v->made == 0;
    player_attributes(p);
    if (p->strokes.seed >= 0 && !tudor_get_attribute(p->t, p->strokes.seed, &seed, 1)) {
        seed = (float)(((uint32_t)p->attributes[attribute_at(p, p->strokes.seed)] + SEEDS * (v->number - 1)) & SEED_LIMIT);
        tudor_set_attribute(p->t, p->strokes.seed, &seed, 1);
    }
    for (uint32_t i = 0; i < p->streams * p->latents; i++)
        for (uint32_t r = 0; r < v->rows; r++, to++) {
            const uint32_t input = i % p->latents;
            *to = p->strokes.gates >> input & 1 ? (input == v->gate && is_first && r == 0 ? 1.0f : 0.0f) : v->asked[i];
        }
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
        close_voice(p, v);
        return 1;
    }
    for (uint32_t c = 0; c < p->out_channels; c++)
        for (uint32_t i = unheard * p->frame; i < samples; i++) fifo_put(&v->queue[c], y[(size_t)c * samples + i]);
    v->unheard -= unheard;
    v->made += (v->rows - unheard) * p->frame;
    v->silent = is_silent(y, p->out_channels * samples) ? v->silent + v->rows - unheard : 0;
    plan_call(p, v);
    if (v->silent >= RESTS_AFTER) v->rings = v->rows = 0;
    return 0;
}

static int run_slice(struct player *p, struct stroke *v) {
    if (v->part == 0) begin_call(p, v);
    const int error = tudor_process_slice(p->t, v->method, p->buffer[0], p->buffer[1], v->rows * p->frame, v->part, v->slices);
    return error || ++v->part == v->slices ? end_call(p, v, error) : 0;
}

/* Slices of the voice's call that are to have run by `time`. */
static int32_t due_slices(const struct stroke *v, uint32_t time) {
    const int32_t passed = since(time, v->from), lasts = since(v->until, v->from);
    if (passed >= lasts) return (int32_t)v->slices;
    return passed <= 0 ? 0 : (int32_t)((uint64_t)(uint32_t)passed * v->slices / (uint32_t)lasts);
}

/* What runs next: the call that has begun, since the runtime plays one at a time; else the one that is due first. */
static struct stroke *chosen(struct strokes *s, uint32_t time) {
    struct stroke *found = 0;
    for (uint32_t k = 0; k < s->count; k++) {
        struct stroke *const v = &s->voice[k];
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
        const struct stroke *const v = &s->voice[k];
        if (!v->rows) continue;
        if (since(time, v->until) >= 0) return 1;
        behind += due_slices(v, time) - (int32_t)v->part;
    }
    return behind > 0;
}

static int work(struct player *p, uint32_t time) {
    struct stroke *v;
    int fault = 0;
    while (is_behind(&p->strokes, time) && (v = chosen(&p->strokes, time)) != 0) fault |= run_slice(p, v);
    return fault;
}

/* All rows of a voice whose sound may have to die away after `time`, and what has begun before them. */
static int catch_up(struct player *p, struct stroke *v, uint32_t time) {
    int fault = 0;
    while (v->rows && since(time, v->wanted) >= 0) {
        struct stroke *runs = v;
        for (uint32_t k = 0; k < p->strokes.count; k++)
            if (p->strokes.voice[k].rows && p->strokes.voice[k].part) runs = &p->strokes.voice[k];
        fault |= run_slice(p, runs);
    }
    return fault;
}

/* ---- gates ---- */

static int begin_stroke(struct player *p, struct stroke *v, float *const *out, uint32_t now, uint32_t gate) {
    float *const asked = v->waiting;
    const int fault = catch_up(p, v, gate);
    hand_out(p, v, out, now, gate);
    close_voice(p, v);
    v->waiting = v->asked;
    v->asked = asked;
    v->waits = v->silent = 0;
    v->rings = 1;
    v->onset = gate + p->strokes.delay;
    v->until = gate;
    v->first = p->strokes.lead + 1;
    v->unheard = p->strokes.lead;
    v->made = 0;
    plan_call(p, v);
    v->number++;
    return fault;
}

/* Looks at the controls: once for each row's time, and when a gate has come. */
static void listen(const tudor_module *m, struct player *p, uint32_t samples) {
    struct strokes *const s = &p->strokes;
    const uint64_t struck = p->struck & s->gates;
    s->since += samples;
    if (!struck && (uint64_t)s->since * p->up < (uint64_t)p->frame * p->down) return;
    s->since = 0;
    edit_rows(m, p, s->row, 1);
    p->struck &= ~struck;
    for (uint32_t k = 0; k < s->count; k++) {
        struct stroke *const v = &s->voice[k];
        if (!(struck >> v->gate & 1)) continue;
        memcpy(v->waiting, s->row, (size_t)p->streams * p->latents * sizeof *s->row);
        v->struck = p->struck_at[v->gate];
        v->waits = 1;
    }
}

/* When a gate that waits is taken: not before what it is to cut off has begun, and not before now. */
static uint32_t taken_at(const tudor_module *m, struct stroke *v) {
    if (since(v->drawn, v->struck) > (int32_t)(m->config.sample_rate_hz / STALE_SECONDS)) v->waits = 0;
    uint32_t at = since(v->drawn, v->struck) > 0 ? v->drawn : v->struck;
    if (v->rings && since(v->onset, at) > 0) at = v->onset;
    return at;
}

int strokes_run(tudor_module *m, struct player *p, float *const *out, int leads) {
    struct strokes *const s = &p->strokes;
    const uint32_t block = m->config.block_samples, now = atomic_load_explicit(&m->now, memory_order_relaxed);
    int fault = 0;
    for (uint32_t k = 0; k < s->count; k++) s->voice[k].drawn = now;
    if (p->reset) player_clear(p);
    for (uint32_t at = 0, end; at < block; at = end) {
        end = block - at < TICK_SAMPLES ? block : at + TICK_SAMPLES;
        if (leads) controls_until(m, end);
        listen(m, p, end - at);
        for (uint32_t k = 0; k < s->count; k++) {
            struct stroke *const v = &s->voice[k];
            uint32_t gate;
            while (v->waits && (gate = taken_at(m, v), v->waits) && since(now + end, gate) > 0)
                fault |= begin_stroke(p, v, out, now, gate);
        }
        fault |= work(p, now + end);
        for (uint32_t k = 0; k < s->count; k++) hand_out(p, &s->voice[k], out, now, now + end);
    }
    player_outputs(m, p, out);
    return fault;
}
