#include "gates.h"

#include "gpio.h"

struct gate gates_of(const struct settings *s, int i) {
    const struct digital_pin *const pin = &s->gate[i];
    return (struct gate){.line = pin->line, .source = i, .inverted = pin->inverted,
                         .lockout_ns = pin->button ? BUTTON_LOCKOUT_NS : JACK_LOCKOUT_NS};
}

static void told(struct gate *gate, int level, uint64_t at_ns, gate_tell *tell, void *context) {
    gate->told = level;
    gate->until_ns = at_ns + gate->lockout_ns;
    tell(context, gate->source, level != gate->inverted, at_ns);
}

void gates_start(struct gates *g, uint64_t levels, uint64_t at_ns, gate_tell *tell, void *context) {
    for (int i = 0; i < g->count; i++) {
        g->gate[i].level = levels >> i & 1;
        told(&g->gate[i], g->gate[i].level, at_ns, tell, context);
        g->gate[i].until_ns = 0;
    }
}

void gates_settle(struct gates *g, uint64_t now_ns, gate_tell *tell, void *context) {
    for (uint64_t due; (due = gates_due_ns(g)) <= now_ns;) /* in the order of time */
        for (int i = 0; i < g->count; i++)
            if (g->gate[i].level != g->gate[i].told && g->gate[i].until_ns == due)
                told(&g->gate[i], g->gate[i].level, due, tell, context);
}

void gates_edge(struct gates *g, int line, int level, uint64_t at_ns, gate_tell *tell, void *context) {
    gates_settle(g, at_ns, tell, context);
    for (int i = 0; i < g->count; i++) {
        struct gate *const gate = &g->gate[i];
        if (gate->line != line) continue;
        gate->level = level;
        if (level != gate->told && at_ns >= gate->until_ns) told(gate, level, at_ns, tell, context);
    }
}

uint64_t gates_due_ns(const struct gates *g) {
    uint64_t due = NEVER_NS;
    for (int i = 0; i < g->count; i++)
        if (g->gate[i].level != g->gate[i].told && g->gate[i].until_ns < due) due = g->gate[i].until_ns;
    return due;
}

void gates_read(struct gates *g, int lines, uint64_t now_ns, gate_tell *tell, void *context) {
    struct gpio_edge edge;
    while (gpio_edge(lines, &edge)) gates_edge(g, edge.line, edge.level, edge.at_ns, tell, context);
    gates_settle(g, now_ns, tell, context);
}
