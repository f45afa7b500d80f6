/* What the instrument's files share. Nothing here is for boards: they see module.h. */
#ifndef TUDOR_MODULE_INTERNAL_H
#define TUDOR_MODULE_INTERNAL_H

#include "basics.h"
#include "mapping.h"
#include "module.h"
#include "rates.h"
#include "strokes.h"
#include "tape.h"
#include "transport.h"

#include <stdatomic.h>
#include <string.h>

#define TICK_SAMPLES 16u /* controls move in steps of this; levels are interpolated in between */
#define FRAME_LIMIT 65536u
#define PERIOD_LIMIT 131072u /* blocks until block, frame and rates meet again */
#define SLICES_LIMIT 512u
#define FINE 4u              /* a slice over two methods is run in so many parts, to be even */
#define EXPLODED 16.0f       /* audio beyond this is no audio */
#define EXPLODED_LATENT 64.0f /* the runtime's guard clamps at 8 */

/* ---- one model ---- */

enum { KNOB_BELOW = -1, KNOB_FREE, KNOB_ABOVE, KNOB_UNSEEN };

struct stage {
    int method;
    uint32_t parts; /* of the frame's slices, or of their fine parts */
};

/* Knobs as a slot has them, which is not where they stand once another slot was played. */
struct knobs {
    float at[MODULE_KNOBS];
    uint32_t known;            /* bits of those that have been heard of in this slot */
    int8_t side[MODULE_KNOBS]; /* KNOB_FREE, or a hand is yet to come: from above or below, or not seen */
};

struct player {
    tudor_model model;
    tudor *t;
    struct mapping mapping;
    struct subject subject;
    uint32_t way, frame;    /* samples at the model's rate that are played at once */
    uint32_t in_channels, out_channels, latents, rows; /* audio, of all streams; latent rows in a frame */
    uint32_t streams, narrows; /* 2: it is played twice, a side each; which may become one */
    uint32_t free_count; /* latents that walks, jumps and swaps may move: all but controls */
    uint8_t free[MODULE_LATENTS];
    uint32_t stages, edited; /* methods in a row; which one's input the controls change, NONE: none */
    struct stage stage[2];
    uint32_t up, down; /* model's rate : board's, reduced */
    uint32_t latency_samples; /* board's rate, without the limiter */
    uint32_t after_samples;   /* of it, what lies behind the queue or the model has behind its controls */
    uint32_t strike_samples;  /* from a gate that strikes to its sound, without the limiter; 0: none does */
    struct schedule schedule;
    struct resampler in[MODULE_CHANNELS], out[MODULE_CHANNELS];
    struct fifo from_board[MODULE_CHANNELS], to_board[MODULE_CHANNELS];
    float *buffer[3]; /* before, between and behind the stages, [channels][rows] */
    float *piece[2];  /* what is decoded at once, where a frame is handed on in pieces: rows, and samples */
    uint32_t pieces, decoded, decoded_rows; /* how many; latents and rows of a frame that are decoded */
    float *attributes, *attributes_set;
    uint64_t due;
    uint32_t skip, part, faulty, reset;
    float last[MODULE_CHANNELS], ending[MODULE_CHANNELS]; /* last samples: of the previous frame; of the last good one */
    uint32_t ends_in, begins_in; /* samples until `ending` has died away; until the model is heard in full */

    /* the latents' controls */
    float offset[2][MODULE_LATENTS], spread[2][MODULE_LATENTS]; /* at the last frame and at this one */
    float swap[2], walk[2];
    float depth[MODULE_CVS], volts[MODULE_CVS]; /* of each CV: the share that is heard; what came last */
    struct knobs *knobs; /* its slot's */
    float frozen[MODULE_CHANNELS][MODULE_LATENTS]; /* of each stream */
    float jump[MODULE_LATENTS], place[2][MODULE_LATENTS]; /* two places, and what lies between them, glided to */
    float freeze; uint32_t caught, attributes_used; /* 0 free, 1 frozen; frozen holds a row; floats of attributes */
    uint64_t walked; /* segments, 32 bits of fraction */
    uint64_t walk_at; /* position of the last row, where walks follow beats */
    uint64_t heard, lasts; /* positions: where the present frame sounds; its length */
    struct tape tape;
    struct strokes strokes;
    int32_t walk_turns; /* 2 to the power of this in a beat; WALK_STILL: none */
    uint64_t struck, opened; uint32_t struck_at[MODULE_LATENTS], event_at; /* bits of gates: struck, and in the last row; when */
    float row_seconds, shown[MODULE_LATENTS];
    float cost; /* of its operations in a sample of the board, to be compared with another model's */
};

/* ---- the instrument ---- */

