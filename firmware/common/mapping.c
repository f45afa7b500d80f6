/* Mapping files: which input moves what, over which range. docs/mapping.md is for those who write
 * them. */
#include "instrument.h"

static const char *const curve_names[CURVES] = {"linear", "square", "cube", "root", "s"};
static int read_source(struct word word, uint32_t *input, uint16_t *note, float *in_low, float *in_high) {
    uint32_t i;
    *in_low = 0.0f;
    *in_high = 1.0f;
    if (read_index(word, "knob", 1, MODULE_KNOBS, &i)) return *input = IN_KNOB + i, 1;
    if (read_index(word, "cc", 0, 128, &i)) return *input = IN_CC + i, 1;
    if (read_index(word, "gate", 1, MODULE_GATES, &i)) return *input = IN_GATE + i, 1;
    if (is_word(word, "beat")) return *input = IN_BEAT, 1;
    if (is_word(word, "bar")) return *input = IN_BAR, 1;
    if (is_word(word, "key")) return *input = IN_KEY, 1;
    if (is_word(word, "velocity")) return *input = IN_VELOCITY, 1;
    if (read_index(word, "key", 0, 128, &i)) return *note = (uint16_t)(i + 1), *input = IN_KEY, 1;
    if (read_index(word, "velocity", 0, 128, &i)) return *note = (uint16_t)(i + 1), *input = IN_VELOCITY, 1;
    if (is_word(word, "pressure")) return *input = IN_PRESSURE, 1;
    if (is_word(word, "bender")) return *in_low = -1.0f, *input = IN_BENDER, 1;
    *in_low = -5.0f;
    *in_high = 5.0f;
    if (read_index(word, "cv", 1, MODULE_CVS, &i)) return *input = IN_CV + i, 1;
    if (is_word(word, "note")) return *input = IN_NOTE, 1;
    return 0;
}

static int read_pair(struct word word, float *low, float *high) {
    const char *const colon = memchr(word.text, ':', word.length);
    if (!colon) return 0;
    const struct word a = {word.text, (size_t)(colon - word.text)};
    const struct word b = {colon + 1, word.length - a.length - 1};
    return read_float(a, low) && read_float(b, high) && *low != *high;
}

int read_curve(struct word word, uint32_t *curve) {
    for (uint32_t i = 0; i < CURVES; i++)
        if (is_word(word, curve_names[i])) return *curve = i, 1;
    return 0;
}

/* What only actions and the rate of walks can have. -1: it is none of that; 0: read; else an error. */
static int read_time_key(struct reader *r, struct connection *c, struct word word) {
    struct word value;
    float x;
    const int acts = c->target == TARGET_ACTION, once = acts && (c->index == ACTION_JUMP || c->index == ACTION_NEXT ||
                                                                c->index == ACTION_RESET || c->index == ACTION_LOOP);
    if (acts && c->index < ACTION_CLOCK && has_key(word, "at", &value)) {
        if (is_word(value, "bar")) return c->at = AT_BAR, 0;
        if (is_word(value, "beat")) return c->at = 16, 0;
        if (read_float(value, &x) && x >= 0.25f && x <= 64.0f && x * 16.0f == (float)(uint32_t)(x * 16.0f))
            return c->at = (uint16_t)(x * 16.0f), 0;
        return wrong(r, "at= wants beat, bar, or beats from 0.25 to 64 in sixteenths, not ", value, 0);
    }
    if (once && has_key(word, "chance", &value)) {
        if (read_float(value, &x) && x >= 0.0f && x <= 1.0f) return c->chance = x, 0;
        return wrong(r, "chance= wants a number from 0 to 1, not ", value, 0);
    }
    if (c->target == TARGET_RATE && has_key(word, "unit", &value)) {
        const uint32_t unit = is_word(value, "beat") ? RATE_BEATS : is_word(value, "second") ? RATE_HZ : NONE;
        if (unit == NONE) return wrong(r, "unit= wants second or beat, not ", value, 0);
        if (r->mapping->rate_unit != NONE && r->mapping->rate_unit != unit)
            return wrong(r, "the rate is in another unit in a line before: ", value, "");
        return r->mapping->rate_unit = unit, 0;
    }
    return -1;
}

