#include "places.h"

#include "qspi.h"
#include "stack.h"

#include <string.h>

#define PLACED(name) __attribute__((aligned(64), section(".bss.tudor_" name)))

static PLACED("dtcm") char dtcm[PLACES_DTCM_BYTES];
static PLACED("axi") char axi[PLACES_AXI_BYTES];
static PLACED("d2") char d2[PLACES_D2_BYTES];
static PLACED("d2") char own[PLACES_OWN_BYTES];
static PLACED("sdram") char sdram[PLACES_SDRAM_BYTES];
static PLACED("sdram") char saved[PLACES_SAVED_BYTES];

extern char tudor_itcm_begin[], tudor_itcm_end[]; /* itcm.lds */
extern const char tudor_itcm_load[];
extern uint32_t tudor_stack_low[], _estack[]; /* memories.lds; libDaisy's: the end of DTCM, where the stack begins */

/* IWDG1 (reference manual RM0433, "Independent watchdog"): keys, and a clock of its own of 32 kHz. */
#define KEY_START 0xccccu
#define KEY_UNLOCK 0x5555u
#define KEY_FEED 0xaaaau
#define DIVIDED_BY_64 4u
#define STEPS 1000u /* of 2 ms */

void places_start(struct rig_board *board) {
    stack_paint(tudor_stack_low, (const uint32_t *)((uintptr_t)__builtin_frame_address(0) - 256));
    /* The first bytes are padding; a compiler may take a copy to address 0 for a mistake. */
    memcpy(tudor_itcm_begin + 64, tudor_itcm_load + 64, (size_t)(tudor_itcm_end - tudor_itcm_begin) - 64);
    __HAL_RCC_D2SRAM1_CLK_ENABLE();
    __HAL_RCC_D2SRAM2_CLK_ENABLE();
    __HAL_RCC_D2SRAM3_CLK_ENABLE();
    __DSB();
    __ISB();
    board->memory[RIG_DTCM] = (struct rig_memory){dtcm, sizeof dtcm};
    board->memory[RIG_AXI] = (struct rig_memory){axi, sizeof axi};
    board->memory[RIG_D2] = (struct rig_memory){d2, sizeof d2};
    board->memory[RIG_SDRAM] = (struct rig_memory){sdram, sizeof sdram};
    board->own = (struct rig_memory){own, sizeof own};
    board->saved = (struct rig_memory){saved, sizeof saved};
    board->saves = qspi_flash(SAVES_ADDRESS, SAVES_BYTES);
}

void places_watch(void) {
    IWDG1->KR = KEY_START;
    IWDG1->KR = KEY_UNLOCK;
    IWDG1->PR = DIVIDED_BY_64;
    IWDG1->RLR = STEPS;
    while (IWDG1->SR) continue; /* until its clock has taken both */
    IWDG1->KR = KEY_FEED;
}

uint32_t places_stack_deepest(void) { return (uint32_t)stack_deepest(tudor_stack_low, _estack); }

void places_healthy(void *context) {
    (void)context;
    IWDG1->KR = KEY_FEED;
}
