#include "midi_in.h"

#include "report.h"

/* Looks for the question in passing; real-time bytes may stand anywhere. */
static void hear(struct midi_in *in, uint8_t byte) {
    static const uint8_t ask[] = REPORT_ASK;
    if (byte >= 0xf8) return;
    in->heard = byte == ask[in->heard] ? in->heard + 1 : byte == ask[0];
    if (in->heard < sizeof ask) return;
    in->heard = 0;
    __atomic_store_n(&in->asked, 1, __ATOMIC_RELAXED);
}

void midi_in_bytes(const uint8_t *bytes, size_t count, struct midi_in *in) {
    for (size_t i = 0; i < count; i++) {
        module_event event;
        hear(in, bytes[i]);
        if (!module_midi_byte(&in->parser, bytes[i], &event)) continue;
        event.at_samples = module_now(in->m);
        module_push(in->m, in->lane, &event); /* a lane without room drops and counts it */
    }
}

int midi_in_asked(struct midi_in *in) { return (int)__atomic_exchange_n(&in->asked, 0, __ATOMIC_RELAXED); }
