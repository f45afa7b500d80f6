/* What the screen shows: a picture of 128 by 64 dots, drawn from the instrument's status. No hardware, no clock. */
#ifndef TUDOR_PI_PICTURE_H
#define TUDOR_PI_PICTURE_H

#include "module.h"

#define PICTURE_WIDTH 128
#define PICTURE_PAGES 8 /* rows of text, of 8 dots */
#define PICTURE_BYTES (PICTURE_WIDTH * PICTURE_PAGES)

/* byte[page * 128 + x]: bit y is the dot (x, 8 page + y), as the SSD1306 keeps them. `name`: of the slot that plays;
 * `clipped`: something clipped a moment ago; `rate_hz`: of the board.
 *
 *     2 TECHNO-DAISY           slot and name; what stands in its place if none plays
 *     LOAD 41%  14 MS  CLIP    load, what the model is late by
 *     FROZEN LOOP     120.0    what is held; beats a minute
 *     ▂ ▅ ▇ ▁ ▃ ▅ ▆ ▂          latents over their ranges */
void picture_draw(uint8_t *byte, const module_status *status, const char *name, int clipped, uint32_t rate_hz);

/* Five columns of a sign, 1 the top dot; what has no sign is a question mark, small letters are large. */
const uint8_t *picture_sign(char letter);

#endif
