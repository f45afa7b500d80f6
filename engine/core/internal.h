/* What the runtime's files share: views of the file, and how an instance lies in memory.
 *
 * fast: struct tudor | method plans | buffer plans | op plans | attribute values of each stream | state | scratch arena
 * bulk: state (rings that the file marks as bulk)
 * State of one method is `batch` blocks, one per stream: slots of its rings | words | rings. No pointers in it. */
#ifndef TUDOR_INTERNAL_H
#define TUDOR_INTERNAL_H

#include "force.h"
#include "format.h"
#include "kernels.h"
#include "tudor.h"

#if defined(TUDOR_NO_NOISE) || defined(TUDOR_NO_LOG) /* what these ops are made of */
#undef TUDOR_NO_SPECTRUM
#define TUDOR_NO_SPECTRUM
#endif

static inline const void *file_at(const tudor_model *m, uint32_t offset) {
    return (const char *)m->file + offset;
}
static inline const struct format_header *header_of(const tudor_model *m) { return m->header; }
static inline const struct format_method *method_of(const tudor_model *m, uint32_t i) {
    return (const struct format_method *)file_at(m, header_of(m)->methods) + i;
}
static inline const struct format_attribute *attribute_of(const tudor_model *m, uint32_t i) {
    return (const struct format_attribute *)file_at(m, header_of(m)->attributes) + i;
}
static inline const struct format_buffer *buffers_of(const tudor_model *m, const struct format_method *f) {
    return (const struct format_buffer *)file_at(m, header_of(m)->buffers) + f->first_buffer;
}
static inline const struct format_value *values_of(const tudor_model *m, const struct format_method *f) {
    return (const struct format_value *)file_at(m, header_of(m)->values) + f->first_value;
}
static inline const struct format_op *ops_of(const tudor_model *m, const struct format_method *f) {
    return (const struct format_op *)file_at(m, header_of(m)->ops) + f->first_op;
}
static inline const char *text_at(const tudor_model *m, uint32_t offset) {
    return (const char *)file_at(m, header_of(m)->text) + offset;
}
static inline const float *weights_at(const tudor_model *m, uint32_t offset) {
    return (const float *)file_at(m, header_of(m)->weights + offset);
}

static inline size_t number_bytes(const struct format_buffer *b) {
    return b->type == FORMAT_ROWS_INT16 ? sizeof(int16_t) : sizeof(float);
}

/* What a file says that a method's fresh state is: its size; not zero unless it lies in the weights and holds numbers;
 * from state of zeros to it, for every stream. */
uint64_t tudor_start_bytes(const tudor_model *model, const struct format_method *m);
int tudor_start_damaged(const tudor_model *model, const struct format_method *m);
void tudor_put_start(tudor *t, uint32_t index);

/* A convolution as runs of panels: one run, unless it has groups; then one per group (and phase, if transposed). */
struct conv_shape {
    uint32_t runs, cin, side, outputs, panels; /* of one run; side: channels of the side input */
    uint64_t packed_bytes;                     /* of one run */
};
struct conv_shape tudor_conv_shape(const struct format_op *op, const struct format_value *values);

