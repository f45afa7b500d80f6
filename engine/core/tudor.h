/* tudor: plays neural audio models, one stream at a time, anywhere.
 *
 *   tudor_model model;                                   // a view of the file, no copy
 *   tudor_open(bytes, length, &model, NULL);
 *   tudor_sizes need;
 *   tudor_measure(&model, batch, max_samples, &need);    // how much memory an instance takes
 *   tudor *t;
 *   tudor_init(&model, batch, max_samples, fast, need.fast_bytes, bulk, need.bulk_bytes, &t);
 *   int m = tudor_find_role(&model, TUDOR_ROLE_EFFECT);   // or tudor_find_method(&model, "name")
 *   tudor_process(t, m, in, out, samples);               // as often as you like
 *
 * The library takes no memory, opens no file, starts no thread, holds no global and calls no system. You own all
 * memory: the file (aligned to 64 bytes, unchanged while in use; any number of instances share it) and two regions
 * per instance, also aligned to 64 bytes. `fast` holds scratch and small state, `bulk` the long histories: put them
 * in fast and slow memory where a board has both, or side by side where it has not. A region of 0 bytes may be NULL.
 * One instance belongs to one thread at a time. There is nothing to close.
 *
 * Each function says which thread may call it:
 *   [thread-safe]   any thread at any time: reads what never changes. No lock, no waiting.
 *   [main-thread]   a thread without a deadline: takes as long as the model is large. Before the instance is handed
 *                   to its audio thread, or while that does not call.
 *   [audio-thread]  the one thread that the instance belongs to at the moment, whichever that is. Takes no lock, no
 *                   memory, no system call. Handing an instance to another thread needs what orders memory between
 *                   them: a lock, a queue, the start of the thread. Instances of one model never disturb each other.
 *
 * Audio is planar float: [batch][channels][rows], each row covering `in_ratio` (or `out_ratio`) samples of audio.
 * A method works in frames of `frame_samples`; a block is any multiple of that up to max_samples, and blocks may
 * change in length from call to call. The samples that come out do not depend on how the input was cut, nor on the
 * processor: the same bits on x86, ARM and Cortex-M.
 *
 * Every function that can fail returns 0 or a TUDOR_ERROR_ code; tudor_error_text says it in words.
 */
#ifndef TUDOR_H
#define TUDOR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FAULT(code, NAME, text) TUDOR_ERROR_##NAME = code,
enum tudor_error {
#include "faults.inc"
    TUDOR_ERROR_END
};
#undef FAULT

/* What a method is for. */
#define ROLE(code, NAME, name) TUDOR_ROLE_##NAME = code,
enum tudor_role {
#include "roles.inc"
    TUDOR_ROLE_END
};
#undef ROLE

typedef struct tudor tudor; /* one instance: lives at the start of its fast region */

/* A checked view of a model file. Copy it freely; treat its inside as private. */
typedef struct tudor_model {
    const void *file;
    const void *header;
} tudor_model;

/* What tudor_open found wrong: in which kind of record, which one, and which code. */
typedef struct tudor_fault {
    int code;
    const char *record; /* "op", "buffer", ... */
    uint32_t index;
} tudor_fault;

typedef struct tudor_sizes {
    size_t fast_bytes;
    size_t bulk_bytes;
    size_t state_bytes; /* the part of both that outlives a block: what tudor_save_state copies */
} tudor_sizes;

typedef struct tudor_method_info {
    const char *name;
    uint32_t in_channels, in_ratio;
    uint32_t out_channels, out_ratio;
    uint32_t frame_samples;
    uint32_t latency_samples; /* of the model itself; a host adds its buffering */
    const char *in_labels, *out_labels; /* separated by newlines */
    int role; /* TUDOR_ROLE_… */
    uint64_t start_bytes; /* what tudor_save_start copies */
} tudor_method_info;

