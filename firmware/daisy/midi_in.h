/* MIDI bytes from an interrupt, as events for the audio interrupt: through the instrument's own ring, a lane for each
 * wire. No hardware in here. */
#ifndef TUDOR_DAISY_MIDI_IN_H
#define TUDOR_DAISY_MIDI_IN_H

#include "module.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zeroed but for `m` and `lane` before the first byte. */
struct midi_in {
    tudor_module *m;
    uint32_t lane;
    module_midi parser;
    uint32_t heard; /* bytes of the question that report.h tells */
    uint32_t asked; /* by the interrupt; atomic */
};

/* Bytes as they came. Only one interrupt calls it for a lane. */
void midi_in_bytes(const uint8_t *bytes, size_t count, struct midi_in *in);
/* Whether the board was asked for its report since the last call, which is the main loop's. Several questions are one. */
int midi_in_asked(struct midi_in *in);

#ifdef __cplusplus
}
#endif

#endif
