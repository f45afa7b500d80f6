/* Preparing one model to be played: what is run in which order, and where it lies in memory. */
#include "instrument.h"

/* Enough samples to be whole frames of both. */
static uint32_t together(uint32_t a, uint32_t b) {
    const uint64_t whole = (uint64_t)a / common_divisor(a, b) * b;
    return whole <= FRAME_LIMIT ? (uint32_t)whole : 0;
}

/* The methods in a row, and the frame that suits them. */
static int choose_stages(struct player *p, module_complaint *why) {
    tudor_method_info info[2];
    const tudor_model *const model = &p->model;
    const int generate = generating_method(model);
    p->stages = 0;
    if (p->way == MODULE_EFFECT) {
        p->stage[p->stages++].method = effect_method(model);
    } else if (p->way == MODULE_BEND) {
        p->stage[p->stages++].method = tudor_find_role(model, TUDOR_ROLE_ENCODE);
        p->stage[p->stages++].method = tudor_find_role(model, TUDOR_ROLE_DECODE);
    } else {
        if (generate >= 0) p->stage[p->stages++].method = generate;
        if (generate < 0 || (!tudor_method(model, generate, &info[0]) && info[0].out_ratio > 1))
            p->stage[p->stages++].method = tudor_find_role(model, TUDOR_ROLE_DECODE);
    }
    p->edited = p->way == MODULE_EFFECT ? NONE : p->way == MODULE_BEND ? 1 : 0;
    p->frame = 1;
    uint32_t latency = 0;
    for (uint32_t i = 0; i < p->stages; i++) {
        if (tudor_method(model, p->stage[i].method, &info[i])) return MODULE_ERROR_WAY; /* module_ways has looked */
        p->frame = p->frame ? together(p->frame, info[i].frame_samples) : 0;
        latency += info[i].latency_samples;
        if (i >= p->edited) p->after_samples += info[i].latency_samples; /* at the model's rate yet, too */
    }
    if (!p->frame)
        return complain(why, MODULE_ERROR_MODEL, 0, "the model's frames are longer than 65536 samples", 0, 0, 0);
    p->in_channels = p->way == MODULE_SOURCE ? 0 : info[0].in_channels;
    p->out_channels = info[p->stages - 1].out_channels;
    p->latency_samples = latency; /* at the model's rate yet */
    if (p->edited == NONE) return 0;
    p->latents = info[p->edited].in_channels;
    p->free_count = free_latents(&info[p->edited], p->free);
    return 0;
}

/* A model of one channel where the board has two: once, or a stream for each side. A source has no sides of its own. */
static void choose_streams(struct player *p, const module_config *c) {
    const uint32_t stereo = p->mapping.stereo == NONE ? c->stereo : p->mapping.stereo;
    const int sides = p->way == MODULE_SOURCE ? stereo == MODULE_STEREO_ON : p->in_channels == 1 && c->in_channels == 2;
    p->streams = stereo != MODULE_STEREO_OFF && sides && p->out_channels == 1 && c->out_channels == 2 ? 2 : 1;
    p->narrows = p->streams == 2 && stereo == MODULE_STEREO_AUTO;
    p->in_channels *= p->streams;
    p->out_channels *= p->streams;
}

/* Several frames at once where a block holds several and that is still short: weights are then read once for all. */
static void widen_frame(struct player *p, uint32_t block) {
    const uint32_t one = p->frame, most = 256;
    if (p->up != p->down || block % one) return;
    for (uint32_t frames = most / one; frames > 1; frames--)
        if (block / one % frames == 0) {
            p->frame = one * frames;
            return;
        }
}

static int choose_rates(struct player *p, const module_config *config, module_complaint *why) {
    const uint32_t rate = tudor_sample_rate_hz(&p->model), common = (uint32_t)common_divisor(rate, config->sample_rate_hz);
    if (rate == 0) return complain(why, MODULE_ERROR_RATE, 0, "the model has no sample rate", 0, 0, 0);
    p->up = rate / common;
    p->down = config->sample_rate_hz / common;
    if (p->up == p->down) return 0;
    const uint32_t taps = config->resample_taps;
    const char *reason = taps == 0 ? ": this board cannot afford to convert rates" : 0;
    if (p->up > 4096 || p->down > 4096) reason = ": the two rates have too little in common";
    if (!reason && (resampler_taps(p->up, p->down, taps) * p->up + resampler_taps(p->down, p->up, taps) * p->down) *
                           sizeof(float) > config->resample_bytes)
        reason = ": the filters between the two rates need more memory than this board gives";
    if (!reason) return 0;
    char text[96];
    struct sentence s = {text, sizeof text, 0};
    say(&s, "the model plays at ");
    say_number(&s, rate);
    say(&s, " Hz and the board at ");
    say_number(&s, config->sample_rate_hz);
    say(&s, " Hz");
    return complain(why, MODULE_ERROR_RATE, 0, text, 0, 0, reason);
}

