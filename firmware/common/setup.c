/* Starting the instrument, and filling its slots. */
#include "instrument.h"

#define LOOP_B 0x20000u /* the place that a loop's morphing leads to, until it jumps there; no note's */

void module_defaults(module_config *c) {
    memset(c, 0, sizeof *c);
    c->sample_rate_hz = 48000;
    c->block_samples = 48;
    c->in_channels = c->out_channels = c->lanes = 1;
    c->lane_events = 256;
    c->gesture_events = 1024;
    c->dry_samples = 16384;
    c->resample_taps = 32;
    c->resample_bytes = 131072;
    c->fade_ms = 30;
    c->slots = MODULE_SLOTS;
    c->seed = c->catch_up = 1;
    c->ceiling = 0.98f;
    c->overload_load = 0.95f;
    c->stereo_load = 0.75f;
}

static int power_of_two(uint32_t n, uint32_t most) { return n >= 1 && n <= most && (n & (n - 1)) == 0; }

static int is_possible(const module_config *c) {
    return c && c->sample_rate_hz >= 4000 && c->sample_rate_hz <= 384000 && c->block_samples >= 1 &&
           c->block_samples <= 8192 && c->in_channels <= MODULE_CHANNELS && c->out_channels >= 1 &&
           c->out_channels <= MODULE_CHANNELS && c->lanes >= 1 && c->lanes <= MODULE_LANES &&
           power_of_two(c->lane_events, 1u << 20) && c->gesture_events <= 1u << 20 &&
           power_of_two(c->dry_samples, 1u << 22) && c->dry_samples >= 2 * c->block_samples &&
           (c->resample_taps == 0 || (c->resample_taps >= 8 && c->resample_taps <= 128 && c->resample_taps % 2 == 0)) &&
           c->slots >= 1 && c->slots <= MODULE_SLOTS && c->fade_ms >= 1 && c->fade_ms <= 1000 && c->ceiling >= 0.1f &&
           c->ceiling <= 1.0f && c->overload_load > 0.0f && c->heard_samples <= c->sample_rate_hz &&
           c->overlap <= MODULE_OVERLAP_MEASURED && c->stereo <= MODULE_STEREO_AUTO && c->stereo_load > 0.0f && (!c->clock || c->clock_hz > 0);
}

/* 0.7 ms, so that the gain's way down stays below what an ear hears as a click. */
static uint32_t limiter_length(uint32_t sample_rate_hz) {
    uint32_t length = 8;
    while (length * 2 <= sample_rate_hz / 1400 && length < 256) length *= 2;
    return length;
}

static float *floats(struct region *r, size_t count) { return take(r, count * sizeof(float)); }

static void lay(const module_config *c, struct region *r, tudor_module *m) {
    const uint32_t length = limiter_length(c->sample_rate_hz);
    for (uint32_t i = 0; i < c->lanes; i++) m->lanes[i].events = take(r, c->lane_events * sizeof(module_event));
    m->controls.gesture.events = take(r, c->gesture_events * sizeof(struct gesture_event));
    for (uint32_t i = 0; i < MODULE_CHANNELS; i++) {
        m->trimmed[i] = floats(r, c->block_samples);
        m->wet[0][i] = floats(r, c->block_samples);
        m->wet[1][i] = floats(r, c->block_samples);
        m->dry[i] = i < c->in_channels ? floats(r, c->dry_samples) : 0;
        m->limiter.delay[i] = floats(r, length);
    }
    for (uint32_t i = 0; i < RAMPS; i++) m->ramp[i] = floats(r, c->block_samples);
    m->limiter.wanted = take(r, length * sizeof(uint32_t));
    m->limiter.held = take(r, length * sizeof(uint32_t));
}

size_t module_bytes(const module_config *config) {
    struct region counted = {0, 0};
    tudor_module pointers; /* not one of them leads anywhere */
    if (!is_possible(config)) return 0;
    (void)take(&counted, sizeof pointers);
    lay(config, &counted, &pointers);
    return counted.used;
}

static int misaligned(const void *pointer) { return ((uintptr_t)pointer & 63) != 0; }

