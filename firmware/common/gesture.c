/* Movements of the controls, recorded and played again in a loop. */
#include "instrument.h"

#define MOVED 0.02f               /* of its range: more than a converter's noise, a hand */
#define BEAT_PARTS 20             /* a gesture that follows the beat counts beats, in 1/2^20 */

static float range_of(uint32_t input) { return input >= IN_CV && input < IN_CC ? 10.0f : 1.0f; }

/* Now, in what the gesture counts. */
uint32_t gesture_time(const tudor_module *m, uint32_t now) {
    return m->controls.gesture.grid ? (uint32_t)(m->transport.position >> (40 - BEAT_PARTS)) : now;
}

void gesture_record(tudor_module *m, int begin, uint64_t grid, uint32_t time) {
    struct gesture *const g = &m->controls.gesture;
    if (begin) {
        gesture_loop(m, 0, time);
        memset(g->in_loop, 0, sizeof g->in_loop);
        g->count = 0;
        g->began = time;
        g->grid = grid;
        g->recording = 1;
    } else if (g->recording) {
        g->recording = 0;
        g->length = time - g->began;
        if (g->grid) { /* whole ones, also if the song was moved meanwhile */
            const uint32_t part = (uint32_t)(g->grid >> (40 - BEAT_PARTS)), parts = (g->length + part / 2) / part;
            g->length = (parts ? parts : 1) * part;
        }
        gesture_loop(m, 1, time);
    }
}

void gesture_loop(tudor_module *m, int begin, uint32_t time) {
    struct gesture *const g = &m->controls.gesture;
    g->edits++;
    g->looping = begin && g->count && g->length >= TICK_SAMPLES;
    g->began = time;
    g->next = 0;
    if (g->looping) memcpy(g->anchor, m->controls.input, sizeof g->anchor);
    for (uint32_t i = 0; g->looping && i < g->count; i++) g->in_loop[g->events[i].input] = 1;
}

/* A live movement while recording: kept if it is one, and not more often than an ear can tell. */
void gesture_hear(tudor_module *m, uint32_t input, float value, uint32_t now) {
    struct gesture *const g = &m->controls.gesture;
    if (!g->recording || input >= IN_GATE || g->count == g->size) return;
    const float moved = magnitude(value - g->last[input]) / range_of(input);
    if (g->in_loop[input] && (moved < 0.002f || now - g->last_at[input] < g->thin_samples)) return;
    const uint32_t since = gesture_time(m, now) - g->began;
    g->edits++;
    g->in_loop[input] = 1;
    g->last[input] = value;
    g->last_at[input] = now;
    g->events[g->count++] = (struct gesture_event){since < 1u << 31 ? since : 0, (uint16_t)input, value};
}

/* Whether a live movement is to be ignored for the loop's sake: a control that is really moved leaves the loop. */
int gesture_keeps(struct gesture *g, uint32_t input, float value) {
    if (!g->looping || !g->in_loop[input]) return 0;
    if (magnitude(value - g->anchor[input]) <= MOVED * range_of(input)) return 1;
    g->in_loop[input] = 0;
    g->edits++;
    return 0;
}

void gesture_step(tudor_module *m, uint32_t now) {
    struct gesture *const g = &m->controls.gesture;
    if (!g->looping) return;
    const uint32_t time = gesture_time(m, now);
    for (uint32_t round = 0; round < g->count; round++) { /* no more than the whole gesture in one step */
        if (time - g->began >= g->length) {
            g->began += g->length;
            g->next = 0;
            if (time - g->began >= g->length) g->began = time;
        }
        if (g->next >= g->count || g->events[g->next].at > time - g->began) return;
        const struct gesture_event e = g->events[g->next++];
        if (g->in_loop[e.input]) set_input(m, e.input, e.value);
    }
}

/* The song was moved. A loop that does not lie there is where it would be, had it run from the first beat; of a
 * recording stays what lies before. */
void gesture_moved(tudor_module *m) {
    struct gesture *const g = &m->controls.gesture;
    if (!g->grid || !(g->looping || g->recording)) return;
    const uint32_t time = gesture_time(m, 0), since = time - g->began;
    if (g->recording) {
        if (since >> 31) g->began = time - time % (uint32_t)(g->grid >> (40 - BEAT_PARTS));
        while (g->count && g->events[g->count - 1].at > time - g->began) g->count--;
    } else if (since >> 31 || since / 2 >= g->length) {
        g->began = time - time % g->length;
        g->next = 0;
    }
}
