/* Knobs, CVs, gates and MIDI: each read in a thread of its own, handed to the instrument through its rings. */
#ifndef TUDOR_PI_CONTROLS_H
#define TUDOR_PI_CONTROLS_H

#include "adc.h"
#include "alsa_api.h"

#include <pthread.h>
#include <stdatomic.h>

enum { LANE_ANALOG, LANE_GATES, LANE_MIDI, LANE_MAIN, LANES };

struct controls {
    const struct settings *settings;
    const struct alsa_api *api;
    tudor_module *m;
    uint32_t block_samples;
    struct adc adc[MAX_ADCS];
    _Atomic int knob[MODULE_KNOBS], cv[MODULE_CVS]; /* readings in steps of 1/4095, as the status shows them; -1: none */
    _Atomic uint32_t readings, read_errors, edges, messages;
    int chip, inputs, outputs; /* of GPIO; -1: none */
    int input_line[MODULE_GATES], input_source[MODULE_GATES], input_inverted[MODULE_GATES], input_count;
    snd_seq_t *sequencer;
    int port;
    _Atomic int stop;
    pthread_t thread[3];
    int threads;
};

/* Opens what the settings name; what is not there is complained about and left out. */
void controls_open(struct controls *c, struct settings *settings, const struct alsa_api *api);
/* Starts the threads; 0 on success. `m`: with LANES lanes. */
int controls_start(struct controls *c, tudor_module *m, uint32_t block_samples);
void controls_stop(struct controls *c);
/* LEDs and the gate output, by the instrument's state. */
void controls_show(struct controls *c, const module_status *status);

/* For tests: one round of the analog inputs. */
void controls_read_analog(struct controls *c);
/* One event of the sequencer's bytes. */
void controls_midi_bytes(struct controls *c, module_midi *parser, const unsigned char *bytes, long count);

#endif
