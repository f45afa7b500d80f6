#include "rig.h"

#include <string.h>

#define STEP (1.0f / 4096.0f) /* what a 12-bit converter can tell apart */

static void load(struct rig *rig, const struct rig_board *board) {
    struct bank *const bank = &rig->bank;
    rig->fault = store_find(board->store, board->store_bytes, &bank->store);
    if (rig->fault != STORE_GOOD) return;
    if (bank->store.calibration)
        module_read_calibration(rig->m, bank->store.calibration, bank->store.calibration_bytes, &rig->misread);
    if (board->tuned) module_read_calibration(rig->m, board->tuned, board->tuned_bytes, &rig->misread);
    memcpy(bank->memory, board->memory, sizeof bank->memory);
    bank_open(bank, rig->m, &rig->why);
    keeper_open(&rig->keeper, rig->m, &board->saves, board->saved.at, board->saved.bytes, &rig->forgot);
    bank_begin(bank, rig->m, &rig->why);
    keeper_make_room(&rig->keeper);
}

int rig_start(struct rig *rig, const struct rig_board *board) {
    module_config config;
    memset(rig, 0, sizeof *rig);
    rig->knobs = board->knobs;
    rig->cvs = board->cvs;
    rig->spares = board->spares;
    if (board->knobs + board->cvs + board->spares > RIG_ANALOG) return MODULE_ERROR_ARGUMENT;
    module_defaults(&config);
    config.sample_rate_hz = RIG_RATE_HZ;
    config.block_samples = RIG_BLOCK;
    config.in_channels = config.out_channels = board->channels;
    config.overlap = MODULE_OVERLAP_MEASURED;
    config.lanes = RIG_LANES;
    config.lane_events = 64; /* emptied once a block, in which a wire brings one message */
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
    module_push(rig->m, RIG_LANE_INPUTS, &event);
}

static void read_inputs(struct rig *rig, const struct rig_inputs *inputs) {
    const uint32_t cvs = rig->knobs, spares = cvs + rig->cvs;
    for (uint32_t i = 0; i < spares + rig->spares; i++) {
        const float now = inputs->analog[i], moved = now - rig->last[i];
        struct steady *const steady = &rig->steady[i];
        const int is_cv = i >= cvs;
        if (is_cv ? !steady_take(steady, now) : rig->begun && moved < STEP && moved > -STEP) continue;
        rig->last[i] = is_cv ? steady->told : now;
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
    const int wink = rig->keeper.failed && rig->blocks % 1000 < 80;
    outputs->led = well ? !wink : (int)(rig->blocks / 250 % 2);
    outputs->gate = s.envelope > 0.1f;
    rig->blocks++;
}

void rig_attend(struct rig *rig, uint32_t now_ms) {
    bank_attend(&rig->bank, rig->m);
    keeper_attend(&rig->keeper, rig->m, now_ms, !bank_reads_store(&rig->bank));
}
