/* What gates do: at once, or at the line of a beat or bar that they wait for. */
#include "instrument.h"

/* ---- doing it ---- */

/* `line`: where it belongs, if it has a grid. */
static void perform(tudor_module *m, uint32_t action, int on, uint32_t place, uint64_t grid, uint64_t line) {
    struct controls *const k = &m->controls;
    struct player *const p = leading(m);
    const uint32_t now = m->transport.time, on_line = (uint32_t)(line >> 20); /* as gestures count */
    const uint32_t time = grid && k->gesture.grid ? on_line : gesture_time(m, now);
    if (on) k->begun[action] = line;
    switch (action) {
    case ACTION_FREEZE: k->frozen = (uint32_t)on; break;
    case ACTION_PLAY: k->play_gates = (uint32_t)on; break;
    case ACTION_RECORD: gesture_record(m, on, grid, !on ? time : grid ? on_line : now); break;
    case ACTION_LOOP: gesture_loop(m, !k->gesture.looping, time); break;
    case ACTION_RESET: m->voice[m->voice[1].player ? 1 : 0].reset = 1; break;
    case ACTION_NEXT: request_next(m); break;
    case ACTION_CAPTURE: capture_begin(m); break;
    default:
        if (p) place_jump(m, p, place);
    }
}

/* How much earlier than its line an action is due, to be heard there: what moves latents sounds after the model. */
static uint64_t early(const tudor_module *m, uint32_t action) {
    const struct player *const p = leading((tudor_module *)(uintptr_t)m);
    if (!p || (action != ACTION_JUMP && action != ACTION_FREEZE)) return 0;
    const uint32_t frame = p->frame * p->down / p->up, half_frame = frame / 2;
    const uint32_t late = p->latency_samples + m->limiter_samples + m->config.heard_samples;
    if (action == ACTION_FREEZE && p->tape.size)
        return (uint64_t)m->transport.step * (late + tape_early(p, frame) + m->config.block_samples);
    if (p->edited == 0) return (uint64_t)m->transport.step * (late + half_frame); /* for the frame that begins next */
    return (uint64_t)m->transport.step * (late > half_frame ? late - half_frame : 0);
}

/* The first line that is not over: one that was passed by less than a sixteenth of a grid and of a beat is meant. */
static uint64_t line_from(uint64_t position, uint64_t grid) {
    const uint64_t grace = (grid < BEAT ? grid : BEAT) / 16;
    const uint64_t from = position < grace ? 0 : position - grace;
    return (from + grid - 1) / grid * grid;
}

/* Does it, or lets it wait. What is ended before it has begun lasts one grid. */
static void want(tudor_module *m, uint32_t action, int on, uint32_t place, uint64_t grid) {
    struct controls *const k = &m->controls;
    struct waiting *const w = k->waiting[action];
    const uint32_t bit = 1u << (2 * action + (on ? 1 : 0));
    if (!grid) {
        k->waits &= ~(3u << (2 * action));
        perform(m, action, on, place, 0, m->transport.position);
        return;
    }
    const uint64_t ahead = m->transport.position + early(m, action);
    uint64_t line = line_from(ahead, grid);
    if (on && k->waits & bit >> 1) { /* it was to end, and shall not */
        k->waits &= ~(bit >> 1);
        return;
    }
    if (!on) {
        const uint64_t begins = k->waits & bit << 1 ? w[1].line : k->begun[action];
        if ((int64_t)(line - begins) < (int64_t)grid && (int64_t)(line - begins) > -(int64_t)grid) line = begins + grid;
    }
    if ((int64_t)(ahead - line) >= 0) {
        k->waits &= ~bit;
        perform(m, action, on, place, grid, line);
    } else {
        w[on ? 1 : 0] = (struct waiting){line, grid, place};
        k->waits |= bit;
    }
}

/* The song was moved: what waits, waits for the next line there. */
static void aim_again(tudor_module *m) {
    struct controls *const k = &m->controls;
    for (uint32_t i = 0; i < 2 * ACTIONS; i++) {
        if (!(k->waits >> i & 1)) continue;
        struct waiting *const w = &k->waiting[i / 2][i & 1];
        w->line = line_from(m->transport.position + early(m, i / 2), w->grid);
        if (!(i & 1) && k->waits >> (i + 1) & 1) w->line += w->grid; /* its beginning waits too */
    }
    gesture_moved(m);
    k->moves = m->transport.moves;
}

