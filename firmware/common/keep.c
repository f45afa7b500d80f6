/* What hands have set, copied out for after the power was off, and set again. Little-endian words:
 *
 *   version, slot, its name (32 bytes), flags, inputs, latents, events, length, sample rate, grid (two words)
 *   inputs:  number, value as a float32                     knobs and MIDI controllers
 *   latents: float32                                        the row that is frozen; of two streams both
 *   events:  time, number with bit 31 if it loops, float32  the gesture
 *
 * A copy is made by the audio thread, EVENTS_A_BLOCK events at a time. */
#include "instrument.h"

#define VERSION 1u
#define HEAD_BYTES (10u * 4u + MODULE_NAME)
#define INPUT_BYTES 8u
#define EVENT_BYTES 12u
#define INPUTS_KEPT (MODULE_KNOBS + 128u)
#define EVENTS_A_BLOCK 64u
#define CHANGED 0.02f /* of its range: more than a converter's noise, a hand */
#define FROZEN 1u
#define LOOPING 2u
#define LOOPS 0x80000000u
#define LATENT_MOST 16.0f
#define LATENTS_KEPT (MODULE_CHANNELS * MODULE_LATENTS)

static int is_kept(uint32_t input) { return input < IN_CV || (input >= IN_CC && input < IN_NOTE); }

/* ---- bytes ---- */

struct cursor { uint8_t *at; };

static void put(struct cursor *c, uint32_t word) {
    for (int i = 0; i < 4; i++) *c->at++ = (uint8_t)(word >> 8 * i);
}
static void put_float(struct cursor *c, float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    put(c, bits);
}
static uint32_t word(const uint8_t **at) {
    const uint8_t *const p = *at;
    *at += 4;
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static float number(const uint8_t **at) {
    const uint32_t bits = word(at);
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* ---- noticing ---- */

static void changed(tudor_module *m) { atomic_fetch_add_explicit(&m->keep.changes, 1, memory_order_relaxed); }

/* A live movement. */
void keep_hear(tudor_module *m, uint32_t input, float value) {
    if (!is_kept(input) || magnitude(value - m->keep.noted[input]) <= CHANGED) return;
    m->keep.noted[input] = value;
    changed(m);
}

static void notice(tudor_module *m) {
    struct keep *const k = &m->keep;
    const struct voice *const v = &m->voice[m->voice[1].player ? 1 : 0];
    const uint32_t slot = v->player ? v->slot : k->slot;
    if (k->slot == MODULE_SLOTS) k->slot = slot; /* the first one was chosen by no hand */
    if (slot == k->slot && k->frozen == m->controls.frozen && k->gesture == m->controls.gesture.edits) return;
    k->slot = slot;
    k->frozen = m->controls.frozen;
    k->gesture = m->controls.gesture.edits;
    changed(m);
}

/* ---- copying ---- */

size_t module_save_bytes(const tudor_module *m) {
    return m ? HEAD_BYTES + INPUTS_KEPT * INPUT_BYTES + LATENTS_KEPT * 4 +
                   (size_t)m->config.gesture_events * EVENT_BYTES
             : 0;
}

uint32_t module_changes(const tudor_module *module) {
    tudor_module *const m = (tudor_module *)(uintptr_t)module; /* as module_read_status */
    return m ? atomic_load_explicit(&m->keep.changes, memory_order_relaxed) : 0;
}

int module_save(tudor_module *m, void *memory, size_t bytes) {
    if (!m || !memory) return MODULE_ERROR_ARGUMENT;
    if (bytes < module_save_bytes(m)) return MODULE_ERROR_MEMORY;
    if (atomic_load_explicit(&m->keep.state, memory_order_acquire) == KEEP_ASKED) return MODULE_ERROR_BUSY;
    m->keep.to = memory;
    atomic_store_explicit(&m->keep.state, KEEP_ASKED, memory_order_release);
    return 0;
}

size_t module_saved(tudor_module *m) {
    if (!m || atomic_load_explicit(&m->keep.state, memory_order_acquire) != KEEP_DONE) return 0;
    return atomic_load_explicit(&m->keep.bytes, memory_order_relaxed);
}

/* Where a hand left it: a loop's inputs stand where they stood when it began. */
static float left_at(const tudor_module *m, uint32_t input) {
    const struct gesture *const g = &m->controls.gesture;
    return g->looping && g->in_loop[input] ? g->anchor[input] : m->controls.input[input];
}

static uint32_t write_inputs(tudor_module *m, struct cursor *c) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < IN_NOTE; i++) {
        if (!is_kept(i) || !m->controls.known[i]) continue;
        put(c, i);
        put_float(c, left_at(m, i));
        count++;
    }
    return count;
}

