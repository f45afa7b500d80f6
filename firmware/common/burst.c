/* Which models are drum voices with clocks of their own, how much later than its gate a stroke is heard, and where it all lies.
 * The work of the first rows is spread over that time: it is as short as what rang before needs to die away, or as long as
 * the board needs to make them. */
#include "instrument.h"

#define FADES_IN_SECOND 500u /* 2 ms: no corner of it is sharper than what rang */
#define SLICE_SAMPLES 16u
#define SLICES_MOST 64u

/* Rows from a gate's to the first that is heard: of what overlaps there is as much before an onset; 0: it is no such voice.
 * Nor is what has harmonics: its notes are held and bent, so all rows are to hear the gate and the pitch. */
uint32_t strokes_lead(const tudor_model *model, int method) {
    tudor_op_info op;
    uint32_t lead = 0;
    for (int i = 0; !tudor_op(model, method, i, &op); i++) {
        if (!strcmp(op.kind, "resynth") && op.phases) lead = op.kernel / op.phases;
        if (!strcmp(op.kind, "harmonics")) return 0;
    }
    return lead;
}

void strokes_plan(struct player *p, const module_config *config) {
    struct strokes *const s = &p->strokes;
    memset(s, 0, sizeof *s);
    if (p->way != MODULE_SOURCE || p->stages != 1 || !p->subject.strikes_one) return;
    s->count = config->ahead ? 2 : 1;
    s->lead = strokes_lead(&p->model, p->stage[0].method);
    s->seed = tudor_find_attribute(&p->model, "seed");
    s->method = p->stage[0].method;
    s->gate = p->subject.gate;
    s->fade = s->delay = config->sample_rate_hz / FADES_IN_SECOND;
    p->schedule.slices = p->frame < 2 * SLICE_SAMPLES ? 1 : p->frame < SLICES_MOST * SLICE_SAMPLES ? p->frame / SLICE_SAMPLES : SLICES_MOST;
    if (!config->burst_macs) return;
    const uint64_t macs = stage_cost(p, 0) * (s->lead + 1) * p->streams;
    const uint64_t second = 1000 * (uint64_t)config->burst_macs; /* MACs in it */
    const uint64_t samples = (macs * config->sample_rate_hz + second - 1) / second;
    if (samples > s->delay) s->delay = samples < FRAME_LIMIT ? (uint32_t)samples : FRAME_LIMIT;
}

void strokes_lay(struct player *p, const module_config *config, struct region *fast) {
    struct strokes *const s = &p->strokes;
    const uint32_t quality = config->resample_taps, row = p->streams * p->latents * (uint32_t)sizeof(float);
    const uint32_t early = (uint32_t)((uint64_t)(s->fade + 2 * TICK_SAMPLES) * p->up / p->down) + 2;
    s->row = take(fast, row);
    s->waiting = take(fast, row);
    s->before = take(fast, row);
    for (uint32_t k = 0; k < s->count; k++) {
        struct stroke *const v = &s->stroke[k];
        v->asked = take(fast, row);
        for (uint32_t c = 0; c < p->out_channels; c++) {
            v->tail[c] = take(fast, s->fade * sizeof(float));
            v->queue[c].size = 2 * p->frame + early + quality;
            v->queue[c].data = take(fast, v->queue[c].size * sizeof(float));
            if (p->up != p->down) lay_resampler(&v->out[c], p->down, p->up, quality, p->out[c].table, fast);
        }
    }
}

/* Of two that are made side by side by one instance. */
void strokes_lay_states(struct player *p, size_t state_bytes, struct region *bulk) {
    struct strokes *const s = &p->strokes;
    s->state_bytes = state_bytes;
    for (uint32_t k = 0; k < s->count && s->count > 1; k++) s->stroke[k].state = take(bulk, state_bytes);
    if (s->count > 1) s->attributes = take(bulk, p->attributes_used * sizeof(float));
}
