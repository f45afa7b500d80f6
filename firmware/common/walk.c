/* Latents that wander by themselves, in hertz or in beats. */
#include "instrument.h"

/* A walk is a function of time and seed alone: smooth from one hashed number to the next. */
float walk_of(const tudor_module *m, const struct player *p, uint32_t latent) {
    /* Latents turn at different times; those that follow the beat turn on it together. */
    const uint64_t at = p->mapping.rate_unit == RATE_BEATS ? p->walked : p->walked + (uint64_t)latent * 0x9E3779B9u;
    const uint32_t segment = (uint32_t)(at >> 32), key = hashed(m->config.seed * 0x85EBCA6Bu + latent);
    const float part = (float)((uint32_t)at >> 8) * 0x1p-24f;
    const float from = uniform(key + segment), to = uniform(key + segment + 1);
    return from + (to - from) * smooth_step(part);
}

/* Turns a beat as a power of two, the nearest one: from every 32nd beat to eight times in one. */
static int32_t turns_of(float rate) {
    int32_t turns = -5;
    if (rate < 0x1p-5f * 0.70710678f) return WALK_STILL;
    for (float edge = 0x1p-5f * 1.41421356f; rate >= edge && turns < 3; edge *= 2.0f) turns++;
    return turns;
}

static uint32_t shift_of(int32_t turns) { return (uint32_t)(40 - turns); } /* of a position, to segments */

/* Segments lie between the lines of beats. Another rate waits for a line of the slower one, so that nothing leaps. */
static void walk_in_beats(struct player *p, uint64_t position) {
    const int32_t wanted = turns_of(player_scalar(p, TARGET_RATE));
    const uint64_t changed = position ^ p->walk_at;
    p->walk_at = position;
    if (wanted != p->walk_turns) {
        const int32_t slower = wanted < p->walk_turns ? wanted : p->walk_turns;
        if (slower == WALK_STILL || changed >> shift_of(slower)) {
            const int stood = p->walk_turns == WALK_STILL;
            p->walk_turns = wanted;
            if (wanted == WALK_STILL) return;
            if (!stood) p->walked = ((p->walked >> 32) + 1) << 32;
            p->walked = (p->walked >> 32 << 32) | (uint32_t)(position << (64 - shift_of(wanted)) >> 32);
            return;
        }
    }
    if (p->walk_turns == WALK_STILL) return;
    const uint32_t shift = shift_of(p->walk_turns);
    const uint64_t segment = (p->walked >> 32) + (changed >> shift ? 1 : 0);
    p->walked = segment << 32 | (uint32_t)(position << (64 - shift) >> 32);
}

void walk_step(struct player *p, uint64_t position) {
    if (p->mapping.rate_unit == RATE_BEATS)
        walk_in_beats(p, position);
    else
        p->walked += (uint64_t)(player_scalar(p, TARGET_RATE) * p->row_seconds * 0x1p32f);
}
