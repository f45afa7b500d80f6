/* A drum voice that a gate strikes, with a clock of frames that begins anew at its gate; see strokes.c. */
#ifndef TUDOR_MODULE_STROKES_H
#define TUDOR_MODULE_STROKES_H

#include "basics.h"
#include "rates.h"

#define STROKES_ROWS 4u /* that are made at once, at most: weights are then read once for all of them */

struct player;

/* One stroke. Times are the board's clock, in samples. */
struct stroke {
    uint32_t rings, ahead; /* it is being made and will be heard; it is being made, or ready, for a gate that is yet to come */
    uint32_t onset;       /* when what rings was, or will be, heard first */
    uint32_t from, until, wanted; /* between the two the next call is made; a gate from then on wants it at once */
    uint32_t rows, slices, part;  /* of that call, 0: there is none; how many slices have run */
    uint32_t had, began;  /* slices of the call before, which was to be made from then until `from` */
    uint32_t first, unheard; /* rows that are still to be made before the onset's; of these, whose sound is not heard */
    uint32_t fresh;       /* its next call begins from the model's fresh state */
    uint64_t made;        /* samples at the model's rate that are heard, so far */
    uint32_t number, silent; /* which stroke it is; rows of silence on end */
    uint32_t closing;     /* samples of `tail` that are left */
    float *asked;         /* [streams][latents]: what was asked for at its gate, and is in its burst */
    float *tail[MODULE_CHANNELS]; /* what rang before, dying away */
    void *state;          /* while the other one has the instance; null: there is no other */
    struct fifo queue[MODULE_CHANNELS];
    struct resampler out[MODULE_CHANNELS];
};

struct strokes {
    uint32_t count;       /* strokes that are made side by side: with the one that rings the next, or 1; 0: no gate strikes */
    uint32_t lead;        /* rows from a gate's to the first that is heard */
    uint32_t delay, fade; /* samples of the board: from a gate to its onset, and where it was made ahead; what rang before
                           * dies away in these */
    uint32_t since;       /* samples since the controls were last looked at */
    uint32_t waits, struck; /* a gate has come and is not yet taken; when it did */
    uint32_t sounds, loaded; /* the stroke that took the last gate; whose state the instance has */
    uint32_t number, drawn;  /* of the next stroke: each has noise of its own; up to when samples were handed out */
    int method, gate, seed;  /* that makes the sound; input; attribute, -1: none */
    size_t state_bytes;
    uint32_t spoilt;         /* what is made ahead was made with other attributes */
    float *before;           /* what the controls asked for when they were looked at before */
    float *row, *waiting;    /* [streams][latents]: what the controls ask for, and did at the gate that waits */
    float *attributes;       /* what the stroke that is made ahead was made with */
    struct stroke stroke[2];
};

static inline int32_t since(uint32_t later, uint32_t earlier) { return (int32_t)(later - earlier); }

/* burst.c */
uint32_t strokes_lead(const tudor_model *model, int method);
void strokes_plan(struct player *p, const module_config *config);
void strokes_lay(struct player *p, const module_config *config, struct region *fast);
void strokes_lay_states(struct player *p, size_t state_bytes, struct region *bulk);
/* strokes.c: of one stroke */
void stroke_hand_out(struct player *p, float *const *out, uint32_t now, uint32_t until);
void stroke_close(struct player *p, struct stroke *v);
void stroke_plan(const struct player *p, struct stroke *v);
int stroke_attributes(struct player *p);
int stroke_work(struct player *p, uint32_t time); /* not 0: a fault, as of the next */
int stroke_catch_up(struct player *p, struct stroke *v, uint32_t time);
void strokes_start(struct player *p); /* unheard */
void strokes_close(struct player *p); /* what rings dies away, and what waits is forgotten */
/* strike.c */
int strokes_run(tudor_module *m, struct player *p, float *const *out, int leads); /* not 0: a fault */

#endif