typedef struct tudor_attribute_info {
    const char *name, *label;
    uint32_t count; /* floats */
    float minimum, maximum;
    const float *defaults;
} tudor_attribute_info;

/* One line of a method's op table. Figures are per frame and batch element. */
typedef struct tudor_op_info {
    const char *kind, *name;
    uint64_t macs, cost; /* cost: in MACs, what slices are cut by */
    uint64_t weights_bytes, state_bytes, scratch_bytes;
    uint32_t in_channels, out_channels, rows, kernel, stride, dilation, groups, phases;
    uint32_t dtype; /* number format of the weights: DTYPE_… of format.inc */
    uint32_t steps; /* how often a loop calls it per frame; 0: once per block */
    uint32_t shared_rows; /* that one reading of the weights is enough for, at most */
    uint64_t weights_offset; /* from the beginning of the file's weights; behind them lie 64 bytes more, see tudor_part */
    uint64_t params_offset, params_bytes; /* of numbers that are no weights of a convolution: an activation's, a norm's */
} tudor_op_info;

/* A copy of a stretch of the file's weights, in another memory than the file. */
typedef struct tudor_part {
    const void *at; /* aligned to 64 */
    uint32_t offset, bytes; /* from the beginning of the file's weights; both multiples of 64 */
} tudor_part;

const char *tudor_error_text(int code); /* [thread-safe] */

/* Checks everything in the file: after 0, no call on this model reads or writes outside the memory it was given.
 * [main-thread] */
int tudor_open(const void *file, size_t bytes, tudor_model *model, tudor_fault *fault);

const char *tudor_name(const tudor_model *model); /* [thread-safe] */
const char *tudor_metadata(const tudor_model *model); /* [thread-safe] JSON */
uint32_t tudor_sample_rate_hz(const tudor_model *model); /* [thread-safe] */
int tudor_methods(const tudor_model *model); /* [thread-safe] */
int tudor_find_method(const tudor_model *model, const char *name); /* [thread-safe] -1: none */
int tudor_find_role(const tudor_model *model, int role); /* [thread-safe] the first method of a TUDOR_ROLE_…; -1: none */
int tudor_method(const tudor_model *model, int method, tudor_method_info *info); /* [thread-safe] */
int tudor_attributes(const tudor_model *model); /* [thread-safe] */
int tudor_find_attribute(const tudor_model *model, const char *name); /* [thread-safe] -1: none */
int tudor_attribute(const tudor_model *model, int attribute, tudor_attribute_info *info); /* [thread-safe] */
int tudor_ops(const tudor_model *model, int method); /* [thread-safe] */
int tudor_op(const tudor_model *model, int method, int op, tudor_op_info *info); /* [thread-safe] */
const void *tudor_weights(const tudor_model *model); /* [thread-safe] where the offsets of ops' weights count from */

/* Memory for an instance that plays `batch` streams side by side in blocks of up to max_samples (rounded up to
 * whole frames of each method). [main-thread] */
int tudor_measure(const tudor_model *model, uint32_t batch, uint32_t max_samples, tudor_sizes *sizes);
/* Makes an instance in that memory: fresh state, attributes at their defaults. Fresh is what the file says: as after
 * silence, or zeros. [main-thread] */
int tudor_init(const tudor_model *model, uint32_t batch, uint32_t max_samples, void *fast, size_t fast_bytes,
               void *bulk, size_t bulk_bytes, tudor **instance);

/* For boards with memories of different speed: from the next block on, an op whose weights lie in one of the parts with 64
 * bytes behind them reads them there; all others in the file. The same bits. tudor_op_info says which stretches an op
 * reads. Parts stay where they are while in use; the list itself may go. TUDOR_ERROR_CHECKSUM: a part holds other bytes than
 * the file. On an error nothing is changed. [main-thread] */
int tudor_use_parts(tudor *t, const tudor_part *parts, uint32_t count);

