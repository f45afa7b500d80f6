/* Mapping and calibration files: which input moves what, over which range. docs/mapping.md is for those who write
 * them. */
#include "instrument.h"

static const char *const curve_names[CURVES] = {"linear", "square", "cube", "root", "s"};
static const char *const action_names[ACTIONS] = {"freeze", "reset", "next", "jump", "record", "loop", "play"};
static const char *const scalar_names[SCALARS] = {"wet", "input", "output", "swap", "walk", "rate", "pitch"};

struct scalar {
    float base, low, high, least, most; /* a knob's range where none is given; the target's own limits */
};
static const struct scalar scalars[SCALARS] = {
    {1.0f, 0.0f, 1.0f, 0.0f, 1.0f},   {1.0f, 0.0f, 2.0f, 0.0f, 4.0f},  {1.0f, 0.0f, 1.0f, 0.0f, 2.0f},
    {0.0f, 0.0f, 1.0f, 0.0f, 64.0f},  {0.0f, 0.0f, 1.0f, 0.0f, 4.0f},  {0.5f, 0.0f, 4.0f, 0.0f, 20.0f},
    {0.0f, -2.0f, 2.0f, -5.0f, 5.0f},
};

struct reader {
    const struct subject *subject;
    struct mapping *mapping;
    struct lines lines;
    module_complaint *why;
};

static int wrong(struct reader *r, const char *text, struct word part, const char *rest) {
    return complain(r->why, MODULE_ERROR_TEXT, r->lines.number, text, part.text, part.length, rest);
}

static int read_source(struct word word, uint32_t *input, float *in_low, float *in_high) {
    uint32_t i;
    *in_low = 0.0f;
    *in_high = 1.0f;
    if (read_index(word, "knob", 1, MODULE_KNOBS, &i)) return *input = IN_KNOB + i, 1;
    if (read_index(word, "cc", 0, 128, &i)) return *input = IN_CC + i, 1;
    if (read_index(word, "gate", 1, MODULE_GATES, &i)) return *input = IN_GATE + i, 1;
    if (is_word(word, "velocity")) return *input = IN_VELOCITY, 1;
    if (is_word(word, "pressure")) return *input = IN_PRESSURE, 1;
    if (is_word(word, "bender")) return *in_low = -1.0f, *input = IN_BENDER, 1;
    *in_low = -5.0f;
    *in_high = 5.0f;
    if (read_index(word, "cv", 1, MODULE_CVS, &i)) return *input = IN_CV + i, 1;
    if (is_word(word, "note")) return *input = IN_NOTE, 1;
    return 0;
}

static int index_word(struct reader *r, uint32_t at, uint32_t count, const char *what, uint16_t *index) {
    uint32_t i;
    if (at >= r->lines.count || !read_index(r->lines.words[at], "", 1, count, &i)) {
        struct sentence s = {r->why ? r->why->text : 0, r->why ? sizeof r->why->text : 0, 0};
        const int code = complain(r->why, MODULE_ERROR_TEXT, r->lines.number, what, 0, 0, " wants a number from 1 to ");
        s.at = r->why ? strlen(r->why->text) : 0;
        if (r->why) say_number(&s, count);
        return code;
    }
    *index = (uint16_t)i;
    return 0;
}

/* Attributes of the autoencoder stand for its latents where the instrument does not see them. */
static int latent_target(struct reader *r, struct connection *c, int spread, uint32_t *used) {
    const struct subject *s = r->subject;
    const uint32_t latents = way_latents(s, r->mapping->way);
    if (latents == 0)
        return wrong(r, "played as an effect, the model has no latents that can be moved: use 'way bend', or one of "
                        "its attributes", (struct word){0, 0}, 0);
    const int error = index_word(r, 2, latents, spread ? "spread" : "latent", &c->index);
    if (error) return error;
    *used = 3;
    const float half = 0.5f * (s->ranges[c->index].high - s->ranges[c->index].low);
    c->target = spread ? TARGET_SPREAD : TARGET_LATENT;
    c->low = spread ? 0.0f : -half;
    c->high = spread ? 2.0f : half;
    if (r->mapping->way == MODULE_SOURCE && !spread) {
        c->low = s->ranges[c->index].low;
        c->high = s->ranges[c->index].high;
    }
    if (r->mapping->way != MODULE_EFFECT) return 0;
    if (spread && s->scale < 0) return wrong(r, "the model has no attribute 'scale' to spread latents with",
                                             (struct word){0, 0}, 0);
    c->target = TARGET_ATTRIBUTE;
    c->attribute = (uint16_t)(spread ? s->scale : s->bias);
    return 0;
}

