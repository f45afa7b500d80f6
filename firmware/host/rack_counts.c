/* What the parts of a callback cost: one part is counted in a run, so that counting disturbs nothing else. The linker
 * sends the calls of these functions through here (--wrap). */
#include "rack_counts.h"

#include "counter.h"
#include "instrument.h" /* of the instrument: its parts are counted where module_process calls them */
#include "platform.h"
#include "tally.h"

#include <string.h>

static const char *const names[] = {"off", "block", "player", "model", "ops", "input", "controls",
                                    "attributes", "latents", "mix", "output", "transport"};
static uint32_t chosen, wanted;

int rack_counts_choose(const char *name) {
    for (wanted = 0; wanted < sizeof names / sizeof *names; wanted++)
        if (strcmp(name, names[wanted]) == 0) return 1;
    wanted = RACK_OFF;
    return 0;
}

void rack_counts_begin(int marks) {
    chosen = wanted;
    if (chosen == RACK_OFF) return;
    counter_use(chosen == RACK_OPS ? COUNTER_OPS : COUNTER_CALLS, marks);
}

void rack_counts_enter(uint32_t part) {
    if (part == chosen) counter_begin(TALLY_CALLS);
}
void rack_counts_leave(uint32_t part) {
    if (part == chosen) counter_end(TALLY_CALLS);
}

#define COUNTED(part, name, parameters, arguments)      \
    void __real_##name parameters;                      \
    void __wrap_##name parameters;                      \
    void __wrap_##name parameters {                     \
        rack_counts_enter(part);                        \
        __real_##name arguments;                        \
        rack_counts_leave(part);                        \
    }

COUNTED(RACK_INPUT, input_block, (tudor_module *m, const float *const *in), (m, in))
COUNTED(RACK_CONTROLS, controls_until, (tudor_module *m, uint32_t samples), (m, samples))
COUNTED(RACK_ATTRIBUTES, player_attributes, (struct player *p), (p))
COUNTED(RACK_LATENTS, edit_rows, (const tudor_module *m, struct player *p, float *rows, int generated),
        (m, p, rows, generated))
COUNTED(RACK_MIX, mix_block, (tudor_module *m, float *const *out), (m, out))
COUNTED(RACK_OUTPUT, output_block, (tudor_module *m, float *const *out), (m, out))

int __real_player_run(tudor_module *m, struct player *p, float *const *out, int leads);
int __wrap_player_run(tudor_module *m, struct player *p, float *const *out, int leads);
int __wrap_player_run(tudor_module *m, struct player *p, float *const *out, int leads) {
    rack_counts_enter(RACK_PLAYER);
    const int fault = __real_player_run(m, p, out, leads);
    rack_counts_leave(RACK_PLAYER);
    return fault;
}

/* The transport: its step in every tick, and what pulses make of it. */
int __real_transport_step(struct transport *t, uint32_t samples);
int __wrap_transport_step(struct transport *t, uint32_t samples);
int __wrap_transport_step(struct transport *t, uint32_t samples) {
    rack_counts_enter(RACK_TRANSPORT);
    const int passed = __real_transport_step(t, samples);
    rack_counts_leave(RACK_TRANSPORT);
    return passed;
}
COUNTED(RACK_TRANSPORT, transport_pulse, (struct transport *t, enum transport_source source, uint32_t per_beat, uint32_t at),
        (t, source, per_beat, at))
COUNTED(RACK_TRANSPORT, actions_step, (tudor_module *m, int half_passed), (m, half_passed))
