/* What a mapping says, and what it is read for. */
#ifndef TUDOR_MODULE_MAPPING_H
#define TUDOR_MODULE_MAPPING_H

#include "basics.h"
#include "transport.h"

#define CONNECTIONS 96u /* lines */

/* ---- inputs ---- */

enum { IN_KNOB = 0, IN_CV = IN_KNOB + MODULE_KNOBS, IN_CC = IN_CV + MODULE_CVS, IN_NOTE = IN_CC + 128, IN_VELOCITY,
       IN_PRESSURE, IN_BENDER, IN_GATE, IN_BEAT = IN_GATE + MODULE_GATES, IN_BAR, IN_KEY, INPUTS };

enum curve { CURVE_LINEAR, CURVE_SQUARE, CURVE_CUBE, CURVE_ROOT, CURVE_S, CURVES };

#define POINTS 12u /* most of an input: a volt each over all that a converter reads, and one to spare */

/* (reading - offset) * gain; or, from two points on, what lies on the lines between them. */
struct calibration {
    float offset, gain;
    uint32_t curve, points;
    float at[POINTS], volts[POINTS]; /* readings, rising, and what they mean, rising or falling */
};
float calibrated(const struct calibration *c, float reading, float low, float high);
void plain_calibration(struct calibration *c, uint32_t input); /* as an input is read without a file */

enum target { TARGET_WET, TARGET_INPUT, TARGET_OUTPUT, TARGET_SWAP, TARGET_WALK, TARGET_RATE, TARGET_PITCH,
              TARGET_TEMPO, TARGET_MORPH, SCALARS, TARGET_LATENT = SCALARS, TARGET_SPREAD, TARGET_ATTRIBUTE, TARGET_DEPTH,
              TARGET_ACTION };
enum action { ACTION_FREEZE, ACTION_RESET, ACTION_NEXT, ACTION_JUMP, ACTION_RECORD, ACTION_LOOP, ACTION_PLAY,
              ACTION_CAPTURE, ACTION_CLOCK, ACTION_TAP, ACTION_DOWNBEAT, ACTIONS };

#define AT_BAR UINT16_MAX

/* One line of a mapping. `goal` is what the input asks of the target, `value` what it has reached. */
struct connection {
    uint16_t input, target;
    uint16_t index, attribute; /* latent, element or CV; attribute's number. Of actions: which; a clock's pulses per beat */
    uint16_t at;   /* an action waits for a line at so many sixteenths of a beat, or AT_BAR; 0: at once */
    uint16_t note; /* of key36 and velocity36: the number and 1 more; 0: of no certain one */
    uint8_t curve, adds, toggles, live; /* a CV adds to what knobs set; live: its input has been heard of */
    float low, high;             /* of the target, over the input's whole range */
    float in_low, in_high;
    float approach;              /* share of the distance per tick */
    float goal, value;
    float chance;                /* of an action, 1: always */
};

struct range {
    float low, high;
};

struct mapping {
    uint32_t way, count, meter; /* meter: beats in a bar */
    uint32_t stereo;            /* enum module_stereo: NONE until a line says it */
    uint32_t rate_unit;         /* of the rate of walks: NONE until a line says it */
    uint32_t tape;              /* bars that a loop's freeze repeats */
    uint32_t has_tempo;         /* a line gives the tempo, or moves it */
    uint32_t depths;            /* bits of CVs whose depth is moved by a line */
    struct connection connections[CONNECTIONS];
    struct range limits[SCALARS];
    float base[SCALARS];
};

enum rate_unit { RATE_HZ, RATE_BEATS };

/* Of a model's pitch: MIDI notes, hertz, or octaves from middle C, which is 1 V/oct. */
enum pitch_unit { PITCH_NOTE, PITCH_HZ, PITCH_OCTAVES };

