/* Movements of the controls, recorded and played again in a loop. */
#include "instrument.h"

#define MOVED 0.02f               /* of its range: more than a converter's noise, a hand */

static float range_of(uint32_t input) { return input >= IN_CV && input < IN_CC ? 10.0f : 1.0f; }

void gesture_record(tudor_module *m, int begin, uint32_t now) {
    struct gesture *const g = &m->controls.gesture;
    if (begin) {
        gesture_loop(m, 0, now);
        memset(g->in_loop, 0, sizeof g->in_loop);
        g->count = 0;
        g->began = now;
        g->recording = 1;
    } else if (g->recording) {
        g->recording = 0;
        g->length = now - g->began;
        gesture_loop(m, 1, now);
    }
}

void gesture_loop(tudor_module *m, int begin, uint32_t now) {
    struct gesture *const g = &m->controls.gesture;
    g->looping = begin && g->count && g->length >= TICK_SAMPLES;
    g->began = now;
    g->next = 0;
    if (g->looping) memcpy(g->anchor, m->controls.input, sizeof g->anchor);
    for (uint32_t i = 0; g->looping && i < g->count; i++) g->in_loop[g->events[i].input] = 1;
}

/* A live movement while recording: kept if it is one, and not more often than an ear can tell. */
void gesture_hear(struct gesture *g, uint32_t input, float value, uint32_t now) {
    if (!g->recording || input >= IN_GATE || g->count == g->size) return;
    const float moved = magnitude(value - g->last[input]) / range_of(input);
    if (g->in_loop[input] && (moved < 0.002f || now - g->last_at[input] < g->thin_samples)) return;
    g->in_loop[input] = 1;
    g->last[input] = value;
    g->last_at[input] = now;
    g->events[g->count++] = (struct gesture_event){now - g->began, (uint16_t)input, value};
}

/* Whether a live movement is to be ignored for the loop's sake: a control that is really moved leaves the loop. */
int gesture_keeps(struct gesture *g, uint32_t input, float value) {
    if (!g->looping || !g->in_loop[input]) return 0;
    if (magnitude(value - g->anchor[input]) <= MOVED * range_of(input)) return 1;
    g->in_loop[input] = 0;
    return 0;
}

void gesture_step(tudor_module *m, uint32_t now) {
    struct gesture *const g = &m->controls.gesture;
    if (!g->looping) return;
    for (uint32_t round = 0; round < g->count; round++) { /* no more than the whole gesture in one step */
        if (now - g->began >= g->length) {
            g->began += g->length;
            g->next = 0;
            if (now - g->began >= g->length) g->began = now;
        }
        if (g->next >= g->count || g->events[g->next].at > now - g->began) return;
        const struct gesture_event e = g->events[g->next++];
        if (g->in_loop[e.input]) set_input(m, e.input, e.value);
    }
}