static void start_limiter(tudor_module *m) {
    struct limiter *const l = &m->limiter;
    l->length = limiter_length(m->config.sample_rate_hz);
    for (uint32_t k = 0; k < l->length; k++) l->wanted[k] = l->held[k] = 1u << 24;
    l->gain = l->lowest = 1u << 24;
    l->sum = l->length << 24;
    l->step = (uint32_t)((1u << 24) / (m->config.sample_rate_hz / 10)); /* back from silence in 100 ms */
    m->limiter_samples = l->length - 1;
}

int module_init(const module_config *config, void *memory, size_t bytes, tudor_module **module) {
    if (!memory || !module || !is_possible(config)) return MODULE_ERROR_ARGUMENT;
    const size_t need = module_bytes(config);
    if (bytes < need || misaligned(memory)) return MODULE_ERROR_MEMORY;
    memset(memory, 0, need);
    struct region region = {memory, 0};
    tudor_module *const m = take(&region, sizeof *m);
    lay(config, &region, m);
    m->config = *config;
    m->overlap = config->overlap == MODULE_OVERLAP_ALWAYS;
    m->wanted = m->keep.slot = MODULE_SLOTS;
    m->keep.event = NONE;
    atomic_store(&m->asked, MODULE_SLOTS);
    m->voice[0].slot = m->voice[1].slot = MODULE_SLOTS;
    const uint64_t fade = (uint64_t)config->fade_ms * config->sample_rate_hz / 1000;
    const uint32_t blocks = (uint32_t)(fade / config->block_samples);
    m->fade_samples = (blocks ? blocks : 1) * config->block_samples; /* whole blocks */
    m->blocks_per_second = config->sample_rate_hz / config->block_samples;
    if (!m->blocks_per_second) m->blocks_per_second = 1;
    m->controls.gesture.size = config->gesture_events;
    m->controls.gesture.thin_samples = config->sample_rate_hz / 100;
    for (uint32_t i = 0; i < IN_CC; i++) plain_calibration(&m->controls.calibration[i], i);
    m->dc_keep = 1.0f - 31.4159265f / (float)config->sample_rate_hz;
    m->ramp_last[RAMP_LEVEL] = m->envelope_gate = m->trim = 1.0f;
    start_limiter(m);
    transport_start(&m->transport, config->sample_rate_hz);
    *module = m;
    return 0;
}

int module_read_calibration(tudor_module *m, const char *text, size_t bytes, module_complaint *why) {
    struct calibration read[IN_CC];
    if (!m || !text) return MODULE_ERROR_ARGUMENT;
    memcpy(read, m->controls.calibration, sizeof read);
    const int error = read_calibration(text, bytes, read, why);
    if (!error) memcpy(m->controls.calibration, read, sizeof read);
    return error;
}

/* ---- slots ---- */

int module_measure(const tudor_module *m, const void *file, size_t file_bytes, const char *mapping,
                   size_t mapping_bytes, module_need *need, module_complaint *why) {
    struct player p;
    struct region fast = {0, 0}, bulk = {0, 0};
    if (!m || !file || !need) return complain(why, MODULE_ERROR_ARGUMENT, 0, "a pointer is null", 0, 0, 0);
    int error = player_prepare(&p, m, file, file_bytes, mapping, mapping_bytes, why);
    if (error) return error;
    (void)take(&fast, sizeof p);
    if ((error = player_lay(&p, m, &fast, &bulk, why)) != 0) return error;
    const uint32_t saved = p.strokes.delay - p.strokes.fade; /* where a stroke was made ahead */
    const uint32_t ready = p.strokes.count > 1 ? p.strike_samples + m->limiter_samples - saved : 0;
    *need = (module_need){fast.used, bulk.used, p.way, p.latency_samples + m->limiter_samples, p.streams,
                          p.schedule.slices, p.strike_samples ? p.strike_samples + m->limiter_samples : 0, ready,
                          p.stages, {p.stage[0].method, p.stage[1].method}, p.frame};
    return 0;
}

size_t module_derive_mapping(const tudor_module *m, const void *file, size_t file_bytes, char *text, size_t size) {
    tudor_model model;
    struct subject subject;
    if (!m || !file || !text || !size || tudor_open(file, file_bytes, &model, 0) ||
        describe(&model, m->config.sample_rate_hz, m->config.in_channels, &subject, 0))
        return 0;
    return derive_mapping(&subject, m->config.slots, text, size);
}

