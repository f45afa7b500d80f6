/* Calibration files: how converters read. docs/mapping.md is for those who write them. */
#include "instrument.h"

static int read_pair(struct reader *r, struct calibration *c, struct word word) {
    struct word value;
    float x;
    if (has_key(word, "offset", &value) && read_float(value, &x)) return c->offset = x, 0;
    if (has_key(word, "gain", &value) && read_float(value, &x) && x != 0.0f) return c->gain = x, 0;
    if (has_key(word, "curve", &value) && read_curve(value, &c->curve)) return 0;
    return wrong(r, "wants offset=NUMBER, gain=NUMBER but 0, or curve=NAME, not ", word, 0);
}

int read_calibration(const char *text, size_t bytes, struct calibration *calibration, module_complaint *why) {
    struct reader r = {0, 0, {text, text + bytes, 0, 0, {{0, 0}}}, why};
    int more;
    if (bytes > TEXT_LIMIT)
        return complain(why, MODULE_ERROR_TEXT, 0, "the calibration is longer than 16384 bytes", 0, 0, 0);
    while ((more = next_line(&r.lines, why)) != 0) {
        uint32_t i;
        if (more < 0) return -more;
        struct calibration *c = read_index(r.lines.words[0], "knob", 1, MODULE_KNOBS, &i) ? &calibration[IN_KNOB + i]
                                : read_index(r.lines.words[0], "cv", 1, MODULE_CVS, &i) ? &calibration[IN_CV + i] : 0;
        if (!c) return wrong(&r, "there is no input to calibrate called ", r.lines.words[0], "; known: knob1.. cv1..");
        for (uint32_t k = 1; k < r.lines.count; k++) {
            const int error = read_pair(&r, c, r.lines.words[k]);
            if (error) return error;
        }
    }
    return 0;
}
