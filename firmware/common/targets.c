/* What a line of a mapping moves: levels, latents, attributes, actions. */
#include "instrument.h"

static const char *const action_names[ACTIONS] = {"freeze", "reset", "next", "jump", "record", "loop", "play",
                                                  "capture", "clock", "tap", "downbeat"};
static const char *const scalar_names[SCALARS] = {"wet", "input", "output", "swap", "walk", "rate", "pitch",
                                                  "tempo", "morph"};

struct scalar {
    float base, low, high, least, most; /* a knob's range where none is given; the target's own limits */
};
static const struct scalar scalars[SCALARS] = {
    {1.0f, 0.0f, 1.0f, 0.0f, 1.0f},   {1.0f, 0.0f, 2.0f, 0.0f, 4.0f},  {1.0f, 0.0f, 1.0f, 0.0f, 2.0f},
    {0.0f, 0.0f, 1.0f, 0.0f, 64.0f},  {0.0f, 0.0f, 1.0f, 0.0f, 4.0f},  {0.5f, 0.0f, 4.0f, 0.0f, 20.0f},
    {0.0f, -2.0f, 2.0f, -5.0f, 5.0f}, {120.0f, 60.0f, 200.0f, TEMPO_LEAST, TEMPO_MOST},
    {0.0f, 0.0f, 1.0f, 0.0f, 1.0f},
};

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

/* The share of a CV that is heard: what a knob beside its jack would be. */
static int depth_target(struct reader *r, struct connection *c, uint32_t *used) {
    uint32_t cv;
    const struct word word = r->lines.count > 2 ? r->lines.words[2] : (struct word){"", 0};
    if (!read_index(word, "cv", 1, MODULE_CVS, &cv)) return wrong(r, "depth wants cv1 to cv16, not ", word, 0);
    *used = 3;
    c->target = TARGET_DEPTH;
    c->index = (uint16_t)cv;
    c->low = -1.0f;
    c->high = 1.0f;
    r->mapping->depths |= 1u << cv;
    return 0;
}

static int action_target(struct reader *r, struct connection *c, uint32_t action, uint32_t *used) {
    const int ticks = c->input == IN_BEAT || c->input == IN_BAR;
    c->target = TARGET_ACTION;
    c->index = (uint16_t)action;
    if (c->input < IN_CC || (c->input > IN_NOTE && c->input < IN_GATE))
        return wrong(r, "only a gate, a note, a cc, beat or bar can do ", r->lines.words[1], "");
    if (action == ACTION_CAPTURE && (!r->subject->loops || tudor_find_role(r->subject->model, TUDOR_ROLE_EMBED) < 0))
        return wrong(r, "the model finds no loop in a sound: it cannot ", r->lines.words[1], "");
    if (action < ACTION_CLOCK) return 0;
    if (ticks) return wrong(r, "beats come from the clock and cannot be its ", r->lines.words[1], "");
    c->attribute = 1;
    if (action != ACTION_CLOCK || r->lines.count < 3) return 0;
    uint16_t pulses;
    const int error = index_word(r, 2, PULSES_MOST, "clock", &pulses); /* in a beat */
    c->attribute = (uint16_t)(pulses + 1);
    *used = 3;
    return error;
}

int read_target(struct reader *r, struct connection *c, uint32_t *used) {
    const struct word word = r->lines.words[1];
    *used = 2;
    for (uint32_t i = 0; i < ACTIONS; i++)
        if (is_word(word, action_names[i])) return action_target(r, c, i, used);
    for (uint32_t i = 0; i < SCALARS; i++)
        if (is_word(word, scalar_names[i])) {
            c->target = (uint16_t)i;
            c->low = scalars[i].low;
            c->high = scalars[i].high;
            if (i == TARGET_PITCH && !has_pitch(r->subject, r->mapping->way)) return wrong(r, "the model has no ", word, " to play");
            if (i == TARGET_PITCH && c->input == IN_BENDER) c->low = -1.0f / 6.0f, c->high = 1.0f / 6.0f;
            if (r->mapping->way == MODULE_EFFECT && (i == TARGET_SWAP || i == TARGET_WALK || i == TARGET_RATE || i == TARGET_MORPH))
                return wrong(r, "played as an effect, no latents can be moved by ", word, ": use 'way bend'");
            if (i == TARGET_TEMPO) r->mapping->has_tempo = 1;
            if (i == TARGET_SWAP) c->high = way_swaps(r->subject, r->mapping->way);
            return 0;
        }
    if (is_word(word, "latent")) return latent_target(r, c, 0, used);
    if (is_word(word, "spread")) return latent_target(r, c, 1, used);
    if (is_word(word, "attribute")) return attribute_target(r, c, used);
    if (is_word(word, "depth")) return depth_target(r, c, used);
    return wrong(r, "there is no target ", word,
                 "; known: wet input output swap walk rate morph pitch tempo latent spread attribute depth, and for gates "
                 "freeze reset next jump record loop play capture clock tap downbeat");
}

void scalar_defaults(struct mapping *m) {
    for (uint32_t i = 0; i < SCALARS; i++) {
        m->base[i] = scalars[i].base;
        m->limits[i] = (struct range){scalars[i].least, scalars[i].most};
    }
}
