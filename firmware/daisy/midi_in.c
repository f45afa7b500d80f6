#include "midi_in.h"

void midi_in_bytes(const uint8_t *bytes, size_t count, struct midi_in *in) {
    for (size_t i = 0; i < count; i++) {
        module_event event;
        if (!module_midi_byte(&in->parser, bytes[i], &event)) continue;
        event.at_samples = module_now(in->m);
        module_push(in->m, in->lane, &event); /* a lane without room drops and counts it */
    }
}
