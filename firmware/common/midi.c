/* MIDI bytes into messages. */
#include "instrument.h"

#define SONG_POSITION 0xF2

/* Data bytes of a channel message, by its status. */
static uint32_t data_bytes(uint8_t status) {
    const uint8_t kind = status & 0xF0;
    return kind == 0xC0 || kind == 0xD0 ? 1 : 2;
}

int module_midi_byte(module_midi *p, uint8_t byte, module_event *event) {
    if (!p || !event) return 0;
    if (byte >= 0xF8) { /* real time: may stand anywhere and changes nothing of what stands around it */
        *event = (module_event){.kind = MODULE_MIDI, .midi = {byte}};
        return byte == 0xF8 || (byte >= 0xFA && byte <= 0xFC); /* clock, start, continue, stop */
    }
    if (byte >= 0x80) { /* a new message; what was begun is lost, and exclusive data ends here */
        p->exclusive = byte == 0xF0;
        p->status = byte < 0xF0 || byte == SONG_POSITION ? byte : 0; /* system messages end running status */
        p->have = 0;
        return 0;
    }
    if (p->exclusive || p->status < 0x80) return 0;
    if (p->have > 1) p->have = 0; /* only if the struct was not zeroed */
    p->data[p->have++] = byte;
    if (p->have < data_bytes(p->status)) return 0;
    *event = (module_event){.kind = MODULE_MIDI};
    event->midi[0] = p->status;
    event->midi[1] = p->data[0] & 0x7F;
    event->midi[2] = p->have == 2 ? p->data[1] & 0x7F : 0;
    p->have = 0;
    if (p->status == SONG_POSITION) p->status = 0;
    return 1;
}
