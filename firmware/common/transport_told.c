/* Taps, starts, and what a host says; see transport.h. */
#include "transport_parts.h"

#define TAP_SECONDS 3u

static void set_tempo(struct transport *t, float tempo) {
    t->step = (uint32_t)(clamped(tempo, TEMPO_LEAST, TEMPO_MOST) * t->step_of_tempo);
}


/* Two taps are a tempo, more are a better one; the nearest beat comes to lie on the tap. */
void transport_tap(struct transport *t, uint32_t stamp) {
    const uint32_t at = transport_sensible(t, stamp), interval = transport_quiet(t, at);
    if (!transport_may_lead(t, TRANSPORT_TAP, at)) return;
    if (t->source == TRANSPORT_TAP && (float)interval * TEMPO_MOST < 60.0f * (float)t->rate_hz) return; /* it bounced */
    if (t->source != TRANSPORT_TAP || interval > TAP_SECONDS * t->rate_hz) {
        t->source = TRANSPORT_TAP;
        transport_count_in(t, 1, QUICK_PULSES);
        t->count = 1;
        t->gains_of = 0;
        t->lead = 0.0f;
    } else {
        const float error = (float)interval - t->lead - t->period;
        if (t->count < 2 || magnitude(error) > 0.25f * t->period) {
            t->period = (float)interval;
            t->lead = 0.0f;
            t->count = 2;
            t->gains_of = 0;
        } else {
            transport_fit(t, error);
        }
    }
    t->last = at;
    t->patience = TAP_SECONDS * t->rate_hz;
    if (t->count < 2) return;
    t->pulse = (uint32_t)((t->position + BEAT / 2) >> 40);
    transport_place(t, 0);
}

void transport_downbeat(struct transport *t, uint32_t stamp) {
    const uint32_t at = transport_sensible(t, stamp);
    const int clocked = transport_is_led(t) && t->source >= TRANSPORT_MIDI && t->count;
    const uint64_t begin = t->resume = 0;
    if (!clocked) {
        transport_set_position(t, (uint64_t)((int64_t)(int32_t)(t->time - at) * t->step), &begin);
    } else if ((float)transport_quiet(t, at) < 0.25f * t->period || transport_quiet(t, at) < t->rate_hz / 200) {
        t->pulse = 0;
        transport_place(t, 1);
    } else {
        transport_arm(t);
    }
}

void transport_midi(struct transport *t, uint32_t status, uint32_t sixteenths) {
    if (!transport_may_lead(t, TRANSPORT_MIDI, t->time)) return;
    switch (status) {
    case 0xF2: t->resume = sixteenths * (MIDI_PULSES / 4); break;
    case 0xFA: t->resume = 0; /* fall through */
    case 0xFB:
        transport_arm(t);
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
    if (begins || off > (int64_t)(NEAR / 4) || off < -(int64_t)(NEAR / 4))
        transport_set_position(t, target, &target);
    else
        t->position = target; /* a host knows */
}