static void set_name(char *to, const char *name) {
    size_t i = 0;
    for (; name && name[i] && i + 1 < MODULE_NAME; i++) to[i] = name[i];
    memset(to + i, 0, MODULE_NAME - i);
}

int module_load(tudor_module *m, uint32_t slot, const char *name, const void *file, size_t file_bytes,
                const char *mapping, size_t mapping_bytes, void *fast, size_t fast_bytes, void *bulk,
                size_t bulk_bytes, module_complaint *why) {
    return module_load_parts(m, slot, name, file, file_bytes, 0, 0, mapping, mapping_bytes, fast, fast_bytes, bulk,
                             bulk_bytes, why);
}

int module_load_parts(tudor_module *m, uint32_t slot, const char *name, const void *file, size_t file_bytes,
                      const tudor_part *parts, uint32_t parts_count, const char *mapping, size_t mapping_bytes,
                      void *fast, size_t fast_bytes, void *bulk, size_t bulk_bytes, module_complaint *why) {
    module_need need;
    if (!m || slot >= MODULE_SLOTS)
        return complain(why, MODULE_ERROR_ARGUMENT, 0, "there is no such slot: 0 to 7", 0, 0, 0);
    int error = module_unload(m, slot);
    if (error) return complain(why, error, 0, "the slot is playing: select another one first", 0, 0, 0);
    if ((error = module_measure(m, file, file_bytes, mapping, mapping_bytes, &need, why)) != 0) return error;
    if (!fast || fast_bytes < need.fast_bytes || misaligned(fast) ||
        (need.bulk_bytes && (!bulk || bulk_bytes < need.bulk_bytes || misaligned(bulk))))
        return complain(why, MODULE_ERROR_MEMORY, 0, "the model needs more memory than it was given, or memory on "
                        "64-byte boundaries", 0, 0, 0);
    struct region near = {fast, 0}, far = {bulk, 0};
    struct player *const p = take(&near, sizeof *p);
    if ((error = player_prepare(p, m, file, file_bytes, mapping, mapping_bytes, why)) != 0 ||
        (error = player_lay(p, m, &near, &far, why)) != 0)
        return error;
    if ((error = tudor_use_parts(p->t, parts, parts_count)) != 0)
        return complain(why, MODULE_ERROR_MODEL, 0, tudor_error_text(error), 0, 0, 0);
    for (uint32_t i = 0; i < p->attributes_used; i++) p->attributes_set[i] = EXPLODED * 1e6f; /* so all are set once */
    if (!name || strncmp(m->slots[slot].name, name, MODULE_NAME - 1)) { /* another one */
        memset(&m->slots[slot].knobs, 0, sizeof m->slots[slot].knobs);
        m->slots[slot].narrow = 0;
    }
    set_name(m->slots[slot].name, name);
    p->knobs = &m->slots[slot].knobs;
    if (p->subject.loops) place_draw(m, p, 1, LOOP_B);
    m->slots[slot].player = p;
    atomic_store(&m->slots[slot].ready, 1);
    return 0;
}

int module_unload(tudor_module *m, uint32_t slot) {
    if (!m || slot >= MODULE_SLOTS) return MODULE_ERROR_ARGUMENT;
    const uint32_t was = atomic_exchange(&m->slots[slot].ready, 0);
    if (atomic_load(&m->used) & (1u << slot)) {
        atomic_store(&m->slots[slot].ready, was);
        return MODULE_ERROR_BUSY;
    }
    m->slots[slot].player = 0;
    atomic_store(&m->slots[slot].capture, 0);
    if (!atomic_load(&m->slots[slot].offered)) set_name(m->slots[slot].name, 0);
    return 0;
}

int module_offer(tudor_module *m, uint32_t slot, const char *name) {
    if (!m || slot >= MODULE_SLOTS) return MODULE_ERROR_ARGUMENT;
    if (name) set_name(m->slots[slot].name, name);
    atomic_store(&m->slots[slot].offered, name != 0);
    return 0;
}

uint32_t module_wanted(const tudor_module *module) {
    tudor_module *const m = (tudor_module *)(uintptr_t)module; /* as module_read_status */
    return m ? atomic_load_explicit(&m->asked, memory_order_relaxed) : MODULE_SLOTS;
}

const char *module_slot_name(const tudor_module *m, uint32_t slot) {
    return m && slot < MODULE_SLOTS ? m->slots[slot].name : "";
}
