/* The instrument on a Daisy, without the Daisy: memory, inputs and outputs as numbers. Runs on any machine. */
#ifndef TUDOR_DAISY_RIG_H
#define TUDOR_DAISY_RIG_H

#include "bank.h"
#include "keeper.h"
#include "leds.h"
#include "module.h"
#include "steady.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RIG_BLOCK 48
#define RIG_RATE_HZ 48000
#define RIG_ANALOG 12 /* most inputs of a board: knobs or CVs */
#define RIG_SPARE 8   /* the first spare input is CV 9: no derived mapping listens there */
#define RIG_GATES 4
#define RIG_CV_OUTS 2
enum { RIG_LANE_INPUTS, RIG_LANE_WIRE, RIG_LANE_USB, RIG_LANES }; /* the audio's own; MIDI's interrupts */

/* What the board hands over, set before rig_start. */
struct rig_board {
    struct rig_memory memory[RIG_MEMORIES]; /* for the models */
    struct rig_memory own;                  /* for the instrument */
    const void *store; /* the models' place in QSPI */
    size_t store_bytes;
    save_flash saves;        /* where it may write; bytes 0: nothing is saved */
    struct rig_memory saved; /* 64 KiB for that */
    const char *tuned; /* lines of a calibration that were found at the button: before those of the store */
    size_t tuned_bytes;
    uint32_t (*clock)(void *context); /* ticks, modulo 2^32; null: no metering */
    uint32_t clock_hz;
    void (*healthy)(void *context); /* called behind every block, for a watchdog; null: none */
    uint32_t knobs, cvs, spares; /* analog inputs 0 to knobs-1 are knobs, the next ones CVs, then CV 9 and on */
    uint32_t channels;           /* audio, in and out */
    uint32_t buttons;            /* bits of gates whose contacts bounce: behind an edge they are left alone for a while */
};

struct rig_inputs {
    float analog[RIG_ANALOG]; /* knobs and spares 0 to 1, CVs -1 to 1 */
    uint8_t gate[RIG_GATES];
};

struct rig_outputs {
    float cv[RIG_CV_OUTS]; /* 0 to 1: the first latent, or the envelope where there is none; the second latent */
    uint32_t lights;       /* bit l: LED l (enum led) is on */
    int led;               /* for a single light: LED_PLAY's code; blinks twice a second: no model, or overloaded; winks
                            * once a second: a save was not kept */
    int clipped;           /* it may shine brighter: LED_CLIP */
    int gate;              /* the output is loud */
};

struct rig {
    tudor_module *m;
    enum store_fault fault; /* of the models' place */
    module_complaint why;   /* of the first model that cannot be played */
    module_complaint misread; /* of the calibration: inputs are then as the converters give them */
    module_complaint forgot;  /* of what was saved: it is passed over */
    struct bank bank;
    struct keeper keeper;
    float last[RIG_ANALOG];
    struct steady steady[RIG_ANALOG]; /* of CVs */
    uint8_t gates[RIG_GATES];
    uint32_t edge[RIG_GATES]; /* the block of each gate's last edge */
    uint32_t knobs, cvs, spares, buttons, blocks;
    struct rig_glide { float at, goal; uint32_t left; } cv[RIG_CV_OUTS]; /* left: blocks until it is there */
    struct leds leds;
    int begun;
    int crowded; /* set by the board: its stack was nearly full. Shown as a fault */
};

/* 0 if it can play; without a sound model it plays dry, and `fault` or `why` says what is wrong. */
int rig_start(struct rig *rig, const struct rig_board *board);
/* One callback: what the inputs read, RIG_BLOCK samples in, RIG_BLOCK out. */
void rig_block(struct rig *rig, const struct rig_inputs *inputs, const float *const *in, float *const *out,
               struct rig_outputs *outputs);
/* What takes longer than a callback may: again and again, not from the interrupt, with a time in milliseconds. */
void rig_attend(struct rig *rig, uint32_t now_ms);

#ifdef __cplusplus
}
#endif

#endif
