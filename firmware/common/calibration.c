/* Calibration files: how converters read. docs/mapping.md is for those who write them. */
#include "instrument.h"

static float by_points(const struct calibration *c, float reading) {
    uint32_t i = 1; /* the line that ends there; the first and the last go on beyond their points */
    while (i + 1 < c->points && reading > c->at[i]) i++;
    const float part = (reading - c->at[i - 1]) / (c->at[i] - c->at[i - 1]);
    return c->volts[i - 1] + (c->volts[i] - c->volts[i - 1]) * part;
}

float calibrated(const struct calibration *c, float reading, float low, float high) {
    const float x = clamped(c->points > 1 ? by_points(c, reading) : (reading - c->offset) * c->gain, low, high);
    if (c->curve == CURVE_LINEAR) return x;
    const float part = magnitude(x) / high;
    return x < 0.0f ? -high * shaped(c->curve, part) : high * shaped(c->curve, part);
}

/* READING:VOLTS, put where it belongs. */
static int read_point(struct reader *r, struct calibration *c, struct word value) {
    const char *const colon = memchr(value.text, ':', value.length);
    const size_t before = colon ? (size_t)(colon - value.text) : 0;
    float at, volts;
    if (!colon || !read_float((struct word){value.text, before}, &at) ||
        !read_float((struct word){colon + 1, value.length - before - 1}, &volts))
        return wrong(r, "at= wants READING:VOLTS, not ", value, 0);
    if (c->points == POINTS) return wrong(r, "is one too many: an input has at most 12 points, ", value, "");
    uint32_t i = c->points;
    for (; i > 0 && c->at[i - 1] > at; i--) {
        c->at[i] = c->at[i - 1];
        c->volts[i] = c->volts[i - 1];
    }
    if (i > 0 && c->at[i - 1] == at) return wrong(r, "has two points at the same reading: ", value, "");
    c->at[i] = at;
    c->volts[i] = volts;
    c->points++;
    for (i = 2; i < c->points; i++)
        if ((c->volts[i] > c->volts[i - 1]) != (c->volts[1] > c->volts[0]) || c->volts[i] == c->volts[i - 1])
            return wrong(r, "rises and falls with its points; at ", value, " or before: they must do one of both");
    return 0;
}

static int read_pair(struct reader *r, struct calibration *c, struct word word) {
    struct word value;
    float x;
    if (has_key(word, "at", &value)) return read_point(r, c, value);
    if (has_key(word, "offset", &value) && read_float(value, &x)) return c->offset = x, 0;
    if (has_key(word, "gain", &value) && read_float(value, &x) && x != 0.0f) return c->gain = x, 0;
    if (has_key(word, "curve", &value) && read_curve(value, &c->curve)) return 0;
    return wrong(r, "wants offset=NUMBER, gain=NUMBER but 0, at=READING:VOLTS, or curve=NAME, not ", word, 0);
}

int read_calibration(const char *text, size_t bytes, struct calibration *calibration, module_complaint *why) {
    struct reader r = {0, 0, {text, text + bytes, 0, 0, {{0, 0}}}, why};
    uint8_t named[IN_CC] = {0};
    int more;
    if (bytes > TEXT_LIMIT)
        return complain(why, MODULE_ERROR_TEXT, 0, "the calibration is longer than 16384 bytes", 0, 0, 0);
    while ((more = next_line(&r.lines, why)) != 0) {
        uint32_t i, in = NONE;
        if (more < 0) return -more;
        if (read_index(r.lines.words[0], "knob", 1, MODULE_KNOBS, &i)) in = IN_KNOB + i;
        if (read_index(r.lines.words[0], "cv", 1, MODULE_CVS, &i)) in = IN_CV + i;
        if (in == NONE)
            return wrong(&r, "there is no input to calibrate called ", r.lines.words[0], "; known: knob1.. cv1..");
        struct calibration *const c = &calibration[in];
        if (!named[in]) plain_calibration(c, in); /* nothing of an earlier text about it holds */
        named[in] = 1;
        for (uint32_t k = 1; k < r.lines.count; k++) {
            const int error = read_pair(&r, c, r.lines.words[k]);
            if (error) return error;
        }
        if (c->points == 1) return wrong(&r, "wants at least two points in its first line: ", r.lines.words[0], "");
    }
    return 0;
}

void plain_calibration(struct calibration *c, uint32_t input) {
    memset(c, 0, sizeof *c);
    c->gain = input < IN_CV ? 1.0f : 5.0f;
}
