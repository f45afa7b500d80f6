/* What the lights of a board say. */
#ifndef TUDOR_MODULE_LEDS_H
#define TUDOR_MODULE_LEDS_H

#include "module.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The last three are for whoever has room for them: the first tells the same by blinking. */
enum led { LED_PLAY, LED_FAULT, LED_CLIP, LED_FROZEN, LED_RECORDING, LED_LOOPING, LED_COUNT };

/* What has to be remembered between two looks. */
struct leds {
    uint32_t slot;
    uint64_t since_ms, clipped_ms; /* when the slot began; when a clip was last seen, 0: never */
};

/* Bit l: LED l (enum led) is on. `now_ms` only ever grows, from 1 on; `clipped`: something clipped since the last look.
 * Play: steady while a model plays; n flashes tell that slot n was chosen; quick flicker: a gesture is being recorded;
 * short gaps: it loops; short flashes: frozen. docs/module.md has the table. */
uint32_t leds_on(struct leds *l, const module_status *status, int clipped, uint64_t now_ms);

#ifdef __cplusplus
}
#endif

#endif
