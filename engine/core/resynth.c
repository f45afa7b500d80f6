/* Logarithms of magnitudes, of a tone and of noise, to sound. Noise has random complex values. A tone's phases are
 * integrated (Prusa, Balazs and Sondergaard 2017), without a queue: each bin belongs to the peak of its own row that it
 * rises to (regions of influence as in Beauregard, Harish and Wyse 2015), peaks go on from the row before, and the
 * others follow theirs along frequency. Levels, their differences and phases are whole numbers, so every program has
 * the same. Plain C for every machine. */
#include "fft.h"
#include "internal.h"
#include "random.h"
#include "vec_scalar.h"

#include "vmath.inc"

#include <string.h>

#ifndef TUDOR_NO_SPECTRUM

#define LEVELS_PER_NEPER 256.0f
#define LEAST_LOG -16.0f
#define MOST_LOG 4.0f
#define LEVEL_STEPS 256u /* levels of a neper: the first table of exponentials */
#define LEVEL_NEPERS (TUDOR_EXPONENTIALS - LEVEL_STEPS)
#define QUIET_LEVELS 1768 /* 1e-3: what is that far below the loudest has no phase of its own */
#define NOISE_SCALE 0.00478419615f /* of a sum of four bytes to a variance of 1/2 */

/* Where a stream's words are. Levels: the loudest of the row before; all of it, of this one, of this one's noise. */
struct resynth_state {
    uint32_t *loudest, *before, *here, *noise, *phases;
    float *overlap, *numbers, *space;
};

static struct resynth_state state_of(const struct transform_args *a) {
    const uint32_t bins = a->fft / 2 + 1;
    uint32_t *const loudest = (uint32_t *)(void *)a->state + 1, *const words = loudest + 1;
    float *const rest = a->state + 2 + 4 * (size_t)bins;
    return (struct resynth_state){loudest, words, words + bins, words + 2 * bins, words + 3 * bins,
                                  rest, rest + a->fft - a->hop, rest + 2 * (size_t)a->fft - a->hop};
}

/* The nearest level, 0 at the least; not a number: 0. */
static uint32_t level_of(float x) {
    x = x >= LEAST_LOG ? x : LEAST_LOG;
    x = x <= MOST_LOG ? x : MOST_LOG;
    /* the lower bits of this sum are the rounded number */
    return scalar_bits(x * LEVELS_PER_NEPER + 0x1.8p23f) - scalar_bits(0x1.8p23f + LEAST_LOG * LEVELS_PER_NEPER);
}

static float amplitude(const float *steps, uint32_t level) {
    const float size = steps[level % LEVEL_STEPS] * steps[LEVEL_STEPS + level / LEVEL_STEPS % LEVEL_NEPERS];
    return level ? size : 0.0f;
}

/* A phase's change per level, in 2^-32 of a turn: over frequency with the slope in time, half for each of two bins;
 * over time with the slope in frequency, half for each of two rows. The window is as a Gaussian of 0.25645 size^2. */
static uint32_t per_bin(uint32_t overlap) { return 171192u * overlap; }
static uint32_t per_row(uint32_t overlap) { return 2603019u / overlap; }

/* Phases of a region of bins, from the one of its peak. rising: levels of the row after. */
static void follow_peak(const struct resynth_state *s, const uint32_t *after, uint32_t each, uint32_t first,
                        uint32_t peak, uint32_t end, uint32_t phase) {
    s->phases[peak] = phase;
    uint32_t turned = phase, last = after[peak] - s->before[peak];
    for (uint32_t m = peak; m-- > first;) {
        const uint32_t rise = after[m] - s->before[m];
        s->phases[m] = turned += (last + rise) * each;
        last = rise;
    }
    turned = phase;
    last = after[peak] - s->before[peak];
    for (uint32_t m = peak + 1; m < end; m++) {
        const uint32_t rise = after[m] - s->before[m];
        s->phases[m] = turned -= (last + rise) * each;
        last = rise;
    }
}

