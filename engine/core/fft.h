/* The discrete Fourier transform of half a window of complex numbers, which is that of a window of real ones. */
#ifndef TUDOR_FFT_H
#define TUDOR_FFT_H

#include <stdint.h>

#define FFT_LEAST 128u
#define FFT_MOST 4096u

/* size: real numbers of a window, a power of two from FFT_LEAST on. sine: sin(2 pi n / size) for n below it. */
struct fft {
    const float *sine;
    uint32_t size;
};

/* Sums of x[n] e^(-2 pi i n k / (size / 2)). `numbers`: size / 2 real parts, then as many imaginary ones; they, and the
 * `size` numbers of `space`, are overwritten, and one of the two is what comes out and is returned. */
float *tudor_fft(const struct fft *f, float *numbers, float *space);

/* cos(2 pi n / size) of n up to half the size. The periodic Hann window is 1/2 minus half of it there, and the same with
 * a plus half the size later. */
static inline const float *fft_cosines(const struct fft *f) { return f->sine + f->size / 4; }

#endif
