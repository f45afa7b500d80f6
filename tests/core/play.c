/* Plays a model file in a given way and writes raw float32, for tests on any machine:
 *
 *   play MODEL METHOD IN OUT [isa=NAME] [batch=N] [max=SAMPLES] [chunks=1,2,3] [slices=N] [repeat=N]
 *        [parts=all|even]
 *
 * IN holds [batch][in_channels][rows]; chunks are in frames, taken in turn. Prints what the loader says on refusal.
 * parts: weights of all ops, or of every other one, are read from copies of exactly their size, and the file's own become
 * something else. */
#include "tudor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef PLAY_MAX_CHUNKS
#define PLAY_MAX_CHUNKS 64
#endif
#define PLAY_MAX_PARTS 512

struct options {
    const char *isa, *parts;
    uint32_t batch, max, slices, chunks[PLAY_MAX_CHUNKS], chunk_count;
};

static void die(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static void *read_all(const char *path, size_t *bytes) {
    FILE *f = fopen(path, "rb");
    if (!f) die(path, "cannot open");
    fseek(f, 0, SEEK_END);
    *bytes = (size_t)ftell(f);
    rewind(f);
    void *data = aligned_alloc(64, (*bytes + 64) / 64 * 64);
    if (!data || fread(data, 1, *bytes, f) != *bytes) die(path, "cannot read");
    fclose(f);
    return data;
}

static struct options parse(int argc, char **argv) {
    struct options o = {0, 0, 1, 1 << 16, 0, {1}, 1};
    for (int i = 5; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (!value) die(argv[i], "not name=value");
        *value++ = 0;
        if (!strcmp(argv[i], "isa")) o.isa = value;
        if (!strcmp(argv[i], "parts")) o.parts = value;
        if (!strcmp(argv[i], "batch")) o.batch = (uint32_t)atoi(value);
        if (!strcmp(argv[i], "max")) o.max = (uint32_t)atoi(value);
        if (!strcmp(argv[i], "slices")) o.slices = (uint32_t)atoi(value);
        if (!strcmp(argv[i], "chunks"))
            for (o.chunk_count = 0; value && o.chunk_count < PLAY_MAX_CHUNKS; value = strchr(value, ',') ? strchr(value, ',') + 1 : 0)
                o.chunks[o.chunk_count++] = (uint32_t)atoi(value);
    }
    return o;
}

static tudor *instance(const tudor_model *model, const struct options *o, void **bulk_memory) {
    tudor_sizes need;
    tudor *t;
    int error = tudor_measure(model, o->batch, o->max, &need);
    if (error) die("measure", tudor_error_text(error));
    void *fast = aligned_alloc(64, need.fast_bytes), *bulk = aligned_alloc(64, need.bulk_bytes + 64);
    error = tudor_init(model, o->batch, o->max, fast, need.fast_bytes, bulk, need.bulk_bytes, &t);
    if (error) die("init", tudor_error_text(error));
    if (o->isa && (error = tudor_use_isa(t, o->isa)) != 0) die(o->isa, tudor_error_text(error));
    *bulk_memory = bulk;
    return t;
}

static int play_block(tudor *t, int method, const float *in, float *out, uint32_t samples, uint32_t slices) {
    if (!slices) return tudor_process(t, method, in, out, samples);
    for (uint32_t s = 0; s < slices; s++) {
        int error = tudor_process_slice(t, method, in, out, samples, s, slices);
        if (error) return error;
    }
    return 0;
}

static tudor_part copy_of(const char *weights, uint64_t offset, uint64_t bytes) {
    const uint32_t all = (uint32_t)((bytes + 63) / 64 * 64 + 64);
    void *copy = aligned_alloc(64, all);
    memcpy(copy, weights + offset, all);
    return (tudor_part){copy, (uint32_t)offset, all};
}

/* Returns how many. */
static uint32_t use_parts(tudor *t, const tudor_model *model, const char *which, tudor_part *parts) {
    char *const weights = (char *)(uintptr_t)tudor_weights(model); /* the file is in memory of ours */
    uint32_t count = 0, number = 0;
    for (int m = 0; m < tudor_methods(model); m++)
        for (int i = 0; i < tudor_ops(model, m); i++, number++) {
            tudor_op_info op;
            if (tudor_op(model, m, i, &op)) die("op", "no such op");
            if (*which == 'e' && number % 2) continue;
            if (op.weights_bytes) parts[count++] = copy_of(weights, op.weights_offset, op.weights_bytes);
            if (op.params_bytes) parts[count++] = copy_of(weights, op.params_offset, op.params_bytes);
            if (count + 2 > PLAY_MAX_PARTS) die("parts", "too many");
        }
    const int error = tudor_use_parts(t, parts, count);
    if (error) die("parts", tudor_error_text(error));
    for (uint32_t i = 0; i < count; i++) memset(weights + parts[i].offset, 0x3f, parts[i].bytes - 64);
    return count;
}

/* Gathers a block of every channel, plays it, and puts the result where it belongs. */
static void play_all(tudor *t, int method, const tudor_method_info *m, const struct options *o, const float *in,
                     float *out, uint32_t total) {
    const uint32_t in_all = total / m->in_ratio, out_all = total / m->out_ratio;
    uint32_t turn = 0;
    for (uint32_t at = 0, n; at < total; at += n, turn++) {
        n = o->chunks[turn % o->chunk_count] * m->frame_samples;
        if (n > total - at) n = total - at;
        const uint32_t in_rows = n / m->in_ratio, out_rows = n / m->out_ratio;
        /* exact sizes, so that a sanitizer sees one step too far */
        float *x = malloc(sizeof(float) * in_rows * m->in_channels * o->batch);
        float *y = malloc(sizeof(float) * out_rows * m->out_channels * o->batch);
        for (uint32_t c = 0; c < m->in_channels * o->batch; c++)
            memcpy(x + (size_t)c * in_rows, in + (size_t)c * in_all + at / m->in_ratio, in_rows * sizeof *x);
        int error = play_block(t, method, x, y, n, o->slices);
        if (error) die("process", tudor_error_text(error));
        for (uint32_t c = 0; c < m->out_channels * o->batch; c++)
            memcpy(out + (size_t)c * out_all + at / m->out_ratio, y + (size_t)c * out_rows, out_rows * sizeof *y);
        free(x);
        free(y);
    }
}

int main(int argc, char **argv) {
    if (argc < 5) die("usage", "play MODEL METHOD IN OUT [name=value]...");
    size_t bytes, in_bytes;
    void *file = read_all(argv[1], &bytes);
    tudor_model model;
    tudor_fault fault;
    if (tudor_open(file, bytes, &model, &fault)) {
        fprintf(stderr, "%s %u: %s\n", fault.record, (unsigned)fault.index, tudor_error_text(fault.code));
        return 2;
    }
    const struct options o = parse(argc, argv);
    const int method = tudor_find_method(&model, argv[2]);
    tudor_method_info m;
    if (method < 0 || tudor_method(&model, method, &m)) die(argv[2], "no such method");
    float *in = read_all(argv[3], &in_bytes);
    const uint32_t total = (uint32_t)(in_bytes / sizeof(float) / o.batch / m.in_channels) * m.in_ratio;
    const size_t out_floats = (size_t)total / m.out_ratio * m.out_channels * o.batch;
    float *out = calloc(out_floats, sizeof *out);
    void *bulk;
    tudor *t = instance(&model, &o, &bulk);
    static tudor_part parts[PLAY_MAX_PARTS];
    const uint32_t copies = o.parts ? use_parts(t, &model, o.parts, parts) : 0;
    play_all(t, method, &m, &o, in, out, total / m.frame_samples * m.frame_samples);
    FILE *f = fopen(argv[4], "wb");
    if (!f || fwrite(out, sizeof *out, out_floats, f) != out_floats || fclose(f)) die(argv[4], "cannot write");
    printf("%s\n", tudor_isa(t));
    for (uint32_t i = 0; i < copies; i++) free((void *)(uintptr_t)parts[i].at);
    free(t); /* an instance lies at the start of its fast region */
    free(bulk);
    free(out);
    free(in);
    free(file);
    return 0;
}
