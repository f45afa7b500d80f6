/* Knobs, CVs, gates and MIDI: each read in a thread of its own, handed to the instrument through its rings. */
#ifndef TUDOR_PI_CONTROLS_H
#define TUDOR_PI_CONTROLS_H

#include "adc.h"
#include "audio.h"
#include "gates.h"
#include "leds.h"
#include "steady.h"

#include <pthread.h>
#include <stdatomic.h>

enum { LANE_ANALOG, LANE_GATES, LANE_MIDI, LANE_SERIAL, LANES };

#define PINS (MODULE_KNOBS + MODULE_CVS)

/* Whose turn it is at a converter that takes one input after the other: knobs, then CVs. */
struct turn {
    int pin;  /* that is being converted; -1: none */
    int late; /* looks in vain */
};

struct controls {
    const struct settings *settings;
    const struct alsa_api *api;
    tudor_module *m;
    const struct audio *audio; /* whose marks tell the time in samples; null: none */
    uint32_t block_samples, rate_hz;
    struct adc adc[MAX_ADCS];
    struct turn turn[MAX_ADCS];
    _Atomic int knob[MODULE_KNOBS], cv[MODULE_CVS]; /* readings in steps of 1/4095, as the status shows them; -1: none */
    struct steady steady[MODULE_CVS];
    _Atomic float level[MODULE_CVS]; /* means of the CVs' readings, as a calibration has them: -1 to 1 */
    _Atomic uint32_t readings, read_errors, edges, messages;
    int chip, inputs, leds, gate_out; /* of GPIO; -1: none */
    struct gates gates;
    uint32_t gates_last; /* stamp of the last event, so that none goes back */
    int gate_shown; /* at the gate output; -1: nothing yet */
    struct leds lights;
    _Atomic int clipped; /* since the LEDs were last shown */
    snd_seq_t *sequencer;
    int port;
    int serial; /* MIDI's UART; -1: none */
    _Atomic int stop;
    pthread_t thread[4];
    int threads;
};

/* Opens what the settings name; what is not there is complained about and left out. */
void controls_open(struct controls *c, struct settings *settings, const struct alsa_api *api);
/* Starts the threads; 0 on success. `m`: with LANES lanes. */
int controls_start(struct controls *c, tudor_module *m, const struct audio *audio);
void controls_stop(struct controls *c);
/* The LEDs, by the instrument's state; `now_ms` from 1 on. */
void controls_show(struct controls *c, const module_status *status, uint64_t now_ms);

/* When an event that happened at `at_ns` (CLOCK_MONOTONIC) is to be heard, in samples: a block later, whatever happens,
 * so that all are late by the same time. */
uint32_t controls_stamp(const struct controls *c, uint64_t at_ns);

/* For tests: one round of the analog inputs. An ADS1015 gives one of its inputs in each, those of an MCP3208 all. */
void controls_read_analog(struct controls *c);
/* A gate's level goes to the instrument (a gate_tell; `context` is the struct controls). */
void controls_push_gate(void *context, int source, int on, uint64_t at_ns);
/* What the gate thread does when there may be edges. */
void controls_read_gates(struct controls *c, uint64_t now_ns);
/* What it does once a block: the gate output, and whether anything clips. */
void controls_after_block(struct controls *c);
/* Bytes of MIDI as they came, for one lane. */
void controls_midi_bytes(struct controls *c, uint32_t lane, module_midi *parser, const unsigned char *bytes, long count);

#endif
