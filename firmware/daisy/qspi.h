/* Writing to the QSPI flash while the app runs from it: every function here runs from ITCM with interrupts off, and calls
 * nothing outside. libDaisy's own driver refuses to write where the app lies in QSPI.
 *
 * The flash is an IS25LP064A, read as libDaisy sets it up: memory-mapped, quad, continuous (the mode bits 0xA0 keep it
 * reading without an instruction, which has to end before it takes any other). */
#ifndef TUDOR_DAISY_QSPI_H
#define TUDOR_DAISY_QSPI_H

#include "save_ring.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QSPI_MAPPED 0x90000000u
#define QSPI_SECTOR 4096u
/* So few at once that a page takes about as long as a callback leaves free. */
#define QSPI_PIECE 32u

/* A part of the flash, for save_ring_open. `address` and `bytes`: whole sectors. */
save_flash qspi_flash(uint32_t address, uint32_t bytes);

#ifdef __cplusplus
}
#endif

#endif
