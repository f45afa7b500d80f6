/* The discrete Fourier transform of complex numbers, by passes of four and a last one of two where four do not divide:
 * Stockham's order, in which nothing is ever sorted and inner loops run over neighbours. Only +, - and x, in an order
 * that the size alone decides: the same bits on every machine. */
#include "fft.h"

/* A factor e^(-2 pi i at / size). */
struct turn {
    float re, im;
};

static inline struct turn turn_at(const struct fft *f, uint32_t at) {
    return (struct turn){f->sine[at + f->size / 4], -f->sine[at]};
}

/* The transform of four numbers. */
struct four {
    float re[4], im[4];
};

static inline struct four four_of(const float *re, const float *im, uint32_t apart) {
    const float sum_re = re[0] + re[2 * apart], sum_im = im[0] + im[2 * apart];
    const float gap_re = re[0] - re[2 * apart], gap_im = im[0] - im[2 * apart];
    const float odd_re = re[apart] + re[3 * apart], odd_im = im[apart] + im[3 * apart];
    const float off_re = re[apart] - re[3 * apart], off_im = im[apart] - im[3 * apart];
    return (struct four){{sum_re + odd_re, gap_re + off_im, sum_re - odd_re, gap_re - off_im},
                         {sum_im + odd_im, gap_im - off_re, sum_im - odd_im, gap_im + off_re}};
}

static inline void put(float *re, float *im, float x_re, float x_im, struct turn by) {
    *re = x_re * by.re - x_im * by.im;
    *im = x_re * by.im + x_im * by.re;
}

/* The first pass: each four have factors of their own. Real parts, then as many imaginary ones. */
static void first_pass(const struct fft *f, const float *restrict re, float *restrict to, uint32_t count) {
    const float *restrict const im = re + count;
    float *restrict const to_im = to + count;
    for (uint32_t p = 0; p < count / 4; p++) {
        const struct four x = four_of(re + p, im + p, count / 4);
        const struct turn a = turn_at(f, 2 * p), b = turn_at(f, 4 * p), c = turn_at(f, 6 * p);
        to[4 * p] = x.re[0];
        to_im[4 * p] = x.im[0];
        put(to + 4 * p + 1, to_im + 4 * p + 1, x.re[1], x.im[1], a);
        put(to + 4 * p + 2, to_im + 4 * p + 2, x.re[2], x.im[2], b);
        put(to + 4 * p + 3, to_im + 4 * p + 3, x.re[3], x.im[3], c);
    }
}

/* A later pass: `step` fours share their factors. */
static void pass(const struct fft *f, const float *restrict from, float *restrict to, uint32_t count, uint32_t step) {
    const uint32_t part = count / 4, apart = 2 * step;
    for (uint32_t p = 0; p < part / step; p++) {
        const float *restrict const re = from + p * step, *restrict const im = re + count;
        float *restrict const to_re = to + 4 * p * step, *restrict const to_im = to_re + count;
        const struct turn a = turn_at(f, apart * p), b = turn_at(f, 2 * apart * p), c = turn_at(f, 3 * apart * p);
        for (uint32_t q = 0; q < step; q++) {
            const struct four x = four_of(re + q, im + q, part);
            to_re[q] = x.re[0];
            to_im[q] = x.im[0];
            put(to_re + q + step, to_im + q + step, x.re[1], x.im[1], a);
            put(to_re + q + 2 * step, to_im + q + 2 * step, x.re[2], x.im[2], b);
            put(to_re + q + 3 * step, to_im + q + 3 * step, x.re[3], x.im[3], c);
        }
    }
}

/* The last pass, whose factors are 1. */
static void last_four(const float *restrict re, float *restrict to, uint32_t count) {
    const uint32_t part = count / 4;
    for (uint32_t q = 0; q < part; q++) {
        const struct four x = four_of(re + q, re + count + q, part);
        for (uint32_t k = 0; k < 4; k++) {
            to[q + k * part] = x.re[k];
            to[count + q + k * part] = x.im[k];
        }
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
    float *from = space, *to = numbers;
    first_pass(f, numbers, space, count);
    for (uint32_t step = 4; step < count; step *= 4) {
        if (count / step == 2)
            last_two(from, to, count);
        else if (count / step == 4)
            last_four(from, to, count);
        else
            pass(f, from, to, count, step);
        float *const swapped = from;
        from = to;
        to = swapped;
    }
    return from;
}
