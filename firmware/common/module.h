/* The instrument: plays `.tudor` models under knobs, CVs, gates and MIDI, in a rack or in a program.
 *
 *   module_config config;
 *   module_defaults(&config);                             // then what your board is: rate, block, channels, clock
 *   tudor_module *m;
 *   module_init(&config, memory, module_bytes(&config), &m);
 *   module_read_calibration(m, text, length, &why);       // optional, before the first block
 *
 *   module_need need;                                     // for each model, off the audio thread, at any time
 *   module_measure(m, file, file_bytes, map, map_bytes, &need, &why);
 *   module_load(m, slot, "name", file, file_bytes, map, map_bytes, fast, need.fast_bytes, bulk, need.bulk_bytes, &why);
 *
 *   module_push(m, lane, &event);                         // controls, from their own thread or interrupt
 *   module_process(m, in, out);                           // the audio callback: `block_samples` of every channel
 *   module_read_status(m, &status);                       // from anywhere: LEDs, displays, logs
 *
 * There is no hardware in here: a board hands over audio and numbers. Nothing allocates; you own all memory (aligned
 * to 64 bytes, yours again when nothing plays from it). module_process takes no lock, calls no system, and does the
 * same share of a model's work in every call, however the block and the model's frame fit together. Its output is the
 * same bits on x86, aarch64 and Cortex-M7 for the same calls with the same events and clock readings.
 *
 * Threads. One audio thread or interrupt calls module_process. One control thread calls module_load, module_unload,
 * module_measure, module_offer and what saves. Each lane of events has one thread that pushes. module_read_status,
 * module_now and module_report_miss may be called by any. None of them waits for another. All may be the same thread.
 *
 * Functions that can fail return 0 or a MODULE_ERROR_ code, and where they take a `module_complaint` it then holds a
 * sentence for the builder: what is wrong, in which line, and what would be right. */
#ifndef TUDOR_MODULE_H
#define TUDOR_MODULE_H

#include "tudor.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MODULE_KNOBS 16 /* most inputs of each kind; a board uses the first of them */
#define MODULE_CVS 16
#define MODULE_GATES 8
#define MODULE_SLOTS 8
#define MODULE_LANES 4
#define MODULE_CHANNELS 2
#define MODULE_LATENTS 64 /* most latents that are played; a model with more is refused for bend and source */
#define MODULE_SHOWN 8    /* latents in the status */
#define MODULE_NAME 32

typedef struct tudor_module tudor_module;

enum module_error {
    MODULE_OK,
    MODULE_ERROR_ARGUMENT, /* a null pointer, or a number outside its range */
    MODULE_ERROR_MEMORY,   /* too little, or not on a 64-byte boundary */
    MODULE_ERROR_MODEL,    /* the model file was refused by the runtime */
    MODULE_ERROR_RATE,     /* the model's sample rate cannot be had on this board */
    MODULE_ERROR_WAY,      /* the model has no method for the way of playing that was asked for */
    MODULE_ERROR_TEXT,     /* a line of a mapping or calibration file */
    MODULE_ERROR_BUSY,     /* the slot is playing */
    MODULE_ERROR_FULL      /* the ring has no room: the event was dropped and counted */
};

typedef struct module_complaint {
    int code;
    uint32_t line; /* of the text, from 1; 0: it is about no line */
    char text[200];
} module_complaint;

/* ------------------------------------------------------------------------------------------------ start */

enum module_overlap {
    MODULE_OVERLAP_NEVER,   /* default: the old one fades to dry or silence before the new one runs */
    MODULE_OVERLAP_ALWAYS,  /* a crossfade */
    MODULE_OVERLAP_MEASURED /* a crossfade where the load, as it was measured, leaves time for both */
};

/* A model of one channel on a board of two: played once, on the sum of both inputs and to both outputs, or twice, a side
 * each: with the same weights, controls and attributes, and a state and noise of its own. AUTO: twice, and once as soon as
 * blocks take too long. OFF is the default; a source is played twice with ON alone. */
enum module_stereo { MODULE_STEREO_OFF, MODULE_STEREO_ON, MODULE_STEREO_AUTO };

