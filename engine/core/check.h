/* What checks of ops look at. */
#ifndef TUDOR_CHECK_H
#define TUDOR_CHECK_H

#include "internal.h"

struct look {
    const tudor_model *model;
    const struct format_method *method;
    const struct format_value *values;
    const struct format_buffer *buffers;
    const struct format_op *op;
    struct op_facts facts; /* of its kind */
};

static inline const struct format_value *value(const struct look *l, uint32_t index) {
    return index < l->method->values_count ? &l->values[index] : 0;
}

static inline uint32_t rows_of(const struct look *l, const struct format_value *v) { return l->buffers[v->buffer].rows; }

static inline int check_params(const struct look *l, uint64_t floats) {
    return tudor_weights_outside(header_of(l->model), l->op->params, floats * 4) ? TUDOR_ERROR_WEIGHTS : 0;
}

/* Rows read before the block must be remembered by the buffer. */
static inline int check_window(const struct look *l, const struct format_value *in) {
    const struct format_op *op = l->op;
    const uint64_t span = (uint64_t)(op->kernel - 1) * op->dilation + 1;
    const uint64_t back = span > op->stride ? span - op->stride : 0;
    return back + in->delay > l->buffers[in->buffer].history ? TUDOR_ERROR_HISTORY : 0;
}

static inline int check_attribute_length(const struct look *l, uint32_t attribute, uint32_t count) {
    if (attribute >= header_of(l->model)->attributes_count) return TUDOR_ERROR_ATTRIBUTE;
    return attribute_of(l->model, attribute)->count == count ? 0 : TUDOR_ERROR_ATTRIBUTE;
}

static inline int check_seed(const struct look *l) {
    return l->op->attr_seed ? check_attribute_length(l, l->op->attr_seed - 1, 1) : 0;
}

int tudor_check_op(struct look *l);
int tudor_check_pitch(const struct look *l);
int tudor_check_harmonics(const struct look *l);
int tudor_check_spectrum(const struct look *l);
int tudor_check_resynth(const struct look *l);

#endif