/* An op may be cut into units of about equal cost, which slices are made of: see run.c. */
#define TUDOR_UNIT_FRAMES 4u
#define TUDOR_PANEL_OUTPUTS 64u
#define TUDOR_ALL_UNITS UINT32_MAX
/* What ops.inc says of a kind. */
struct op_facts {
    uint32_t inputs : 2, weights : 2, rows : 3, state : 4, acts : 1, output_cost : 8, input_cost : 8;
};
extern const struct op_facts tudor_op_facts[OP_END];
static inline const struct op_facts *facts_of(const struct format_op *op) { return &tudor_op_facts[op->kind]; }
#ifndef TUDOR_NO_TONES
/* Frames whose differences are kept, at least those that are compared. */
static inline uint32_t tudor_pitch_parts(const struct format_op *op) {
    return (op->kernel - op->phases * op->groups) / op->stride;
}
#endif
#define TUDOR_EXPONENTIALS (256u + 32u) /* numbers of two tables of resynth (resynth.c) */
/* Words of a stream's state that are its own. */
static inline uint64_t tudor_state_words(const struct format_op *op, const struct format_value *values) {
    const uint32_t out = values[op->out].channels;
    (void)out;
    switch (facts_of(op)->state) {
#ifndef TUDOR_NO_RNN
    case OP_STATE_HIDDEN: return 2ull * out;
#endif
#ifndef TUDOR_NO_NOISE
    case OP_STATE_COUNTER: return 1;
    case OP_STATE_LATCH: return 1ull + out;
    case OP_STATE_DRAW: return 1ull + values[op->in_a].channels / out;
#endif
#ifndef TUDOR_NO_ATTENTION
    case OP_STATE_WINDOW: return 1ull + op->kernel;
#endif
#ifndef TUDOR_NO_TONES
    case OP_STATE_TRACK:
        return 1ull + (uint64_t)tudor_pitch_parts(op) * op->phases + 2ull * op->kernel;
    case OP_STATE_PHASE: return 2ull + 2ull * op->kernel;
#endif
#ifndef TUDOR_NO_SPECTRUM
    case OP_STATE_TRANSFORM: return 2ull * op->kernel;
    case OP_STATE_INVERSE: return 2 + 4 * (op->kernel / 2 + 1ull) + op->kernel - op->phases + 2ull * op->kernel + 2;
#endif
    default: return 0;
    }
}
static inline int is_conv(const struct format_op *op) { return op->kind == OP_CONV || op->kind == OP_DEPTHWISE; }
/* Builds for small machines may leave loops out (TUDOR_NO_LOOP). */
static inline uint32_t loop_ops(const struct format_method *m) {
#ifdef TUDOR_NO_LOOP
    (void)m;
    return 0;
#else
    return m->loop_ops;
#endif
}
static inline int in_loop(const struct format_method *m, uint32_t op) { return op - m->loop_first < loop_ops(m); }
/* Steps of an op per frame: how often a loop runs it. */
static inline uint32_t steps_of(const struct format_op *op, const struct format_value *values,
                                const struct format_buffer *buffers) {
    return is_conv(op) ? buffers[values[op->in_a].buffer].rows / op->stride : buffers[values[op->out].buffer].rows;
}
static inline uint32_t tudor_frame_parts(uint32_t frames) {
    return frames / TUDOR_UNIT_FRAMES + (frames % TUDOR_UNIT_FRAMES != 0);
}
/* Of what lies at `params`, as check_op.c has checked it; 0: nothing does. */
uint32_t tudor_params_bytes(const struct format_op *op, const struct format_value *values);
uint64_t tudor_op_macs(const struct format_op *op, const struct format_value *values,
                       const struct format_buffer *buffers);
uint64_t tudor_op_cost(const struct format_op *op, const struct format_value *values,
                       const struct format_buffer *buffers);
/* The same, and what integers cost beside it: what slices are cut by. */
uint64_t tudor_op_slice_cost(const struct format_op *op, const struct format_value *values,
                             const struct format_buffer *buffers);

/* Not zero unless `bytes` at `offset` lie in the weights, with 64 spare bytes behind them for vector loads. */
int tudor_weights_outside(const struct format_header *h, uint32_t offset, uint64_t bytes);
int tudor_check_ops(const tudor_model *model, const struct format_method *method, uint32_t *index);

struct buffer_plan {
    size_t offset;            /* bytes, from the arena or from the stream's state */
    uint32_t capacity_rows;   /* ring */
    uint32_t period;          /* mirrored ring: rows until it wraps; 0: sliding */
    char *base;               /* this block's first row (no delay, channel 0); written at its beginning */
};

/* Where an operand's rows begin: bytes from its buffer's base. */
struct place {
    uint32_t buffer; /* FORMAT_NONE: not there */
#ifndef TUDOR_NO_LOOP
    uint32_t step; /* bytes from one step of a loop to the next; 0 outside */
#endif
    ptrdiff_t offset;
};

/* What the kernels are told about an op. Worked out once; a block fills in the number of rows and the pointers that
 * go with `places`. */
struct op_plan {
    uint32_t rows, runs; /* rows per frame, or per step of a loop; runs of a convolution */
#ifndef TUDOR_NO_LOOP
    uint32_t period; /* rows of the loop per step */
#endif
    uint32_t cost;       /* of a frame: tudor_op_slice_cost, or as much of it as 32 bits hold */
    struct place x, b, y, pre, post;
    union {
        struct conv_args conv;
        struct map_args map;
        struct rnn_args rnn;
        struct norm_args norm;
        struct attention_args attention;
        struct pitch_args pitch;
        struct tone_args tone;
        struct transform_args transform;
    } args;
};

struct method_plan {
    uint32_t max_frames;
    uint32_t first_buffer;                  /* in the instance's buffer plans */
    size_t fast_state_bytes, bulk_state_bytes; /* of one stream */
    size_t fast_state, bulk_state;          /* offsets in their regions */
    size_t words;                           /* offset in a stream's fast state */
    uint32_t sliced_samples;                /* blocks of that many cost so much, all streams */
    uint64_t sliced_cost;
};

/* Where a block stands that is played in slices. */
struct cursor {
    uint32_t stream, step, unit; /* the next to be run; of a loop its row */
    uint32_t row_unit;           /* of a loop: units of that row that were run */
    uint64_t at, spent;          /* cost of all steps before; of all units that were run */
};

