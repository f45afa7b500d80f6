/* Plays blocks of every method of a model file: what scripts/compare_speed.py counts the instructions of.
 *
 *   compare_blocks FILE INSTRUCTION_SET SAMPLES BLOCKS */
#include "tudor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *memory(size_t bytes) {
    void *p = aligned_alloc(64, (bytes + 64) / 64 * 64);
    if (!p) exit(1);
    memset(p, 0, bytes);
    return p;
}

static void *whole_file(const char *path, size_t *bytes) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) exit(1);
    *bytes = (size_t)ftell(file);
    rewind(file);
    void *data = memory(*bytes);
    if (fread(data, 1, *bytes, file) != *bytes) exit(1);
    fclose(file);
    return data;
}

static void play(tudor *t, const tudor_model *model, int method, uint32_t samples, int blocks) {
    tudor_method_info m;
    tudor_method(model, method, &m);
    const size_t in_count = samples / m.in_ratio * m.in_channels;
    float *in = memory(in_count * sizeof *in);
    float *out = memory(samples / m.out_ratio * m.out_channels * sizeof *out);
    uint32_t noise = 1;
    for (size_t i = 0; i < in_count; i++, noise = noise * 1664525u + 1013904223u)
        in[i] = (float)(noise >> 8) * 0x1p-25f - 0.25f;
    for (int b = 0; b < blocks; b++)
        if (tudor_process(t, method, in, out, samples)) exit(1);
    free(in);
    free(out);
}

int main(int count, char **words) {
    if (count != 5) return 1;
    const uint32_t samples = (uint32_t)atoi(words[3]);
    size_t bytes;
    void *file = whole_file(words[1], &bytes);
    tudor_model model;
    tudor_fault fault;
    tudor_sizes sizes;
    tudor *t;
    if (tudor_open(file, bytes, &model, &fault) || tudor_measure(&model, 1, samples, &sizes)) return 1;
    void *fast = memory(sizes.fast_bytes), *bulk = memory(sizes.bulk_bytes);
    if (tudor_init(&model, 1, samples, fast, sizes.fast_bytes, bulk, sizes.bulk_bytes, &t)) return 1;
    if (tudor_use_isa(t, words[2])) return 1;
    for (int method = 0; method < tudor_methods(&model); method++)
        play(t, &model, method, samples, atoi(words[4]));
    return 0;
}
