/* Logarithms of magnitudes, of a tone and of noise, to sound. Noise has random complex values. A tone's phases are
 * integrated (Prusa, Balazs and Sondergaard 2017), without a queue: each bin belongs to the peak of its own row that it
 * rises to (regions of influence as in Beauregard, Harish and Wyse 2015), peaks go on from the row before, and the others
 * follow theirs along frequency. Levels, their differences and phases are whole numbers, so every program has the same.
 * Plain C for every machine. */
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

/* Where a stream's words are. levels: of the row before, of this one, and of this one's noise. */
struct resynth_state {
    uint32_t *before, *here, *noise, *phases;
    float *overlap, *numbers, *space;
};

static struct resynth_state state_of(const struct transform_args *a) {
    const uint32_t bins = a->fft / 2 + 1;
    uint32_t *const words = (uint32_t *)(void *)a->state + 1;
    float *const rest = a->state + 1 + 4 * (size_t)bins;
    return (struct resynth_state){words, words + bins, words + 2 * bins, words + 3 * bins,
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

/* A phase's change per level, in 2^-32 of a turn: over frequency with the slope in time, half for each of two bins; over
 * time with the slope in frequency, half for each of two rows. The window is as a Gaussian of 0.25645 size^2. */
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

static void integrate(const struct transform_args *a, const struct resynth_state *s, const uint32_t *after) {
    const uint32_t bins = a->fft / 2 + 1, overlap = a->fft / a->hop;
    const uint32_t each = per_bin(overlap), slope = per_row(overlap), advance = UINT32_MAX / overlap + 1;
    const uint32_t *const here = s->here, *const before = s->before;
    for (uint32_t first = 0, end; first < bins; first = end) {
        uint32_t peak = first;
        while (peak + 1 < bins && here[peak + 1] >= here[peak]) peak++;
        end = peak + 1;
        while (end < bins && here[end] < here[end - 1]) end++;
        uint32_t phase = s->phases[peak] + peak * advance;
        if (peak > 0 && peak + 1 < bins)
            phase += (here[peak + 1] - here[peak - 1] + before[peak + 1] - before[peak - 1]) * slope;
        follow_peak(s, after, each, first, peak, end, phase);
    }
}

/* sin and cos of a phase: the nearest quarter of a turn, and polynomials of what is left. */
static void circle(uint32_t phase, float *sine, float *cosine) {
    const uint32_t quarter = (phase + 0x20000000u) >> 30, rest = phase - (quarter << 30);
    int32_t part;
    memcpy(&part, &rest, sizeof part);
    const float x = (float)part * (6.28318531f / 4294967296.0f), z = x * x;
    const float s = ((-0.000195152959f * z + 0.00833216087f) * z - 0.166666546f) * z * x + x;
    const float c = ((2.44331571e-5f * z - 0.00138873162f) * z + 0.0416666456f) * z * z - 0.5f * z + 1.0f;
    const float across = quarter & 1 ? c : s, along = quarter & 1 ? s : c;
    *sine = quarter & 2 ? -across : across;
    *cosine = (quarter + 1) & 2 ? -along : along;
}

/* Around 0 and close to normal. */
static float byte_noise(uint32_t bits) {
    const uint32_t pairs = (bits & 0x00ff00ffu) + (bits >> 8 & 0x00ff00ffu);
    return (float)((int32_t)((pairs & 0xffffu) + (pairs >> 16)) - 510);
}

static uint32_t loudest(const uint32_t *levels, uint32_t bins) {
    uint32_t most = 0;
    for (uint32_t m = 0; m < bins; m++) most = levels[m] > most ? levels[m] : most;
    return most;
}

/* Complex values of all bins; what has no phase of its own takes a random one. Of the last the real part alone counts,
 * and stands where the first one's imaginary part would. `number`: of the noise. */
static void fill(const struct transform_args *a, const struct resynth_state *s, uint32_t number, float *re) {
    const uint32_t bins = a->fft / 2 + 1, here = loudest(s->here, bins), before = loudest(s->before, bins);
    const uint32_t loud = here > before ? here : before;
    const uint32_t least = loud >= QUIET_LEVELS ? loud - QUIET_LEVELS + 1 : 0;
    const float *const steps = a->tables + a->fft;
    /* windows that overlap at random add up to less than those of one sound */
    const float scale = scalar_sqrt((float)(a->fft / a->hop)) * NOISE_SCALE;
    float *const im = re + bins - 1;
    for (uint32_t m = 0; m < bins; m++) {
        const uint32_t one = noise_hash(number + m, a->key), two = noise_hash(number + bins + m, a->key);
        float sine, cosine;
        if (s->here[m] < least) s->phases[m] = one ^ two;
        circle(s->phases[m], &sine, &cosine);
        const float tone = amplitude(steps, s->here[m]), noise = amplitude(steps, s->noise[m]) * scale;
        const float along = tone * cosine + noise * byte_noise(one), across = tone * sine + noise * byte_noise(two);
        *(m + 1 < bins ? &re[m] : &im[0]) = along;
        if (m > 0 && m + 1 < bins) im[m] = across;
    }
}

/* Half as many complex numbers whose transform holds the window's even samples as real parts and odd ones as imaginary
 * ones. Imaginary parts come first: so the transform goes backwards. */
static void pack(const struct fft *f, const float *re, float *numbers) {
    const uint32_t half = f->size / 2;
    const float *const im = re + half;
    float *const out_im = numbers, *const out_re = numbers + half;
    out_re[0] = re[0] + im[0];
    out_im[0] = re[0] - im[0];
    for (uint32_t k = 1; k <= half / 2; k++) {
        const uint32_t j = half - k;
        const float sum_re = re[k] + re[j], sum_im = im[k] - im[j];
        const float gap_re = re[k] - re[j], gap_im = im[k] + im[j];
        const float c = fft_cosine(f, k), s = f->sine[k];
        const float turned_re = gap_re * c - gap_im * s, turned_im = gap_re * s + gap_im * c;
        out_re[k] = sum_re - turned_im;
        out_im[k] = sum_im + turned_re;
        out_re[j] = sum_re + turned_im;
        out_im[j] = turned_re - sum_im;
    }
}

/* Adds the window to what is there; its first `hop` samples are complete. Phases are those of its middle. */
static void overlap_add(const struct transform_args *a, const struct resynth_state *s, const float *found, float *y) {
    const struct fft f = {a->tables, a->fft};
    const uint32_t half = a->fft / 2, kept = a->fft - a->hop;
    for (uint32_t i = 0; i < a->fft; i++) {
        const uint32_t at = (i / 2 + half / 2) & (half - 1);
        const float sound = (i & 1 ? found[at] : found[half + at]) * fft_window(&f, i);
        const float sum = i < kept ? s->overlap[i] + sound : sound;
        if (i < a->hop)
            y[i * a->y.row] = v_flush(sum);
        else
            s->overlap[i - a->hop] = v_flush(sum);
    }
}

static void resynth_row(const struct transform_args *a, const struct resynth_state *s, uint32_t number, const float *x,
                        float *y) {
    const struct fft f = {a->tables, a->fft};
    const uint32_t bins = a->fft / 2 + 1;
    uint32_t *const after = (uint32_t *)(void *)s->numbers;
    for (uint32_t m = 0; m < bins; m++) after[m] = level_of(x[m]);
    integrate(a, s, after);
    fill(a, s, number, s->space);
    memcpy(s->before, s->here, bins * sizeof *after);
    memcpy(s->here, after, bins * sizeof *after);
    for (uint32_t m = 0; m < bins; m++) s->noise[m] = level_of(x[bins + m]);
    pack(&f, s->space, s->numbers);
    overlap_add(a, s, tudor_fft(&f, s->numbers, s->space), y);
}

/* state: rows played so far | levels of the row before, of this one, and of its noise | phases | what later samples
 * already have | scratch for two windows. The row that comes in is the one after. */
void tudor_resynth(const struct transform_args *a) {
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
