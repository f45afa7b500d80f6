/* Events from their lanes, at their time: into inputs, gates and notes, and from there to whatever is playing. */
#include "instrument.h"

#define GATE_ATTACK 0.005f /* seconds: of the sound when a gate plays it */
#define GATE_RELEASE 0.15f
#define RAMP_SECONDS 0.005f
#define FUTURE_SECONDS 2u

int module_push(tudor_module *m, uint32_t lane, const module_event *event) {
    if (!m || !event || lane >= m->config.lanes) return MODULE_ERROR_ARGUMENT;
    struct lane *const l = &m->lanes[lane];
    const uint32_t head = atomic_load_explicit(&l->head, memory_order_relaxed);
    const uint32_t tail = atomic_load_explicit(&l->tail, memory_order_acquire);
    if (head - tail == m->config.lane_events) {
        atomic_fetch_add_explicit(&m->dropped, 1, memory_order_relaxed);
        return MODULE_ERROR_FULL;
    }
    l->events[head & (m->config.lane_events - 1)] = *event;
    atomic_store_explicit(&l->head, head + 1, memory_order_release);
    return 0;
}

/* The model whose mapping holds: the one that comes, else the one that plays. */
struct player *leading(tudor_module *m) {
    return m->voice[1].player ? m->voice[1].player : m->voice[0].player;
}

void set_input(tudor_module *m, uint32_t input, float value) {
    m->controls.input[input] = value;
    m->controls.known[input] = 1;
    const uint32_t first = input < MODULE_KNOBS && m->voice[1].player; /* what goes keeps its knobs */
    for (uint32_t v = first; v < 2; v++)
        if (m->voice[v].player) player_hear(m->voice[v].player, input, value, 0);
}

/* ---- events ---- */

static void live_input(tudor_module *m, uint32_t input, float value, uint32_t now) {
    gesture_hear(m, input, value, now);
    keep_hear(m, input, value);
    if (!gesture_keeps(&m->controls.gesture, input, value)) set_input(m, input, value);
}

static void knob(tudor_module *m, uint32_t number, float value, uint32_t now) {
    struct player *const p = leading(m);
    m->controls.hand[number] = value;
    m->controls.hands |= 1u << number;
    if (p && player_waits(p, number, value)) return;
    live_input(m, IN_KNOB + number, value, now);
}

/* What lines say of this key alone. */
static void one_key(tudor_module *m, uint32_t number, uint32_t velocity) {
    for (uint32_t v = 0; v < 2; v++) {
        struct player *const p = m->voice[v].player;
        if (p && velocity) player_hear(p, IN_VELOCITY, (float)velocity / 127.0f, number + 1);
        if (p) player_hear(p, IN_KEY, velocity ? 1.0f : 0.0f, number + 1);
    }
}

static void note(tudor_module *m, uint32_t number, uint32_t velocity, uint32_t now, uint32_t at) {
    struct controls *const k = &m->controls;
    uint32_t kept = 0;
    one_key(m, number, velocity);
    for (uint32_t i = 0; i < k->note_count; i++)
        if (k->notes[i] != number) k->notes[kept++] = k->notes[i];
    const int was_held = kept != k->note_count;
    if (velocity) {
        if (kept == sizeof k->notes) memmove(k->notes, k->notes + 1, --kept);
        k->notes[kept++] = (uint8_t)number;
        live_input(m, IN_VELOCITY, (float)velocity / 127.0f, now);
    } else if (!was_held) {
        return;
    }
    k->note_count = (uint8_t)kept;
    if (kept) live_input(m, IN_NOTE, ((float)k->notes[kept - 1] - 60.0f) / 12.0f, now);
    if (velocity || !kept) set_input(m, IN_KEY, kept ? 1.0f : 0.0f);
    if (velocity)
        gate(m, IN_NOTE, 1, 0x10000u + number, at);
    else if (kept == 0)
        gate(m, IN_NOTE, 0, 0, at);
}