/* All but the gesture's events. */
static void write_head(tudor_module *m) {
    struct keep *const k = &m->keep;
    const struct gesture *const g = &m->controls.gesture;
    const struct voice *const v = &m->voice[m->voice[1].player ? 1 : 0];
    const struct player *const p = v->player;
    const uint32_t slot = p ? v->slot : MODULE_SLOTS, streams = p && p->caught && m->controls.frozen ? p->streams : 0;
    struct cursor c = {k->to + HEAD_BYTES};
    const uint32_t inputs = write_inputs(m, &c);
    for (uint32_t s = 0; s < streams; s++)
        for (uint32_t i = 0; i < p->latents; i++) put_float(&c, p->frozen[s][i]);
    k->bytes = (uint32_t)(c.at - k->to);
    c.at = k->to;
    put(&c, VERSION);
    put(&c, slot);
    memset(c.at, 0, MODULE_NAME);
    if (p) memcpy(c.at, m->slots[slot].name, MODULE_NAME);
    c.at += MODULE_NAME;
    put(&c, (m->controls.frozen ? FROZEN : 0u) | (g->looping ? LOOPING : 0u));
    put(&c, inputs);
    put(&c, streams ? streams * p->latents : 0);
    put(&c, g->length ? g->count : 0);
    put(&c, g->length);
    put(&c, m->config.sample_rate_hz);
    put(&c, (uint32_t)g->grid);
    put(&c, (uint32_t)(g->grid >> 32));
}

static void write_events(tudor_module *m) {
    struct keep *const k = &m->keep;
    const struct gesture *const g = &m->controls.gesture;
    const uint32_t all = g->length ? g->count : 0, left = all - k->event;
    const uint32_t end = k->event + (left < EVENTS_A_BLOCK ? left : EVENTS_A_BLOCK);
    struct cursor c = {k->to + k->bytes};
    for (; k->event < end; k->event++) {
        const struct gesture_event *const e = &g->events[k->event];
        put(&c, e->at);
        put(&c, e->input | (g->in_loop[e->input] ? LOOPS : 0u));
        put_float(&c, e->value);
    }
    k->bytes = (uint32_t)(c.at - k->to);
    if (k->event < all) return;
    k->event = NONE;
    atomic_store_explicit(&k->state, KEEP_DONE, memory_order_release);
}

/* At a block's end. */
void keep_step(tudor_module *m) {
    struct keep *const k = &m->keep;
    notice(m);
    if (atomic_load_explicit(&k->state, memory_order_acquire) != KEEP_ASKED || m->controls.gesture.recording) return;
    if (k->event == NONE || k->edits != m->controls.gesture.edits) {
        k->edits = m->controls.gesture.edits;
        k->event = 0;
        write_head(m);
    } else {
        write_events(m);
    }
}

/* ---- setting it again ---- */

struct kept {
    uint32_t slot, flags, inputs, latents, events, length, rate_hz;
    uint64_t grid;
    const char *name;
    const uint8_t *rest;
};

static int refuse(module_complaint *why, const char *text) {
    return complain(why, MODULE_ERROR_TEXT, 0, text, 0, 0, 0);
}

/* Every number is looked at: it comes from a flash or a card. */
static int read_head(const tudor_module *m, const uint8_t *at, size_t bytes, struct kept *k, module_complaint *why) {
    if (bytes < HEAD_BYTES) return refuse(why, "what was saved is cut short");
    if (word(&at) != VERSION) return refuse(why, "what was saved is of another version");
    k->slot = word(&at);
    k->name = (const char *)at;
    at += MODULE_NAME;
    k->flags = word(&at);
    k->inputs = word(&at);
    k->latents = word(&at);
    k->events = word(&at);
    k->length = word(&at);
    k->rate_hz = word(&at);
    k->grid = word(&at);
    k->grid |= (uint64_t)word(&at) << 32;
    k->rest = at;
    if (k->slot > MODULE_SLOTS || k->name[MODULE_NAME - 1] || k->inputs > INPUTS_KEPT || k->latents > LATENTS_KEPT ||
        k->events > m->config.gesture_events || k->length >> 31 || k->grid > 16 * BEAT || k->grid % (BEAT / 16) ||
        k->rate_hz < 4000 || k->rate_hz > 384000 || (k->events && k->length < TICK_SAMPLES) ||
        k->flags > (FROZEN | LOOPING))
        return refuse(why, "what was saved has a number outside its range");
    if (bytes != HEAD_BYTES + (size_t)k->inputs * INPUT_BYTES + (size_t)k->latents * 4 + (size_t)k->events * EVENT_BYTES)
        return refuse(why, "what was saved is cut short, or longer than it says");
    return 0;
}