/* What the board is. module_defaults fills in all but sample_rate_hz's and block_samples' final values. */
typedef struct module_config {
    uint32_t sample_rate_hz; /* of the converters; default 48000 */
    uint32_t block_samples;  /* of every module_process, 1 to 8192; default 48 */
    uint32_t in_channels, out_channels; /* 0 to 2; 1 or 2; default 1 */
    uint32_t lanes, lane_events; /* threads that push events, 1 to MODULE_LANES; room in each, a power of two; default 1, 256 */
    uint32_t gesture_events; /* what a recorded gesture may consist of; default 1024 */
    uint32_t dry_samples;    /* longest delay of the dry sound, a power of two; default 16384. The dry sound is
                              * delayed by the model's latency, or by this where that is longer */
    uint32_t resample_taps;  /* even, 8 to 128: quality of rate conversion, 32 is 70 dB; default 32.
                              * 0: the board cannot afford it, models of another rate are refused */
    size_t resample_bytes;   /* most bulk memory for one model's conversion tables; default 131072 */
    uint32_t overlap;        /* enum module_overlap: whether two models may run at once during a slot change */
    uint32_t stereo;         /* enum module_stereo, of models whose mapping does not say it */
    float stereo_load;       /* of MODULE_STEREO_AUTO: two may take this share of a block's time; default 0.75 */
    uint32_t fade_ms;        /* of slot changes, mutes and recoveries, 1 to 1000; default 30 */
    uint32_t slots;          /* models that the board may hold, 1 to MODULE_SLOTS: with one, the derived mapping has no
                              * gate for the next; default MODULE_SLOTS */
    uint32_t catch_up;       /* knobs are real ones: after a slot change a knob does nothing until it comes to where it
                              * was in that slot; 0: it is where it is set, as in a program; default 1 */
    uint32_t seed;           /* of walks and jumps: the same seed, the same music; default 1 */
    uint32_t heard_samples;  /* from the moment that an event is stamped with to the moment that the block in which it
                              * falls is heard: what the board's converters and buffers take, and what its stamps
                              * are ahead. Models that play in time are asked that much earlier; default 0 */
    uint32_t burst_macs, ahead; /* that a millisecond has room for: over so long the first frames of a drum voice's stroke are
                              * spread, 0: any number; 1: the next one's are made ahead, see strokes.c; default 0, 0 */
    float ceiling, overload_load; /* of the limiter, 0.1 to 1; of a block's time, beyond it is a miss; default 0.98, 0.95 */

    /* The load meter. `clock` is read at the beginning and end of every block; null: no metering. It must not call
     * the system unless that is harmless in your audio thread (clock_gettime through the vDSO is, DWT->CYCCNT is). */
    uint32_t (*clock)(void *context); /* counts up, modulo 2^32 */
    uint32_t clock_hz;
    /* Called at the end of every block that left the instrument in order; null: not called. For a hardware watchdog
     * that wants feeding; a process watchdog rather looks whether `blocks` in the status still grows. */
    void (*healthy)(void *context);
    void *context;
} module_config;

void module_defaults(module_config *config);

/* Bytes that module_init needs; 0: the configuration is not possible. */
size_t module_bytes(const module_config *config);
int module_init(const module_config *config, void *memory, size_t bytes, tudor_module **module);

/* How the board's converters read: lines such as "cv1 offset=0.5 gain=10" or "knob2 offset=0.01 gain=1.02 curve=s";
 * see docs/mapping.md. A knob becomes 0 to 1, a CV volts: (reading - offset) * gain, or what lies on the lines between
 * points ("cv1 at=0.004:0 at=0.98:5"). Without: knobs as read, CVs times 5 (a reading of -1 to 1 is -5 V to 5 V). Of an
 * input that a later text names that one holds. Call it before the first block. On an error nothing is changed. */
int module_read_calibration(tudor_module *m, const char *text, size_t bytes, module_complaint *why);

/* ------------------------------------------------------------------------------------------------ slots */

enum module_way {
    MODULE_EFFECT = 1, /* audio through `forward` */
    MODULE_BEND = 2,   /* audio through `encode`, latents changed by the controls, then `decode` */
    MODULE_SOURCE = 4  /* no audio in: latents from walks, CVs and notes, or from `generate`, through `decode` */
};

/* The ways that a model can be played, as a sum of enum module_way; 0: none. */
uint32_t module_ways(const tudor_model *model);

typedef struct module_need {
    size_t fast_bytes, bulk_bytes; /* as the runtime's: `bulk` may lie in slow memory, and may be 0 */
    uint32_t way;                  /* that will be played */
    uint32_t latency_samples;      /* of the wet sound at the board's rate: model, buffering, rate conversion */
    uint32_t streams, slices;      /* 2: it is played twice; parts that a frame is cut into, 1: blocks of whole frames */
    uint32_t strike_samples, ahead_samples; /* from a gate to its sound, at the board's rate; where that was made ahead; 0 */
    uint32_t stages; int method[2]; /* methods that are played in a row: how many, and which */
    uint32_t frame_samples;        /* so many samples at once, at the model's rate */
} module_need;

