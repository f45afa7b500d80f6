// Calibrating at the button, before the sound: what both boards hand over to tune.h.
#pragma once
#include "places.h"
#include "qspi.h"
#include "rig.h"
#include "sys/system.h"
#include "tune.h"

// The lines that are found, or were before, go along with the board. `read`: its four CVs.
inline void Tune(rig_board& board, int (*button)(void*), void (*read)(void*, float*), void (*led)(void*, int))
{
    static char text[TUNE_TEXT];
    tune_board  b = {};
    b.cvs         = 4;
    b.button = button, b.read = read, b.led = led;
    b.wait  = [](void*, uint32_t ms) { daisy::System::Delay(ms); };
    b.flash = qspi_flash(CALIBRATIONS_ADDRESS, CALIBRATIONS_BYTES);
    daisy::System::Delay(10); // the first readings
    board.tuned_bytes = tune_start(&b, text);
    board.tuned       = text;
}
