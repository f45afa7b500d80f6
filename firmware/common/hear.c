/* What inputs ask of their targets: over ranges and curves, CVs by their depths, knobs once a hand has caught them. */
#include "instrument.h"

#define CAUGHT 0.02f /* of a knob's way: no ear hears that step behind the smoothing */

static float goal_of(const struct connection *c, float x) {
    const float span = c->in_high - c->in_low;
    if (!c->adds) return c->low + (c->high - c->low) * shaped(c->curve, clamped((x - c->in_low) / span, 0.0f, 1.0f));
    const float part = clamped(x / span, -1.0f, 1.0f); /* zero volts change nothing */
    const float bent = part < 0.0f ? -shaped(c->curve, -part) : shaped(c->curve, part);
    return (c->high - c->low) * bent;
}

/* What a connection hears of its input. What moves a depth is heard in full. */
static float heard_of(const struct player *p, const struct connection *c, float value) {
    const uint32_t cv = c->input - IN_CV; /* what is none wraps to far above */
    return cv < MODULE_CVS && c->target != TARGET_DEPTH ? value * p->depth[cv] : value;
}

/* A gate that strikes is open for a row, when the next one begins: what it was before does not matter then. */
static void strike(struct player *p, const struct connection *c, float before) {
    const int again = c->note || c->input == IN_KEY; /* keys are let go late, or not at all */
    if (c->target != TARGET_LATENT || !(p->subject.gates >> c->index & 1) || c->goal <= 0.5f || (before > 0.5f && !again)) return;
    p->struck |= UINT64_C(1) << c->index;
    p->struck_at[c->index] = p->event_at;
}

/* An input moved; `note`: of a certain key, its number and 1 more. */
void player_hear(struct player *p, uint32_t input, float value, uint32_t note) {
    if (input - IN_CV < MODULE_CVS) p->volts[input - IN_CV] = value;
    if (input < MODULE_KNOBS) {
        p->knobs->at[input] = value;
        p->knobs->known |= 1u << input;
        p->knobs->side[input] = KNOB_FREE;
    }
    for (uint32_t i = 0; i < p->mapping.count; i++) {
        struct connection *const c = &p->mapping.connections[i];
        if (c->input != input || c->note != note || c->target == TARGET_ACTION) continue;
        const float before = c->goal;
        c->goal = goal_of(c, heard_of(p, c, value));
        if (!c->live) c->value = c->adds ? 0.0f : c->goal;
        c->live = 1;
        strike(p, c, before);
    }
}

/* What knobs set, plus what CVs add; the base where no knob has spoken. */
static float sum_of(const struct player *p, uint32_t target, uint32_t index, float base, struct range limit) {
    float set = 0.0f, added = 0.0f;
    int is_set = 0;
    for (uint32_t i = 0; i < p->mapping.count; i++) {
        const struct connection *const c = &p->mapping.connections[i];
        if (c->target != target || c->index != index || !c->live) continue;
        if (c->adds) {
            added += c->value;
        } else {
            set += c->value;
            is_set = 1;
        }
    }
    return clamped((is_set ? set : base) + added, limit.low, limit.high);
}

float player_scalar(const struct player *p, enum target target) {
    return sum_of(p, target, 0, p->mapping.base[target], p->mapping.limits[target]);
}

static float depth_of(const struct player *p, uint32_t cv) {
    return sum_of(p, TARGET_DEPTH, cv, 1.0f, (struct range){-1.0f, 1.0f});
}

/* Depths that moved, and what their CVs then ask for. */
static void step_depths(struct player *p) {
    for (uint32_t cv = 0; p->mapping.depths >> cv; cv++) {
        const float depth = p->mapping.depths >> cv & 1 ? depth_of(p, cv) : 1.0f;
        if (depth == p->depth[cv]) continue;
        p->depth[cv] = depth;
        for (uint32_t i = 0; i < p->mapping.count; i++) {
            struct connection *const c = &p->mapping.connections[i];
            if (c->input == IN_CV + cv && c->live) c->goal = goal_of(c, heard_of(p, c, p->volts[cv]));
        }
    }
}

/* Smoothing: a one-pole filter in steps of a tick. */
void player_step(struct player *p, uint32_t samples) {
    const float part = (float)samples * (1.0f / (float)TICK_SAMPLES);
    for (uint32_t i = 0; i < p->mapping.count; i++) {
        struct connection *const c = &p->mapping.connections[i];
        const float distance = c->goal - c->value;
        const float scale = magnitude(c->goal) + magnitude(c->high - c->low);
        if (c->approach >= 1.0f || magnitude(distance) <= scale * 1e-6f)
            c->value = c->goal; /* arrived: no endless tail of ever smaller numbers */
        else
            c->value += distance * (c->approach * part);
    }
    if (p->mapping.depths) step_depths(p);
}

/* ---- a model begins to play ---- */

/* Whether a hand's knob does nothing yet: it has to pass, or come near, where this slot has it. */
int player_waits(struct player *p, uint32_t knob, float value) {
    int8_t *const side = &p->knobs->side[knob];
    const float was = p->knobs->at[knob];
    if (*side == KNOB_FREE) return 0;
    const int8_t now = value > was ? KNOB_ABOVE : KNOB_BELOW;
    if (magnitude(value - was) <= CAUGHT || (*side != KNOB_UNSEEN && *side != now))
        *side = KNOB_FREE;
    else
        *side = now;
    return *side != KNOB_FREE;
}

/* Knobs stay where they were when this slot last played, until a hand comes there. */
void player_recall(const tudor_module *m, struct player *p) {
    const struct controls *const k = &m->controls;
    if (!m->config.catch_up) p->knobs->known = 0;
    for (uint32_t i = 0; i < MODULE_KNOBS; i++) {
        if (!(p->knobs->known >> i & 1)) continue;
        p->knobs->side[i] = KNOB_UNSEEN;
        if (k->hands >> i & 1) (void)player_waits(p, i, k->hand[i]);
    }
}

static void refresh(const struct controls *k, struct player *p, int depths) {
    for (uint32_t i = 0; i < p->mapping.count; i++) {
        struct connection *const c = &p->mapping.connections[i];
        const int own = c->input < MODULE_KNOBS && p->knobs->known >> c->input & 1;
        if (c->note || c->target == TARGET_ACTION || (c->target == TARGET_DEPTH) != depths || !(own || k->known[c->input])) continue;
        c->value = c->goal = goal_of(c, heard_of(p, c, own ? p->knobs->at[c->input] : k->input[c->input]));
        c->live = 1;
    }
}

/* All inputs as they stand, at once. */
void player_refresh(const tudor_module *m, struct player *p) {
    const struct controls *const k = &m->controls;
    player_recall(m, p);
    memcpy(p->volts, &k->input[IN_CV], sizeof p->volts);
    refresh(k, p, 1);
    for (uint32_t cv = 0; cv < MODULE_CVS; cv++) p->depth[cv] = depth_of(p, cv);
    refresh(k, p, 0);
    for (uint32_t i = 0; i < MODULE_KNOBS; i++) {
        if (p->knobs->known >> i & 1 || !k->known[IN_KNOB + i]) continue;
        p->knobs->at[i] = k->input[IN_KNOB + i];
        p->knobs->known |= 1u << i;
        if (m->config.catch_up && !(k->hands >> i & 1)) p->knobs->side[i] = KNOB_UNSEEN; /* from before the power was off */
    }
}