static int within(float x, float most) { return magnitude(x) <= most; } /* false for what is no number */

static int check_rest(const struct kept *k, module_complaint *why) {
    const uint8_t *at = k->rest;
    int good = 1;
    for (uint32_t i = 0; i < k->inputs; i++) {
        good &= is_kept(word(&at));
        good &= within(number(&at), 1.0f);
    }
    for (uint32_t i = 0; i < k->latents; i++) good &= within(number(&at), LATENT_MOST);
    for (uint32_t i = 0; i < k->events; i++) {
        good &= word(&at) >> 31 == 0;
        good &= (word(&at) & ~LOOPS) < IN_GATE;
        good &= within(number(&at), 12.0f);
    }
    return good ? 0 : refuse(why, "what was saved has a value outside its range");
}

/* The slot of the same name; else, where models have no names, of the same number. */
static uint32_t slot_of(tudor_module *m, const struct kept *k) {
    for (uint32_t slot = 0; slot < MODULE_SLOTS; slot++)
        if (slot_is_there(m, slot) && !strcmp(m->slots[slot].name, k->name)) return slot;
    return !k->name[0] && k->slot < MODULE_SLOTS && slot_is_there(m, k->slot) ? k->slot : MODULE_SLOTS;
}

/* Times in samples are those of another board's rate. */
static uint32_t scaled(const tudor_module *m, const struct kept *k, uint32_t time) {
    const uint64_t there = k->grid ? time : (uint64_t)time * m->config.sample_rate_hz / k->rate_hz;
    return there >> 31 ? INT32_MAX : (uint32_t)there;
}

static void set_gesture(tudor_module *m, const struct kept *k, const uint8_t *at) {
    struct gesture *const g = &m->controls.gesture;
    uint8_t left[INPUTS] = {0};
    g->count = k->events;
    g->grid = k->grid;
    g->length = scaled(m, k, k->length);
    for (uint32_t i = 0; i < k->events; i++) {
        const uint32_t time = scaled(m, k, word(&at)), input = word(&at);
        g->events[i] = (struct gesture_event){time, (uint16_t)(input & ~LOOPS), number(&at)};
        if (!(input & LOOPS)) left[input] = 1;
    }
    if (k->flags & LOOPING) gesture_loop(m, 1, gesture_time(m, atomic_load(&m->now)));
    for (uint32_t i = 0; i < INPUTS; i++) g->in_loop[i] &= (uint8_t)!left[i];
}

int module_restore(tudor_module *m, const void *saved, size_t bytes, module_complaint *why) {
    struct kept k = {0};
    if (!m || !saved) return complain(why, MODULE_ERROR_ARGUMENT, 0, "a pointer is null", 0, 0, 0);
    int error = read_head(m, saved, bytes, &k, why);
    if (error || (error = check_rest(&k, why)) != 0) return error;
    const uint8_t *at = k.rest;
    for (uint32_t i = 0; i < k.inputs; i++) {
        const uint32_t input = word(&at);
        m->keep.noted[input] = clamped(number(&at), 0.0f, 1.0f);
        set_input(m, input, m->keep.noted[input]);
    }
    const uint32_t slot = slot_of(m, &k);
    if (slot < MODULE_SLOTS) {
        m->wanted = slot;
        if (!atomic_load(&m->slots[slot].ready)) atomic_store(&m->asked, slot);
    }
    m->keep.row_slot = slot;
    m->keep.row_count = k.latents;
    for (uint32_t i = 0; i < k.latents; i++) m->keep.row[i] = number(&at);
    m->controls.frozen = m->controls.held[ACTION_FREEZE] = k.flags & FROZEN;
    if (k.events) set_gesture(m, &k, at);
    m->keep.frozen = m->controls.frozen; /* no hand has changed anything yet */
    m->keep.gesture = m->controls.gesture.edits;
    m->keep.slot = slot;
    return 0;
}

/* A model begins: one that was frozen when the power went stays there. Two streams take what one held, one the left's. */
void keep_begin(tudor_module *m, struct player *p, uint32_t slot) {
    struct keep *const k = &m->keep;
    const int two = k->row_count == 2 * p->latents;
    if (k->row_count && k->row_slot == slot && (two || k->row_count == p->latents) && m->controls.frozen) {
        for (uint32_t s = 0; s < p->streams; s++)
            memcpy(p->frozen[s], &k->row[two ? s * p->latents : 0], p->latents * sizeof *k->row);
        p->caught = 1;
        p->freeze = 1.0f;
    }
    k->row_count = 0;
}
