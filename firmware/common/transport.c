/* Beats from clocks, taps and hosts; see transport.h. */
#include "transport.h"

#include "basics.h"

#define NEAR ((int64_t)(BEAT / 16))
#define PULL_SAMPLES 256u          /* in which what is near is reached, or later: it takes at most half the step */
#define OLD_SECONDS_PART 10u       /* a stamp further away than a tenth of a second is none: the pulse is taken as here */
#define REMEMBERED_PULSES 4u       /* what a tempo from before a pause weighs */
#define QUICK_PULSES 8u            /* what is left of the memory when the tempo has changed a little */
#define ALIKE_LONG 2u              /* pulses at a longer distance that make a new tempo; */
#define ALIKE_SHORT 3u             /* at a shorter one, for a single one between two may be a mistake; */
#define ALIKE_ON 6u                /* on the line, but not each: some are rather missing, where they are many */
#define JITTER_LEAST_MS 3.0f       /* what is taken for jitter: a quarter of the distance, but at least and at most this */
#define JITTER_MOST_MS 5.0f
#define TREND_SECONDS 1.5e-3f      /* of the mean error, and it is no jitter */
#define TAP_SECONDS 3u

void transport_start(struct transport *t, uint32_t rate_hz) {
    *t = (struct transport){.rate_hz = rate_hz, .meter = 4, .per_beat = 1, .full = QUICK_PULSES};
    t->step_of_tempo = 0x1p40f / (60.0f * (float)rate_hz);
    t->step = (uint32_t)(120.0f * t->step_of_tempo);
    t->half--; /* the first beat is still to be passed */
}

int transport_step(struct transport *t, uint32_t samples) {
    t->position += (uint64_t)t->step * samples;
    t->time += samples;
    if (t->pulled) {
        const uint32_t now = t->pulled < samples ? t->pulled : samples;
        t->position += (uint64_t)((int64_t)t->pull * (int32_t)now);
        t->pulled -= now;
    }
    const uint32_t half = (uint32_t)(t->position >> 39);
    if ((int32_t)((half - t->half) << 7) <= 0) return 0; /* positions are modulo 2^25 half beats */
    t->half = half;
    return 1;
}

/* ---- placing the position ---- */

/* `line`: that begins at the target, or about there; it will be passed, also if it just was. */
static void set_position(struct transport *t, uint64_t target, const uint64_t *line) {
    const int64_t moved = (int64_t)(target - t->position);
    if (line)
        t->half = (uint32_t)((*line - 1) >> 39);
    else if (moved > (int64_t)BEAT || moved < -(int64_t)BEAT)
        t->half = (uint32_t)(target >> 39);
    t->position = target;
    t->pulled = 0;
    t->moves++;
}

static void approach(struct transport *t, uint64_t target) {
    const int64_t off = (int64_t)(target - t->position);
    if (off > NEAR || off < -NEAR) {
        set_position(t, target, 0);
        return;
    }
    const uint32_t far = (uint32_t)((off < 0 ? -off : off) >> 8), most = t->step / 2; /* in 256/BEAT, as PULL_SAMPLES */
    t->pulled = far > most ? far / (most / PULL_SAMPLES) : PULL_SAMPLES;
    t->pull = off < 0 ? -(int32_t)(far > most ? most : far) : (int32_t)(far > most ? most : far);
}

static void set_tempo(struct transport *t, float tempo) {
    t->step = (uint32_t)(clamped(tempo, TEMPO_LEAST, TEMPO_MOST) * t->step_of_tempo);
}

/* The last pulse lies where the fitted line has it: from there to now at its tempo. `begins`: it was renumbered. */
static void place(struct transport *t, int begins) {
    set_tempo(t, 60.0f * (float)t->rate_hz / (t->period * (float)t->per_beat));
    const uint32_t beat = t->pulse / t->per_beat, part = t->pulse % t->per_beat;
    const uint64_t line = beat * BEAT + part * t->part;
    const int32_t since = (int32_t)(t->time - t->last);
    const int32_t sixteenths = (int32_t)(clamped(t->lead, -131072.0f, 131072.0f) * 16.0f);
    const uint64_t target = line + (uint64_t)((int64_t)since * t->step - ((int64_t)sixteenths * t->step >> 4));
    if (begins)
        set_position(t, target, &line);
    else
        approach(t, target);
}

/* ---- who leads ---- */

static uint32_t quiet(const struct transport *t, uint32_t at) {
    const uint32_t samples = at - t->last;
    return samples < 0u - t->rate_hz ? samples : 0; /* the last one may lie a little ahead */
}

int transport_is_led(const struct transport *t) {
    return t->source != TRANSPORT_OWN && quiet(t, t->time) <= t->patience;
}

