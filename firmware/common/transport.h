/* Beats: clocks, taps or a host in; a position in beats and a tempo out, for every sample.
 *
 * A pulse's time is that of its stamp, however late it is handed over. A line is fitted through the pulses (by least
 * squares over all of them, then over the last two beats), which takes a jittering clock's mean and forgets an old
 * tempo. The position follows the line within a few milliseconds and never runs backwards, but is set at once where it
 * would lie off by more than a sixteenth of a beat. Without pulses it runs on at the last tempo. Integers and float32 in
 * written order: the same bits everywhere. No hardware and no instrument in here. */
#ifndef TUDOR_MODULE_TRANSPORT_H
#define TUDOR_MODULE_TRANSPORT_H

#include <stdint.h>

#define BEAT ((uint64_t)1 << 40) /* of a position; 2^24 beats are two months */
#define TEMPO_LEAST 20.0f        /* beats a minute */
#define TEMPO_MOST 400.0f
#define PULSES_MOST 96u          /* of a clock, per beat */
#define MIDI_PULSES 24u

/* Whoever stands lower is heard when all above it have been silent for two seconds, or for four of their pulses. */
enum transport_source { TRANSPORT_OWN, TRANSPORT_TAP, TRANSPORT_MIDI, TRANSPORT_GATE, TRANSPORT_HOST };

struct transport {
    uint64_t position;  /* beats at `time`, in 1/BEAT */
    uint32_t step;      /* of it, per sample */
    uint32_t time;      /* samples of the board's clock, modulo 2^32 */
    int32_t pull;       /* more of it per sample, for so many samples: what it lacks is caught up with */
    uint32_t pulled;
    uint32_t half;      /* half beats whose lines have been passed */
    uint32_t moves;     /* times that the position was set */
    uint32_t rate_hz, meter; /* beats in a bar */
    float step_of_tempo;     /* step at one beat a minute */

    uint64_t part;      /* of a position: from pulse to pulse */
    float part_step;    /* the same: divided by a distance in samples it is a step */
    float step_least, step_most;
    uint32_t oldest;    /* samples that a stamp may lie away */
    uint32_t source, per_beat; /* enum transport_source; its pulses in a beat */
    uint32_t pulse, last; /* number of the last pulse, and its stamp */
    uint32_t patience;    /* samples without a pulse after which the clock has stopped */
    float period, lead;   /* samples between pulses; where the line has the last pulse, from its stamp */
    float mean_error;     /* of the last pulses: a slow change of tempo, before it is large */
    uint32_t count, full; /* pulses that the line was fitted to; most that it may remember */
    uint32_t gains_of;    /* `count` for which the next two were worked out; 0: for none */
    float lead_gain, period_gain; /* what of an error moves the line, and its distance */
    float trend;          /* of the mean error, from which on the tempo changes */
    float sure;           /* so far off, in samples, a pulse is taken without a doubt, unless one is to be renumbered, */
    uint32_t sure_least, sure_most; /* at a distance of at least this, and less than so much more */
    uint32_t doubts, sure_pulse; /* pulses in a row that came when none was due; the last one before them */
    uint32_t alike;       /* of them, the last ones at the same distance, */
    float interval;       /* which is this one */
    uint32_t armed, resume; /* the next pulse is number `resume` */
    uint32_t stopped;     /* by MIDI or a host: the position runs on */
};

void transport_start(struct transport *t, uint32_t rate_hz);

/* Time goes on, by at most 256 samples. 1: the line of a half beat was passed, number `half`; even ones are beats. */
int transport_step(struct transport *t, uint32_t samples);

/* A pulse of a clock at a time of the board's clock: TRANSPORT_MIDI or TRANSPORT_GATE. */
void transport_pulse(struct transport *t, enum transport_source source, uint32_t per_beat, uint32_t at);
void transport_tap(struct transport *t, uint32_t at);
/* A bar begins: with the clock's pulse that is near, else with its next one; without a clock, here. */
void transport_downbeat(struct transport *t, uint32_t at);
/* MIDI's real-time messages but the clock itself, and a song position of so many sixteenths. */
void transport_midi(struct transport *t, uint32_t status, uint32_t sixteenths);
/* The tempo where nothing from outside says one. */
void transport_own(struct transport *t, float tempo);
/* What a host says for the coming sample. */
void transport_host(struct transport *t, float tempo, double beat, uint32_t meter, int playing);

/* Whether something outside is followed at present. */
int transport_is_led(const struct transport *t);
static inline float transport_tempo(const struct transport *t) { /* beats a minute */
    return (float)t->step / t->step_of_tempo;
}

/* The position so much later. */
static inline uint64_t transport_ahead(const struct transport *t, int32_t samples) {
    return t->position + (uint64_t)((int64_t)t->step * samples);
}

/* From 0 to below 1: part of a beat; part of a bar. `position` in 1/BEAT. */
static inline float transport_beat_phase(uint64_t position) { return (float)((uint32_t)(position >> 8) >> 8) * 0x1p-24f; }

static inline float transport_bar_phase(const struct transport *t, uint64_t position) {
    const uint32_t beat = (uint32_t)(position >> 40) % t->meter;
    const float phase = ((float)beat + transport_beat_phase(position)) / (float)t->meter;
    return phase < 0x1.fffffep-1f ? phase : 0x1.fffffep-1f;
}

#endif