static int read_key(struct reader *r, struct connection *c, struct word word, float *smooth_ms) {
    struct word value;
    uint32_t curve;
    const int timed = read_time_key(r, c, word);
    if (timed >= 0) return timed;
    if (has_key(word, "in", &value)) {
        if (read_pair(value, &c->in_low, &c->in_high)) return 0;
        return wrong(r, "in= wants two different numbers, such as in=-5:5, not ", value, 0);
    }
    if (has_key(word, "curve", &value)) {
        if (read_curve(value, &curve)) return c->curve = (uint8_t)curve, 0;
        return wrong(r, "curve= wants " CURVE_NAMES ", not ", value, 0);
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
    return wrong(r, "there is no option ", word,
                 c->target == TARGET_ACTION ? "; known for gates: mode= at=, and for what happens at once chance="
                                            : "; known: in= curve= smooth= mode=, and for rate unit=");
}

static int in_volts(uint32_t input) { return (input >= IN_CV && input < IN_CC) || input == IN_NOTE; }

static int read_connection(struct reader *r) {
    struct mapping *m = r->mapping;
    const struct lines *l = &r->lines;
    struct connection c;
    uint32_t input, used;
    memset(&c, 0, sizeof c);
    c.chance = 1.0f;
    if (!read_source(l->words[0], &input, &c.note, &c.in_low, &c.in_high))
        return wrong(r, "there is no input ", l->words[0],
                     "; known: knob1.. cv1.. gate1.. cc0.. note key velocity pressure bender beat bar");
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
    if (c.target == TARGET_RATE && m->rate_unit == NONE) m->rate_unit = RATE_HZ;
    if (c.target == TARGET_RATE && m->rate_unit == RATE_BEATS && !ranged) c.low = 0.25f;
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
            take_way(r->subject, ways[i].way);
            return 0;
        }
    return wrong(r, "way wants effect, bend or source, not ", word, 0);
}

/* "stereo on", off or auto. */
static int read_stereo(struct reader *r) {
    static const char *const names[] = {"off", "on", "auto"}; /* as enum module_stereo */
    const struct word word = r->lines.count == 2 ? r->lines.words[1] : (struct word){"", 0};
    for (uint32_t i = 0; i < 3; i++)
        if (is_word(word, names[i])) return r->mapping->stereo = i, 0;
    return wrong(r, "stereo wants on, off or auto, not ", word, 0);
}

/* "meter BEATS" or "tempo BPM": what holds where no clock says otherwise. */
static int read_time(struct reader *r) {
    const struct word word = r->lines.count == 2 ? r->lines.words[1] : (struct word){"", 0};
    uint32_t meter;
    float tempo;
    if (is_word(r->lines.words[0], "meter")) {
        if (!read_index(word, "", 1, 16, &meter)) return wrong(r, "meter wants the beats of a bar, from 1 to 16, not ", word, 0);
        return r->mapping->meter = meter + 1, 0;
    }
    if (!read_float(word, &tempo) || tempo < TEMPO_LEAST || tempo > TEMPO_MOST)
        return wrong(r, "tempo wants beats a minute, from 20 to 400, not ", word, 0);
    r->mapping->base[TARGET_TEMPO] = tempo;
    return r->mapping->has_tempo = 1, 0;
}

/* "tape BARS": how much `freeze` repeats of a model of loops. */
static int read_tape(struct reader *r) {
    const struct word word = r->lines.count == 2 ? r->lines.words[1] : (struct word){"", 0};
    uint32_t bars;
    if (!read_index(word, "", 1, 8, &bars)) return wrong(r, "tape wants the bars that a freeze repeats, from 1 to 8, not ", word, 0);
    return r->mapping->tape = bars + 1, 0;
}

int read_mapping(struct subject *subject, const char *text, size_t bytes, struct mapping *m, module_complaint *why) {
    struct reader r = {subject, m, {text, text + bytes, 0, 0, {{0, 0}}}, why};
    memset(m, 0, sizeof *m);
    m->way = first_way(subject);
    take_way(subject, m->way);
    m->meter = 4;
    m->tape = 1;
    m->rate_unit = m->stereo = NONE;
    scalar_defaults(m);
    if (bytes > TEXT_LIMIT) return complain(why, MODULE_ERROR_TEXT, 0, "the mapping is longer than 16384 bytes", 0, 0, 0);
    int more, error = 0;
    while (!error && (more = next_line(&r.lines, why)) != 0) {
        if (more < 0) return -more;
        const struct word word = r.lines.words[0];
        error = is_word(word, "way")                                ? read_way(&r)
                : is_word(word, "stereo")                           ? read_stereo(&r)
                : is_word(word, "tape")                             ? read_tape(&r)
                : is_word(word, "meter") || is_word(word, "tempo") ? read_time(&r)
                                                                    : read_connection(&r);
    }
    if (m->way == MODULE_SOURCE && !subject->loops && !subject->gates) m->base[TARGET_WALK] = 0.5f; /* something must move */
    return error;
}