struct tudor {
    tudor_model model;
    const struct tudor_kernels *kernels;
    uint32_t batch, methods;
    uint32_t streams; /* that are played: the first of the batch */
    struct method_plan *plans;
    struct buffer_plan *buffers;
    struct op_plan *ops;
    float *attributes; /* of each stream, one after the other */
    size_t attribute_floats; /* of one stream */
    char *fast, *bulk;
    size_t fast_state, fast_state_bytes, bulk_state_bytes, arena;
    uint64_t nonfinite;
    /* a block that is being played in slices */
    int busy_method;
    uint32_t busy_samples, busy_slices, next_slice;
    struct cursor at;
    struct forced forced;
};

/* One stream's block on its way through a method. */
struct play {
    tudor *t;
    const struct format_method *method;
    const struct format_buffer *buffers;
    const struct format_value *values;
    const struct format_op *first_op;
    struct buffer_plan *plans;
    struct op_plan *ops;
    char *fast_state, *bulk_state;
    uint32_t *slots;
    float *words;
    uint32_t frames; /* 1 in a loop: its ops are told how much a step is */
    uint32_t stream;
#ifndef TUDOR_NO_LOOP
    uint32_t step; /* of the op that is run, in a loop */
#endif
    const float *forced; /* what this stream puts out; NULL: it draws */
};

int tudor_check_call(const tudor *t, int method, const float *in, const float *out, uint32_t samples);

/* A Cortex-M7 divides 32 bits in a few cycles, 64 in hundreds of instructions. */
static inline uint64_t tudor_quotient(uint64_t a, uint64_t b) {
    return (a | b) >> 32 ? a / b : (uint32_t)a / (uint32_t)b;
}

/* Where a loop stands (loop.c): its next row, and how many units of it were run. */
struct loop_place {
    uint32_t row, unit;
};
#ifdef TUDOR_NO_LOOP
static inline void tudor_run_loop(const struct play *p, struct loop_place from, struct loop_place to) {
    (void)p, (void)from, (void)to;
}
#else
void tudor_run_loop(const struct play *p, struct loop_place from, struct loop_place to);
uint32_t tudor_loop_rows(const struct play *p);
uint64_t tudor_loop_cost(const struct play *p);
/* How far a loop comes with a cost of `ahead`, and what that costs. */
struct loop_place tudor_loop_before(const struct play *p, uint64_t ahead, uint64_t *cost);
#endif

void tudor_rings_begin(const struct play *p); /* makes room, then tudor_rings_place */
void tudor_rings_place(const struct play *p); /* the buffers' bases */
void tudor_rings_end(const struct play *p);

/* Where a value's rows of this block begin. */
static inline struct rows tudor_rows(const struct play *p, uint32_t value) {
    const struct format_value *v = &p->values[value];
    const struct format_buffer *b = &p->buffers[v->buffer];
    const ptrdiff_t row = (ptrdiff_t)b->row_stride, at = (ptrdiff_t)v->first_channel - (ptrdiff_t)v->delay * row;
    return (struct rows){p->plans[v->buffer].base + at * (ptrdiff_t)number_bytes(b), b->row_stride, b->scale};
}
void tudor_plan_ops(tudor *t, const struct tudor_part *parts, uint32_t parts_count);
float *tudor_attribute_values(const tudor *t, uint32_t stream, uint32_t attribute);
void tudor_run_op(const struct play *p, const struct format_op *op, uint32_t first_unit, uint32_t end_unit);

/* What a drawing op is told beside its rows. words: a counter, then `each` numbers of scratch. */
struct draw_args {
    const struct tudor_kernels *kernels;
    uint32_t seed, key, each; /* of its noise (random.h); inputs of one output */
    float temperature, top_p, limit;
    float *words;
};
void tudor_categorical(const struct map_args *a, const struct draw_args *d);
void tudor_logistic_mixture(const struct map_args *a, const struct draw_args *d);
void tudor_fractional_delay(const struct map_args *a, uint32_t least, uint32_t most, uint32_t ahead);
void tudor_embed(const struct map_args *a, const float *table, uint32_t count);
void tudor_noise_multiply(const struct map_args *a, uint32_t seed, uint32_t key, float *counter);
void tudor_latent_sample(const struct map_args *a, uint32_t seed, uint32_t key, float temperature, float *counter);
void tudor_keyed_noise(const struct map_args *a, uint32_t seed, uint32_t key);
void tudor_note(const struct map_args *a, float most, float *state);
void tudor_spectrum(const struct transform_args *a, const struct tudor_kernels *k);
void tudor_resynth(const struct transform_args *a, const struct tudor_kernels *k);
void tudor_guard(const struct map_args *a, uint64_t *nonfinite);

#endif
