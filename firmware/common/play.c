/* One model in a block: audio in, the slices that are due, audio out. */
#include "instrument.h"

#define ENDING_SAMPLES 64u /* in which the last good sample dies away after a fault */

/* The model to silence. What is on its way through the buffers stays, so that time goes on. */
void player_clear(struct player *p) {
    for (uint32_t i = 0; i < p->stages; i++) tudor_reset_method(p->t, p->stage[i].method);
    tape_clear(&p->tape);
    strokes_close(p);
    memset(p->jump, 0, sizeof p->jump);
    if (!p->subject.loops) memset(p->place, 0, sizeof p->place); /* which loop it is, is no state */
    p->walked = 0;
    p->caught = 0;
    p->freeze = 0.0f;
    p->faulty = p->reset = 0;
    p->walk_at = 0;
    p->walk_turns = WALK_STILL;
}

/* From the beginning: silence in all buffers, as many samples of it as the schedule wants. */
void player_start(struct player *p) {
    for (uint32_t c = 0; c < p->in_channels; c++) {
        p->from_board[c].first = p->from_board[c].count = 0;
        if (p->in[c].table) resampler_start(&p->in[c]);
    }
    for (uint32_t c = 0; c < p->out_channels && !p->strokes.count; c++) {
        struct fifo *const f = &p->to_board[c];
        f->first = 0;
        f->count = p->schedule.prime;
        memset(f->data, 0, f->size * sizeof(float));
        p->last[c] = p->ending[c] = 0.0f;
        if (p->out[c].table) {
            resampler_start(&p->out[c]);
            p->out[c].phase = p->out[c].up; /* the first sample out wants one in */
        }
    }
    p->due = p->part = p->ends_in = p->begins_in = 0;
    p->skip = p->schedule.delay;
    player_clear(p);
    if (p->strokes.count) strokes_start(p);
}

/* One stream from now on, from the beginning. Unheard. What is frozen stays: of both sides the left one's. */
void player_narrow(struct player *p) {
    const uint32_t caught = p->caught;
    const float freeze = p->freeze;
    if (p->streams == 1) return;
    player_start(p);
    tudor_use_streams(p->t, 1);
    p->in_channels /= p->streams;
    p->out_channels /= p->streams;
    p->cost /= (float)p->streams;
    p->streams = 1;
    p->narrows = 0;
    p->caught = caught;
    p->freeze = freeze;
}

/* Asks for the model to be silenced when its present frame is complete. */
void player_reset(struct player *p) { p->reset = 1; }

/* A mono model that is played once hears both channels; a stereo model on one channel hears it twice. */
static float heard(const tudor_module *m, const struct player *p, uint32_t channel, uint32_t i) {
    const uint32_t have = m->config.in_channels;
    if (have == 0) return 0.0f;
    if (p->in_channels == 1 && have == 2) return 0.5f * (m->trimmed[0][i] + m->trimmed[1][i]);
    return m->trimmed[channel < have ? channel : 0][i];
}

static void feed(const tudor_module *m, struct player *p) {
    for (uint32_t c = 0; c < p->in_channels; c++) {
        struct resampler *const r = &p->in[c];
        for (uint32_t i = 0; i < m->config.block_samples; i++) {
            const float x = heard(m, p, c, i);
            if (!r->table) {
                fifo_put(&p->from_board[c], x);
                continue;
            }
            resampler_push(r, x);
            for (; r->phase < r->up; r->phase += r->down) fifo_put(&p->from_board[c], resampler_value(r));
            r->phase -= r->up;
        }
    }
}

/* What stands in the queue is heard before the coming frame; so are the block's samples before this moment's. */
uint64_t player_heard(const tudor_module *m, const struct player *p) {
    const uint32_t queued = (uint32_t)((uint64_t)p->to_board[0].count * p->down / p->up);
    const uint32_t now = atomic_load_explicit(&((tudor_module *)(uintptr_t)m)->now, memory_order_relaxed);
    const uint32_t later = now + queued + p->after_samples + m->limiter_samples + m->config.heard_samples;
    return transport_ahead(&m->transport, (int32_t)(later - m->transport.time));
}

static void begin_frame(const tudor_module *m, struct player *p) {
    if (p->reset) player_clear(p);
    for (uint32_t c = 0; c < p->in_channels; c++) {
        float *const to = p->buffer[0] + (size_t)c * p->frame;
        for (uint32_t i = 0; i < p->frame; i++) to[i] = fifo_get(&p->from_board[c]);
    }
    player_attributes(p);
    if (p->edited == 0) edit_rows(m, p, p->buffer[0], 1);
}

int is_sound(const float *x, size_t count, float most) {
    for (size_t i = 0; i < count; i++)
        if (!(magnitude(x[i]) <= most)) return 0;
    return 1;
}

static float line(uint32_t left, uint32_t i) {
    return i + 1 < left ? (float)(left - 1 - i) * (1.0f / (float)ENDING_SAMPLES) : 0.0f;
}
static uint32_t less(uint32_t left, uint32_t by) { return left > by ? left - by : 0; }

/* Hands a frame on, or a piece of one: [out_channels][samples]. One that is no audio becomes silence; the last good sample dies away in a line, and the next good
 * frame comes in on one. */
