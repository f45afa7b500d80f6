/* Which model sounds: changes between slots, and rests after faults and overloads. Fades are counted in samples; a
 * model runs unheard until what it plays is its own. */
#include "instrument.h"

#define SECONDS_FORGIVEN 10u /* in order for so long, and the next rest is a short one again */
#define LONGEST_REST_SECONDS 16u

/* Between control thread and audio thread: one says "in use" and then looks whether it is ready, the other takes
 * "ready" away and then looks whether it is in use; both cannot miss each other. */
static struct player *acquire(tudor_module *m, uint32_t slot) {
    atomic_fetch_or(&m->used, 1u << slot);
    if (atomic_load(&m->slots[slot].ready)) return m->slots[slot].player;
    atomic_fetch_and(&m->used, ~(1u << slot));
    return 0;
}

int slot_is_there(tudor_module *m, uint32_t slot) {
    return atomic_load_explicit(&m->slots[slot].ready, memory_order_relaxed) ||
           atomic_load_explicit(&m->slots[slot].offered, memory_order_relaxed);
}

static void release(tudor_module *m, struct voice *v) {
    if (v->player) atomic_fetch_and(&m->used, ~(1u << v->slot));
    memset(v, 0, sizeof *v);
    v->slot = MODULE_SLOTS;
}

static uint32_t warm_samples(const tudor_module *m, const struct player *p) {
    const uint64_t frame = ((uint64_t)p->frame * p->down + p->up - 1) / p->up;
    return p->latency_samples + (uint32_t)frame + m->config.block_samples;
}

static int begin_voice(tudor_module *m, struct voice *v, uint32_t slot) {
    struct player *const p = acquire(m, slot);
    release(m, v);
    if (!p) return 0;
    v->player = p;
    v->slot = slot;
    v->warm = warm_samples(m, p);
    if (m->slots[slot].narrow) player_narrow(p);
    player_refresh(m, p);
    keep_begin(m, p, slot);
    controls_hand_over(m, p);
    return 1;
}

void request_next(tudor_module *m) {
    const uint32_t now = m->wanted < MODULE_SLOTS ? m->wanted
                         : m->voice[1].player     ? m->voice[1].slot
                                                  : m->voice[0].slot;
    for (uint32_t i = 1; i <= MODULE_SLOTS; i++) {
        const uint32_t slot = (now + i) % MODULE_SLOTS;
        if (!slot_is_there(m, slot)) continue;
        m->wanted = slot;
        return;
    }
}

/* Whether both models have time: the one that comes is taken for half as much again as its operations say, since it may
 * lie in a slower memory. */
static int have_time(const tudor_module *m, const struct player *now, const struct player *coming) {
    if (m->config.overlap != MODULE_OVERLAP_MEASURED) return m->overlap != 0;
    if (!m->config.clock || m->crowded || now->cost <= 0.0f) return 0;
    return m->load_worst * (1.0f + 1.5f * coming->cost / now->cost) < m->config.overload_load;
}

/* The slot is to be loaded first: what plays makes room. */
static void ask_for(tudor_module *m, uint32_t slot) {
    release(m, &m->voice[1]);
    atomic_store_explicit(&m->asked, slot, memory_order_relaxed);
    m->leaving = 1;
}

static void consider_change(tudor_module *m) {
    if (!m->voice[0].player && !m->voice[1].player && m->wanted >= MODULE_SLOTS) { /* the first one that is there */
        for (uint32_t slot = 0; slot < MODULE_SLOTS && m->wanted >= MODULE_SLOTS; slot++)
            if (slot_is_there(m, slot)) m->wanted = slot;
    }
    if (m->wanted >= MODULE_SLOTS) return;
    if (m->voice[1].player && m->crossed) return; /* a crossfade is first finished */
    const uint32_t slot = m->wanted;
    if (slot_is_there(m, slot) && !atomic_load(&m->slots[slot].ready)) {
        ask_for(m, slot);
        return;
    }
    m->wanted = MODULE_SLOTS;
    m->leaving = 0;
    atomic_store_explicit(&m->asked, MODULE_SLOTS, memory_order_relaxed);
    if (m->voice[1].player && slot == m->voice[1].slot) return;
    if (m->voice[0].player && slot == m->voice[0].slot) {
        release(m, &m->voice[1]); /* changed its mind while the other was not yet heard */
        player_recall(m, m->voice[0].player);
        return;
    }
    if (begin_voice(m, &m->voice[1], slot) && m->voice[0].player)
        m->overlap = (uint32_t)have_time(m, m->voice[0].player, m->voice[1].player);
}

static void take_over(tudor_module *m) {
    const struct voice coming = m->voice[1];
    release(m, &m->voice[0]);
    m->voice[0] = coming;
    memset(&m->voice[1], 0, sizeof m->voice[1]);
    m->voice[1].slot = MODULE_SLOTS;
    m->crossed = 0;
    m->voice[0].rising = m->voice[0].warm == 0 && !m->voice[0].resting;
}

static uint32_t toward(uint32_t now, int up, uint32_t full, uint32_t by) {
    if (up) return now + by < full ? now + by : full;
    return now > by ? now - by : 0;
}

