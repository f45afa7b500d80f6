#include "rig.h"

#include <string.h>

#define STEP (1.0f / 4096.0f) /* what a 12-bit converter can tell apart */

struct arena {
    char *at;
    size_t bytes;
};

static void *take(struct arena *a, size_t bytes) {
    const size_t whole = (bytes + 63) / 64 * 64;
    if (whole > a->bytes) return 0;
    void *const found = a->at;
    a->at += whole;
    a->bytes -= whole;
    return memset(found, 0, bytes);
}

/* From the fast memory if there is room. */
static void *take_fast(struct arena *fast, struct arena *slow, size_t bytes) {
    void *const found = take(fast, bytes);
    return found ? found : take(slow, bytes);
}

static void load(struct rig *rig, const struct rig_board *board, struct arena *fast, struct arena *slow) {
    struct store store;
    module_need need;
    rig->fault = store_find(board->store, board->store_bytes, &store);
    if (rig->fault != STORE_GOOD) return;
    /* SDRAM reads several times faster than QSPI: the model is copied there once. */
    void *const model = take(slow, store.model_bytes);
    if (model) memcpy(model, store.model, store.model_bytes);
    const void *const file = model ? model : store.model;
    if (module_measure(rig->m, file, store.model_bytes, store.mapping, store.mapping_bytes, &need, &rig->why)) return;
    void *const a = take_fast(fast, slow, need.fast_bytes), *const b = take(slow, need.bulk_bytes);
    if (!a || !b) {
        rig->why.code = MODULE_ERROR_MEMORY;
        return;
    }
    module_load(rig->m, 0, "model", file, store.model_bytes, store.mapping, store.mapping_bytes, a, need.fast_bytes, b,
                need.bulk_bytes, &rig->why);
}

int rig_start(struct rig *rig, const struct rig_board *board) {
    module_config config;
    struct arena fast = {board->fast, board->fast_bytes}, slow = {board->slow, board->slow_bytes};
    *rig = (struct rig){.knobs = board->knobs, .cvs = board->cvs};
    if (board->knobs + board->cvs > RIG_ANALOG) return MODULE_ERROR_ARGUMENT;
    module_defaults(&config);
    config.sample_rate_hz = RIG_RATE_HZ;
    config.block_samples = RIG_BLOCK;
    config.in_channels = config.out_channels = board->channels;
    config.clock = board->clock;
    config.clock_hz = board->clock_hz;
    const size_t bytes = module_bytes(&config);
    void *const memory = bytes ? take_fast(&fast, &slow, bytes) : 0;
    if (!memory) return MODULE_ERROR_MEMORY;
    const int error = module_init(&config, memory, bytes, &rig->m);
    if (!error) load(rig, board, &fast, &slow);
    return error;
}

static void push(struct rig *rig, uint16_t kind, uint32_t source, float value) {
    const module_event event = {.at_samples = module_now(rig->m), .kind = kind, .source = (uint16_t)source,
                                .value = value};
    module_push(rig->m, 0, &event);
}

static void read_inputs(struct rig *rig, const struct rig_inputs *inputs) {
    for (uint32_t i = 0; i < rig->knobs + rig->cvs; i++) {
        const float moved = inputs->analog[i] - rig->last[i];
        if (rig->begun && moved < STEP && moved > -STEP) continue;
        rig->last[i] = inputs->analog[i];
        push(rig, i < rig->knobs ? MODULE_KNOB : MODULE_CV, i < rig->knobs ? i : i - rig->knobs, rig->last[i]);
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
