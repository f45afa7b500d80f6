/* Random events, MIDI bytes, texts, loads and unloads, under sanitizers; what comes out must stay finite and below the
 * ceiling.
 *
 *   common_fuzz events SEED COUNT BLOCK MODEL...     COUNT events of every kind, valid and not
 *   common_fuzz texts SEED COUNT TEXT MODEL          COUNT damaged copies of a mapping, and of itself as calibration
 *   common_fuzz saves SEED COUNT SAVED MODEL         COUNT damaged copies of what a module has saved, and played on */
#include "capture.h"
#include "module.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODELS 4

static uint64_t state;
static uint32_t any(void) { /* xorshift */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

struct model {
    char *bytes;
    size_t size;
};

static struct model read_file(const char *path) {
    struct model m = {aligned_alloc(64, 8 << 20), 0};
    FILE *f = fopen(path, "rb");
    if (!f || !m.bytes) exit(9);
    m.size = fread(m.bytes, 1, 8 << 20, f);
    fclose(f);
    return m;
}

static void *memory(size_t bytes) { return bytes ? aligned_alloc(64, (bytes + 63) / 64 * 64) : 0; }

static float number(void) {
    static const float odd[] = {0.0f, 1.0f, -1.0f, 1e30f, -1e30f, 1e-40f, 0.5f, 2.0f};
    const uint32_t n = any(), bits = any();
    float x;
    memcpy(&x, &bits, sizeof x); /* anything: NaN and infinities among it */
    return n % 8 == 0 ? x : n % 8 == 1 ? odd[n / 8 % 8] : (float)(n >> 8) * 0x1p-23f - 1.0f;
}

static module_event random_event(const tudor_module *m, module_midi *parser) {
    module_event e = {.at_samples = module_now(m) + any() % 64, .kind = (uint16_t)(any() % 7),
                      .source = (uint16_t)(any() % 20), .value = number()};
    if (any() % 16 == 0) e.at_samples = any();
    if (any() % 16 == 0) e.kind = (uint16_t)any(), e.source = (uint16_t)any();
    if (any() % 8 == 0) e = (module_event){.kind = MODULE_MIDI, .midi = {(uint8_t)any(), (uint8_t)any(), (uint8_t)any()}};
    for (int i = 0; i < 4; i++) {
        module_event from_bytes;
        if (module_midi_byte(parser, (uint8_t)(any() % 3 ? any() % 128 : any()), &from_bytes)) e = from_bytes;
    }
    return e;
}

static uint32_t ticks, late_often;
static uint32_t clock_now(void *context) {
    (void)context;
    return ticks += any() % (late_often ? 4 : 64) == 0 ? 5000000 : 100; /* now and then a block comes late */
}

static struct { void *fast, *bulk, *beside; } slots[MODULE_SLOTS];

static void try_load(tudor_module *m, const struct model *models, uint32_t count) {
    const uint32_t slot = any() % 4;
    const struct model *const model = &models[any() % count];
    module_need need;
    module_complaint why;
    if (module_unload(m, slot)) return;
    free(slots[slot].fast);
    free(slots[slot].bulk);
    free(slots[slot].beside);
    slots[slot].fast = slots[slot].bulk = slots[slot].beside = 0;
    if (any() % 4 == 0 || module_measure(m, model->bytes, model->size, 0, 0, &need, &why)) return;
    slots[slot].fast = memory(need.fast_bytes);
    slots[slot].bulk = memory(need.bulk_bytes);
    if (module_load(m, slot, "any", model->bytes, model->size, 0, 0, slots[slot].fast, need.fast_bytes,
                    slots[slot].bulk, need.bulk_bytes, &why)) exit(7);
    const size_t more = capture_bytes(m, slot);
    slots[slot].beside = memory(more);
    if (more && any() % 4 && capture_open(m, slot, slots[slot].beside, more)) exit(8);
}

static int fuzz_events(uint64_t count, uint32_t block, const struct model *models, uint32_t model_count) {
    module_config c;
    tudor_module *m;
    module_midi parser = {0, 0, {0, 0}, 0};
    module_defaults(&c);
    c.block_samples = block;
    c.in_channels = c.out_channels = 2;
    c.clock = clock_now;
    c.clock_hz = 100000000;
    c.lanes = 3;
    c.lane_events = 64;
    c.overlap = (uint32_t)(state & 1);
    c.seed = any();
    const size_t bytes = module_bytes(&c);
    if (module_init(&c, memory(bytes), bytes, &m)) return 6;
    float *in[2] = {memory(block * 4), memory(block * 4)}, *out[2] = {memory(block * 4), memory(block * 4)};
    uint64_t pushed = 0, full = 0, blocks = 0, changes = 0;
    uint32_t slot = MODULE_SLOTS, states = 0;
    float peak = 0.0f;
    module_status s;
    while (pushed < count) {
        if (any() % 64 == 0) try_load(m, models, model_count);
        for (uint32_t n = any() % 96; n && pushed < count; n--, pushed++) {
            const module_event e = random_event(m, &parser);
            full += module_push(m, any() % 3, &e) != 0;
        }
        for (uint32_t i = 0; i < block; i++) in[0][i] = number(), in[1][i] = number();
        module_process(m, (const float *const *)in, out);
        if (any() % 16 == 0) (void)capture_attend(m);
        for (uint32_t i = 0; i < block; i++)
            for (uint32_t ch = 0; ch < 2; ch++)
                if (!(out[ch][i] <= c.ceiling && out[ch][i] >= -c.ceiling)) return 5;
        module_read_status(m, &s);
        if (s.out_peak > peak) peak = s.out_peak;
        changes += s.slot != slot;
        slot = s.slot;
        states |= 1u << s.state;
        late_often = ++blocks % 4000 < 500;
    }
    printf("events=%llu blocks=%llu full=%llu ignored=%u overloads=%u changes=%llu states=%u peak=%f\n",
           (unsigned long long)pushed, (unsigned long long)blocks, (unsigned long long)full, (unsigned)s.ignored,
           (unsigned)s.overloads, (unsigned long long)changes, (unsigned)states, (double)peak);
    return 0;
}

static int fuzz_texts(uint64_t count, const struct model *text, const struct model *model) {
    module_config c;
    tudor_module *m;
    uint64_t accepted = 0, told = 0;
    module_defaults(&c);
    const size_t bytes = module_bytes(&c);
    if (module_init(&c, memory(bytes), bytes, &m)) return 6;
    for (uint64_t n = 0; n < count; n++) {
        const size_t size = text->size - any() % (text->size / 2), extra = any() % 8 == 0 ? 40 : 0;
        char *const copy = malloc(size + extra + 1); /* its very size: one byte too far is seen */
        memcpy(copy, text->bytes, size);
        for (size_t i = 0; i < extra; i++) copy[size + i] = (char)any();
        for (uint32_t k = any() % 6; k; k--) {
            const size_t at = any() % (size + extra);
            copy[at] = any() % 2 ? (char)any() : text->bytes[any() % text->size];
        }
        module_need need;
        module_complaint why = {0, 0, ""};
        char *const exact = malloc(size + extra);
        memcpy(exact, copy, size + extra);
        if (module_measure(m, model->bytes, model->size, exact, size + extra, &need, &why))
            told += why.code != 0 && why.text[0] && strlen(why.text) < sizeof why.text;
        else
            accepted++;
        (void)module_read_calibration(m, exact, size + extra, &why);
        free(exact);
        free(copy);
    }
    printf("texts=%llu accepted=%llu told=%llu\n", (unsigned long long)count, (unsigned long long)accepted,
           (unsigned long long)told);
    return accepted + told == count ? 0 : 5;
}

static int fuzz_saves(uint64_t count, const struct model *saved, const struct model *model) {
    module_config c;
    tudor_module *m;
    module_need need;
    uint64_t accepted = 0, told = 0;
    module_defaults(&c);
    const size_t bytes = module_bytes(&c);
    void *const own = memory(bytes);
    if (module_init(&c, own, bytes, &m) || module_measure(m, model->bytes, model->size, 0, 0, &need, 0)) return 6;
    void *const fast = memory(need.fast_bytes), *const bulk = memory(need.bulk_bytes);
    float in[48] = {0}, out[48];
    const float *const from[1] = {in};
    float *const to[1] = {out};
    for (uint64_t n = 0; n < count; n++) {
        module_complaint why = {0, 0, ""};
        const size_t size = any() % 8 ? saved->size : any() % saved->size;
        uint8_t *const copy = malloc(size + 1), *const exact = size ? malloc(size) : copy;
        memcpy(exact, saved->bytes, size);
        for (uint32_t k = any() % 5; k && size; k--) exact[any() % (any() % 2 && size > 72 ? 72 : size)] = (uint8_t)any();
        if (module_init(&c, own, bytes, &m) ||
            module_load(m, any() % 3, "model1", model->bytes, model->size, 0, 0, fast, need.fast_bytes, bulk,
                        need.bulk_bytes, 0))
            return 7;
        if (module_restore(m, exact, size, &why))
            told += why.code != 0 && why.text[0];
        else
            accepted++;
        if (exact != copy) free(exact);
        free(copy);
        for (uint32_t b = 0; b < 30; b++) {
            module_process(m, from, to);
            for (uint32_t i = 0; i < 48; i++)
                if (!(out[i] <= c.ceiling && out[i] >= -c.ceiling)) return 5;
        }
    }
    printf("saves=%llu accepted=%llu told=%llu\n", (unsigned long long)count, (unsigned long long)accepted,
           (unsigned long long)told);
    return accepted + told == count ? 0 : 5;
}

int main(int argc, char **argv) {
    if (argc < 6) return 9;
    state = strtoull(argv[2], 0, 10) * 2654435761u + 88172645463325252u;
    const uint64_t count = strtoull(argv[3], 0, 10);
    if (!strcmp(argv[1], "texts")) {
        const struct model text = read_file(argv[4]), model = read_file(argv[5]);
        return fuzz_texts(count, &text, &model);
    }
    if (!strcmp(argv[1], "saves")) {
        const struct model saved = read_file(argv[4]), model = read_file(argv[5]);
        return fuzz_saves(count, &saved, &model);
    }
    struct model models[MODELS];
    uint32_t models_count = 0;
    for (int i = 5; i < argc && models_count < MODELS; i++) models[models_count++] = read_file(argv[i]);
    return fuzz_events(count, (uint32_t)atoi(argv[4]), models, models_count);
}