static int attribute_target(struct reader *r, struct connection *c, uint32_t *used) {
    char name[48];
    tudor_attribute_info info;
    const struct word word = r->lines.count > 2 ? r->lines.words[2] : (struct word){"", 0};
    const size_t length = word.length < sizeof name - 1 ? word.length : sizeof name - 1;
    memcpy(name, word.text, length);
    name[length] = 0;
    const int index = tudor_find_attribute(r->subject->model, name);
    if (index < 0 || tudor_attribute(r->subject->model, index, &info))
        return wrong(r, "the model has no attribute ", word, 0);
    *used = 3;
    if (info.count > 1) {
        const int error = index_word(r, 3, info.count < 4096 ? info.count : 4096, "this attribute", &c->index);
        if (error) return error;
        *used = 4;
    }
    c->target = TARGET_ATTRIBUTE;
    c->attribute = (uint16_t)index;
    c->low = clamped(info.minimum, -1e6f, 1e6f);
    c->high = clamped(info.maximum, -1e6f, 1e6f);
    return 0;
}

static int read_target(struct reader *r, struct connection *c, uint32_t *used) {
    const struct word word = r->lines.words[1];
    *used = 2;
    for (uint32_t i = 0; i < ACTIONS; i++)
        if (is_word(word, action_names[i])) {
            c->target = TARGET_ACTION;
            c->index = (uint16_t)i;
            if (c->input >= IN_GATE || c->input == IN_NOTE || (c->input >= IN_CC && c->input < IN_NOTE)) return 0;
            return wrong(r, "only a gate, a note or a cc can do ", word, "");
        }
    for (uint32_t i = 0; i < SCALARS; i++)
        if (is_word(word, scalar_names[i])) {
            c->target = (uint16_t)i;
            c->low = scalars[i].low;
            c->high = scalars[i].high;
            if (i == TARGET_PITCH && !has_pitch(r->subject, r->mapping->way)) return wrong(r, "the model has no ", word, " to play");
            if (i == TARGET_PITCH && c->input == IN_BENDER) c->low = -1.0f / 6.0f, c->high = 1.0f / 6.0f;
            if (r->mapping->way == MODULE_EFFECT && (i == TARGET_SWAP || i == TARGET_WALK || i == TARGET_RATE))
                return wrong(r, "played as an effect, no latents can be moved by ", word, ": use 'way bend'");
            if (i == TARGET_SWAP) c->high = way_swaps(r->subject, r->mapping->way);
            return 0;
        }
    if (is_word(word, "latent")) return latent_target(r, c, 0, used);
    if (is_word(word, "spread")) return latent_target(r, c, 1, used);
    if (is_word(word, "attribute")) return attribute_target(r, c, used);
    return wrong(r, "there is no target ", word,
                 "; known: wet input output swap walk rate pitch latent spread attribute, and for gates freeze reset "
                 "next jump record loop play");
}

static int read_pair(struct word word, float *low, float *high) {
    const char *const colon = memchr(word.text, ':', word.length);
    if (!colon) return 0;
    const struct word a = {word.text, (size_t)(colon - word.text)};
    const struct word b = {colon + 1, word.length - a.length - 1};
    return read_float(a, low) && read_float(b, high) && *low != *high;
}

static int read_curve(struct word word, uint32_t *curve) {
    for (uint32_t i = 0; i < CURVES; i++)
        if (is_word(word, curve_names[i])) return *curve = i, 1;
    return 0;
}

static int read_key(struct reader *r, struct connection *c, struct word word, float *smooth_ms) {
    struct word value;
    uint32_t curve;
    if (has_key(word, "in", &value)) {
        if (read_pair(value, &c->in_low, &c->in_high)) return 0;
        return wrong(r, "in= wants two different numbers, such as in=-5:5, not ", value, 0);
    }
    if (has_key(word, "curve", &value)) {
        if (read_curve(value, &curve)) return c->curve = (uint16_t)curve, 0;
        return wrong(r, "curve= wants linear, square, cube, root or s, not ", value, 0);
    }
    if (has_key(word, "smooth", &value)) {
        if (read_float(value, smooth_ms) && *smooth_ms >= 0.0f && *smooth_ms <= 10000.0f) return 0;
        return wrong(r, "smooth= wants milliseconds from 0 to 10000, not ", value, 0);
    }
    if (has_key(word, "mode", &value)) {
        const int acts = c->target == TARGET_ACTION;
        if (acts && is_word(value, "toggle")) return c->toggles = 1, 0;
        if (acts && is_word(value, "hold")) return c->toggles = 0, 0;
        if (!acts && is_word(value, "add")) return c->adds = 1, 0;
        if (!acts && is_word(value, "set")) return c->adds = 0, 0;
        return wrong(r, acts ? "mode= wants hold or toggle, not " : "mode= wants set or add, not ", value, 0);
    }
    return wrong(r, "there is no option ", word, "; known: in= curve= smooth= mode=");
}