/* Returns the loudest level. */
static uint32_t integrate(const struct transform_args *a, const struct resynth_state *s, const uint32_t *after) {
    uint32_t loudest = 0;
    const uint32_t bins = a->fft / 2 + 1, overlap = a->fft / a->hop;
    const uint32_t each = per_bin(overlap), slope = per_row(overlap), advance = UINT32_MAX / overlap + 1;
    const uint32_t *const here = s->here, *const before = s->before;
    for (uint32_t first = 0, end; first < bins; first = end) {
        uint32_t peak = first;
        while (peak + 1 < bins && here[peak + 1] >= here[peak]) peak++;
        end = peak + 1;
        while (end < bins && here[end] < here[end - 1]) end++;
        if (here[peak] > loudest) loudest = here[peak];
        uint32_t phase = s->phases[peak] + peak * advance;
        if (peak > 0 && peak + 1 < bins)
            phase += (here[peak + 1] - here[peak - 1] + before[peak + 1] - before[peak - 1]) * slope;
        follow_peak(s, after, each, first, peak, end, phase);
    }
    return loudest;
}

/* e^(2 pi i phase / 2^32), by the table's nearest turn and two terms each of what is left. */
static inline void circle(const struct fft *f, uint32_t shift, uint32_t phase, float *re, float *im) {
    const uint32_t at = (phase + (1u << (shift - 1))) >> shift, rest = phase - (at << shift);
    int32_t part;
    memcpy(&part, &rest, sizeof part);
    const float x = (float)part * (6.28318531f / 4294967296.0f), z = x * x;
    const float along = 1.0f - 0.5f * z, across = x - x * z * 0.166666667f;
    const float s = f->sine[at & (f->size - 1)], c = f->sine[(at + f->size / 4) & (f->size - 1)];
    *re = c * along - s * across;
    *im = s * along + c * across;
}

/* Around 0 and close to normal. */
static float byte_noise(uint32_t bits) {
    const uint32_t pairs = (bits & 0x00ff00ffu) + (bits >> 8 & 0x00ff00ffu);
    return (float)((int32_t)((pairs & 0xffffu) + (pairs >> 16)) - 510);
}

/* Complex values of all bins, real parts and then imaginary ones. What is below `least` takes a random phase.
 * `number`: of the noise. */
static void fill(const struct transform_args *a, const struct resynth_state *s, uint32_t number, uint32_t least,
                 float *re) {
    const struct fft f = {a->tables, a->fft};
    const uint32_t bins = a->fft / 2 + 1;
    const float *const steps = a->tables + a->fft;
    /* windows that overlap at random add up to less than those of one sound */
    const float scale = scalar_sqrt((float)(a->fft / a->hop)) * NOISE_SCALE;
    uint32_t shift = 32;
    while (1u << (32 - shift) < a->fft) shift--;
    for (uint32_t m = 0; m < bins; m++) {
        const uint32_t one = noise_hash(number + m, a->key), two = noise_hash(number + bins + m, a->key);
        const uint32_t phase = s->here[m] < least ? one ^ two : s->phases[m];
        const float tone = amplitude(steps, s->here[m]), noise = amplitude(steps, s->noise[m]) * scale;
        float along, across;
        circle(&f, shift, phase, &along, &across);
        s->phases[m] = phase;
        re[m] = tone * along + noise * byte_noise(one);
        re[bins + m] = tone * across + noise * byte_noise(two);
    }
}

/* Half as many complex numbers whose transform holds the window's even samples as real parts and odd ones as imaginary
 * ones. Imaginary parts come first: so the transform goes backwards. */
