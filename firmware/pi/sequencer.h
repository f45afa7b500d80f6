/* MIDI, from whatever the ALSA sequencer knows. */
#ifndef TUDOR_PI_SEQUENCER_H
#define TUDOR_PI_SEQUENCER_H

#include "controls.h"

/* A port that others can be connected to; without a sequencer that is noted, and c->sequencer is null. */
void sequencer_open(struct controls *c);
/* The thread that reads it; `context` is the struct controls. */
void *sequencer_thread(void *context);

#endif
