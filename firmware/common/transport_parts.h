/* What clocks (transport.c, transport_line.c) and taps, starts, hosts (transport_told.c) share. */
#ifndef TUDOR_MODULE_TRANSPORT_PARTS_H
#define TUDOR_MODULE_TRANSPORT_PARTS_H

#include "transport.h"

#include "basics.h"

#define NEAR (BEAT / 16)            /* from here on the position is set and does not follow */
#define QUICK_PULSES 8u             /* what is left of the memory when the tempo has changed a little */

/* `line`: that begins at the target, or about there; it will be passed, also if it just was. */
void transport_set_position(struct transport *t, uint64_t target, const uint64_t *line);
/* The last pulse lies where the fitted line has it: from there to now at its tempo. `begins`: it was renumbered. */
void transport_place(struct transport *t, int begins);
/* Samples since the last pulse. */
uint32_t transport_quiet(const struct transport *t, uint32_t at);
int transport_may_lead(const struct transport *t, uint32_t source, uint32_t at);
/* The stamp, or the present where that lies too far away. */
uint32_t transport_sensible(const struct transport *t, uint32_t at);
/* The next pulse is number `resume`. */
static inline void transport_arm(struct transport *t) {
    t->armed = 1;
    t->sure = -1.0f;
}
/* So many pulses in a beat; the line remembers at most `full` of them. */
void transport_count_in(struct transport *t, uint32_t per_beat, uint32_t full);
/* Least squares over `count` pulses at equal distances, one more at a time; beyond `full` the old ones are forgotten.
 * Whoever sets `count` otherwise sets `gains_of` to 0. */
static inline void transport_fit(struct transport *t, float error) {
    if (t->gains_of != t->full) {
        if (t->count < t->full) t->count++;
        const float n = (float)t->count, both = n * (n + 1.0f);
        t->lead_gain = 2.0f * (2.0f * n - 1.0f) / both - 1.0f;
        t->period_gain = 6.0f / both;
        t->gains_of = t->count;
    }
    t->lead = t->lead_gain * error;
    t->period += t->period_gain * error;
}

/* A pulse about where it was due. */
static inline void transport_accept(struct transport *t, float error) {
    t->pulse++;
    t->mean_error += 0.125f * (error - t->mean_error);
    if (magnitude(t->mean_error) > t->trend && t->count > QUICK_PULSES) {
        t->count = QUICK_PULSES;
        t->gains_of = 0;
        t->mean_error = 0.0f;
    }
    transport_fit(t, error);
}
/* Any pulse. */
void transport_weigh(struct transport *t, uint32_t source, uint32_t per_beat, uint32_t at);

#endif
