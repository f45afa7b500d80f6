/* What happens to the instrument in the rack: controls and a host's transport at their time, planted faults, a clock
 * that tells what it is told, and a test signal. */
#include "rack.h"
#include "rack_counts.h"

/* ---- planted faults: the linker sends the runtime's calls through here ---- */

int __real_tudor_process(tudor *t, int method, const float *in, float *out, uint32_t samples);
int __real_tudor_process_slice(tudor *t, int method, const float *in, float *out, uint32_t samples, uint32_t slice,
                               uint32_t slices);
int __wrap_tudor_process(tudor *t, int method, const float *in, float *out, uint32_t samples);
int __wrap_tudor_process_slice(tudor *t, int method, const float *in, float *out, uint32_t samples, uint32_t slice,
                               uint32_t slices);

static uint32_t planted; /* the kind of the next fault; 0: none */

static void plant(float *out) {
    const uint32_t bits = planted == PLANT_NAN ? 0x7fc00000u : 0x7149f2cau; /* 1e30 */
    if (planted) memcpy(out, &bits, sizeof bits);
    planted = 0;
}

int __wrap_tudor_process(tudor *t, int method, const float *in, float *out, uint32_t samples) {
    rack_counts_enter(RACK_MODEL);
    const int error = __real_tudor_process(t, method, in, out, samples);
    rack_counts_leave(RACK_MODEL);
    plant(out);
    return error;
}

int __wrap_tudor_process_slice(tudor *t, int method, const float *in, float *out, uint32_t samples, uint32_t slice,
                               uint32_t slices) {
    rack_counts_enter(RACK_MODEL);
    const int error = __real_tudor_process_slice(t, method, in, out, samples, slice, slices);
    rack_counts_leave(RACK_MODEL);
    if (slice + 1 == slices) plant(out);
    return error;
}

/* ---- time ---- */

static double host_beats(const struct rack *r, uint32_t samples) { /* in the block or a little before it */
    return r->host_tempo <= 0.0f ? 0.0 : (double)(int32_t)samples * (double)r->host_tempo / 60.0 /
                                             (double)r->config.sample_rate_hz;
}

void rack_run_host(struct rack *r) {
    if (r->host_tempo == 0.0f) return;
    const float tempo = r->host_tempo < 0.0f ? -r->host_tempo : r->host_tempo;
    module_host_transport(r->m, &(module_transport){r->host_beat, tempo, r->host_meter ? r->host_meter : 4,
                                                    r->host_tempo > 0.0f});
    r->host_beat += host_beats(r, r->config.block_samples);
}

void rack_push_due(struct rack *r, uint32_t end) {
    for (; r->next < r->event_count && r->events[r->next].at_samples < end; r->next++) {
        const module_event *const e = &r->events[r->next];
        if (e->kind == PLANT_LOAD)
            r->load = e->value;
        else if (e->kind == PLANT_EACH)
            r->load_each = e->value;
        else if (e->kind == PLANT_MISS)
            module_report_miss(r->m);
        else if (e->kind == PLANT_NAN || e->kind == PLANT_HUGE)
            planted = e->kind;
        else if (e->kind == HOST_TEMPO)
            r->host_tempo = e->value;
        else if (e->kind == HOST_BEAT)
            r->host_beat = (double)e->value + host_beats(r, end - r->config.block_samples - e->at_samples);
        else
            (void)module_push(r->m, 0, e);
    }
}

/* A clock that tells what the script says; it is read at the beginning and at the end of every block. */
uint32_t rack_clock(void *context) {
    struct rack *const r = context;
    const uint32_t now = r->ticks;
    uint32_t streams = 0;
    for (uint32_t v = 0; v < 2; v++) streams += r->m->voice[v].player ? r->m->voice[v].player->streams : 0;
    const float load = r->load + r->load_each * (float)streams;
    r->ticks += (uint32_t)(load * (float)(r->config.block_samples * TICKS_PER_SAMPLE));
    return now;
}

/* Bursts of noise over a slow saw: loud, quiet and silent, with nothing of libm in it. */
float rack_signal(uint32_t i, uint32_t rate, uint32_t channel) {
    uint32_t n = (i + 1) * 2654435761u ^ (channel * 0x9E3779B9u);
    n = (n ^ n >> 15) * 0x735a2d97u;
    const uint32_t beat = rate / 4, at = i % beat;
    const float decay = 1.0f - (float)at / (float)beat, saw = (float)(i * 110u % rate) / (float)rate - 0.5f;
    const float noise = (float)(n >> 8) * 0x1p-23f - 1.0f;
    return i / rate % 4 == 3 ? 0.0f : 0.6f * noise * decay * decay * decay + 0.4f * saw;
}
