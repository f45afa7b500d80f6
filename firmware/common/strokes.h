/* Drum voices that gates strike, each with a clock of frames that begins anew at its gate; see strokes.c. */
#ifndef TUDOR_MODULE_STROKES_H
#define TUDOR_MODULE_STROKES_H

#include "basics.h"
#include "rates.h"

#define STROKES_MOST 8u
#define STROKES_ROWS 4u /* that are made at once, at most: weights are then read once for all of them */

struct player;

/* One voice. Times are the board's clock, in samples. */
struct stroke {
    int method;           /* that makes its sound */
    uint32_t gate;        /* its input */
    uint32_t rings;       /* it is being made; 0: it rests */
    uint32_t waits, struck; /* a gate has come and is not yet taken; when it did */
    uint32_t onset;       /* when what rings is heard first */
    uint32_t from, until, wanted; /* between the two the next call is made; a gate from then on wants it at once */
    uint32_t rows, slices, part; /* of that call, 0: there is none; how many slices have run */
    uint32_t first, unheard; /* rows that are still to be made before the onset's; of these, whose sound is not heard */
    uint64_t made;        /* samples at the model's rate that are heard, so far */
    uint32_t number, silent; /* strokes so far; rows of silence on end */
    uint32_t closing, drawn; /* samples of `tail` that are left; up to when samples were handed out */
    float *asked, *waiting;  /* [streams][latents]: what was asked for at the gate */
    float *tail[MODULE_CHANNELS]; /* what rang before, dying away */
    struct fifo queue[MODULE_CHANNELS];
    struct resampler out[MODULE_CHANNELS];
};

struct strokes {
    uint32_t count;       /* voices; 0: the model is none that gates strike */
    uint32_t lead;        /* rows from a gate's to the first that is heard */
    uint32_t delay, fade; /* samples of the board: from a gate to its onset; in which what rang before dies away */
    uint32_t since;       /* samples since the controls were last looked at */
    uint64_t gates;       /* bits of inputs that strike */
    int seed;             /* attribute, -1: none */
    float *row;           /* [streams][latents]: what the controls ask for */
    struct stroke voice[STROKES_MOST];
};

uint32_t strokes_lead(const tudor_model *model, int method);
void strokes_plan(struct player *p, const module_config *config);
void strokes_lay(struct player *p, const module_config *config, struct region *fast);
void strokes_start(struct player *p); /* unheard */
void strokes_close(struct player *p); /* what rings dies away, and what waits is forgotten */
int strokes_run(tudor_module *m, struct player *p, float *const *out, int leads); /* not 0: a fault */

#endif