/* What a generating method may be told of time: part of the bar, octaves of tempo from 128, bars modulo 4. */
enum clock_input { CLOCK_PHASE, CLOCK_TEMPO, CLOCK_BAR, CLOCK_INPUTS };

/* What a mapping is made for. */
struct subject {
    const tudor_model *model;
    uint32_t ways, in_channels;
    uint32_t sample_rate_hz; /* the board's: smoothing is per tick */
    uint32_t latents;        /* of the decoder's input, or the bias attribute's */
    int bias, scale, pitch;  /* attributes, -1: none */
    int pitch_latent;        /* input of the generating method that is a pitch, -1: none */
    enum pitch_unit pitch_unit; /* of either */
    int clock[CLOCK_INPUTS]; /* inputs of the generating method that say where in the song it is, -1: none */
    int pitch_bent;          /* input of decode that is a pitch in octaves: bending transposes it; -1: none */
    uint8_t late[MODULE_LATENTS], strikes; /* late: of a gate that strikes, the input that says how late in its frame,
                                            * and 1 more; 0: it does not. strikes: there are some */
    uint64_t gates;          /* bits of inputs that strike: of these, and of the one of a single drum voice, which */
    int strikes_one, velocity; /* this is; its input that says how hard, -1: none */
    int gate, loudness, free; /* other inputs of a voice, which is played by pitch and gate, -1: none */
    int loops, variation;     /* it makes loops of a code, told by the clock; input that says how much bars differ, -1: none */
    struct range ranges[MODULE_LATENTS]; /* of what is moved in the way that is played */
    float rest[MODULE_LATENTS]; /* what a source's inputs are until something moves them */
};

/* Inputs that are latents and no controls (loudness, pitch), which lie at[0], at[1]...; how many. */
uint32_t free_latents(const tudor_method_info *info, uint8_t at[MODULE_LATENTS]);
/* The first effect of audio that an instrument has the channels for; -1: there is none. */
int effect_method(const tudor_model *model);
/* What generates, if an instrument can move its inputs and play or decode what it makes; -1: there is none. */
int generating_method(const tudor_model *model);
int describe(const tudor_model *model, uint32_t sample_rate_hz, uint32_t in_channels, struct subject *subject,
             module_complaint *why);
/* Ranges as the file says them: of the latents, or of what generates in the way `source`. */
void take_way(struct subject *s, uint32_t way);
const char *json_behind(const char *at, const char *end, const char *key);
void find_ranges(const char *json, const char *method, struct range *ranges, uint32_t count);
/* What a way of playing gives: the first one that is possible, its latents, those that trade places, a pitch. */
uint32_t first_way(const struct subject *s);
uint32_t way_latents(const struct subject *s, uint32_t way);
float way_swaps(const struct subject *s, uint32_t way);
int has_pitch(const struct subject *s, uint32_t way);
int read_mapping(struct subject *subject, const char *text, size_t bytes, struct mapping *mapping,
                 module_complaint *why);
size_t derive_mapping(const struct subject *subject, uint32_t slots, char *text, size_t size);
int read_calibration(const char *text, size_t bytes, struct calibration *calibration, module_complaint *why);
float shaped(uint32_t curve, float position);
int read_curve(struct word word, uint32_t *curve);
#define CURVE_NAMES "linear, square, cube, root or s"

/* ---- reading: mapping.c reads lines and options, targets.c what they move ---- */

struct reader {
    struct subject *subject;
    struct mapping *mapping;
    struct lines lines;
    module_complaint *why;
};

/* A complaint about the line that is read; with `rest` the part is quoted in a sentence. */
static inline int wrong(struct reader *r, const char *text, struct word part, const char *rest) {
    return complain(r->why, MODULE_ERROR_TEXT, r->lines.number, text, part.text, part.length, rest);
}
/* The target of a line, from its second word on; `used`: how many words that were. */
int read_target(struct reader *r, struct connection *c, uint32_t *used);
void scalar_defaults(struct mapping *mapping);

#endif
