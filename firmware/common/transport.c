/* Beats from clocks, taps and hosts; see transport.h. */
#include "transport_parts.h"

#define PULL_SAMPLES 256u          /* in which what is near is reached, or later: it takes at most half the step */
#define OLD_SECONDS_PART 10u       /* a stamp further away than a tenth of a second is none: the pulse is taken as here */
#define TREND_SECONDS 1.5e-3f      /* of the mean error, and it is no jitter */
#define SURE_LEAST_MS 10u          /* pulses so far apart are taken at once where they are less than the least jitter off: */
#define SURE_MOST_MS 490u          /* that is less than half way to the next one, and they have not stopped */

void transport_start(struct transport *t, uint32_t rate_hz) {
    *t = (struct transport){.rate_hz = rate_hz, .meter = 4, .per_beat = 1, .full = QUICK_PULSES};
    t->step_of_tempo = 0x1p40f / (60.0f * (float)rate_hz);
    t->step = (uint32_t)(120.0f * t->step_of_tempo);
    t->step_least = TEMPO_LEAST * t->step_of_tempo;
    t->step_most = TEMPO_MOST * t->step_of_tempo;
    t->oldest = rate_hz / OLD_SECONDS_PART;
    t->trend = TREND_SECONDS * (float)rate_hz;
    t->sure_least = SURE_LEAST_MS * rate_hz / 1000;
    t->sure_most = SURE_MOST_MS * rate_hz / 1000 - t->sure_least;
    t->sure = -1.0f;
    t->half--; /* the first beat is still to be passed */
}

int transport_step(struct transport *t, uint32_t samples) {
    t->time += samples;
    uint64_t position = t->position + (uint64_t)t->step * samples;
    if (t->pulled) {
        if (samples > t->pulled) samples = t->pulled;
        t->pulled -= samples;
        position += (uint64_t)((int64_t)t->pull * (int32_t)samples);
    }
    t->position = position;
    const uint32_t parts = (uint32_t)(position >> 32) - (t->half << 7); /* 128 of them are half a beat; modulo 2^32 */
    if ((int32_t)parts < 128) return 0;
    t->half += parts >> 7;
    return 1;
}

/* ---- placing the position ---- */

/* `line`: that begins at the target, or about there; it will be passed, also if it just was. */
void transport_set_position(struct transport *t, uint64_t target, const uint64_t *line) {
    const int64_t moved = (int64_t)(target - t->position);
    if (line)
        t->half = (uint32_t)((*line - 1) >> 39);
    else if (moved > (int64_t)BEAT || moved < -(int64_t)BEAT)
        t->half = (uint32_t)(target >> 39);
    t->position = target;
    t->pulled = 0;
    t->moves++;
}

static inline void approach(struct transport *t, uint64_t target) {
    if ((uint32_t)((target - t->position) >> 32) + (uint32_t)(NEAR >> 32) >= (uint32_t)(NEAR >> 31)) {
        transport_set_position(t, target, 0);
        return;
    }
    /* In 256/BEAT, since it is caught up with in PULL_SAMPLES. */
    const int32_t far = (int32_t)((int64_t)(target - t->position) >> 8), most = (int32_t)(t->step / 2);
    t->pull = far;
    t->pulled = PULL_SAMPLES;
    if (far <= most && far >= -most) return;
    t->pull = far < 0 ? -most : most;
    t->pulled = (uint32_t)(far / (t->pull / (int32_t)PULL_SAMPLES));
}

/* Where the present lies, from the last pulse at its tempo. */
static inline uint64_t present(struct transport *t, uint64_t line) {
    t->step = (uint32_t)clamped(t->part_step / t->period, t->step_least, t->step_most);
    const int32_t since = (int32_t)(t->time - t->last); /* at most a tenth of a second, or a quarter of a period */
    const int32_t sixteenths = since * 16 - (int32_t)(t->lead * 16.0f);
    return line + (uint64_t)((int64_t)sixteenths * (int32_t)t->step >> 4);
}

static inline uint64_t line_of(const struct transport *t) {
    return t->pulse / t->per_beat * BEAT + t->pulse % t->per_beat * t->part;
}

void transport_place(struct transport *t, int begins) {
    const uint64_t line = line_of(t), target = present(t, line);
    if (begins)
        transport_set_position(t, target, &line);
    else
        approach(t, target);
}

/* ---- who leads ---- */

uint32_t transport_quiet(const struct transport *t, uint32_t at) {
    const uint32_t samples = at - t->last;
    return samples < 0u - t->rate_hz ? samples : 0; /* the last one may lie a little ahead */
}

int transport_is_led(const struct transport *t) {
    return t->source != TRANSPORT_OWN && transport_quiet(t, t->time) <= t->patience;
}

int transport_may_lead(const struct transport *t, uint32_t source, uint32_t at) {
    return source >= t->source || transport_quiet(t, at) > t->patience;
}

uint32_t transport_sensible(const struct transport *t, uint32_t at) {
    return t->time - at + t->oldest <= 2 * t->oldest ? at : t->time;
}

/* How many pulses make a beat. */
void transport_count_in(struct transport *t, uint32_t per_beat, uint32_t full) {
    t->per_beat = per_beat;
    t->part = BEAT / per_beat;
    t->part_step = 0x1p40f / (float)per_beat;
    t->full = full;
}

void transport_pulse(struct transport *t, enum transport_source source, uint32_t per_beat, uint32_t stamp) {
    const uint32_t at = transport_sensible(t, stamp), interval = at - t->last;
    const float since = (float)interval, error = since - t->lead - t->period;
    if (source == t->source && per_beat == t->per_beat && magnitude(error) <= t->sure &&
        magnitude(since - t->period) <= t->sure && interval - t->sure_least < t->sure_most) {
        transport_accept(t, error); /* nearly all: what `transport_weigh` would come to, at half its cost */
        t->last = at;
        approach(t, present(t, line_of(t)));
    } else {
        transport_weigh(t, source, per_beat, at);
    }
}
