/* format.inc as C structs, laid over the file as it lies in memory. */
#ifndef TUDOR_FORMAT_H
#define TUDOR_FORMAT_H

#include <stdint.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tudor files are read in place and are little-endian"
#endif

typedef uint32_t format_u32;
typedef int32_t format_i32;
typedef float format_f32;

#define CONSTANT(name, value) static const uint32_t FORMAT_##name = value##u;
#define RECORD(record)
#define FIELD(record, type, name)
#define END(record)
#include "format.inc"
#undef CONSTANT
#undef RECORD
#undef FIELD
#undef END

#define CONSTANT(name, value)
#define RECORD(record) struct format_##record {
#define FIELD(record, type, name) format_##type name;
#define END(record) };
#include "format.inc"
#undef CONSTANT
#undef RECORD
#undef FIELD
#undef END

#define OP(code, NAME, ...) OP_##NAME = code,
enum op_kind {
#include "ops.inc"
    OP_END /* one past the last: codes ascend in the list */
};

#define ACT(code, NAME, ...) ACT_##NAME = code,
enum act_kind {
#include "ops.inc"
    ACT_END
};

/* Columns of that list; it says what they mean. */
enum op_weights { OP_WEIGHTS_NONE, OP_WEIGHTS_FLOAT, OP_WEIGHTS_ANY };
enum op_rows { OP_ROWS_FLOAT, OP_ROWS_ALONE, OP_ROWS_ANY, OP_ROWS_WEIGHTS, OP_ROWS_TO_INT16, OP_ROWS_TO_FLOAT32 };
enum op_state { OP_STATE_NONE, OP_STATE_CACHE, OP_STATE_WINDOW, OP_STATE_COUNTER, OP_STATE_DRAW, OP_STATE_HIDDEN,
                OP_STATE_TRACK, OP_STATE_PHASE, OP_STATE_TRANSFORM, OP_STATE_INVERSE,
                OP_STATE_LATCH };

#endif