static int may_lead(const struct transport *t, uint32_t source, uint32_t at) {
    return source >= t->source || quiet(t, at) > t->patience;
}

static uint32_t patience(const struct transport *t) {
    const uint32_t least = 2 * t->rate_hz, pulses = (uint32_t)(4.0f * t->period);
    return pulses > least ? pulses : least;
}

static uint32_t sensible(const struct transport *t, uint32_t at) {
    const int32_t age = (int32_t)(t->time - at), most = (int32_t)(t->rate_hz / OLD_SECONDS_PART);
    return age > most || age < -most ? t->time : at;
}

/* A clock that did not lead: it counts from the present position, or, if there was no other, from the first beat. */
static void take_over(struct transport *t, uint32_t source, uint32_t per_beat) {
    const int first = t->source == TRANSPORT_OWN && !t->armed;
    const uint64_t pulses = (t->position >> 20) * per_beat + ((uint64_t)1 << 19);
    t->source = source;
    t->per_beat = per_beat;
    t->part = BEAT / per_beat;
    t->full = 2 * per_beat > QUICK_PULSES ? 2 * per_beat : QUICK_PULSES;
    t->period = (float)t->rate_hz * 60.0f / (transport_tempo(t) * (float)per_beat);
    t->count = t->doubts = 0;
    t->lead = t->mean_error = 0.0f;
    if (!t->armed) t->resume = first ? 0 : (uint32_t)(pulses >> 20);
    t->armed = 1;
}

/* ---- the line through the pulses ---- */

/* Least squares over `count` pulses at equal distances, one more at a time; beyond `full` the old ones are forgotten. */
static void fit(struct transport *t, float error, uint32_t passed) {
    if (t->count < t->full) t->count++;
    const float n = (float)t->count, both = n * (n + 1.0f);
    t->lead = (2.0f * (2.0f * n - 1.0f) / both - 1.0f) * error;
    t->period += 6.0f / both * error / (float)passed;
}

/* Not where it was due. Others at the same distance, one after the other, are another tempo: none was missing. */
static void doubt(struct transport *t, float interval, float error, float tolerance, uint32_t passed) {
    const int on_line = passed > 0 && magnitude(error) <= tolerance;
    const int other = !on_line || magnitude(interval - t->period) > tolerance;
    const uint32_t enough = interval < t->period ? ALIKE_SHORT : on_line && t->per_beat > 4 ? ALIKE_ON : ALIKE_LONG;
    const float eighth = 0.125f * interval, apart = eighth > tolerance ? eighth : tolerance;
    if (t->doubts++ == 0) {
        t->sure_pulse = t->pulse;
        t->alike = 1;
    } else {
        t->alike = magnitude(interval - t->interval) <= apart ? t->alike + 1 : 1;
    }
    if (other && t->alike >= enough) {
        t->pulse = t->sure_pulse + t->doubts;
        t->period = 0.5f * (interval + t->interval);
        t->lead = t->mean_error = 0.0f;
        t->count = 3;
        t->doubts = 0;
    } else {
        t->pulse += passed;
        if (on_line)
            fit(t, error, passed);
        else
            t->lead = -error; /* stays where it was due */
    }
    t->interval = interval;
}

/* A further pulse, so many samples after the last one. */
static void follow(struct transport *t, float interval) {
    const float longest = 60.0f / TEMPO_LEAST * 1.1f * (float)t->rate_hz, ms = 1e-3f * (float)t->rate_hz;
    if (t->count < 2 ? interval * (float)t->per_beat > longest : interval > (float)t->patience) { /* it had stopped */
        if (t->count > REMEMBERED_PULSES) t->count = REMEMBERED_PULSES;
        t->lead = t->mean_error = 0.0f;
        t->doubts = 0;
        t->pulse++;
        return;
    }
    if (t->count < 2) { /* the second one says the tempo */
        t->period = interval;
        t->lead = 0.0f;
        t->count++;
        t->pulse++;
        return;
    }
    const float since = interval - t->lead;
    const uint32_t passed = (uint32_t)clamped(since / t->period + 0.5f, 0.0f, 1024.0f);
    const float error = since - (float)passed * t->period;
    const float quarter = clamped(0.25f * t->period, JITTER_LEAST_MS * ms, JITTER_MOST_MS * ms);
    const float half = 0.45f * t->period, tolerance = t->count < QUICK_PULSES ? half : clamped(quarter, 0.0f, half);
    if (passed != 1 || magnitude(error) > tolerance || magnitude(interval - t->period) > tolerance) {
        doubt(t, interval, error, tolerance, passed);
        return;
    }
    t->doubts = 0;
    t->pulse++;
    t->mean_error += 0.125f * (error - t->mean_error);
    if (magnitude(t->mean_error) > TREND_SECONDS * (float)t->rate_hz && t->count > QUICK_PULSES) {
        t->count = QUICK_PULSES;
        t->mean_error = 0.0f;
    }
    fit(t, error, 1);
}

