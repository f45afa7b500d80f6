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

int tudor_check_op(struct look *l);

#endif
