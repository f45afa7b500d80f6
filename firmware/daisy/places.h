/* The chip's memories: what a model may take of each, and code that runs from ITCM. */
#ifndef TUDOR_DAISY_PLACES_H
#define TUDOR_DAISY_PLACES_H

#include "rig.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PLACES_KIB 1024u
#ifdef PLACES_APP_IN_SRAM /* BOOT_SRAM: program in AXI SRAM, libDaisy's data in DTCM */
#define PLACES_DTCM_BYTES (72 * PLACES_KIB)
#define PLACES_AXI_BYTES (272 * PLACES_KIB) /* over the hot loops as they came: see places_start */
#define PLACES_D2_BYTES (88 * PLACES_KIB) /* the heap begins behind it */
#else /* as engine/boards/board.py plans */
#define PLACES_DTCM_BYTES (112 * PLACES_KIB)
#define PLACES_AXI_BYTES (416 * PLACES_KIB)
#define PLACES_D2_BYTES (96 * PLACES_KIB)
#endif
#define PLACES_OWN_BYTES (160 * PLACES_KIB) /* in D2: the delay of the dry sound, and the controls */
#define PLACES_SDRAM_BYTES (63 * 1024 * PLACES_KIB)
#define PLACES_SAVED_BYTES (64 * PLACES_KIB) /* in SDRAM, too: what is being saved */
#define PLACES_STACK_BYTES (16 * PLACES_KIB) /* the end of DTCM, where nothing else is laid */
#define PLACES_STACK_SPARE 1024u /* less than that was left: the stack is too small */

/* Paints the stack, copies the hot loops to ITCM, turns D2 SRAM on, and hands over all memories and the part of the
 * flash for saves. In an app of BOOT_SRAM the hot loops came where models will lie: nothing may write there before.
 * Call it after libDaisy's Init, which starts SDRAM, and before rig_start. */
void places_start(struct rig_board *board);
/* Starts the chip's watchdog: the board begins anew when places_healthy is not called for two seconds. Call it before
 * the audio starts, since the two may not interrupt each other. */
void places_watch(void);
void places_healthy(void *context);
/* Bytes of the stack that were ever used since places_start; PLACES_STACK_BYTES: all, and perhaps more. */
uint32_t places_stack_deepest(void);

#ifdef __cplusplus
}
#endif

#endif