static void pack(const struct fft *f, const float *re, float *numbers) {
    const uint32_t half = f->size / 2;
    const float *const im = re + half + 1;
    float *const out_im = numbers, *const out_re = numbers + half;
    out_re[0] = re[0] + re[half];
    out_im[0] = re[0] - re[half];
    for (uint32_t k = 1; k <= half / 2; k++) {
        const uint32_t j = half - k;
        const float sum_re = re[k] + re[j], sum_im = im[k] - im[j];
        const float gap_re = re[k] - re[j], gap_im = im[k] + im[j];
        const float c = fft_cosines(f)[k], s = f->sine[k];
        const float turned_re = gap_re * c - gap_im * s, turned_im = gap_re * s + gap_im * c;
        out_re[k] = sum_re - turned_im;
        out_im[k] = sum_im + turned_re;
        out_re[j] = sum_re + turned_im;
        out_im[j] = turned_re - sum_im;
    }
}

/* The samples of a window, under it. Phases are those of its middle. */
static void window(const struct fft *f, const float *found, float *sound) {
    const uint32_t half = f->size / 2, quarter = half / 2;
    const float *const cosine = fft_cosines(f), *const re = found + half, *const im = found;
    float *const late = sound + half;
    for (uint32_t i = 0; i < quarter; i++) {
        const float even = 0.5f * cosine[2 * i], odd = 0.5f * cosine[2 * i + 1];
        sound[2 * i] = re[quarter + i] * (0.5f - even);
        sound[2 * i + 1] = im[quarter + i] * (0.5f - odd);
        late[2 * i] = re[i] * (0.5f + even);
        late[2 * i + 1] = im[i] * (0.5f + odd);
    }
}

/* Adds them to what is there; the first `hop` samples are complete. */
static void overlap_add(const struct transform_args *a, const struct resynth_state *s, const float *sound, float *y) {
    const uint32_t kept = a->fft - a->hop;
    float *const later = s->overlap;
    for (uint32_t i = 0; i < a->hop; i++) y[i * a->y.row] = v_flush(later[i] + sound[i]);
    for (uint32_t i = a->hop; i < kept; i++) later[i - a->hop] = later[i] + sound[i];
    for (uint32_t i = kept; i < a->fft; i++) later[i - a->hop] = sound[i];
}

static void resynth_row(const struct transform_args *a, const struct resynth_state *s, uint32_t number, const float *x,
                        float *y) {
    const struct fft f = {a->tables, a->fft};
    const uint32_t bins = a->fft / 2 + 1;
    uint32_t *const after = (uint32_t *)(void *)s->numbers;
    for (uint32_t m = 0; m < bins; m++) after[m] = level_of(x[m]);
    const uint32_t loudest = integrate(a, s, after), loud = loudest > *s->loudest ? loudest : *s->loudest;
    fill(a, s, number, loud >= QUIET_LEVELS ? loud - QUIET_LEVELS + 1 : 0, s->space);
    *s->loudest = loudest;
    memcpy(s->before, s->here, bins * sizeof *after);
    memcpy(s->here, after, bins * sizeof *after);
    for (uint32_t m = 0; m < bins; m++) s->noise[m] = level_of(x[bins + m]);
    pack(&f, s->space, s->numbers);
    float *const found = tudor_fft(&f, s->numbers, s->space);
    float *const sound = found == s->numbers ? s->space : s->numbers;
    window(&f, found, sound);
    overlap_add(a, s, sound, y);
}

/* state: rows played so far | the loudest level of the row before | levels of that row, of this one, of its noise |
 * phases | sums of later samples | scratch for two windows. What comes in is the row after. */
void tudor_resynth(const struct transform_args *a, const struct tudor_kernels *k) {
    (void)k;
    const struct resynth_state s = state_of(a);
    const uint32_t start = counter_read(a->state), lanes = a->fft + 2;
    for (uint32_t r = 0; r < a->rows; r++)
        resynth_row(a, &s, (start + r) % COUNTER_PERIOD * lanes + a->seed, (const float *)a->x.data + r * a->x.row,
                    (float *)a->y.data + (size_t)r * a->hop * a->y.row);
    counter_write(a->state, start + a->rows);
}

#else
typedef int tudor_no_resynth;
#endif
