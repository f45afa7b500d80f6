/* What all files of the instrument stand on: numbers, memory handed out, sentences, the words of a text. */
#ifndef TUDOR_MODULE_BASICS_H
#define TUDOR_MODULE_BASICS_H

#include "module.h"

#define NONE UINT32_MAX
#define FLOAT_MAX 0x1.fffffep127f

/* ---- numbers ---- */

static inline float clamped(float x, float low, float high) { /* NaN becomes the lower end */
    return x > low ? (x < high ? x : high) : low;
}
static inline float magnitude(float x) { return __builtin_fabsf(x); }
static inline int is_finite(float x) { return magnitude(x) <= FLOAT_MAX; }
static inline float flushed(float x) { return x >= 0x1p-60f || x <= -0x1p-60f ? x : 0.0f; }
static inline float smooth_step(float x) { return x * x * (3.0f - 2.0f * x); }

static inline uint32_t hashed(uint32_t n) {
    n ^= n >> 16;
    n *= 0x21f0aaadu;
    n ^= n >> 15;
    n *= 0x735a2d97u;
    return n ^ n >> 15;
}
/* In [-1, 1), exact in float32. */
static inline float uniform(uint32_t n) { return (float)(hashed(n) >> 8) * 0x1p-23f - 1.0f; }

float exponential2(float octaves); /* 2^octaves */
float logarithm2(float x); /* above 0 */
uint64_t common_divisor(uint64_t a, uint64_t b); /* the greatest */

/* Memory handed out from one piece; with no base it only counts. */
struct region {
    char *base;
    size_t used;
};
void *take(struct region *region, size_t bytes);

/* Sentences without stdio. `complain` returns its code. */
struct sentence {
    char *text;
    size_t size, at;
};
void say(struct sentence *s, const char *text);
void say_number(struct sentence *s, uint64_t value);
void say_part(struct sentence *s, const char *text, size_t length); /* quoted, what cannot be printed as '?' */
int complain(module_complaint *why, int code, uint32_t line, const char *text, const char *part, size_t length,
             const char *rest);

/* ---- text ---- */

struct word {
    const char *text;
    size_t length;
};
#define LINE_WORDS 12u
#define TEXT_LIMIT 16384u

struct lines {
    const char *at, *end;
    uint32_t number;
    uint32_t count;
    struct word words[LINE_WORDS];
};
int next_line(struct lines *lines, module_complaint *why); /* 1: words; 0: no more; negative: -code */
int is_word(struct word word, const char *text);
int read_float(struct word word, float *value);
int read_index(struct word word, const char *prefix, uint32_t first, uint32_t count, uint32_t *index);
int has_key(struct word word, const char *key, struct word *value);

#endif