/* System messages: the clock and what belongs to it. */
static void midi_clock(tudor_module *m, const uint8_t *bytes, uint32_t at) {
    if (bytes[0] == 0xF8)
        transport_pulse(&m->transport, TRANSPORT_MIDI, MIDI_PULSES, at);
    else
        transport_midi(&m->transport, bytes[0], (bytes[1] & 0x7Fu) + 128u * (bytes[2] & 0x7Fu));
}

static void midi(tudor_module *m, const uint8_t *bytes, uint32_t now, uint32_t at) {
    const uint32_t a = bytes[1] & 0x7Fu, b = bytes[2] & 0x7Fu;
    switch (bytes[0] & 0xF0) {
    case 0x80: note(m, a, 0, now, at); break;
    case 0x90: note(m, a, b, now, at); break;
    case 0xB0:
        if (a == 120 || a == 123) { /* all sound off, all notes off */
            m->controls.note_count = 0;
            set_input(m, IN_KEY, 0.0f);
            gate(m, IN_NOTE, 0, 0, at);
        } else {
            const int was = m->controls.input[IN_CC + a] >= 0.5f;
            live_input(m, IN_CC + a, (float)b / 127.0f, now);
            if (was != (b >= 64)) gate(m, IN_CC + a, b >= 64, ++m->controls.jumps, at);
        }
        break;
    case 0xC0:
        if (a < MODULE_SLOTS) m->wanted = a;
        break;
    case 0xD0: live_input(m, IN_PRESSURE, (float)a / 127.0f, now); break;
    case 0xE0: live_input(m, IN_BENDER, ((float)(a + 128 * b) - 8192.0f) / 8192.0f, now); break;
    case 0xF0: midi_clock(m, bytes, at); break;
    default: break; /* poly pressure */
    }
}

static void apply(tudor_module *m, const module_event *e, uint32_t now) {
    static const uint32_t counts[] = {0, MODULE_KNOBS, MODULE_CVS, MODULE_GATES, 1, MODULE_SLOTS};
    struct controls *const k = &m->controls;
    const uint32_t i = e->source;
    const int has_value = e->kind == MODULE_KNOB || e->kind == MODULE_CV || e->kind == MODULE_GATE;
    if (e->kind < MODULE_KNOB || e->kind > MODULE_SELECT || (e->kind != MODULE_MIDI && i >= counts[e->kind]) ||
        (e->kind == MODULE_MIDI && e->midi[0] < 0x80) || (has_value && !is_finite(e->value))) {
        m->ignored++;
        return;
    }
    for (uint32_t v = 0; v < 2; v++)
        if (m->voice[v].player) m->voice[v].player->event_at = e->at_samples;
    if (e->kind == MODULE_KNOB)
        knob(m, i, calibrated(&k->calibration[IN_KNOB + i], e->value, 0.0f, 1.0f), now);
    else if (e->kind == MODULE_CV)
        live_input(m, IN_CV + i, calibrated(&k->calibration[IN_CV + i], e->value, -12.0f, 12.0f), now);
    else if (e->kind == MODULE_MIDI)
        midi(m, e->midi, now, e->at_samples);
    else if (e->kind == MODULE_SELECT)
        m->wanted = i;
    else {
        const int high = e->value > 0.5f, was = k->input[IN_GATE + i] > 0.5f;
        if (high == was && k->known[IN_GATE + i]) return;
        set_input(m, IN_GATE + i, high ? 1.0f : 0.0f);
        if (high != was) gate(m, IN_GATE + i, high, ++k->jumps, e->at_samples);
    }
}

