/* What the board says of itself by MIDI, when it is asked: lines "name value" in a system exclusive message.
 *
 *   asked     F0 7D 54 01 F7           (7D: no maker's; 54: tudor)
 *   answered  F0 7D 54 02 text F7      (7 bits; what is no such character becomes '?') */
#ifndef TUDOR_DAISY_REPORT_H
#define TUDOR_DAISY_REPORT_H

#include "rig.h"

#ifdef __cplusplus
extern "C" {
#endif

#define REPORT_ASK {0xf0, 0x7d, 0x54, 0x01, 0xf7}
#define REPORT_HEAD {0xf0, 0x7d, 0x54, 0x02}
#define REPORT_BYTES 512u
#define REPORT_PACKETS_BYTES ((REPORT_BYTES + 2) / 3 * 4)

struct report_stack {
    uint32_t deepest, room; /* bytes */
};

/* The answer, from the board's main loop. Returns its bytes; it is cut to whole lines where it would be longer. */
size_t report_answer(const struct rig *rig, const struct report_stack *stack, uint8_t answer[REPORT_BYTES]);
/* A system exclusive message as USB carries it, four bytes for three (USB-MIDI 1.0, "USB-MIDI event packets"). Returns the
 * bytes of all packets. */
size_t report_packets(const uint8_t *message, size_t bytes, uint8_t packets[REPORT_PACKETS_BYTES]);

#ifdef __cplusplus
}
#endif

#endif