static int hand_on(struct player *p, float *y, uint32_t samples) {
    const int fault = p->faulty || !is_sound(y, (size_t)p->out_channels * samples, EXPLODED);
    p->faulty = 0;
    if (fault) {
        memset(y, 0, (size_t)p->out_channels * samples * sizeof(float));
        memcpy(p->ending, p->last, sizeof p->ending);
        p->ends_in = p->begins_in = ENDING_SAMPLES;
    }
    for (uint32_t c = 0; c < p->out_channels; c++) {
        float *const channel = y + (size_t)c * samples;
        for (uint32_t i = 0; i < samples && i < p->begins_in; i++)
            channel[i] = (1.0f - line(p->begins_in, i)) * channel[i] + line(p->ends_in, i) * p->ending[c];
        for (uint32_t i = 0; i < samples; i++) fifo_put(&p->to_board[c], channel[i]);
        p->last[c] = channel[samples - 1];
    }
    p->ends_in = less(p->ends_in, samples);
    if (!fault) p->begins_in = less(p->begins_in, samples);
    return fault;
}

/* What lies between two stages: controls, or a tape. */
static void between(const tudor_module *m, struct player *p) {
    if (p->edited == 1) {
        if (!is_sound(p->buffer[1], (size_t)p->streams * p->latents * p->rows, EXPLODED_LATENT)) p->faulty = 1;
        edit_rows(m, p, p->buffer[1], 0);
    }
    if (p->tape.size) {
        if (!is_sound(p->buffer[1], (size_t)p->tape.width * p->tape.count, EXPLODED_LATENT)) p->faulty = 1;
        tape_rows(&p->tape, p->buffer[1], p->heard, p->lasts,
                  m->controls.frozen ? p->mapping.tape * m->transport.meter : 0);
    }
}

/* Something of a stage; `parts` 1 is all of it. */
static void run_part(const tudor_module *m, struct player *p, uint32_t stage, uint32_t part, uint32_t parts) {
    if (stage == 1 && part == 0) between(m, p);
    const float *const in = p->buffer[stage];
    float *const out = p->buffer[stage + 1];
    const int error = parts == 1 ? tudor_process(p->t, p->stage[stage].method, in, out, p->frame)
                                 : tudor_process_slice(p->t, p->stage[stage].method, in, out, p->frame, part, parts);
    if (error) p->faulty = 1;
}

/* The same of the second one, where both share a frame's slices. */
static int run_second(const tudor_module *m, struct player *p, uint32_t part) {
    uint32_t samples;
    float *y;
    if (part == 0) between(m, p);
    if (run_piece(p, part, &y, &samples)) p->faulty = 1;
    return y ? hand_on(p, y, samples) : 0;
}

static int run_slice(const tudor_module *m, struct player *p) {
    const uint32_t slices = p->schedule.slices, slice = p->part++, first = p->stage[0].parts;
    int fault = 0;
    if (slice == 0) begin_frame(m, p);
    if (p->part == slices) p->part = 0;
    if (p->stages == 2 && slices > 1) {
        for (uint32_t i = slice * FINE; i < (slice + 1) * FINE; i++) {
            if (i < first) run_part(m, p, 0, i, first);
            else fault |= run_second(m, p, i - first);
        }
        return fault;
    }
    run_part(m, p, 0, slice, slices);
    if (p->stages == 2) run_part(m, p, 1, 0, 1);
    return p->part ? 0 : hand_on(p, p->buffer[p->stages], p->frame);
}

static void draw(const tudor_module *m, struct player *p, float *const *out) {
    for (uint32_t c = 0; c < p->out_channels; c++) {
        struct resampler *const r = &p->out[c];
        for (uint32_t i = 0; i < m->config.block_samples; i++) {
            if (!r->table) {
                out[c][i] = fifo_get(&p->to_board[c]);
                continue;
            }
            for (; r->phase >= r->up; r->phase -= r->up) resampler_push(r, fifo_get(&p->to_board[c]));
            out[c][i] = resampler_value(r);
            r->phase += r->down;
        }
    }
    player_outputs(m, p, out);
}

/* One channel into two, two into one. */
void player_outputs(const tudor_module *m, const struct player *p, float *const *out) {
    if (p->out_channels < m->config.out_channels)
        memcpy(out[1], out[0], m->config.block_samples * sizeof(float));
    if (p->out_channels > m->config.out_channels)
        for (uint32_t i = 0; i < m->config.block_samples; i++) out[0][i] = 0.5f * (out[0][i] + out[1][i]);
}

/* out: [MODULE_CHANNELS][block]. leads: the controls follow this player's frames. */
int player_run(tudor_module *m, struct player *p, float *const *out, int leads) {
    int fault = 0;
    if (p->strokes.count) return strokes_run(m, p, out, leads);
    feed(m, p);
    p->due += p->schedule.step;
    const uint32_t due = (uint32_t)(p->due / p->schedule.unit), block = m->config.block_samples;
    p->due %= p->schedule.unit;
    for (uint32_t k = 0; k < due; k++) {
        if (leads) controls_until(m, (uint32_t)((uint64_t)block * (k + 1) / due));
        if (p->skip) {
            p->skip--;
        } else if (p->part || !p->in_channels || p->from_board[0].count >= p->frame) {
            fault |= run_slice(m, p);
        }
    }
    draw(m, p, out);
    return fault;
}
