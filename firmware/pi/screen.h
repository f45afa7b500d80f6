/* An SSD1306 of 128 by 64 dots on the I2C bus. It shares the bus with converters, so it is told what has changed in
 * small pieces, a few at each look. */
#ifndef TUDOR_PI_SCREEN_H
#define TUDOR_PI_SCREEN_H

#include "picture.h"
#include "settings.h"

#define SCREEN_PIECE 32 /* bytes at a time: .8 ms at 400 kHz */
#define SCREEN_PIECES 2 /* in a look */

struct screen {
    int file;                      /* -1: none */
    uint8_t shown[PICTURE_BYTES];  /* what it has */
    uint8_t known[PICTURE_BYTES / SCREEN_PIECE];
    int next;                      /* piece to be looked at first */
};

/* Opens and lights what the settings name; a screen that does not answer is complained about and left alone. */
void screen_open(struct screen *screen, const struct i2c_place *place);
/* A look: sends up to SCREEN_PIECES pieces in which `picture` differs from what is shown. */
void screen_show(struct screen *screen, const uint8_t *picture);
/* Dark, and closed. */
void screen_close(struct screen *screen);

#endif
