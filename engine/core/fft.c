/* The discrete Fourier transform of complex numbers, by passes of four and a last one of two where they do not divide:
 * Stockham's order, in which nothing has to be sorted by reversed bits, and whose inner loops run over neighbours.
 * Only +, - and x, in an order that the size alone decides: the same bits on every machine. */
#include "fft.h"

/* A factor e^(-2 pi i at / size). */
struct turn {
    float re, im;
};

static struct turn turn_at(const struct fft *f, uint32_t at) {
    return (struct turn){f->sine[at + f->size / 4], -f->sine[at]};
}

/* Four parts of the input, `part` numbers apart, into four neighbours `step` apart, of which all but the first are
 * turned. `from`: real parts, then imaginary ones, `count` each; `to` alike. */
static void four(const float *restrict from, float *restrict to, uint32_t count, uint32_t step,
                 const struct turn *turns) {
    const uint32_t part = count / 4;
    const float *restrict const re = from, *restrict const im = from + count;
    float *restrict const out_re = to, *restrict const out_im = to + count;
    const struct turn a = turns[0], b = turns[1], c = turns[2];
    for (uint32_t q = 0; q < step; q++) {
        const float sum_re = re[q] + re[q + 2 * part], sum_im = im[q] + im[q + 2 * part];
        const float gap_re = re[q] - re[q + 2 * part], gap_im = im[q] - im[q + 2 * part];
        const float odd_re = re[q + part] + re[q + 3 * part], odd_im = im[q + part] + im[q + 3 * part];
        const float off_re = re[q + part] - re[q + 3 * part], off_im = im[q + part] - im[q + 3 * part];
        const float one_re = gap_re + off_im, one_im = gap_im - off_re;
        const float two_re = sum_re - odd_re, two_im = sum_im - odd_im;
        const float three_re = gap_re - off_im, three_im = gap_im + off_re;
        out_re[q] = sum_re + odd_re;
        out_im[q] = sum_im + odd_im;
        out_re[q + step] = one_re * a.re - one_im * a.im;
        out_im[q + step] = one_re * a.im + one_im * a.re;
        out_re[q + 2 * step] = two_re * b.re - two_im * b.im;
        out_im[q + 2 * step] = two_re * b.im + two_im * b.re;
        out_re[q + 3 * step] = three_re * c.re - three_im * c.im;
        out_im[q + 3 * step] = three_re * c.im + three_im * c.re;
    }
}

/* The last pass of four, whose factors are all 1. */
static void last_four(const float *restrict from, float *restrict to, uint32_t count) {
    const uint32_t part = count / 4;
    const float *restrict const re = from, *restrict const im = from + count;
    float *restrict const out_re = to, *restrict const out_im = to + count;
    for (uint32_t q = 0; q < part; q++) {
        const float sum_re = re[q] + re[q + 2 * part], sum_im = im[q] + im[q + 2 * part];
        const float gap_re = re[q] - re[q + 2 * part], gap_im = im[q] - im[q + 2 * part];
        const float odd_re = re[q + part] + re[q + 3 * part], odd_im = im[q + part] + im[q + 3 * part];
        const float off_re = re[q + part] - re[q + 3 * part], off_im = im[q + part] - im[q + 3 * part];
        out_re[q] = sum_re + odd_re;
        out_im[q] = sum_im + odd_im;
        out_re[q + part] = gap_re + off_im;
        out_im[q + part] = gap_im - off_re;
        out_re[q + 2 * part] = sum_re - odd_re;
        out_im[q + 2 * part] = sum_im - odd_im;
        out_re[q + 3 * part] = gap_re - off_im;
        out_im[q + 3 * part] = gap_im + off_re;
    }
}

static void last_two(const float *restrict from, float *restrict to, uint32_t count) {
    const uint32_t part = count / 2;
    for (uint32_t half = 0; half < 2; half++, from += count, to += count)
        for (uint32_t q = 0; q < part; q++) {
            to[q] = from[q] + from[q + part];
            to[q + part] = from[q] - from[q + part];
        }
}

float *tudor_fft(const struct fft *f, float *numbers, float *space) {
    const uint32_t count = f->size / 2;
    uint32_t length = count, step = 1;
    float *from = numbers, *to = space;
    for (; length > 4; length /= 4, step *= 4) {
        const uint32_t apart = f->size / length;
        for (uint32_t p = 0; p < length / 4; p++) {
            const struct turn turns[3] = {turn_at(f, apart * p), turn_at(f, 2 * apart * p), turn_at(f, 3 * apart * p)};
            four(from + step * p, to + 4 * step * p, count, step, turns);
        }
        float *const swapped = from;
        from = to;
        to = swapped;
    }
    if (length == 4)
        last_four(from, to, count);
    else
        last_two(from, to, count);
    return to;
}
