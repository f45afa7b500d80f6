/* Calibrating a Daisy's CV inputs at its button, before the sound starts. No hardware in here.
 *
 * Who holds the button while the power comes is asked for 0, 1, 2, 3, 4 and 5 V at all CVs: the LED flashes as many times
 * as volts are wanted (for 0 V it only goes out for a moment), a press reads them for a second and a half, and the LED
 * is on meanwhile. A long press ends it with what has been read, or at 0 V forgets what was found before. A CV whose
 * readings do not follow the voltages was not patched: it keeps what it had. What is found are lines of a calibration
 * file, in a ring of their own in flash, so that a power cut leaves the old ones. */
#ifndef TUDOR_DAISY_TUNE_H
#define TUDOR_DAISY_TUNE_H

#include "save_ring.h"
#include "store.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TUNE_POINTS 6u /* 0 to 5 V */
#define TUNE_CVS 8u    /* most */
#define TUNE_TEXT 1024u

/* What the board hands over. */
struct tune_board {
    uint32_t cvs;
    void *context;
    int (*button)(void *context);
    void (*read)(void *context, float *cvs); /* -1 to 1 each; called once a millisecond */
    void (*led)(void *context, int on);
    void (*wait)(void *context, uint32_t ms);
    save_flash flash; /* CALIBRATIONS_BYTES of it */
};

/* The lines that are kept, after the button was held and all was read, if it is held. Returns their bytes; 0: there are
 * none. `text` has TUNE_TEXT bytes. */
size_t tune_start(const struct tune_board *board, char *text);

#ifdef __cplusplus
}
#endif

#endif
