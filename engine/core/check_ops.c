/* Checks of a method's ops, each by itself and as parts of a loop. */
#include "check.h"

#ifndef TUDOR_NO_LOOP
/* Every step of an op in a loop starts at whole rows of all that it touches, and takes whole rows of the loop. */
static int check_loop(const struct look *l) {
    const struct format_op *op = l->op;
    const uint32_t used[] = {op->in_a, op->in_b, op->pre, op->post, op->out};
    const uint32_t steps = steps_of(op, l->values, l->buffers), loop_rows = l->method->loop_rows;
    if (steps == 0 || steps > loop_rows || loop_rows % steps) return TUDOR_ERROR_LOOP;
    for (uint32_t i = 0; i < sizeof used / sizeof *used; i++) {
        const struct format_value *v = value(l, used[i]);
        if (!v) continue;
        const struct format_buffer *b = &l->buffers[v->buffer];
        if (b->rows % steps || (uint64_t)(b->rows / steps) * b->row_stride * number_bytes(b) >= (uint64_t)1 << 31)
            return TUDOR_ERROR_LOOP;
    }
    return 0;
}
#endif

int tudor_check_ops(const tudor_model *model, const struct format_method *m, uint32_t *index) {
    struct look l = {model, m, values_of(model, m), buffers_of(model, m), 0, {0}};
#ifndef TUDOR_NO_LOOP
    int fast_enough = !m->loop_ops; /* one of the ops takes a step in each row */
#endif
    for (uint32_t i = 0; i < m->ops_count; i++) {
        l.op = ops_of(model, m) + i;
        *index = i;
        int code = tudor_check_op(&l);
#ifndef TUDOR_NO_LOOP
        if (!code && in_loop(m, i)) {
            code = check_loop(&l);
            fast_enough |= steps_of(l.op, l.values, l.buffers) == m->loop_rows;
        }
#endif
        if (code) return code;
    }
#ifndef TUDOR_NO_LOOP
    *index = m->loop_first;
    if (!fast_enough) return TUDOR_ERROR_LOOP;
#endif
    return 0;
}
