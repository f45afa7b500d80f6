/* What the instrument's files share. Nothing here is for boards: they see module.h. */
#ifndef TUDOR_MODULE_INTERNAL_H
#define TUDOR_MODULE_INTERNAL_H

#include "basics.h"
#include "module.h"
#include "rates.h"

#include <stdatomic.h>
#include <string.h>

#define TICK_SAMPLES 16u /* controls move in steps of this; levels are interpolated in between */
#define CONNECTIONS 96u
#define FRAME_LIMIT 65536u
#define PERIOD_LIMIT 131072u /* blocks until block, frame and rates meet again */
#define SLICES_LIMIT 512u
#define FINE 4u              /* a slice over two methods is run in so many parts, to be even */
#define EXPLODED 16.0f       /* audio beyond this is no audio */
#define EXPLODED_LATENT 64.0f /* the runtime's guard clamps at 8 */

/* ---- inputs ---- */

enum { IN_KNOB = 0, IN_CV = IN_KNOB + MODULE_KNOBS, IN_CC = IN_CV + MODULE_CVS, IN_NOTE = IN_CC + 128, IN_VELOCITY,
       IN_PRESSURE, IN_BENDER, IN_GATE, INPUTS = IN_GATE + MODULE_GATES };

enum curve { CURVE_LINEAR, CURVE_SQUARE, CURVE_CUBE, CURVE_ROOT, CURVE_S, CURVES };

struct calibration {
    float offset, gain;
    uint32_t curve;
};

enum target { TARGET_WET, TARGET_INPUT, TARGET_OUTPUT, TARGET_SWAP, TARGET_WALK, TARGET_RATE, TARGET_PITCH, SCALARS,
              TARGET_LATENT = SCALARS, TARGET_SPREAD, TARGET_ATTRIBUTE, TARGET_ACTION };
enum action { ACTION_FREEZE, ACTION_RESET, ACTION_NEXT, ACTION_JUMP, ACTION_RECORD, ACTION_LOOP, ACTION_PLAY, ACTIONS };

/* One line of a mapping. `goal` is what the input asks of the target, `value` what it has reached. */
struct connection {
    uint16_t input, target;
    uint16_t index, attribute; /* latent or element; attribute's number. index: which action */
    uint16_t curve;
    uint8_t adds, toggles, live; /* a CV adds to what knobs set; live: its input has been heard of */
    float low, high;             /* of the target, over the input's whole range */
    float in_low, in_high;
    float approach;              /* share of the distance per tick */
    float goal, value;
};

struct range {
    float low, high;
};

struct mapping {
    uint32_t way, count;
    struct connection connections[CONNECTIONS];
    struct range limits[SCALARS];
    float base[SCALARS];
};

/* Of a model's pitch: MIDI notes, hertz, or octaves from middle C, which is 1 V/oct. */
enum pitch_unit { PITCH_NOTE, PITCH_HZ, PITCH_OCTAVES };

/* What a mapping is made for. */
struct subject {
    const tudor_model *model;
    uint32_t ways, in_channels;
    uint32_t sample_rate_hz; /* the board's: smoothing is per tick */
    uint32_t latents;        /* of the decoder's input, or the bias attribute's */
    int bias, scale, pitch;  /* attributes, -1: none */
    int pitch_latent;        /* input of the generating method that is a pitch, -1: none */
    enum pitch_unit pitch_unit; /* of either */
    int pitch_bent;          /* input of decode that is a pitch in octaves: bending transposes it; -1: none */
    struct range ranges[MODULE_LATENTS];
};

/* Inputs that are latents and no controls (loudness, pitch), which lie at[0], at[1]...; how many. */
uint32_t free_latents(const tudor_method_info *info, uint8_t at[MODULE_LATENTS]);
/* The first effect of audio that an instrument has the channels for; -1: there is none. */
int effect_method(const tudor_model *model);
/* What generates, if an instrument can move its inputs and play or decode what it makes; -1: there is none. */
int generating_method(const tudor_model *model);
int describe(const tudor_model *model, uint32_t sample_rate_hz, uint32_t in_channels, struct subject *subject,
             module_complaint *why);
/* What a way of playing gives: the first one that is possible, its latents, those that trade places, a pitch. */
uint32_t first_way(const struct subject *s);
uint32_t way_latents(const struct subject *s, uint32_t way);
float way_swaps(const struct subject *s, uint32_t way);
int has_pitch(const struct subject *s, uint32_t way);
int read_mapping(const struct subject *subject, const char *text, size_t bytes, struct mapping *mapping,
                 module_complaint *why);
size_t derive_mapping(const struct subject *subject, char *text, size_t size);
int read_calibration(const char *text, size_t bytes, struct calibration *calibration, module_complaint *why);
float shaped(uint32_t curve, float position);

/* ---- one model ---- */