/* What a model will need. `mapping` is the text of its mapping file, or null for one derived from the model. */
int module_measure(const tudor_module *m, const void *file, size_t file_bytes, const char *mapping,
                   size_t mapping_bytes, module_need *need, module_complaint *why);

/* The text of the mapping that a model is played with when it has none: a beginning for one of its own. Returns the
 * bytes written, cut at `size`; 0: the model cannot be played. */
size_t module_derive_mapping(const tudor_module *m, const void *file, size_t file_bytes, char *text, size_t size);

/* Prepares a model in a slot (0 to MODULE_SLOTS - 1) that is empty or not playing. All work that takes long is done
 * here, before the audio thread ever sees it. `file` (aligned to 64), `fast` and `bulk` belong to the slot until it
 * is unloaded; `name` and the mapping are copied. The first slot that is loaded starts to play. */
int module_load(tudor_module *m, uint32_t slot, const char *name, const void *file, size_t file_bytes,
                const char *mapping, size_t mapping_bytes, void *fast, size_t fast_bytes, void *bulk,
                size_t bulk_bytes, module_complaint *why);

/* The same for boards with memories of different speed: weights that lie in one of the parts are read there, see
 * tudor_use_parts. */
int module_load_parts(tudor_module *m, uint32_t slot, const char *name, const void *file, size_t file_bytes,
                      const tudor_part *parts, uint32_t parts_count, const char *mapping, size_t mapping_bytes,
                      void *fast, size_t fast_bytes, void *bulk, size_t bulk_bytes, module_complaint *why);

/* Empties a slot; MODULE_ERROR_BUSY while it plays or fades: select another, and try again after the fade. */
int module_unload(tudor_module *m, uint32_t slot);

/* For boards whose models take turns in one memory: a slot that is empty can be chosen all the same. Then the model that
 * plays fades out, module_wanted says which slot waits, and the control thread unloads and loads; MODULE_SLOTS: none
 * waits. `name` is copied; null: the slot is not offered any longer. */
int module_offer(tudor_module *m, uint32_t slot, const char *name);
uint32_t module_wanted(const tudor_module *m);

/* ------------------------------------------------------------------------------------------------ saving */

/* What hands have set, for after the power was off: knobs and MIDI controllers, the gesture, whether and where the
 * latents are frozen, the slot. A counter tells the control thread that some of it was changed by hand; */
uint32_t module_changes(const tudor_module *m);
/* most bytes that all of it takes; */
size_t module_save_bytes(const tudor_module *m);
/* asks for it. The audio thread writes it, a little in each block and not while a gesture is recorded. The memory is
 * its own until module_saved says how many bytes they are; 0: not yet. MODULE_ERROR_BUSY: it was asked before. */
int module_save(tudor_module *m, void *memory, size_t bytes);
size_t module_saved(tudor_module *m);
/* Before the first block, with the slots loaded or offered: sets all of it again. On an error nothing is changed. */
int module_restore(tudor_module *m, const void *saved, size_t bytes, module_complaint *why);

/* ------------------------------------------------------------------------------------------------ controls */

enum module_kind {
    MODULE_KNOB = 1, /* source 0 to MODULE_KNOBS - 1; value as the converter reads it, usually 0 to 1 */
    MODULE_CV,       /* source 0 to MODULE_CVS - 1; value usually -1 to 1 */
    MODULE_GATE,     /* source 0 to MODULE_GATES - 1; value above 0.5 is high */
    MODULE_MIDI,     /* a whole message in `midi`; see module_midi_byte */
    MODULE_SELECT    /* slot `source` is to play */
};

typedef struct module_event {
    uint32_t at_samples; /* when, in samples of the board's clock, modulo 2^32: module_now and onwards. The past means
                          * at once; more than two seconds ahead is taken for the past. In order within a lane */
    uint16_t kind, source; /* source: from 0, knob1 in a mapping is 0 */
    float value;     /* what is not finite is ignored and counted */
    uint8_t midi[4];
} module_event;

/* Hands an event over. Never waits: MODULE_ERROR_FULL if the lane has no room. */
int module_push(tudor_module *m, uint32_t lane, const module_event *event);

/* The time at which the next block begins. A control thread stamps what it reads with this plus one block, and
 * then controls are late by a constant time, without jitter. */
