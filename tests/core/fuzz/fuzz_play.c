/* libFuzzer target: opens a file, and plays what is accepted: every method, odd blocks, slices, attributes.
 * The mutator repairs length and checksum, so that the checks behind them are reached.
 * Without libFuzzer (-DREPLAY) it runs the files named on the command line. */
#include "format.h"
#include "tudor.h"

#include <stdlib.h>
#include <string.h>

#define MOST_BYTES ((size_t)4 << 20)
#define MOST_COST 2000000u
#define MOST_PARTS 64

static void play(tudor *t, const tudor_model *model, int method) {
    tudor_method_info m;
    uint64_t worst, total;
    if (tudor_method(model, method, &m) || tudor_slice_costs(t, method, m.frame_samples, 1, &worst, &total)) return;
    if (total > MOST_COST) return;
    for (uint32_t frames = 1; frames <= 3; frames++) {
        const uint32_t samples = m.frame_samples * frames;
        const size_t ins = samples / m.in_ratio * (size_t)m.in_channels * 2;
        const size_t outs = samples / m.out_ratio * (size_t)m.out_channels * 2;
        if (ins > 1u << 20 || outs > 1u << 20) return;
        float *in = malloc(ins * sizeof *in), *out = malloc(outs * sizeof *out);
        for (size_t i = 0; i < ins; i++) in[i] = (float)(i % 7) - 3.0f;
        if (tudor_process(t, method, in, out, samples) == 0)
            for (uint32_t s = 0; s < 3; s++) tudor_process_slice(t, method, in, out, samples, s, 3);
        free(in);
        free(out);
    }
}

/* The second stream gets values of its own. */
static void set(tudor *t, const tudor_model *model) {
    for (int i = 0; i < tudor_attributes(model); i++) {
        tudor_attribute_info a;
        if (tudor_attribute(model, i, &a) != 0) continue;
        float *values = calloc(a.count, sizeof *values);
        values[0] = 0.5f;
        tudor_set_stream_attribute(t, 1, i, values, a.count);
        free(values);
    }
}

static void ask(const tudor_model *model) {
    for (int m = 0; m < tudor_methods(model); m++)
        for (int i = 0; i < tudor_ops(model, m); i++) {
            tudor_op_info op;
            tudor_op(model, m, i, &op);
        }
    (void)(strlen(tudor_name(model)) + strlen(tudor_metadata(model)));
}

/* Weights of some ops from copies of exactly their size. */
static uint32_t place(tudor *t, const tudor_model *model, tudor_part parts[MOST_PARTS]) {
    uint32_t count = 0;
    for (int m = 0; m < tudor_methods(model); m++)
        for (int i = 0; i < tudor_ops(model, m) && count < MOST_PARTS; i++) {
            tudor_op_info op;
            tudor_op(model, m, i, &op);
            const int odd = i % 2 && op.params_bytes;
            const uint64_t offset = odd ? op.params_offset : op.weights_offset;
            const uint64_t bytes = ((odd ? op.params_bytes : op.weights_bytes) + 63) / 64 * 64 + 64;
            if (bytes == 64) continue;
            void *const copy = aligned_alloc(64, (size_t)bytes);
            memcpy(copy, (const char *)tudor_weights(model) + offset, (size_t)bytes);
            parts[count++] = (tudor_part){copy, (uint32_t)offset, (uint32_t)bytes};
        }
    tudor_use_parts(t, parts, count);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const isas[] = {"scalar", "avx2", "avx512", "avx512vnni", "neon"};
    tudor_model model;
    tudor_sizes need;
    tudor *t;
    tudor_part parts[MOST_PARTS];
    uint32_t count = 0;
    void *file = aligned_alloc(64, (size + 64) / 64 * 64);
    memcpy(file, data, size);
    if (tudor_open(file, size, &model, NULL) == 0) {
        ask(&model);
        if (tudor_methods(&model) < 8 && tudor_measure(&model, 2, 64, &need) == 0 && need.fast_bytes < MOST_BYTES &&
            need.bulk_bytes < MOST_BYTES) {
            void *fast = aligned_alloc(64, need.fast_bytes), *bulk = aligned_alloc(64, need.bulk_bytes + 64);
            if (tudor_init(&model, 2, 64, fast, need.fast_bytes, bulk, need.bulk_bytes, &t) == 0) {
                if (size) tudor_use_isa(t, isas[data[size / 2] % 5]);
                set(t, &model);
                if (size && data[size / 3] % 2) count = place(t, &model, parts);
                for (int m = 0; m < tudor_methods(&model); m++) play(t, &model, m);
                tudor_reset(t);
            }
            free(fast);
            free(bulk);
            for (uint32_t i = 0; i < count; i++) free((void *)(uintptr_t)parts[i].at);
        }
    }
    free(file);
    return 0;
}

static void repair(uint8_t *data, size_t size) {
    struct format_prefix p;
    if (size < sizeof p) return;
    memcpy(&p, data, sizeof p);
    uint64_t sum = 0, weighted = 0;
    for (size_t i = 0; i < (size - sizeof p) / 4; i++) {
        uint32_t word;
        memcpy(&word, data + sizeof p + 4 * i, 4);
        sum += word;
        weighted += (i + 1) * (uint64_t)word;
    }
    p.magic = FORMAT_MAGIC;
    p.version = FORMAT_VERSION;
    p.file_bytes = (uint32_t)size;
    p.sum_low = (uint32_t)sum;
    p.sum_high = (uint32_t)(sum >> 32);
    p.weighted_low = (uint32_t)weighted;
    p.weighted_high = (uint32_t)(weighted >> 32);
    memcpy(data, &p, sizeof p);
}

#ifndef REPLAY
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

/* Mostly one field of a record at a time gets an interesting value: blind mutation seldom leaves a file acceptable. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
    static const uint32_t values[] = {0, 1, 2, 3, 4, 7, 15, 16, 63, 64, 65, 127, 255, 65536, 0x7fffffff, 0xffffffff};
    srand(seed);
    if (size < 256 || rand() % 8 == 0) {
        size = LLVMFuzzerMutate(data, size, most);
    } else {
        struct format_header h;
        memcpy(&h, data + sizeof(struct format_prefix), sizeof h);
        const size_t records = h.text < size && h.text > 128 ? h.text : size;
        for (int i = rand() % 3; i >= 0; i--) {
            uint32_t word;
            const size_t at = 64 + (size_t)rand() % ((records - 64) / 4) * 4;
            memcpy(&word, data + at, 4);
            word = rand() % 3 ? values[(size_t)rand() % (sizeof values / sizeof *values)] : word + (uint32_t)(rand() % 9) - 4;
            memcpy(data + at, &word, 4);
        }
    }
    size = size / 64 * 64;
    if (rand() % 16) repair(data, size);
    return size;
}
#else
#include <stdio.h>

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        static uint8_t data[1 << 22];
        if (!f) return 1;
        size_t size = fread(data, 1, sizeof data, f);
        fclose(f);
        repair(data, size);
        LLVMFuzzerTestOneInput(data, size);
    }
    printf("%d files\n", argc - 1);
    return 0;
}
#endif