static uint32_t half_taps_out(const struct player *p, uint32_t quality) { /* at the board's rate, as the next */
    const uint64_t out = p->up != p->down ? resampler_taps(p->down, p->up, quality) / 2 : 0;
    return (uint32_t)((out * p->down + p->up / 2) / p->up);
}
static uint32_t half_taps_in(const struct player *p, uint32_t quality) {
    return p->up != p->down && p->in_channels ? (uint32_t)resampler_taps(p->up, p->down, quality) / 2 : 0;
}
static uint32_t at_board(const struct player *p, uint64_t samples) {
    return (uint32_t)((samples * p->down + p->up / 2) / p->up);
}

int player_prepare(struct player *p, const tudor_module *m, const void *file, size_t bytes, const char *mapping,
                   size_t mapping_bytes, module_complaint *why) {
    char derived[2048];
    tudor_fault fault;
    memset(p, 0, sizeof *p);
    const int refused = tudor_open(file, bytes, &p->model, &fault);
    if (refused) return complain(why, MODULE_ERROR_MODEL, 0, tudor_error_text(refused), 0, 0, 0);
    int error = describe(&p->model, m->config.sample_rate_hz, m->config.in_channels, &p->subject, why);
    if (error) return error;
    p->subject.model = &p->model;
    if (!mapping) {
        mapping_bytes = derive_mapping(&p->subject, m->config.slots, derived, sizeof derived);
        mapping = derived;
    }
    error = read_mapping(&p->subject, mapping, mapping_bytes, &p->mapping, why);
    if (error) return error;
    p->way = p->mapping.way;
    if ((error = choose_rates(p, &m->config, why)) != 0 || (error = choose_stages(p, why)) != 0) return error;
    choose_streams(p, &m->config);
    strokes_plan(p, &m->config);
    if (!p->strokes.count) {
        widen_frame(p, m->config.block_samples);
        error = plan_schedule(&p->schedule, p->frame, m->config.block_samples, p->up, p->down, p->way != MODULE_SOURCE);
    }
    if (error)
        return complain(why, error, 0, "block, frame and sample rates have too little in common", 0, 0, 0);
    plan_pieces(p, m->config.block_samples);
    const uint32_t taps = m->config.resample_taps, out = half_taps_out(p, taps);
    if (p->strokes.count) {
        p->strike_samples = p->latency_samples = p->after_samples = p->strokes.delay + out;
        return 0;
    }
    p->latency_samples = at_board(p, (uint64_t)p->latency_samples + p->schedule.prime) + half_taps_in(p, taps) + out;
    p->after_samples = at_board(p, p->after_samples) + out;
    p->row_seconds = 0.0f;
    const uint32_t lead = p->subject.gates && p->way == MODULE_SOURCE ? strokes_lead(&p->model, p->stage[0].method) : 0;
    if (lead) p->strike_samples = at_board(p, (uint64_t)lead * p->frame + p->schedule.prime) + out;
    return 0;
}

static uint32_t rows_of(const struct player *p, uint32_t ratio) { return p->frame / ratio; }
static uint32_t frames_at_once(const struct player *p) { return p->strokes.count ? STROKES_ROWS : 1; }

void lay_resampler(struct resampler *r, uint32_t up, uint32_t down, uint32_t quality, const float *table,
                   struct region *fast) {
    *r = (struct resampler){.up = up, .down = down, .taps = (uint32_t)resampler_taps(up, down, quality), .table = table};
    r->history = take(fast, 2 * (size_t)r->taps * sizeof(float));
}