struct fifo {
    float *data;
    uint32_t size, first, count;
};
static inline void fifo_put(struct fifo *f, float x) {
    if (f->count == f->size) return;
    const uint32_t at = f->first + f->count++;
    f->data[at < f->size ? at : at - f->size] = x;
}
static inline float fifo_get(struct fifo *f) {
    if (f->count == 0) return 0.0f;
    const float x = f->data[f->first];
    f->first = f->first + 1 < f->size ? f->first + 1 : 0;
    f->count--;
    return x;
}

struct stage {
    int method;
    uint32_t parts; /* of the frame's slices, or of their fine parts */
};

struct player {
    tudor_model model;
    tudor *t;
    struct mapping mapping;
    struct subject subject;
    uint32_t way, frame;    /* samples at the model's rate that are played at once */
    uint32_t in_channels, out_channels, latents, rows; /* audio; latent rows in a frame */
    uint32_t free_count; /* latents that walks, jumps and swaps may move: all but controls */
    uint8_t free[MODULE_LATENTS];
    uint32_t stages, edited; /* methods in a row; which one's input the controls change, NONE: none */
    struct stage stage[2];
    uint32_t up, down; /* model's rate : board's, reduced */
    uint32_t latency_samples; /* board's rate, without the limiter */
    struct schedule schedule;
    struct resampler in[MODULE_CHANNELS], out[MODULE_CHANNELS];
    struct fifo from_board[MODULE_CHANNELS], to_board[MODULE_CHANNELS];
    float *buffer[3]; /* before, between and behind the stages, [channels][rows] */
    float *attributes, *attributes_set;
    uint64_t due;
    uint32_t skip, part, faulty, reset;
    float last[MODULE_CHANNELS], ending[MODULE_CHANNELS]; /* last samples: of the previous frame; of the last good one */
    uint32_t ends_in, begins_in; /* samples until `ending` has died away; until the model is heard in full */

    /* the latents' controls */
    float offset[2][MODULE_LATENTS], spread[2][MODULE_LATENTS]; /* at the last frame and at this one */
    float swap[2], walk[2];
    float frozen[MODULE_LATENTS], jump[MODULE_LATENTS], jump_goal[MODULE_LATENTS];
    float freeze; /* 0 free, 1 frozen */
    uint32_t caught, attributes_used; /* frozen holds a row; floats of attributes */
    uint64_t walked; /* segments, 32 bits of fraction */
    float row_seconds, shown[MODULE_LATENTS];
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
    uint32_t size, count, length, next;
    uint32_t began; /* recording or the present round */
    uint32_t recording, looping;
    uint32_t thin_samples; /* at least between two movements of one control */
    uint8_t in_loop[INPUTS];
    float anchor[INPUTS], last[INPUTS];
    uint32_t last_at[INPUTS];
};

struct controls {
    float input[INPUTS];
    uint8_t known[INPUTS];
    struct calibration calibration[IN_CC];
    uint8_t notes[8], note_count;
    uint32_t frozen, play_gates, jumps;
    uint32_t held[ACTIONS];
    struct gesture gesture;
};

enum { CAUSE_FAULT = 1, CAUSE_OVERLOAD };

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
    _Atomic uint32_t ready;
    char name[MODULE_NAME];
};

#define STATUS_WORDS (sizeof(module_status) / sizeof(uint32_t))

struct tudor_module {
    module_config config;
    struct lane lanes[MODULE_LANES];
    struct controls controls;
    struct slot slots[MODULE_SLOTS];
    _Atomic uint32_t used; /* bits of slots that the audio thread plays from */
    _Atomic uint32_t now, reported;
    uint32_t next_tick; /* samples of this block's controls that are worked out */

    struct voice voice[2]; /* what sounds, what comes */
    uint32_t crossed, cross_rising, overlap, wanted; /* crossed: 0 to fade_samples from the one to the other */
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
int player_lay(struct player *p, const tudor_module *m, struct region *fast, struct region *bulk, module_complaint *why);
/* play.c */
void player_start(struct player *p);
void player_reset(struct player *p);
int player_run(tudor_module *m, struct player *p, float *const *out, int leads); /* not 0: a fault */
/* edit.c */
void edit_rows(const tudor_module *m, struct player *p, float *rows, int generated);
void player_attributes(struct player *p);
void player_refresh(const struct controls *c, struct player *p);
void player_hear(struct player *p, uint32_t input, float value);
float player_scalar(const struct player *p, enum target target);
void player_step(struct player *p, uint32_t samples);
/* controls.c */
void controls_until(tudor_module *m, uint32_t samples);
void controls_hand_over(tudor_module *m, const struct player *p);
/* gesture.c */
void gesture_hear(struct gesture *g, uint32_t input, float value, uint32_t now);
int gesture_keeps(struct gesture *g, uint32_t input, float value);
void gesture_record(tudor_module *m, int begin, uint32_t now);
void gesture_loop(tudor_module *m, int begin, uint32_t now);
void gesture_step(tudor_module *m, uint32_t now);
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
void request_next(tudor_module *m);

#endif
