#include "rig.h"

#include <string.h>

#define STEP (1.0f / 4096.0f) /* what a 12-bit converter can tell apart */

/* The first memory from `from` on that has room, as place() in engine/boards/placement.py; 0 if none has. */
static void *take(struct rig_memory *memory, enum rig_place from, size_t bytes, enum rig_place *in) {
    const size_t whole = (bytes + 63) / 64 * 64;
    for (*in = from; *in < RIG_MEMORIES; (*in)++) {
        struct rig_memory *const m = &memory[*in];
        if (whole > m->bytes) continue;
        void *const found = m->at;
        m->at = (char *)m->at + whole;
        m->bytes -= whole;
        return found;
    }
    return 0;
}

static void load(struct rig *rig, const struct rig_board *board) {
    struct rig_memory memory[RIG_MEMORIES];
    struct store store;
    module_need need;
    rig->fault = store_find(board->store, board->store_bytes, &store);
    if (rig->fault != STORE_GOOD) return;
    if (store.calibration) module_read_calibration(rig->m, store.calibration, store.calibration_bytes, &rig->misread);
    if (module_measure(rig->m, store.model, store.model_bytes, store.mapping, store.mapping_bytes, &need, &rig->why))
        return;
    memcpy(memory, board->memory, sizeof memory);
    void *const fast = take(memory, RIG_DTCM, need.fast_bytes, &rig->fast_in);
    void *const bulk = take(memory, RIG_DTCM, need.bulk_bytes, &rig->bulk_in);
    /* Every memory reads several times faster than QSPI. DTCM is left to what is written. */
    void *const model = take(memory, RIG_AXI, store.model_bytes, &rig->model_in);
    if (!fast || !bulk) {
        rig->why.code = MODULE_ERROR_MEMORY;
        return;
    }
    if (model) memcpy(model, store.model, store.model_bytes);
    module_load(rig->m, 0, "model", model ? model : store.model, store.model_bytes, store.mapping, store.mapping_bytes,
                fast, need.fast_bytes, bulk, need.bulk_bytes, &rig->why);
}

int rig_start(struct rig *rig, const struct rig_board *board) {
    module_config config;
    *rig = (struct rig){.knobs = board->knobs, .cvs = board->cvs, .spares = board->spares, .fast_in = RIG_NOWHERE,
                        .bulk_in = RIG_NOWHERE, .model_in = RIG_NOWHERE};
    if (board->knobs + board->cvs + board->spares > RIG_ANALOG) return MODULE_ERROR_ARGUMENT;
    module_defaults(&config);
    config.sample_rate_hz = RIG_RATE_HZ;
    config.block_samples = RIG_BLOCK;
    config.in_channels = config.out_channels = board->channels;
    config.clock = board->clock;
    config.clock_hz = board->clock_hz;
    config.healthy = board->healthy;
    const size_t bytes = module_bytes(&config);
    if (!bytes || bytes > board->own.bytes) return MODULE_ERROR_MEMORY;
    memset(board->own.at, 0, bytes);
    const int error = module_init(&config, board->own.at, bytes, &rig->m);
    if (!error) load(rig, board);
    return error;
}

static void push(struct rig *rig, uint16_t kind, uint32_t source, float value) {
    const module_event event = {.at_samples = module_now(rig->m), .kind = kind, .source = (uint16_t)source,
                                .value = value};
    module_push(rig->m, 0, &event);
}

static void read_inputs(struct rig *rig, const struct rig_inputs *inputs) {
    const uint32_t cvs = rig->knobs, spares = cvs + rig->cvs;
    for (uint32_t i = 0; i < spares + rig->spares; i++) {
        const float moved = inputs->analog[i] - rig->last[i];
        if (rig->begun && moved < STEP && moved > -STEP) continue;
        rig->last[i] = inputs->analog[i];
        const uint32_t source = i < cvs ? i : i < spares ? i - cvs : i - spares + RIG_SPARE;
        push(rig, i < cvs ? MODULE_KNOB : MODULE_CV, source, rig->last[i]);
    }
    for (uint32_t i = 0; i < RIG_GATES; i++) {
        if (rig->begun && inputs->gate[i] == rig->gates[i]) continue;
        rig->gates[i] = inputs->gate[i];
        push(rig, MODULE_GATE, i, inputs->gate[i] ? 1.0f : 0.0f);
    }
    rig->begun = 1;
}

void rig_block(struct rig *rig, const struct rig_inputs *inputs, const float *const *in, float *const *out,
               struct rig_outputs *outputs) {
    module_status s;
    read_inputs(rig, inputs);
    module_process(rig->m, in, out);
    module_read_status(rig->m, &s);
    outputs->cv[0] = s.latents > 0 ? s.latent[0] : s.envelope;
    outputs->cv[1] = s.latents > 1 ? s.latent[1] : s.envelope;
    for (int i = 0; i < RIG_CV_OUTS; i++)
        outputs->cv[i] = outputs->cv[i] < 0.0f ? 0.0f : outputs->cv[i] > 1.0f ? 1.0f : outputs->cv[i];
    const int well = s.state == MODULE_PLAYING || s.state == MODULE_CHANGING;
    outputs->led = well || rig->blocks / 250 % 2;
    outputs->gate = s.envelope > 0.1f;
    rig->blocks++;
}
