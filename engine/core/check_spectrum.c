/* Checks of the ops between sound and its spectrum. */
#include "check.h"
#include "fft.h"

#ifndef TUDOR_NO_SPECTRUM
#define LEAST_OVERLAP 4u
#define MOST_OVERLAP 16u

/* Windows whose squares add up to the same everywhere, of a size that passes of four and of two make. */
static int check_window_sizes(const struct format_op *op, uint32_t hop) {
    const uint32_t fft = op->kernel;
    if (fft < FFT_LEAST || fft > FFT_MOST || fft & (fft - 1) || hop == 0 || hop & (hop - 1)) return TUDOR_ERROR_SHAPE;
    return hop > fft / LEAST_OVERLAP || fft / hop > MOST_OVERLAP ? TUDOR_ERROR_SHAPE : 0;
}

static int check_tables(const struct look *l) {
    return check_params(l, tudor_params_bytes(l->op, l->values) / sizeof(float));
}

int tudor_check_spectrum(const struct look *l) {
    const struct format_op *op = l->op;
    const struct format_value *in = value(l, op->in_a), *out = value(l, op->out);
    int code = check_window_sizes(op, op->stride);
    if (code) return code;
    if (op->dilation != 1 || !(op->slope > 0.0f && op->slope <= 1e6f)) return TUDOR_ERROR_SHAPE;
    if (in->channels != 1 || out->channels != op->kernel / 2 + 1) return TUDOR_ERROR_CHANNELS;
    if (rows_of(l, in) != (uint64_t)rows_of(l, out) * op->stride) return TUDOR_ERROR_RATE;
    code = check_window(l, in);
    return code ? code : check_tables(l);
}

int tudor_check_resynth(const struct look *l) {
    const struct format_op *op = l->op;
    const struct format_value *in = value(l, op->in_a), *out = value(l, op->out);
    int code = check_window_sizes(op, op->phases);
    if (code) return code;
    if (in->channels != op->kernel + 2 || out->channels != 1) return TUDOR_ERROR_CHANNELS;
    if (rows_of(l, out) != (uint64_t)rows_of(l, in) * op->phases) return TUDOR_ERROR_RATE;
    code = check_seed(l);
    return code ? code : check_tables(l);
}
#else
typedef int tudor_no_spectra;
#endif