static void lay_rates(struct player *p, const module_config *config, struct region *fast, struct region *bulk) {
    const uint32_t quality = config->resample_taps;
    if (p->up != p->down) {
        float *const in = take(bulk, resampler_taps(p->up, p->down, quality) * p->up * sizeof(float));
        float *const out = take(bulk, resampler_taps(p->down, p->up, quality) * p->down * sizeof(float));
        if (fast->base) {
            resampler_design(in, p->up, p->down, quality);
            resampler_design(out, p->down, p->up, quality);
        }
        for (uint32_t c = 0; c < p->in_channels; c++) lay_resampler(&p->in[c], p->up, p->down, quality, in, fast);
        for (uint32_t c = 0; c < p->out_channels; c++) lay_resampler(&p->out[c], p->down, p->up, quality, out, fast);
    }
    const uint32_t block = (uint32_t)((uint64_t)config->block_samples * p->up / p->down) + 2;
    for (uint32_t c = 0; c < p->in_channels; c++) {
        p->from_board[c].size = 2 * p->frame + 2 * block;
        p->from_board[c].data = take(fast, p->from_board[c].size * sizeof(float));
    }
    if (p->strokes.count) {
        strokes_lay(p, config, fast);
        return;
    }
    for (uint32_t c = 0; c < p->out_channels; c++) {
        p->to_board[c].size = p->schedule.prime + 2 * p->frame + 2 * block;
        p->to_board[c].data = take(fast, p->to_board[c].size * sizeof(float));
    }
}

static void lay_buffers(struct player *p, struct region *fast) {
    tudor_method_info info;
    const size_t each = p->streams * sizeof(float) * frames_at_once(p);
    for (uint32_t i = 0; i < p->stages; i++) {
        if (tudor_method(&p->model, p->stage[i].method, &info)) return;
        if (i == p->edited) p->rows = rows_of(p, info.in_ratio);
        if (i == 0) p->buffer[0] = take(fast, info.in_channels * rows_of(p, info.in_ratio) * each);
        p->buffer[i + 1] = take(fast, info.out_channels * rows_of(p, info.out_ratio) * each);
    }
    tudor_attribute_info attribute;
    for (int a = 0; !tudor_attribute(&p->model, a, &attribute); a++) p->attributes_used += attribute.count;
    p->attributes = take(fast, p->attributes_used * sizeof(float));
    p->attributes_set = take(fast, p->attributes_used * sizeof(float));
}

/* Two methods share a frame's slices by what they cost. */
static int share_slices(struct player *p) {
    uint64_t worst, cost[2] = {0, 0};
    for (uint32_t i = 0; i < p->stages; i++)
        if (tudor_slice_costs(p->t, p->stage[i].method, p->frame, 1, &worst, &cost[i])) return MODULE_ERROR_MODEL;
    p->cost = (float)(cost[0] + cost[1]) * (float)p->up / ((float)p->down * (float)p->frame);
    if (p->stages == 1) p->stage[0].parts = p->schedule.slices;
    else if (p->pieces == 1) share_parts(p, cost[0], cost[1]);
    return 0;
}

/* Takes the memory; makes the instance if there is memory to take. */
int player_lay(struct player *p, const tudor_module *m, struct region *fast, struct region *bulk, module_complaint *why) {
    tudor_sizes need;
    const uint32_t most = p->frame * frames_at_once(p);
    const int refused = tudor_measure(&p->model, p->streams, most, &need);
    if (refused) return complain(why, MODULE_ERROR_MODEL, 0, tudor_error_text(refused), 0, 0, 0);
    lay_rates(p, &m->config, fast, bulk);
    lay_buffers(p, fast);
    lay_pieces(p, fast);
    tape_lay(&p->tape, p, bulk);
    strokes_lay_states(p, need.state_bytes, bulk);
    void *const near = take(fast, need.fast_bytes), *const far = take(bulk, need.bulk_bytes);
    if (!fast->base) return 0;
    const int error = tudor_init(&p->model, p->streams, most, near, need.fast_bytes, far, need.bulk_bytes, &p->t);
    if (error || share_slices(p)) return complain(why, MODULE_ERROR_MODEL, 0, tudor_error_text(error), 0, 0, 0);
    p->row_seconds = p->rows ? (float)(p->frame / p->rows) / (float)tudor_sample_rate_hz(&p->model) : 0.0f;
    player_start(p);
    return 0;
}
