/* Ranges of latents and of a method's inputs, from the description in a model's file. */
#include "instrument.h"

#define METADATA_LIMIT (1u << 20)

/* A number of JSON. Returns what stands behind it, null if there is none. */
static const char *json_number(const char *at, const char *end, float *value) {
    double mantissa = 0;
    int negative = 0, digits = 0, exponent = 0, shift = 0, fraction = 0;
    if (at < end && *at == '-') negative = 1, at++;
    for (; at < end && ((*at >= '0' && *at <= '9') || (*at == '.' && !fraction)); at++) {
        if (*at == '.') {
            fraction = 1;
        } else if (++digits <= 17) {
            mantissa = mantissa * 10.0 + (double)(*at - '0');
            shift -= fraction;
        } else {
            shift += !fraction;
        }
    }
    if (digits == 0) return 0;
    if (at < end && (*at == 'e' || *at == 'E')) {
        int minus = 0;
        if (++at < end && (*at == '-' || *at == '+')) minus = *at++ == '-';
        for (; at < end && *at >= '0' && *at <= '9'; at++)
            if (exponent < 1000) exponent = exponent * 10 + (*at - '0');
        if (minus) exponent = -exponent;
    }
    exponent = exponent + shift;
    if (exponent > 30 || digits > 300) return 0;
    for (; exponent > 0; exponent--) mantissa *= 10.0;
    for (; exponent < 0 && exponent > -60; exponent++) mantissa /= 10.0;
    *value = exponent < 0 || mantissa > 1e30 ? 0.0f : (float)(negative ? -mantissa : mantissa);
    return at;
}

static const char *skip(const char *at, const char *end, char wanted) {
    while (at && at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')) at++;
    return at && at < end && *at == wanted ? at + 1 : 0;
}

static const char *past_spaces(const char *at, const char *end) {
    while (at && at < end && *at == ' ') at++;
    return at;
}

/* [[low, high], ...] as far as it goes. */
static void read_ranges(const char *at, const char *end, struct range *ranges, uint32_t count) {
    at = skip(at, end, '[');
    for (uint32_t i = 0; at && i < count; i++) {
        struct range r;
        at = past_spaces(skip(at, end, '['), end);
        if (!at || !(at = json_number(at, end, &r.low))) return;
        at = past_spaces(skip(at, end, ','), end);
        if (!at || !(at = json_number(at, end, &r.high))) return;
        at = skip(at, end, ']');
        if (!at || !(r.low < r.high) || r.low < -100.0f || r.high > 100.0f) return;
        ranges[i] = r;
        at = skip(at, end, ',');
    }
}

/* What stands behind a key; null: it is not there. */
const char *json_behind(const char *at, const char *end, const char *key) {
    const size_t length = strlen(key);
    for (; at && (at = memchr(at, '"', (size_t)(end - at))) != 0; at++) {
        if ((size_t)(end - at) < length + 3 || memcmp(at + 1, key, length) || at[length + 1] != '"') continue;
        const char *const found = skip(at + length + 2, end, ':');
        if (found) return found;
    }
    return 0;
}

/* In a file's metadata: "latent_ranges": [[low, high], ...], or of a method's inputs "input_ranges": {"method": [...]}.
 * What it does not say stays as it is. */
void find_ranges(const char *json, const char *method, struct range *ranges, uint32_t count) {
    const size_t length = json ? strlen(json) : 0;
    const char *const end = json + (length < METADATA_LIMIT ? length : METADATA_LIMIT);
    const char *at = json_behind(json, end, method ? "input_ranges" : "latent_ranges");
    if (method) at = json_behind(at, end, method);
    if (at) read_ranges(at, end, ranges, count);
}
