/* The instrument on a Daisy, without the Daisy: memory, inputs and outputs as numbers. Runs on any machine. */
#ifndef TUDOR_DAISY_RIG_H
#define TUDOR_DAISY_RIG_H

#include "module.h"
#include "store.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RIG_BLOCK 48
#define RIG_RATE_HZ 48000
#define RIG_ANALOG 12 /* most inputs of a board: knobs or CVs */
#define RIG_SPARE 8   /* the first spare input is CV 9: no derived mapping listens there */
#define RIG_GATES 2
#define RIG_CV_OUTS 2

/* Memories, quickest first: the order of engine/boards/board.py. */
enum rig_place { RIG_DTCM, RIG_AXI, RIG_D2, RIG_SDRAM, RIG_MEMORIES, RIG_NOWHERE = RIG_MEMORIES };

struct rig_memory {
    void *at; /* aligned to 64 */
    size_t bytes;
};

/* What the board hands over, set before rig_start. */
struct rig_board {
    struct rig_memory memory[RIG_MEMORIES]; /* for the model */
    struct rig_memory own;                  /* for the instrument */
    const void *store; /* the model's place in QSPI */
    size_t store_bytes;
    uint32_t (*clock)(void *context); /* ticks, modulo 2^32; null: no metering */
    uint32_t clock_hz;
    void (*healthy)(void *context); /* called behind every block, for a watchdog; null: none */
    uint32_t knobs, cvs, spares; /* analog inputs 0 to knobs-1 are knobs, the next ones CVs, then CV 9 and on */
    uint32_t channels;           /* audio, in and out */
};

struct rig_inputs {
    float analog[RIG_ANALOG]; /* knobs and spares 0 to 1, CVs -1 to 1 */
    uint8_t gate[RIG_GATES];
};

struct rig_outputs {
    float cv[RIG_CV_OUTS]; /* 0 to 1: the first latent, or the envelope where there is none; the second latent */
    int led;               /* steady: plays; blinks: no model, or overloaded */
    int gate;              /* the output is loud */
};

struct rig {
    tudor_module *m;
    enum store_fault fault; /* of the model's place */
    module_complaint why;   /* of the model */
    module_complaint misread; /* of the calibration: inputs are then as the converters give them */
    enum rig_place fast_in, bulk_in, model_in; /* where they lie; a model that lies nowhere is played from QSPI */
    float last[RIG_ANALOG];
    uint8_t gates[RIG_GATES];
    uint32_t knobs, cvs, spares, blocks;
    int begun;
};

/* 0 if it can play; without a sound model it plays dry, and `fault` or `why` says what is wrong. */
int rig_start(struct rig *rig, const struct rig_board *board);
/* One callback: what the inputs read, RIG_BLOCK samples in, RIG_BLOCK out. */
void rig_block(struct rig *rig, const struct rig_inputs *inputs, const float *const *in, float *const *out,
               struct rig_outputs *outputs);

#ifdef __cplusplus
}
#endif

#endif
