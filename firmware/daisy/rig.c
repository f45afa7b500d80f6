#include "rig.h"

#include <string.h>

#define STEP (1.0f / 4096.0f) /* what a 12-bit converter can tell apart */
#define BOUNCE_BLOCKS (8 * RIG_RATE_HZ / 1000 / RIG_BLOCK) /* 8 ms, as a button on a Pi */
#define CLIPS 0.98f           /* of full scale: a converter that cuts off reads that */
/* Of a callback's time. module_process alone is timed: what is left is for converting samples, reading the inputs, and
 * other interrupts. */
#define OVERLOAD 0.90f
#define BURST_MACS 130000u /* as engine/boards/board.py has it */

static void load(struct rig *rig, const struct rig_board *board) {
    struct bank *const bank = &rig->bank;
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
    rig->buttons = board->buttons;
    if (board->knobs + board->cvs + board->spares > RIG_ANALOG) return MODULE_ERROR_ARGUMENT;
    rig->fault = store_find(board->store, board->store_bytes, &rig->bank.store);
    module_defaults(&config);
    config.sample_rate_hz = RIG_RATE_HZ;
    config.block_samples = RIG_BLOCK;
    config.in_channels = config.out_channels = board->channels;
    config.overlap = MODULE_OVERLAP_MEASURED;
    config.slots = rig->fault == STORE_GOOD ? rig->bank.store.count : 1;
    config.overload_load = OVERLOAD;
    config.burst_macs = BURST_MACS;
    config.ahead = 1;
    config.lanes = RIG_LANES;
    config.lane_events = 64; /* emptied once a block, in which a wire brings one message */
    config.clock = board->clock;
    config.clock_hz = board->clock_hz;
    config.healthy = board->healthy;
    const size_t bytes = module_bytes(&config);
    if (!bytes || bytes > board->own.bytes) return MODULE_ERROR_MEMORY;
    memset(board->own.at, 0, bytes);
    const int error = module_init(&config, board->own.at, bytes, &rig->m);
    if (!error && rig->fault == STORE_GOOD) load(rig, board);
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
        if (rig->begun && rig->buttons >> i & 1 && rig->blocks - rig->edge[i] < BOUNCE_BLOCKS) continue;
        rig->gates[i] = inputs->gate[i];
        rig->edge[i] = rig->blocks;
        push(rig, MODULE_GATE, i, inputs->gate[i] ? 1.0f : 0.0f);
    }
    rig->begun = 1;
}

/* Blocks that share a frame of the model. */
static uint32_t rig_frame_blocks(const struct rig *rig, uint32_t slot) {
    return slot < rig->bank.store.count ? rig->bank.need[slot].slices : 1;
}

/* A latent holds still for a frame. The output is there when the next one comes, in equal steps of a millisecond. */
static float glide(struct rig_glide *g, float goal, uint32_t blocks) {
    if (goal != g->goal) {
        g->goal = goal;
        g->left = blocks;
    }
    if (g->left) g->at = g->left == 1 ? goal : g->at + (goal - g->at) / (float)g->left;
    g->left -= g->left > 0;
    return g->at;
}

static void write_cvs(struct rig *rig, const module_status *s, struct rig_outputs *outputs) {
    for (uint32_t i = 0; i < RIG_CV_OUTS; i++) {
        const int shown = i < s->latents;
        const float value = shown ? s->latent[i] : s->envelope;
        const float within = value < 0.0f ? 0.0f : value > 1.0f ? 1.0f : value;
        outputs->cv[i] = glide(&rig->cv[i], within, shown ? rig_frame_blocks(rig, s->slot) : 1);
    }
}

static void write_lights(struct rig *rig, const module_status *s, struct rig_outputs *outputs) {
    const int clipped = s->flags & MODULE_LIMITING || s->in_peak >= CLIPS;
    const int well = (s->state == MODULE_PLAYING || s->state == MODULE_CHANGING) && !rig->crowded;
    const uint64_t now_ms = (uint64_t)rig->blocks * RIG_BLOCK * 1000 / RIG_RATE_HZ + 1;
    outputs->lights = leds_on(&rig->leds, s, clipped, now_ms) | (uint32_t)(rig->crowded != 0) << LED_FAULT;
    const int wink = rig->keeper.failed && rig->blocks % 1000 < 80;
    const uint32_t blinks = rig->blocks / 250 % 2, plays = outputs->lights >> LED_PLAY & 1;
    outputs->led = well ? plays && !wink : (int)blinks;
    outputs->clipped = outputs->lights >> LED_CLIP & 1;
}

void rig_block(struct rig *rig, const struct rig_inputs *inputs, const float *const *in, float *const *out,
               struct rig_outputs *outputs) {
    module_status s;
    read_inputs(rig, inputs);
    module_process(rig->m, in, out);
    module_read_status(rig->m, &s);
    write_cvs(rig, &s, outputs);
    write_lights(rig, &s, outputs);
    outputs->gate = s.envelope > 0.1f;
    rig->blocks++;
}

void rig_attend(struct rig *rig, uint32_t now_ms) {
    bank_attend(&rig->bank, rig->m);
    keeper_attend(&rig->keeper, rig->m, now_ms, !bank_reads_store(&rig->bank));
}
