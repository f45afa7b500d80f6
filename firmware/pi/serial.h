/* MIDI by wire: a DIN or TRS jack at a UART. */
#ifndef TUDOR_PI_SERIAL_H
#define TUDOR_PI_SERIAL_H

#include "controls.h"

/* The port, ready to be read byte by byte; what is negative is an errno. `baud`: what the kernel is asked for, which the
 * overlay midi-uart0 turns from 38400 into MIDI's 31250. */
int serial_open(const char *path, int baud);
void *serial_thread(void *context); /* a struct controls */

#endif