void transport_pulse(struct transport *t, enum transport_source source, uint32_t per_beat, uint32_t stamp) {
    const uint32_t at = sensible(t, stamp);
    if (!may_lead(t, source, at)) return;
    if (source != t->source || per_beat != t->per_beat) take_over(t, source, per_beat);
    const uint32_t interval = quiet(t, at);
    if (t->count && interval == 0) return; /* twice the same */
    if (t->count)
        follow(t, (float)interval);
    else
        t->count = 1;
    t->last = at;
    if (t->armed) t->pulse = t->resume;
    place(t, (int)t->armed);
    t->armed = 0;
    t->patience = patience(t);
}

/* ---- taps, starts, hosts ---- */

/* Two taps are a tempo, more are a better one; the nearest beat comes to lie on the tap. */
void transport_tap(struct transport *t, uint32_t stamp) {
    const uint32_t at = sensible(t, stamp), interval = quiet(t, at);
    if (!may_lead(t, TRANSPORT_TAP, at)) return;
    if (t->source == TRANSPORT_TAP && (float)interval * TEMPO_MOST < 60.0f * (float)t->rate_hz) return; /* it bounced */
    if (t->source != TRANSPORT_TAP || interval > TAP_SECONDS * t->rate_hz) {
        t->source = TRANSPORT_TAP;
        t->per_beat = 1;
        t->part = BEAT;
        t->full = QUICK_PULSES;
        t->count = 1;
        t->lead = 0.0f;
    } else {
        const float error = (float)interval - t->lead - t->period;
        if (t->count < 2 || magnitude(error) > 0.25f * t->period) {
            t->period = (float)interval;
            t->lead = 0.0f;
            t->count = 2;
        } else {
            fit(t, error, 1);
        }
    }
    t->last = at;
    t->patience = TAP_SECONDS * t->rate_hz;
    if (t->count < 2) return;
    t->pulse = (uint32_t)((t->position + BEAT / 2) >> 40);
    place(t, 0);
}

void transport_downbeat(struct transport *t, uint32_t stamp) {
    const uint32_t at = sensible(t, stamp);
    const int clocked = transport_is_led(t) && t->source >= TRANSPORT_MIDI && t->count;
    const uint64_t begin = t->resume = 0;
    if (!clocked) {
        set_position(t, (uint64_t)((int64_t)(int32_t)(t->time - at) * t->step), &begin);
    } else if ((float)quiet(t, at) < 0.25f * t->period || quiet(t, at) < t->rate_hz / 200) {
        t->pulse = 0;
        place(t, 1);
    } else {
        t->armed = 1;
    }
}

void transport_midi(struct transport *t, uint32_t status, uint32_t sixteenths) {
    if (!may_lead(t, TRANSPORT_MIDI, t->time)) return;
    switch (status) {
    case 0xF2: t->resume = sixteenths * (MIDI_PULSES / 4); break;
    case 0xFA: t->resume = 0; /* fall through */
    case 0xFB:
        t->armed = 1;
        t->stopped = 0;
        break;
    case 0xFC:
        if (!t->stopped) t->resume = t->source == TRANSPORT_MIDI ? t->pulse + 1 : 0;
        t->stopped = 1;
        break;
    default: break;
    }
}

void transport_own(struct transport *t, float tempo) {
    if (t->source > TRANSPORT_TAP && transport_is_led(t)) return;
    t->source = TRANSPORT_OWN;
    t->pulled = 0;
    set_tempo(t, tempo);
}

void transport_host(struct transport *t, float tempo, double beat, uint32_t meter, int playing) {
    const int begins = playing && (t->source != TRANSPORT_HOST || t->stopped);
    t->source = TRANSPORT_HOST;
    t->last = t->time;
    t->patience = 2 * t->rate_hz;
    t->stopped = !playing;
    t->meter = meter;
    t->count = t->armed = t->pulled = 0;
    set_tempo(t, tempo);
    if (!playing) return;
    if (beat < 0.0) beat += (double)meter * (double)((uint32_t)(-beat) / meter + 1); /* counted in: the bar's part */
    const uint64_t target = (uint64_t)(beat * 0x1p40);
    const int64_t off = (int64_t)(target - t->position);
    if (begins || off > NEAR / 4 || off < -NEAR / 4)
        set_position(t, target, &target);
    else
        t->position = target; /* a host knows */
}
