/* Checks of the ops that follow a pitch and play one. */
#include "check.h"

#ifndef TUDOR_NO_TONES
/* A window holds what is compared, at least a frame, all lags, and the slopes of what smooths it. */
int tudor_check_pitch(const struct look *l) {
    const struct format_op *op = l->op;
    const struct format_value *in = value(l, op->in_a), *out = value(l, op->out);
    if (in->channels != 1 || out->channels != 2) return TUDOR_ERROR_CHANNELS;
    if (op->kernel > FORMAT_MAX_ROWS || op->stride == 0 || op->stride > op->kernel || op->dilation != 1 ||
        op->groups == 0 || op->gate > 1 || op->stride % op->groups || op->phases < 4 || op->phases > op->kernel ||
        op->seed == 0 || op->seed > PITCH_MOST_WIDTH)
        return TUDOR_ERROR_SHAPE;
    const uint64_t reach = (uint64_t)op->phases * op->groups + 2 * (op->seed - 1);
    if (reach + op->stride > op->kernel || (op->kernel - reach) % op->stride) return TUDOR_ERROR_SHAPE;
    if (rows_of(l, in) != (uint64_t)rows_of(l, out) * op->stride) return TUDOR_ERROR_RATE;
    const int code = check_window(l, in);
    return code ? code : check_params(l, 2);
}

int tudor_check_harmonics(const struct look *l) {
    const struct format_op *op = l->op;
    const struct format_value *in = value(l, op->in_a), *out = value(l, op->out);
    if (in->channels < 4 || out->channels != 1) return TUDOR_ERROR_CHANNELS;
    if (op->kernel == 0 || op->kernel > FORMAT_MAX_CHANNELS || op->phases == 0 || op->phases > FORMAT_MAX_ROWS ||
        op->seed == 0 || op->seed >= 1u << 30)
        return TUDOR_ERROR_SHAPE;
    if (rows_of(l, out) != (uint64_t)rows_of(l, in) * op->phases) return TUDOR_ERROR_RATE;
    return check_params(l, 4);
}
#else
typedef int tudor_no_tones;
#endif