/* What is due before `end`, of every lane. */
static void take_events(tudor_module *m, uint32_t end) {
    const uint32_t future = FUTURE_SECONDS * m->config.sample_rate_hz;
    for (uint32_t lane = 0; lane < m->config.lanes; lane++) {
        struct lane *const l = &m->lanes[lane];
        uint32_t tail = atomic_load_explicit(&l->tail, memory_order_relaxed);
        const uint32_t head = atomic_load_explicit(&l->head, memory_order_acquire);
        while (tail != head) {
            const module_event e = l->events[tail & (m->config.lane_events - 1)];
            const uint32_t ahead = e.at_samples - end;
            if (ahead < future) break; /* not yet; the past wraps to far ahead */
            apply(m, &e, end);
            atomic_store_explicit(&l->tail, ++tail, memory_order_release);
        }
    }
}

/* ---- time ---- */

static int plays_by_gate(const struct player *p) {
    for (uint32_t i = 0; i < p->mapping.count; i++)
        if (p->mapping.connections[i].target == TARGET_ACTION && p->mapping.connections[i].index == ACTION_PLAY) return 1;
    return 0;
}

/* Levels at the end of a tick; the samples before it lie on a line. */
static void ramp_to(tudor_module *m, uint32_t from, uint32_t samples) {
    const struct player *const p = leading(m);
    const float seconds = (float)samples / (float)m->config.sample_rate_hz;
    const float open = p && plays_by_gate(p) ? (float)m->controls.play_gates : 1.0f;
    const float gate_seconds = open > m->envelope_gate ? GATE_ATTACK : GATE_RELEASE;
    m->envelope_gate = flushed(m->envelope_gate + (open - m->envelope_gate) * (seconds / (seconds + gate_seconds)));
    const float goals[RAMPS] = {p ? player_scalar(p, TARGET_WET) : 0.0f,
                                (p ? player_scalar(p, TARGET_OUTPUT) : 1.0f) * m->envelope_gate};
    for (uint32_t k = 0; k < RAMPS; k++) {
        const float last = m->ramp_last[k];
        const float toward = flushed(last + (goals[k] - last) * (seconds / (seconds + RAMP_SECONDS)));
        const float next = magnitude(goals[k] - toward) < 1e-6f ? goals[k] : toward;
        const float step = (next - last) / (float)samples;
        for (uint32_t i = 0; i < samples; i++) m->ramp[k][from + i] = last + step * (float)(i + 1);
        m->ramp_last[k] = next;
    }
}

/* The tempo of the mapping, when that has changed: by a knob, or with the slot. */
static void ask_tempo(tudor_module *m) {
    const struct player *const p = leading(m);
    if (!p || !p->mapping.has_tempo) return;
    const float tempo = player_scalar(p, TARGET_TEMPO);
    if (tempo == m->controls.tempo) return;
    m->controls.tempo = tempo;
    transport_own(&m->transport, tempo);
}

void module_host_transport(tudor_module *m, const module_transport *host) {
    if (!m || !host) return;
    const int sane = host->tempo >= TEMPO_LEAST && host->tempo <= TEMPO_MOST && host->meter >= 1 && host->meter <= 16 &&
                     host->beat >= -4e6 && host->beat <= 4e6;
    if (!sane)
        m->ignored++;
    else
        transport_host(&m->transport, host->tempo, host->beat, host->meter, host->playing != 0);
}

/* Works the controls out up to `samples` of this block, a tick at a time. */
void controls_until(tudor_module *m, uint32_t samples) {
    const uint32_t now = atomic_load_explicit(&m->now, memory_order_relaxed);
    if (m->next_tick == 0) ask_tempo(m);
    while (m->next_tick < samples) {
        const uint32_t from = m->next_tick, left = m->config.block_samples - from;
        const uint32_t length = left < TICK_SAMPLES ? left : TICK_SAMPLES;
        const int half_passed = transport_step(&m->transport, length);
        take_events(m, now + from + length);
        if (half_passed || m->controls.waits || m->controls.moves != m->transport.moves) actions_step(m, half_passed);
        gesture_step(m, now + from + length);
        for (uint32_t v = 0; v < 2; v++)
            if (m->voice[v].player) player_step(m->voice[v].player, length);
        ramp_to(m, from, length);
        m->next_tick = from + length;
    }
}
