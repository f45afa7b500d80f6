/* Sound to the logarithm of its spectrum's magnitudes, one row for `hop` samples. Plain C for every machine. */
#include "fft.h"
#include "internal.h"
#include "vec_scalar.h"

#ifndef TUDOR_NO_SPECTRUM

/* The newest window, even samples as real parts and odd ones as imaginary ones. */
static void window_of(const struct fft *f, const float *x, size_t row, float *numbers) {
    const uint32_t half = f->size / 2, quarter = half / 2;
    const float *const cosine = fft_cosines(f), *const late = x + half * row;
    for (uint32_t i = 0; i < quarter; i++) {
        const float even = 0.5f * cosine[2 * i], odd = 0.5f * cosine[2 * i + 1];
        numbers[i] = x[2 * i * row] * (0.5f - even);
        numbers[half + i] = x[(2 * i + 1) * row] * (0.5f - odd);
        numbers[quarter + i] = late[2 * i * row] * (0.5f + even);
        numbers[half + quarter + i] = late[(2 * i + 1) * row] * (0.5f + odd);
    }
}

static float magnitude(float re, float im, float scale) { return scalar_sqrt(re * re + im * im) * scale; }

/* Of the window's spectrum, taken apart again: bins k and half - k come from numbers k and half - k. */
static void magnitudes(const struct fft *f, const float *re, float *y) {
    const uint32_t half = f->size / 2;
    const float *const im = re + half, scale = 2.0f / (float)f->size; /* 1 / the window's sum */
    y[0] = V_ABS(re[0] + im[0]) * scale;
    y[half] = V_ABS(re[0] - im[0]) * scale;
    for (uint32_t k = 1; k <= half / 2; k++) {
        const uint32_t j = half - k;
        const float even_re = re[k] + re[j], even_im = im[k] - im[j];
        const float odd_re = im[k] + im[j], odd_im = re[j] - re[k];
        const float c = fft_cosines(f)[k], s = f->sine[k];
        const float turned_re = odd_re * c + odd_im * s, turned_im = odd_im * c - odd_re * s;
        y[k] = magnitude(even_re + turned_re, even_im + turned_im, 0.5f * scale);
        y[j] = magnitude(even_re - turned_re, even_im - turned_im, 0.5f * scale);
    }
}

/* x: fft - hop rows before. state: scratch for two windows. */
void tudor_spectrum(const struct transform_args *a, const struct tudor_kernels *k) {
    const struct fft f = {a->tables, a->fft};
    for (uint32_t r = 0; r < a->rows; r++) {
        const float *x = (const float *)a->x.data + (size_t)r * a->hop * a->x.row;
        float *numbers = a->state;
        window_of(&f, x, a->x.row, numbers);
        magnitudes(&f, tudor_fft(&f, numbers, numbers + a->fft), (float *)a->y.data + r * a->y.row);
    }
    const struct map_args logarithms = {.x = a->y, .y = a->y, .rows = a->rows, .channels = a->fft / 2 + 1,
                                        .finish = {.act = ACT_LOG, .slope = a->floor}};
    k->map(&logarithms);
}

#else
typedef int tudor_no_spectrum;
#endif