/* Which voices fade out in this block. */
void voices_begin(tudor_module *m) {
    consider_change(m);
    if ((m->voice[1].player && !m->overlap) || m->leaving) m->voice[0].rising = 0;
    if (m->leaving && m->voice[0].gain == 0) release(m, &m->voice[0]);
    for (uint32_t i = 0; i < 2; i++) {
        struct voice *const v = &m->voice[i];
        if (v->reset || v->resting) v->rising = 0;
        if (!v->player || !v->reset || v->gain) continue;
        player_reset(v->player);
        v->warm = warm_samples(m, v->player);
        v->reset = 0;
    }
}

/* Not while it rests unheard; and where two at once are too much, not before the old one is gone, then only the new. */
static int runs(const tudor_module *m, uint32_t i) {
    const struct voice *const v = &m->voice[i];
    if (!v->player || (v->resting && v->gain == 0)) return 0;
    if (m->overlap || !m->voice[1].player) return 1;
    return i == 0 ? v->gain > 0 : m->voice[0].gain == 0;
}

void voices_run(tudor_module *m) {
    const uint32_t block = m->config.block_samples;
    const int run[2] = {runs(m, 0), runs(m, 1)};
    for (uint32_t i = 0; i < 2; i++) {
        struct voice *const v = &m->voice[i];
        for (uint32_t c = 0; c < MODULE_CHANNELS; c++) memset(m->wet[i][c], 0, block * sizeof(float));
        if (!run[i]) continue;
        if (player_run(m, v->player, m->wet[i], i == 1 || !run[1])) voice_fault(m, v);
        v->warm = v->warm > block ? v->warm - block : 0;
    }
    const struct voice *const coming = &m->voice[1];
    m->cross_rising = coming->player && !coming->resting && (m->overlap ? coming->warm == 0 : m->voice[0].gain == 0);
}

static void end_rest(tudor_module *m, struct voice *v) {
    if (!v->resting || v->gain) return;
    if (v->rest) v->rest--;
    if (v->rest) return;
    v->resting = 0;
    if (v->cause == CAUSE_NARROW) {
        player_narrow(v->player);
        m->pressure = 0; /* what made it is over */
    } else {
        player_reset(v->player);
    }
    v->warm = warm_samples(m, v->player);
}

/* After the block: fades have moved on, changes are completed. */
void voices_end(tudor_module *m) {
    const uint32_t block = m->config.block_samples, full = m->fade_samples;
    for (uint32_t i = 0; i < 2; i++) {
        struct voice *const v = &m->voice[i];
        if (!v->player) continue;
        v->gain = toward(v->gain, (int)v->rising, full, block);
        end_rest(m, v);
        if (v->resting) continue;
        if (++v->calm > SECONDS_FORGIVEN * m->blocks_per_second) v->backoff = 0;
        if (v->warm == 0 && !v->reset && !m->leaving &&
            (m->overlap || (i == 0 && !m->voice[1].player)))
            v->rising = 1;
    }
    m->crossed = m->voice[1].player ? toward(m->crossed, (int)m->cross_rising, full, block) : 0;
    if (m->crossed == full) take_over(m);
}

/* The longer, the oftener: a second, two, four... */
static void rest(tudor_module *m, struct voice *v, uint32_t cause) {
    const uint32_t seconds = v->backoff ? 1u << (v->backoff - 1) : 0;
    v->rest = (seconds < LONGEST_REST_SECONDS ? seconds : LONGEST_REST_SECONDS) * m->blocks_per_second;
    if (v->backoff < 6) v->backoff++;
    v->calm = 0;
    v->cause = cause;
    v->rising = 0;
    v->resting = 1;
}

/* The model gave what is no audio. Its frame has already been ended softly. */
void voice_fault(tudor_module *m, struct voice *v) {
    player_reset(v->player);
    if (v->resting) return;
    m->faults++;
    rest(m, v, CAUSE_FAULT);
}

/* The model that plays by itself; null: none does, or two do. */
static const struct voice *alone(const tudor_module *m) {
    const struct voice *const a = &m->voice[0], *const b = &m->voice[1];
    return a->player && b->player ? 0 : a->player ? a : b->player ? b : 0;
}

/* Two streams become one: unheard, when the sound has faded. */
static void narrow(tudor_module *m, struct voice *v) {
    if (v->resting) return;
    m->slots[v->slot].narrow = 1;
    v->rest = v->rising = 0;
    v->resting = 1;
    v->cause = CAUSE_NARROW;
}

/* The share of its time that a block may take, by which two streams become one, or a model rests. */
float voices_limit(const tudor_module *m) {
    const struct voice *const v = alone(m);
    const float most = m->config.overload_load;
    return v && v->player->narrows && m->config.stereo_load < most ? m->config.stereo_load : most;
}

/* Blocks come late again and again: the model rests, at least a second. */
void voices_overload(tudor_module *m) {
    struct voice *const v = &m->voice[0];
    const struct voice *const only = alone(m);
    if (only && only->player->narrows) {
        narrow(m, &m->voice[only - m->voice]);
        return;
    }
    if (m->voice[1].player) {
        m->overlap = 0; /* two at once are too much for this board */
        m->crowded = 1;
        return;
    }
    if (!v->player || v->resting) return;
    if (v->backoff == 0) v->backoff = 1;
    m->overloads++;
    rest(m, v, CAUSE_OVERLOAD);
}