static void perform_due(tudor_module *m) {
    struct controls *const k = &m->controls;
    for (uint32_t i = 0; i < 2 * ACTIONS; i++) {
        struct waiting *const w = &k->waiting[i / 2][i & 1];
        if (!(k->waits >> i & 1) || (int64_t)(m->transport.position + early(m, i / 2) - w->line) < 0) continue;
        k->waits &= ~(1u << i);
        perform(m, i / 2, (int)(i & 1), w->place, w->grid, w->line);
    }
}

/* Behind a step of the transport, if something waits, or a line was passed, or the song was moved. */
void actions_step(tudor_module *m, int half_passed) {
    const struct transport *const t = &m->transport;
    if (m->controls.moves != t->moves) aim_again(m);
    if (m->controls.waits) perform_due(m);
    if (!half_passed) return;
    const uint32_t beat = t->half / 2;
    const int high = t->half % 2 == 0;
    for (uint32_t input = IN_BEAT; input <= IN_BAR; input++) {
        if (input == IN_BAR && beat % t->meter != 0) continue;
        set_input(m, input, high ? 1.0f : 0.0f);
        gate(m, input, high, ++m->controls.jumps, t->time);
    }
}

/* ---- gates ---- */

static int drawn(tudor_module *m, float chance) {
    if (chance >= 1.0f) return 1;
    return 0.5f + 0.5f * uniform(m->config.seed * 0x85EBCA6Bu + ++m->controls.draws) < chance;
}

/* A gate did something at a time; `place`: where a jump leads, the same for the same note. */
static void act(tudor_module *m, const struct connection *c, int high, uint32_t place, uint32_t at) {
    struct controls *const k = &m->controls;
    const int lasts = c->index == ACTION_FREEZE || c->index == ACTION_RECORD || c->index == ACTION_PLAY;
    if (!high && (c->toggles || !lasts)) return;
    if (c->index == ACTION_CLOCK)
        transport_pulse(&m->transport, TRANSPORT_GATE, c->attribute, at);
    else if (c->index == ACTION_TAP)
        transport_tap(&m->transport, at);
    else if (c->index == ACTION_DOWNBEAT)
        transport_downbeat(&m->transport, at);
    else if (lasts || drawn(m, c->chance)) {
        const int on = c->toggles ? !k->held[c->index] : high;
        const uint64_t sixteenth = BEAT / 16, bar = m->transport.meter * BEAT;
        if (lasts) k->held[c->index] = (uint32_t)on;
        want(m, c->index, on, place, c->at == AT_BAR ? bar : c->at * sixteenth);
    }
}

void gate(tudor_module *m, uint32_t input, int high, uint32_t place, uint32_t at) {
    struct player *const p = leading(m);
    for (uint32_t i = 0; p && i < p->mapping.count; i++) {
        const struct connection *const c = &p->mapping.connections[i];
        if (c->target == TARGET_ACTION && c->input == input) act(m, c, high, place, at);
    }
}

static int is_high(const struct controls *k, uint32_t input) {
    return input == IN_NOTE ? k->note_count > 0 : k->input[input] >= 0.5f;
}

/* A model comes, and with it a mapping: gates mean what that one says. What none of them holds ends, since none could
 * end it; but a recording does not begin with a slot. */
void controls_hand_over(tudor_module *m, const struct player *p) {
    static const uint32_t lasting[] = {ACTION_FREEZE, ACTION_RECORD, ACTION_PLAY};
    struct controls *const k = &m->controls;
    if (m->transport.source != TRANSPORT_HOST) m->transport.meter = p->mapping.meter;
    for (uint32_t a = 0; a < sizeof lasting / sizeof *lasting; a++) {
        uint32_t on = 0;
        for (uint32_t i = 0; i < p->mapping.count; i++) {
            const struct connection *const c = &p->mapping.connections[i];
            if (c->target == TARGET_ACTION && c->index == lasting[a])
                on |= c->toggles ? k->held[c->index] : (uint32_t)is_high(k, c->input);
        }
        if (on == k->held[lasting[a]] || (on && lasting[a] == ACTION_RECORD)) continue;
        k->held[lasting[a]] = on;
        want(m, lasting[a], (int)on, 0, 0);
    }
}
