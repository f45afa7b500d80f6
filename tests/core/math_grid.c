/* Our polynomials against the double-precision library on a dense grid: every float32 exponent with 2^13 mantissas,
 * both signs, in the range where the function is used. Prints per function: largest absolute error, largest error in
 * ulp, and how many points break "1e-6 absolute or 4 ulp". */
#include "vec_scalar.h"

#include "vmath.inc"

#include <math.h>
#include <stdio.h>

static double exact_sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }
static double exact_sin_squared(double x) { return sin(x) * sin(x); }
static double exact_elu(double x) { return x > 0 ? x : expm1(x); }
static double exact_snake(double x) { return x + sin(3 * x) * sin(3 * x) / 3; }
static float our_elu(float x) { return v_elu(x, 1.0f); }
static float our_snake(float x) { return v_snake(x, 3.0f, 1.0f / 3.0f); }

static double exact_log(double x) { return log(x > 0x1p-60 ? x : 0x1p-60); }
static double exact_softplus(double x) { return (x > 0 ? x : 0) + log1p(exp(-fabs(x))); }
static double exact_sqrt(double x) { return sqrt(x > 0 ? x : 0); }
static float our_log(float x) { return v_log(x, 0x1p-60f); }
static float our_sqrt(float x) { return v_sqrt(x, 0.0f); }

struct function {
    const char *name;
    float (*ours)(float);
    double (*exact)(double);
    double low, high;
};

static double ulp_of(double y) {
    float f = (float)fabs(y);
    return f < 0x1p-126f ? 0x1p-149 : (double)(nextafterf(f, INFINITY) - f);
}

static void measure(const struct function *f) {
    double worst_abs = 0, worst_ulp = 0;
    long broken = 0, points = 0;
    for (int sign = 0; sign < 2; sign++)
        for (uint32_t bits = 0x20000000; bits < 0x43000000; bits += 1u << 10) { /* 2^-63 … 128 */
            float x;
            memcpy(&x, &bits, sizeof x);
            if (sign) x = -x;
            if (x < f->low || x > f->high) continue;
            const double y = f->exact((double)x), error = fabs((double)f->ours(x) - y), ulp = error / ulp_of(y);
            if (error > worst_abs) worst_abs = error;
            if (ulp > worst_ulp) worst_ulp = ulp;
            broken += error > 1e-6 && ulp > 4;
            points++;
        }
    printf("%s %.3g %.3g %ld %ld\n", f->name, worst_abs, worst_ulp, broken, points);
}

int main(void) {
    const struct function functions[] = {
        {"exp", v_exp, exp, -60, 60},
        {"expm1", v_expm1, expm1, -128, 60},
        {"elu", our_elu, exact_elu, -128, 128},
        {"tanh", v_tanh, tanh, -128, 128},
        {"sigmoid", v_sigmoid, exact_sigmoid, -128, 128},
        {"sin_squared", v_sin_squared, exact_sin_squared, -64, 64},
        {"snake", our_snake, exact_snake, -64, 64},
        {"log", our_log, exact_log, -128, 128},
        {"softplus", v_softplus, exact_softplus, -128, 128},
        {"sqrt", our_sqrt, exact_sqrt, -128, 128},
    };
    for (unsigned i = 0; i < sizeof functions / sizeof *functions; i++) measure(&functions[i]);
    return 0;
}