enum { RAMP_WET, RAMP_LEVEL, RAMPS };

struct lane {
    module_event *events;
    _Atomic uint32_t head, tail; /* written by the producer; by the audio thread */
};

struct gesture_event {
    uint32_t at;
    uint16_t input;
    float value;
};

struct gesture {
    struct gesture_event *events;
    uint64_t grid;    /* not 0: it lasts whole ones, and its times are beats; else they are samples */
    uint32_t size, count, length, next;
    uint32_t began; /* recording or the present round */
    uint32_t recording, looping;
    uint32_t thin_samples; /* at least between two movements of one control */
    uint32_t edits; /* counts what changes it */
    uint8_t in_loop[INPUTS];
    float anchor[INPUTS], last[INPUTS];
    uint32_t last_at[INPUTS];
};

/* An action that waits for its line. */
struct waiting {
    uint64_t line, grid; /* positions */
    uint32_t place;
};

struct controls {
    float input[INPUTS];
    uint8_t known[INPUTS];
    float hand[MODULE_KNOBS]; /* where knobs stand, whatever a loop or a slot makes of it */
    uint32_t hands;           /* bits of those that have been heard of */
    struct calibration calibration[IN_CC];
    uint8_t notes[8], note_count;
    uint32_t frozen, play_gates, jumps, draws;
    uint32_t held[ACTIONS]; /* or will be, when they have waited */
    struct waiting waiting[ACTIONS][2]; /* for its end, its beginning */
    uint32_t waits;           /* bits of those that do: 2 * action + 1 for a beginning */
    uint64_t begun[ACTIONS];  /* the line of the last beginning */
    uint32_t moves;           /* of the transport, as last seen */
    float tempo;              /* that the mapping last asked for */
    struct gesture gesture;
};

/* What is to be kept when the power goes: keep.c. */
enum { KEEP_IDLE, KEEP_ASKED, KEEP_DONE };

struct keep {
    _Atomic uint32_t changes, state; /* by hand, so far; of the copy that was asked for */
    _Atomic uint32_t bytes;
    uint8_t *to;
    uint32_t event, edits;    /* written so far, of a gesture with this number */
    float noted[INPUTS];      /* where a hand left it when that was last a change */
    uint32_t slot, frozen, gesture; /* the same of these; gesture: its number */
    float row[MODULE_CHANNELS * MODULE_LATENTS]; /* to be frozen when `row_slot` first plays: of each stream */
    uint32_t row_count, row_slot;
};

enum { CAUSE_FAULT = 1, CAUSE_OVERLOAD, CAUSE_NARROW };

/* A model on its way in or out of the sound. */
struct voice {
    struct player *player;
    uint32_t slot;
    uint32_t gain, rising;   /* 0 to fade_samples */
    uint32_t warm, rest;     /* samples to run unheard; blocks to stand still before */
    uint32_t reset, resting, cause, backoff, calm;
};

struct limiter {
    uint32_t length, at; /* samples looked ahead, a power of two */
    float *delay[MODULE_CHANNELS];
    uint32_t *wanted, *held; /* the last gains, in 1/2^24 */
    uint32_t sum, gain, step;    /* of `held`; held so far; what it is released by in a sample */
    uint32_t lowest, lowest_left; /* gain of this block; samples until none in `wanted` is below 1 */
};

struct slot {
    struct player *player;
    _Atomic uint32_t ready, offered;
    struct capture *_Atomic capture; /* null: none is open */
    struct knobs knobs; /* the audio thread's, as long as a model is ready; so is */
    uint32_t narrow;    /* two streams were too much */
    char name[MODULE_NAME];
};

#define STATUS_WORDS (sizeof(module_status) / sizeof(uint32_t))

struct tudor_module {
    module_config config;
    struct lane lanes[MODULE_LANES];
    struct controls controls;
    struct transport transport;
    struct slot slots[MODULE_SLOTS];
    _Atomic uint32_t used; /* bits of slots that the audio thread plays from */
    _Atomic uint32_t asked; /* slot that shall be loaded */
    _Atomic uint32_t now, reported;
    struct keep keep;
    uint32_t next_tick; /* samples of this block's controls that are worked out */

    struct voice voice[2]; /* what sounds, what comes */
    uint32_t crossed, cross_rising, overlap, wanted; /* crossed: 0 to fade_samples from the one to the other */
    uint32_t leaving, crowded; /* the model makes room for one that is to be loaded; two at once were too much */
    uint32_t fade_samples;