/* Plays one block: in [batch][in_channels][samples / in_ratio], out [batch][out_channels][samples / out_ratio].
 * Each method keeps state of its own. [audio-thread] */
int tudor_process(tudor *t, int method, const float *in, float *out, uint32_t samples);

/* The same block in `slices` parts of about equal cost, for hosts whose callbacks are shorter than a frame: call
 * with slice 0, 1, … slices-1. Input is read in slice 0 (all of it must be there; with batch > 1 keep it until the
 * end), output is complete after the last one. Between them only calls on the same method are allowed. With
 * callbacks of B samples, slices = samples / B: run slice 0 in the callback that completes the input and the output
 * is there `samples - B` later. [audio-thread] */
int tudor_process_slice(tudor *t, int method, const float *in, float *out, uint32_t samples, uint32_t slice,
                        uint32_t slices);
/* Cost of the most expensive slice and of all, in MACs: their ratio times `slices` is how far from even it is.
 * Takes as long as there are ops and slices. [audio-thread] */
int tudor_slice_costs(const tudor *t, int method, uint32_t samples, uint32_t slices, uint64_t *worst,
                      uint64_t *total);

/* The next block of a method that draws what it puts out, whole or in slices, puts out `out` [batch][out_channels]
 * [samples / out_ratio] instead, and goes on from there as if it had drawn that: how a model continues a sound. What a
 * method cannot put out becomes the nearest that it can; gates let all of it through. The noise of later blocks is what it
 * would have been anyway. `drawn`, unless NULL, gets what would have been drawn for each row, as output and before any
 * gate: what the model expects of a sound that it hears, an effect. Both must stay until that block, which must be of as
 * many samples, is over; resetting the method forgets them. TUDOR_ERROR_DRAWS: the method draws nothing that could be
 * told from its output. [audio-thread] */
int tudor_force(tudor *t, int method, const float *out, float *drawn, uint32_t samples);

int tudor_reset(tudor *t); /* [audio-thread] all methods to fresh state; attributes stay */
int tudor_reset_method(tudor *t, int method); /* [audio-thread] */

/* Attributes: each stream of the batch has values of its own, `count` floats, which are settings and no state: resetting,
 * saving and loading state leave them as they are. What is set between two blocks holds from the first row of the next
 * one, in every method; between two slices of a block it must not be set. Values are clamped to the attribute's range.
 */

/* The same values for all streams. [audio-thread] */
int tudor_set_attribute(tudor *t, int attribute, const float *values, uint32_t count);
/* Those of the first stream. [audio-thread] */
int tudor_get_attribute(const tudor *t, int attribute, float *values, uint32_t count);
/* Of one stream, counted from 0, as tudor_process takes them; the others keep theirs. [audio-thread] */
int tudor_set_stream_attribute(tudor *t, uint32_t stream, int attribute, const float *values, uint32_t count);
int tudor_get_stream_attribute(const tudor *t, uint32_t stream, int attribute, float *values,
                               uint32_t count); /* [audio-thread] */
/* Input samples replaced so far because they were NaN or infinite. [audio-thread] */
uint64_t tudor_nonfinite(const tudor *t);

/* State as a value: copy it out, put it back into this or another instance of the same model, batch and maximum. */
int tudor_save_state(const tudor *t, void *to, size_t bytes); /* [audio-thread] */
int tudor_load_state(tudor *t, const void *from, size_t bytes); /* [audio-thread] */
/* For who writes model files: the first stream's state of one method as a file holds it for others to start with.
 * [audio-thread] */
int tudor_save_start(const tudor *t, int method, void *to, size_t bytes);

/* Instruction sets: the best one is chosen at init. Names: "ref", "scalar", "avx2", "avx512", "neon". */
const char *tudor_isa(const tudor *t); /* [audio-thread] */
/* For tests and measurements; the result is the same bits. [main-thread] */
int tudor_use_isa(tudor *t, const char *name);

#ifdef __cplusplus
}
#endif

#endif