static int in_volts(uint32_t input) { return (input >= IN_CV && input < IN_CC) || input == IN_NOTE; }

static int read_connection(struct reader *r) {
    struct mapping *m = r->mapping;
    const struct lines *l = &r->lines;
    struct connection c;
    uint32_t input, used;
    memset(&c, 0, sizeof c);
    if (!read_source(l->words[0], &input, &c.in_low, &c.in_high))
        return wrong(r, "there is no input ", l->words[0],
                     "; known: knob1.. cv1.. gate1.. cc0.. note velocity pressure bender");
    if (l->count < 2) return wrong(r, "says not what moves: ", l->words[0], " wants a target");
    if (m->count == CONNECTIONS) return wrong(r, "is one too many: at most 96", (struct word){0, 0}, 0);
    c.input = (uint16_t)input;
    c.adds = in_volts(input) || input == IN_BENDER;
    float smooth_ms = input == IN_NOTE ? 0.0f : 20.0f;
    int error = read_target(r, &c, &used);
    if (error) return error;
    const int ranged = used < l->count && c.target != TARGET_ACTION && read_float(l->words[used], &c.low);
    if (ranged && used + 1 == l->count) return wrong(r, "a range wants two numbers, not only ", l->words[used], 0);
    if (ranged && !read_float(l->words[used + 1], &c.high))
        return wrong(r, "a range wants two numbers, ", l->words[used + 1], " is none");
    if (ranged) used += 2;
    for (; used < l->count; used++)
        if ((error = read_key(r, &c, l->words[used], &smooth_ms)) != 0) return error;
    if (c.target == TARGET_PITCH && !ranged && in_volts(input)) { /* an octave per volt, whatever the part in use */
        c.low = c.in_low < c.in_high ? c.in_low : c.in_high;
        c.high = c.in_low + c.in_high - c.low;
    }
    const float tick_ms = 1000.0f * (float)TICK_SAMPLES / (float)r->subject->sample_rate_hz;
    c.approach = tick_ms / (tick_ms + smooth_ms);
    m->connections[m->count++] = c;
    return 0;
}

static int read_way(struct reader *r) {
    static const struct { const char *name; uint32_t way; } ways[] = {
        {"effect", MODULE_EFFECT}, {"bend", MODULE_BEND}, {"source", MODULE_SOURCE}};
    const struct word word = r->lines.count == 2 ? r->lines.words[1] : (struct word){"", 0};
    if (r->mapping->count) return wrong(r, "the way must stand before all connections", (struct word){0, 0}, 0);
    for (uint32_t i = 0; i < 3; i++)
        if (is_word(word, ways[i].name)) {
            if (!(r->subject->ways & ways[i].way)) {
                (void)wrong(r, "the model has no methods for the way ", word,
                            i == 0 ? ": it lacks forward" : i == 1 ? ": it lacks encode or decode" : ": it lacks decode");
                if (r->why) r->why->code = MODULE_ERROR_WAY;
                return MODULE_ERROR_WAY;
            }
            r->mapping->way = ways[i].way;
            return 0;
        }
    return wrong(r, "way wants effect, bend or source, not ", word, 0);
}

int read_mapping(const struct subject *subject, const char *text, size_t bytes, struct mapping *m,
                 module_complaint *why) {
    struct reader r = {subject, m, {text, text + bytes, 0, 0, {{0, 0}}}, why};
    memset(m, 0, sizeof *m);
    m->way = first_way(subject);
    if (bytes > TEXT_LIMIT) return complain(why, MODULE_ERROR_TEXT, 0, "the mapping is longer than 16384 bytes", 0, 0, 0);
    int more, error = 0;
    while (!error && (more = next_line(&r.lines, why)) != 0) {
        if (more < 0) return -more;
        error = is_word(r.lines.words[0], "way") ? read_way(&r) : read_connection(&r);
    }
    for (uint32_t i = 0; i < SCALARS; i++) {
        m->base[i] = scalars[i].base;
        m->limits[i] = (struct range){scalars[i].least, scalars[i].most};
    }
    if (m->way == MODULE_SOURCE) m->base[TARGET_WALK] = 0.5f; /* something must move */
    return error;
}

static int calibration_key(struct reader *r, struct calibration *c, struct word word) {
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
            const int error = calibration_key(&r, c, r.lines.words[k]);
            if (error) return error;
        }
    }
    return 0;
}