uint32_t module_now(const tudor_module *m);

/* A host's transport: to be called by the audio thread before a block, for that block's first sample. What is no
 * number, or outside these ranges, is ignored and counted. Leads as long as it is called at least every two seconds. */
typedef struct module_transport {
    double beat;    /* position in quarter notes, -4000000 to 4000000; a bar begins at 0 */
    float tempo;    /* in beats a minute, 20 to 400 */
    uint32_t meter, playing; /* meter: beats in a bar, 1 to 16 */
} module_transport;

void module_host_transport(tudor_module *m, const module_transport *transport);

/* MIDI bytes as they come, with running status, real-time bytes in between, system exclusive skipped, damage
 * survived. Clock, start, continue, stop and the song position are messages too. Zero the struct before the first
 * byte. */
typedef struct module_midi { uint8_t status, have, data[2], exclusive; } module_midi;

/* Takes one byte; 1: `event` is a whole message and only lacks its time; 0: nothing to push yet. */
int module_midi_byte(module_midi *parser, uint8_t byte, module_event *event);

/* ------------------------------------------------------------------------------------------------ audio */

/* One block: in[channel][block_samples], out[channel][block_samples]; both may be the same memory. `in` may be null,
 * which is silence. What comes out is finite and never above the ceiling. */
void module_process(tudor_module *m, const float *const *in, float *const *out);

/* The board lost a block (an xrun): counts as a miss towards overload. */
void module_report_miss(tudor_module *m);

/* Constant delay of the dry sound with no model loaded, by the limiter's looking ahead. Part of every latency. */
uint32_t module_limiter_samples(const tudor_module *m);

/* ------------------------------------------------------------------------------------------------ state */

enum module_state {
    MODULE_EMPTY,     /* no slot is loaded: dry sound */
    MODULE_PLAYING,
    MODULE_CHANGING,  /* from slot to slot */
    MODULE_OVERLOAD,  /* the model rests because blocks came late: dry sound, or silence for a source */
    MODULE_RECOVERING /* after a fault or an overload: the model runs unheard until its state is in order */
};

enum module_flag { /* held controls and the like, for LEDs */
    MODULE_FROZEN = 1,
    MODULE_RECORDING = 2,
    MODULE_LOOPING = 4,
    MODULE_LIMITING = 8, /* the limiter took more than 1 dB off in the last block */
    MODULE_CLOCKED = 16, /* a clock, a host or taps are being followed */
    MODULE_STOPPED = 32, /* and say that the song stands: beats run on */
    MODULE_NARROWED = 64 /* the model is played once, since two took too long: MODULE_STEREO_AUTO */
};

typedef struct module_status {
    uint32_t blocks;  /* processed so far, modulo 2^32 */
    uint32_t state;   /* enum module_state */
    uint32_t flags;   /* sum of enum module_flag */
    uint32_t slot;    /* that plays or fades in; MODULE_SLOTS: none */
    uint32_t loaded;  /* bit for each slot that can be chosen */
    uint32_t way;     /* enum module_way of the slot */
    uint32_t streams, latency_samples, strike_samples; /* 2: it is played twice, a side each; from a gate to its sound, or 0 */
    float load, load_worst; /* share of the block's time that processing took, of about a second: mean, worst block */
    uint32_t misses, overloads; /* blocks late; times that the model had to rest */
    uint32_t faults;  /* times that a model gave what is not finite or exploded, and was reset */
    uint32_t dropped, ignored; /* events that found no room; that named no input or held no number */
    uint32_t nonfinite; /* input samples that were no numbers, and were taken as 0 */
    float in_peak, out_peak; /* of the last block */
    float reduction;  /* the limiter's gain, 1: untouched */
    float envelope, wet; /* follower of the output, 0 to 1; what of the mix is the model, after fades */
    float tempo;      /* beats a minute */
    uint32_t beat;    /* whole beats since the song's first, at the block's end */
    float beat_phase, bar_phase; /* 0 to below 1: behind `beat`; of the bar */
    uint32_t latents; /* how many of `latent` are valid */
    float latent[MODULE_SHOWN]; /* as the model got them, each over its range: 0 at its minimum, 1 at its maximum */
} module_status;

void module_read_status(const tudor_module *m, module_status *status);
const char *module_slot_name(const tudor_module *m, uint32_t slot); /* "": empty. For the control thread */
const char *module_state_text(uint32_t state);

#ifdef __cplusplus
}
#endif
#endif
