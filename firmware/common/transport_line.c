/* The line through a clock's pulses: which pulse one is, and what it says of tempo and place; see transport.h. */
#include "transport_parts.h"

#define LEAD_MOST 131072.0f        /* samples */
#define REMEMBERED_PULSES 4u       /* what a tempo from before a pause weighs */
#define ALIKE_LONG 2u              /* pulses at a longer distance that make a new tempo; */
#define ALIKE_SHORT 3u             /* at a shorter one, for a single one between two may be a mistake; */
#define ALIKE_ON 6u                /* on the line, but not each: some are rather missing, where they are many */
#define JITTER_LEAST_MS 3.0f       /* what is taken for jitter: a quarter of the distance, but at least and at most this */
#define JITTER_MOST_MS 5.0f

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
        const float period = t->period;
        if (on_line) {
            transport_fit(t, error);
            t->period = period + t->period_gain * error / (float)passed;
        } else {
            t->lead = -error; /* stays where it was due */
        }
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
    transport_accept(t, error);
}

static uint32_t patience(const struct transport *t) {
    const uint32_t least = 2 * t->rate_hz, pulses = (uint32_t)(4.0f * t->period);
    return pulses > least ? pulses : least;
}

/* A clock that did not lead: it counts from the present position, or, if there was no other, from the first beat. */
static void take_over(struct transport *t, uint32_t source, uint32_t per_beat) {
    const int first = t->source == TRANSPORT_OWN && !t->armed;
    const uint64_t pulses = (t->position >> 20) * per_beat + ((uint64_t)1 << 19);
    t->source = source;
    transport_count_in(t, per_beat, 2 * per_beat > QUICK_PULSES ? 2 * per_beat : QUICK_PULSES);
    t->period = (float)t->rate_hz * 60.0f / (transport_tempo(t) * (float)per_beat);
    t->count = t->doubts = 0;
    t->lead = t->mean_error = 0.0f;
    if (!t->armed) t->resume = first ? 0 : (uint32_t)(pulses >> 20);
    transport_arm(t);
}

void transport_weigh(struct transport *t, uint32_t source, uint32_t per_beat, uint32_t at) {
    if (source != t->source || per_beat != t->per_beat) {
        if (!transport_may_lead(t, source, at)) return;
        take_over(t, source, per_beat);
    }
    const uint32_t interval = transport_quiet(t, at), begins = t->armed;
    if (t->count && interval == 0) return; /* twice the same */
    if (t->count)
        follow(t, (float)interval);
    else
        t->count = 1;
    t->gains_of = 0;
    t->lead = clamped(t->lead, -LEAD_MOST, LEAD_MOST);
    t->sure = t->count < 2 || t->doubts ? -1.0f : JITTER_LEAST_MS * (1e-3f * (float)t->rate_hz);
    t->last = at;
    if (begins) t->pulse = t->resume;
    t->armed = 0;
    transport_place(t, (int)begins);
    t->patience = patience(t);
}
