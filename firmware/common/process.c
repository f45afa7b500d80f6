/* One block, the load it made, and the status that everybody may read. */
#include "instrument.h"

#include "fpenv.h"

#define MISS 8u            /* a block that came late weighs as much as so many that did not */
#define OVERLOADED 32u     /* four late ones in a row, or one in nine for long */
#define LIMITING (15u << 20) /* the limiter's gain at -0.56 dB */

static void publish(tudor_module *m);

/* How long the block took, of the time that it lasts. */
static void meter(tudor_module *m, uint32_t began) {
    const uint32_t late = atomic_exchange_explicit(&m->reported, 0, memory_order_relaxed);
    float load = 0.0f;
    if (m->config.clock) {
        const uint32_t ticks = m->config.clock(m->config.context) - began;
        load = (float)ticks * (float)m->config.sample_rate_hz /
               ((float)m->config.clock_hz * (float)m->config.block_samples);
    }
    const float part = 1.0f / (float)m->blocks_per_second;
    m->load = m->blocks ? flushed(m->load + part * (load - m->load)) : load;
    if (load >= m->load_worst || ++m->worst_blocks > m->blocks_per_second) {
        m->load_worst = load;
        m->worst_blocks = 0;
    }
    const uint32_t missed = late < 64 ? late : 64, heavy = missed + (load > voices_limit(m));
    m->misses += missed + (load > m->config.overload_load);
    m->pressure = heavy ? m->pressure + heavy * MISS : m->pressure ? m->pressure - 1 : 0;
    if (m->pressure < OVERLOADED) return;
    m->pressure = 0;
    voices_overload(m);
}

void module_process(tudor_module *m, const float *const *in, float *const *out) {
    const uint32_t began = m->config.clock ? m->config.clock(m->config.context) : 0;
    const uint32_t mode = fpenv_enter();
    m->next_tick = 0;
    voices_begin(m);
    input_block(m, in);
    voices_run(m);
    controls_until(m, m->config.block_samples);
    mix_block(m, out);
    output_block(m, out);
    voices_end(m);
    keep_step(m);
    capture_step(m);
    atomic_store_explicit(&m->now, atomic_load_explicit(&m->now, memory_order_relaxed) + m->config.block_samples,
                          memory_order_release);
    meter(m, began);
    m->blocks++;
    publish(m);
    fpenv_leave(mode);
    if (m->config.healthy) m->config.healthy(m->config.context);
}

void module_report_miss(tudor_module *m) { atomic_fetch_add_explicit(&m->reported, 1, memory_order_relaxed); }

/* ---- status: words behind a sequence number that is odd while they change ---- */

static uint32_t state_of(const tudor_module *m) {
    const struct voice *const v = &m->voice[0];
    if (m->voice[1].player || m->leaving) return MODULE_CHANGING;
    if (!v->player) return MODULE_EMPTY;
    if (v->resting) return v->cause == CAUSE_OVERLOAD ? MODULE_OVERLOAD : MODULE_RECOVERING;
    return v->warm || v->reset ? MODULE_RECOVERING : MODULE_PLAYING;
}

static void fill(tudor_module *m, module_status *s) {
    const struct voice *const v = &m->voice[m->voice[1].player ? 1 : 0];
    const struct gesture *const g = &m->controls.gesture;
    memset(s, 0, sizeof *s);
    s->blocks = m->blocks;
    s->state = state_of(m);
    s->flags = (m->controls.frozen ? MODULE_FROZEN : 0u) | (g->recording ? MODULE_RECORDING : 0u) |
               (g->looping ? MODULE_LOOPING : 0u) | (m->limiter.lowest < LIMITING ? MODULE_LIMITING : 0u) |
               (transport_is_led(&m->transport) ? MODULE_CLOCKED : 0u) |
               (m->transport.stopped ? MODULE_STOPPED : 0u);
    s->tempo = transport_tempo(&m->transport);
    s->beat = (uint32_t)(m->transport.position >> 40);
    s->beat_phase = transport_beat_phase(m->transport.position);
    s->bar_phase = transport_bar_phase(&m->transport, m->transport.position);
    s->slot = v->player ? v->slot : m->leaving ? m->wanted : MODULE_SLOTS;
    for (uint32_t i = 0; i < MODULE_SLOTS; i++)
        if (slot_is_there(m, i)) s->loaded |= 1u << i;
    s->load = m->load;
    s->load_worst = m->load_worst;
    s->misses = m->misses;
    s->overloads = m->overloads;
    s->faults = m->faults;
    s->dropped = atomic_load_explicit(&m->dropped, memory_order_relaxed);
    s->ignored = m->ignored;
    s->nonfinite = m->nonfinite;
    s->in_peak = m->in_peak;
    s->out_peak = m->out_peak;
    s->reduction = (float)m->limiter.lowest * 0x1p-24f;
    s->envelope = m->envelope;
    s->latency_samples = m->limiter_samples;
    if (!v->player) return;
    s->way = v->player->way;
    s->streams = v->player->streams;
    s->flags |= m->slots[v->slot].narrow ? MODULE_NARROWED : 0u;
    s->latency_samples += v->player->latency_samples;
    s->strike_samples = v->player->strike_samples ? v->player->strike_samples + m->limiter_samples : 0;
    s->wet = m->ramp_last[RAMP_WET] * smooth_step((float)v->gain / (float)m->fade_samples);
    s->latents = v->player->latents < MODULE_SHOWN ? v->player->latents : MODULE_SHOWN;
    memcpy(s->latent, v->player->shown, s->latents * sizeof(float));
}

static void publish(tudor_module *m) {
    module_status s;
    uint32_t words[STATUS_WORDS];
    fill(m, &s);
    memcpy(words, &s, sizeof words);
    const uint32_t sequence = atomic_load_explicit(&m->sequence, memory_order_relaxed);
    atomic_store_explicit(&m->sequence, sequence + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    for (uint32_t i = 0; i < STATUS_WORDS; i++) atomic_store_explicit(&m->status[i], words[i], memory_order_relaxed);
    atomic_store_explicit(&m->sequence, sequence + 2, memory_order_release);
}

/* Reads until nothing changed meanwhile; gives up after some tries, since an interrupt may never see the end of what
 * it interrupted: what it then has is a mixture of two blocks. */
void module_read_status(const tudor_module *module, module_status *status) {
    tudor_module *const m = (tudor_module *)(uintptr_t)module; /* C11 cannot read const atomics everywhere */
    uint32_t words[STATUS_WORDS];
    for (uint32_t tries = 0; tries < 16; tries++) {
        const uint32_t before = atomic_load_explicit(&m->sequence, memory_order_acquire);
        for (uint32_t i = 0; i < STATUS_WORDS; i++) words[i] = atomic_load_explicit(&m->status[i], memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        if (before == atomic_load_explicit(&m->sequence, memory_order_relaxed) && !(before & 1)) break;
    }
    memcpy(status, words, sizeof *status);
}

uint32_t module_now(const tudor_module *m) {
    return atomic_load_explicit(&((tudor_module *)(uintptr_t)m)->now, memory_order_acquire);
}

uint32_t module_limiter_samples(const tudor_module *m) { return m->limiter_samples; }

const char *module_state_text(uint32_t state) {
    static const char *const texts[] = {"empty", "playing", "changing", "overload", "recovering"};
    return state < sizeof texts / sizeof *texts ? texts[state] : "unknown";
}
