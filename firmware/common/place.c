/* Places among a model's latents, and what lies between two of them. `jump` draws the one that is nearer to the knob
 * `morph`: the other one stays, and morphing leads from loop to loop. */
#include "instrument.h"

#define JUMP_SECONDS 0.05f
#define REACH 0.75f      /* of half a range, that jumps go to */
#define CODE_REACH 0.95f /* codes are equally likely all over; their very ends are rare in what was learnt from */

/* The same number is the same place, whatever was before. `end`: 0 or 1, of the way between both. */
void place_draw(const tudor_module *m, struct player *p, uint32_t end, uint32_t number) {
    const float reach = p->subject.loops ? CODE_REACH : REACH;
    for (uint32_t i = 0; i < p->latents; i++) {
        const float half = 0.5f * (p->subject.ranges[i].high - p->subject.ranges[i].low);
        p->place[end][i] = reach * half * uniform(hashed(m->config.seed ^ (number * 0x9E3779B9u)) + i);
    }
}

void place_jump(const tudor_module *m, struct player *p, uint32_t number) {
    place_draw(m, p, player_scalar(p, TARGET_MORPH) >= 0.5f, number);
}

/* The same with numbers of all that wanders. */
void place_set(struct player *p, const float *free) {
    float *const place = p->place[player_scalar(p, TARGET_MORPH) >= 0.5f];
    for (uint32_t at = 0; at < p->free_count; at++) place[p->free[at]] = flushed(clamped(free[at], -1.0f, 1.0f));
}

/* Latents glide to where they shall be; a code does not, since it is heard a chunk at a time. */
void place_step(struct player *p) {
    const float morph = player_scalar(p, TARGET_MORPH);
    const float glide = p->subject.loops ? 1.0f : p->row_seconds / (p->row_seconds + JUMP_SECONDS);
    for (uint32_t at = 0; at < p->free_count; at++) {
        const uint32_t i = p->free[at];
        const float goal = p->place[0][i] + morph * (p->place[1][i] - p->place[0][i]);
        p->jump[i] = flushed(p->jump[i] + glide * (goal - p->jump[i]));
    }
}