    float *trimmed[MODULE_CHANNELS], *dry[MODULE_CHANNELS];
    float *wet[2][MODULE_CHANNELS];
    uint32_t dry_at;
    float *ramp[RAMPS], ramp_last[RAMPS];
    float trim, envelope_gate;
    float dc_x[MODULE_CHANNELS], dc_y[MODULE_CHANNELS], dc_keep;
    struct limiter limiter;
    uint32_t limiter_samples;

    float load, load_worst, envelope, in_peak, out_peak;
    uint32_t worst_blocks, pressure, blocks_per_second;
    uint32_t blocks, misses, overloads, faults, ignored, nonfinite;
    _Atomic uint32_t dropped;
    _Atomic uint32_t sequence, status[STATUS_WORDS];
};

/* player.c */
int player_prepare(struct player *p, const tudor_module *m, const void *file, size_t bytes, const char *mapping,
                   size_t mapping_bytes, module_complaint *why);
void lay_resampler(struct resampler *r, uint32_t up, uint32_t down, uint32_t quality, const float *table,
                   struct region *fast);
int player_lay(struct player *p, const tudor_module *m, struct region *fast, struct region *bulk, module_complaint *why);
/* pieces.c */
void share_parts(struct player *p, uint64_t first, uint64_t second);
void plan_pieces(struct player *p, uint32_t block);
void lay_pieces(struct player *p, struct region *fast);
int run_piece(struct player *p, uint32_t part, float **y, uint32_t *samples);
uint64_t stage_cost(const struct player *p, uint32_t stage); /* of a frame */
/* play.c */
void player_start(struct player *p);
void player_reset(struct player *p);
void player_narrow(struct player *p);
int player_run(tudor_module *m, struct player *p, float *const *out, int leads); /* not 0: a fault */
void player_clear(struct player *p);
void player_outputs(const tudor_module *m, const struct player *p, float *const *out);
int is_sound(const float *x, size_t count, float most);
/* hear.c */
void player_refresh(const tudor_module *m, struct player *p);
void player_recall(const tudor_module *m, struct player *p);
void player_hear(struct player *p, uint32_t input, float value, uint32_t note);
int player_waits(struct player *p, uint32_t knob, float value); /* a hand has not come to where the knob was */
float player_scalar(const struct player *p, enum target target);
void player_step(struct player *p, uint32_t samples);
/* edit.c */
void edit_rows(const tudor_module *m, struct player *p, float *rows, int generated);
void player_attributes(struct player *p);
uint32_t attribute_at(const struct player *p, int attribute); /* in the player's list of them */
uint64_t player_heard(const tudor_module *m, const struct player *p); /* position when the coming frame sounds */
/* place.c */
void place_draw(const tudor_module *m, struct player *p, uint32_t end, uint32_t number);
void place_jump(const tudor_module *m, struct player *p, uint32_t number);
void place_step(struct player *p);
void place_set(struct player *p, const float *free);
/* capture.c */
void capture_begin(tudor_module *m);
void capture_step(tudor_module *m);
/* walk.c */
#define WALK_STILL (-64)
void walk_step(struct player *p, uint64_t position);
float walk_of(const tudor_module *m, const struct player *p, uint32_t latent);
/* controls.c */
void controls_until(tudor_module *m, uint32_t samples);
struct player *leading(tudor_module *m);
/* actions.c */
void gate(tudor_module *m, uint32_t input, int high, uint32_t place, uint32_t at);
void actions_step(tudor_module *m, int half_passed);
void controls_hand_over(tudor_module *m, const struct player *p);
/* gesture.c */
uint32_t gesture_time(const tudor_module *m, uint32_t now);
void gesture_hear(tudor_module *m, uint32_t input, float value, uint32_t now);
int gesture_keeps(struct gesture *g, uint32_t input, float value);
void gesture_record(tudor_module *m, int begin, uint64_t grid, uint32_t time);
void gesture_loop(tudor_module *m, int begin, uint32_t time);
void gesture_step(tudor_module *m, uint32_t now);
void gesture_moved(tudor_module *m);
void set_input(tudor_module *m, uint32_t input, float value);
/* output.c */
void input_block(tudor_module *m, const float *const *in);
void mix_block(tudor_module *m, float *const *out);
void output_block(tudor_module *m, float *const *out);
/* slots.c */
void voices_begin(tudor_module *m);
void voices_run(tudor_module *m);
void voices_end(tudor_module *m);
void voice_fault(tudor_module *m, struct voice *v);
void voices_overload(tudor_module *m);
float voices_limit(const tudor_module *m);
void request_next(tudor_module *m);
int slot_is_there(tudor_module *m, uint32_t slot); /* ready or offered */
/* keep.c */
void keep_hear(tudor_module *m, uint32_t input, float value);
void keep_begin(tudor_module *m, struct player *p, uint32_t slot);
void keep_step(tudor_module *m);

#endif
