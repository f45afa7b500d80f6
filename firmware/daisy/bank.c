#include "bank.h"

#include <string.h>

struct pieces {
    void *fast, *bulk, *file;
};

/* 0 if there is no room for what is written. Every memory reads several times faster than QSPI; DTCM is left to what is
 * written. Of a file that is left to SDRAM or to QSPI, weights lie apart. */
static int place(struct bank *b, uint32_t i, struct rig_memory *memory, struct bank_places *in, struct pieces *at) {
    const module_need *const need = &b->need[i];
    *in = (struct bank_places){0};
    b->apart.count = 0;
    at->fast = rig_take(memory, RIG_DTCM, RIG_MEMORIES, need->fast_bytes, &in->fast);
    at->bulk = rig_take(memory, RIG_DTCM, RIG_MEMORIES, need->bulk_bytes, &in->bulk);
    at->file = rig_take(memory, RIG_AXI, RIG_MEMORIES, b->store.models[i].model_bytes, &in->file);
    if (!at->fast || !at->bulk) return 0;
    if (in->file >= RIG_SDRAM) apart_plan(&b->apart, &b->model[i], need, memory, in->parts);
    return 1;
}

/* Whether each lies where it would lie alone. */
static int fit_together(struct bank *b) {
    struct rig_memory all[RIG_MEMORIES], whole[RIG_MEMORIES];
    struct bank_places alone, beside;
    struct pieces at;
    memcpy(all, b->memory, sizeof all);
    for (uint32_t i = 0; i < b->store.count; i++) {
        if (!(b->playable >> i & 1)) continue;
        memcpy(whole, b->memory, sizeof whole);
        if (!place(b, i, whole, &alone, &at) || !place(b, i, all, &beside, &at)) return 0;
        if (memcmp(&alone, &beside, sizeof alone)) return 0;
    }
    return 1;
}

void bank_open(struct bank *b, tudor_module *m, module_complaint *why) {
    module_complaint first = {0, 0, ""};
    b->loaded = STORE_MODELS;
    for (uint32_t i = 0; i < b->store.count; i++) {
        const struct store_model *const s = &b->store.models[i];
        struct rig_memory whole[RIG_MEMORIES];
        struct bank_places in;
        struct pieces at;
        module_complaint here = {0, 0, ""};
        int error = module_measure(m, s->model, s->model_bytes, s->mapping, s->mapping_bytes, &b->need[i], &here);
        memcpy(whole, b->memory, sizeof whole);
        if (!error) error = tudor_open(s->model, s->model_bytes, &b->model[i], 0);
        if (!error && !place(b, i, whole, &in, &at)) error = here.code = MODULE_ERROR_MEMORY;
        if (error && !first.code) first = here;
        if (!error) b->playable |= 1u << i;
    }
    if (first.code) *why = first;
    b->turns = !fit_together(b);
    for (uint32_t i = 0; i < b->store.count; i++)
        if (b->playable >> i & 1) module_offer(m, i, b->store.models[i].name);
}

/* From this memory, which holds what is left of it. 0 if it plays. */
static int load(struct bank *b, tudor_module *m, uint32_t i, struct rig_memory *memory, module_complaint *why) {
    const struct store_model *const s = &b->store.models[i];
    struct pieces at;
    if (!place(b, i, memory, &b->places[i], &at)) return MODULE_ERROR_MEMORY;
    if (at.file) memcpy(at.file, s->model, s->model_bytes);
    apart_copy(&b->apart, tudor_weights(&b->model[i]));
    return module_load_parts(m, i, s->name, at.file ? at.file : s->model, s->model_bytes, b->apart.list,
                             b->apart.count, s->mapping, s->mapping_bytes, at.fast, b->need[i].fast_bytes, at.bulk,
                             b->need[i].bulk_bytes, why);
}

static void load_alone(struct bank *b, tudor_module *m, uint32_t i, module_complaint *why) {
    struct rig_memory memory[RIG_MEMORIES];
    memcpy(memory, b->memory, sizeof memory);
    if (load(b, m, i, memory, why)) {
        b->playable &= ~(1u << i);
        module_offer(m, i, 0);
    } else {
        b->loaded = i;
    }
}

void bank_begin(struct bank *b, tudor_module *m, module_complaint *why) {
    struct rig_memory memory[RIG_MEMORIES];
    const uint32_t wanted = module_wanted(m);
    memcpy(memory, b->memory, sizeof memory);
    for (uint32_t i = 0; i < b->store.count; i++) {
        if (!(b->playable >> i & 1)) continue;
        if (!b->turns) {
            if (load(b, m, i, memory, why)) module_offer(m, i, 0);
        } else if (i == wanted || (wanted >= b->store.count && b->loaded == STORE_MODELS)) {
            load_alone(b, m, i, why);
        }
    }
}

void bank_attend(struct bank *b, tudor_module *m) {
    module_complaint unsaid;
    const uint32_t wanted = module_wanted(m);
    if (!b->turns || wanted >= b->store.count || wanted == b->loaded || !(b->playable >> wanted & 1)) return;
    if (b->loaded < STORE_MODELS && module_unload(m, b->loaded)) return; /* it fades yet */
    b->loaded = STORE_MODELS;
    load_alone(b, m, wanted, &unsaid);
}

int bank_reads_store(const struct bank *b) {
    for (uint32_t i = 0; i < b->store.count; i++)
        if (b->playable >> i & 1 && (!b->turns || i == b->loaded) && b->places[i].file == RIG_NOWHERE) return 1;
    return 0;
}
