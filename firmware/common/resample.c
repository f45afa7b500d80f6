/* Rate conversion while streaming: a windowed sinc in phases. Filters are worked out in double with +, -, *, / alone,
 * so that they are the same bits on every machine. */
#include "instrument.h"

#define PI 3.14159265358979323846

/* sin(pi x): folded to a quarter turn, then its series. */
static double sine_pi(double x) {
    double sign = 1.0;
    if (x < 0.0) {
        x = -x;
        sign = -1.0;
    }
    x -= 2.0 * (double)(uint64_t)(x / 2.0);
    if (x >= 1.0) {
        x -= 1.0;
        sign = -sign;
    }
    if (x > 0.5) x = 1.0 - x;
    const double a = PI * x, z = a * a;
    double term = a, sum = a;
    for (int k = 1; k < 11; k++) {
        term = -term * z / (double)(2 * k * (2 * k + 1));
        sum += term;
    }
    return sign * sum;
}

/* Modified Bessel function of order 0 at 2 sqrt(q): the sum of (q^k / k!^2). */
static double bessel(double q) {
    double term = 1.0, sum = 1.0;
    for (int k = 1; k < 40; k++) {
        term = term * q / (double)(k * k);
        sum += term;
    }
    return sum;
}

size_t resampler_taps(uint32_t up, uint32_t down, uint32_t quality) {
    const uint64_t taps = down > up ? ((uint64_t)quality * down + up - 1) / up : quality;
    return (size_t)(taps + (taps & 1));
}

/* Kaiser's window with beta 6.76 stops 70 dB; its transition is 0.135 / (taps / 32) of the lower rate, and ends at
 * half of that rate (Kaiser's formulas: A = 8 + 2.285 (taps - 1) width, beta = 0.1102 (A - 8.7)). */
void resampler_design(float *table, uint32_t up, uint32_t down, uint32_t quality) {
    const uint32_t taps = (uint32_t)resampler_taps(up, down, quality);
    const double lower = down > up ? (double)up / (double)down : 1.0;
    const double cutoff = lower * (0.5 - 0.0675 * 32.0 / (double)quality), half = (double)taps / 2.0;
    const double beta_squared = 6.76 * 6.76 / 4.0;
    for (uint32_t phase = 0; phase < up; phase++, table += taps) {
        double sum = 0.0;
        for (int pass = 0; pass < 2; pass++) /* each phase passes a constant unchanged */
            for (uint32_t k = 0; k < taps; k++) {
                const double t = (double)k + (double)phase / (double)up - half, x = 2.0 * cutoff * t, u = t / half;
                const double sinc = x > -1e-9 && x < 1e-9 ? 1.0 : sine_pi(x) / (PI * x);
                const double window = u * u < 1.0 ? bessel(beta_squared * (1.0 - u * u)) : 0.0;
                if (pass == 0)
                    sum += sinc * window;
                else
                    table[taps - 1 - k] = (float)(sinc * window / sum);
            }
    }
}

void resampler_start(struct resampler *r) {
    memset(r->history, 0, 2 * (size_t)r->taps * sizeof(float));
    r->at = 0;
    r->phase = 0;
}

void resampler_push(struct resampler *r, float x) {
    r->history[r->at] = r->history[r->at + r->taps] = x;
    r->at = r->at + 1 < r->taps ? r->at + 1 : 0;
}

/* Four sums, added in a fixed order: fast, and the same bits everywhere. */
float resampler_value(const struct resampler *r) {
    const float *const h = r->table + (size_t)r->phase * r->taps, *const x = r->history + r->at;
    float a = 0.0f, b = 0.0f, c = 0.0f, d = 0.0f;
    uint32_t k = 0;
    for (; k + 4 <= r->taps; k += 4) {
        a += h[k] * x[k];
        b += h[k + 1] * x[k + 1];
        c += h[k + 2] * x[k + 2];
        d += h[k + 3] * x[k + 3];
    }
    for (; k < r->taps; k++) a += h[k] * x[k];
    return flushed((a + b) + (c + d));
}
