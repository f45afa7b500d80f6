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

#define OP(code, NAME, name, inputs, weights) OP_##NAME = code,
#define ACT(code, NAME, name)
enum op_kind {
#include "ops.inc"
    OP_END /* one past the last: codes ascend in the list */
};
#undef OP
#undef ACT

#define OP(code, NAME, name, inputs, weights)
#define ACT(code, NAME, name) ACT_##NAME = code,
enum act_kind {
#include "ops.inc"
    ACT_END
};
#undef OP
#undef ACT

#endif
