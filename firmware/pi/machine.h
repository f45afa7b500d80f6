/* Which computer this is, as far as its speed matters. */
#ifndef TUDOR_MACHINE_H
#define TUDOR_MACHINE_H

#include <stdint.h>

/* MACs that a millisecond of a core has room for in a burst (firmware/common/strokes.h), as engine/boards/board.py has it. Reads a
 * file: not for the audio thread. */
uint32_t machine_burst_macs(void);

#endif
