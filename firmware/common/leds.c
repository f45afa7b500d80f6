#include "leds.h"

/* Milliseconds. */
#define GAP 400         /* of dark before and after the flashes that count the slot */
#define FLASH_EACH 300  /* one of them: half on, half off */
#define FLICKER 100     /* recording: on, off */
#define SHORT 80        /* the shorter part of the other codes */
#define LOOP_EACH 500
#define FROZEN_EACH 1000
#define CLIP_HELD 150   /* long enough to be seen */

/* The slot's number as flashes, for a moment after it was chosen: 1 on, 0 off, -1 the moment is over. */
static int counting(uint32_t slot, uint64_t since) {
    const uint64_t flashes = (uint64_t)(slot + 1) * FLASH_EACH;
    if (since < GAP) return 0;
    if (since < GAP + flashes) return (since - GAP) % FLASH_EACH < FLASH_EACH / 2;
    return since < 2 * GAP + flashes ? 0 : -1;
}

static int play_led(const struct leds *l, const module_status *s, uint64_t now_ms) {
    if (s->state == MODULE_CHANGING) return now_ms / 200 % 2 == 0;
    if (s->state != MODULE_PLAYING) return 0;
    const int counted = counting(l->slot, now_ms - l->since_ms);
    if (counted >= 0) return counted;
    if (s->flags & MODULE_RECORDING) return now_ms / FLICKER % 2 == 0;
    if (s->flags & MODULE_FROZEN) return now_ms % FROZEN_EACH < SHORT;
    if (s->flags & MODULE_LOOPING) return now_ms % LOOP_EACH >= SHORT;
    return 1;
}

uint32_t leds_on(struct leds *l, const module_status *s, int clipped, uint64_t now_ms) {
    if (s->slot != l->slot || !l->since_ms) {
        l->slot = s->slot;
        l->since_ms = now_ms;
    }
    if (clipped) l->clipped_ms = now_ms;
    const int fault = s->state == MODULE_OVERLOAD || s->state == MODULE_RECOVERING || s->state == MODULE_EMPTY;
    const int on[LED_COUNT] = {
        [LED_PLAY] = play_led(l, s, now_ms),
        [LED_FAULT] = fault,
        [LED_CLIP] = l->clipped_ms && now_ms - l->clipped_ms < CLIP_HELD,
        [LED_FROZEN] = (s->flags & MODULE_FROZEN) != 0,
        [LED_RECORDING] = (s->flags & MODULE_RECORDING) != 0,
        [LED_LOOPING] = (s->flags & MODULE_LOOPING) != 0,
    };
    uint32_t lit = 0;
    for (int i = 0; i < LED_COUNT; i++) lit |= (uint32_t)(on[i] != 0) << i;
    return lit;
}
