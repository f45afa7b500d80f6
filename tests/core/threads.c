/* A host with several threads, every function of tudor.h called where its tag allows, and held to it: thread_tags.py
 * wraps each call in `entered`, which ends the program when the tag forbids the thread.
 *
 *   threads MODEL [plant=tag|race]      prints the functions that were never called
 *
 * Two audio threads play an instance each while the main thread reads the model, opens it anew and makes and drops
 * further instances. Then the instances change threads. Built with the thread sanitizer, which sees what races. */
#include "tudor.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void entered(int function);
#include "thread_checks.h" /* generated; from here on calls are checked */

#define X(name, tag) {#name, tag},
static const struct { const char *name, *tag; } functions[] = {TUDOR_FUNCTIONS};
#undef X
#define COUNT (sizeof functions / sizeof *functions)
#define BLOCKS 30

static atomic_int calls[COUNT];
static _Thread_local const char *role = "main-thread";

static void entered(int function) {
    const char *tag = functions[function].tag;
    if (strcmp(tag, "thread-safe") && strcmp(tag, role)) {
        fprintf(stderr, "%s is [%s] and was called on the %s\n", functions[function].name, tag, role);
        exit(3);
    }
    atomic_fetch_add(&calls[function], 1);
}

static void must(int error) {
    if (!error) return;
    fprintf(stderr, "%s\n", tudor_error_text(error));
    exit(4);
}

struct player {
    const tudor_model *model;
    tudor *t;
    void *fast, *bulk, *state;
    tudor_sizes need;
    uint32_t samples;
    float *in, *out;
};

static void *room(size_t bytes) {
    void *memory = aligned_alloc(64, (bytes + 64) / 64 * 64);
    if (!memory) exit(5);
    return memset(memory, 0, bytes);
}

static struct player make(const tudor_model *model) {
    struct player p = {.model = model};
    tudor_method_info m;
    must(tudor_method(model, 0, &m));
    p.samples = 4 * m.frame_samples;
    must(tudor_measure(model, 1, p.samples, &p.need));
    p.fast = room(p.need.fast_bytes), p.bulk = room(p.need.bulk_bytes), p.state = room(p.need.state_bytes);
    p.in = room(p.samples / m.in_ratio * m.in_channels * sizeof(float));
    p.out = room(p.samples / m.out_ratio * m.out_channels * sizeof(float));
    must(tudor_init(model, 1, p.samples, p.fast, p.need.fast_bytes, p.bulk, p.need.bulk_bytes, &p.t));
    must(tudor_use_isa(p.t, "scalar"));
    must(tudor_use_parts(p.t, 0, 0));
    return p;
}

static void drop(struct player *p) {
    free(p->fast), free(p->bulk), free(p->state), free(p->in), free(p->out);
}

/* [thread-safe]: from every thread, all the time. */
static void read_model(const tudor_model *model) {
    tudor_attribute_info a;
    tudor_method_info m;
    tudor_op_info op;
    if (!tudor_weights(model) || strlen(tudor_name(model)) + strlen(tudor_metadata(model)) == 0 || !tudor_sample_rate_hz(model)) exit(6);
    for (int i = 0; i < tudor_methods(model); i++) {
        must(tudor_method(model, i, &m));
        if (tudor_find_method(model, m.name) != i || tudor_find_role(model, m.role) > i) exit(6);
        for (int k = 0; k < tudor_ops(model, i); k++) must(tudor_op(model, i, k, &op));
    }
    for (int i = 0; i < tudor_attributes(model); i++) {
        must(tudor_attribute(model, i, &a));
        if (tudor_find_attribute(model, a.name) != i) exit(6);
    }
}

static void *audio_thread(void *given) {
    struct player *p = given;
    role = "audio-thread";
    uint64_t worst, total;
    float value[16];
    for (int block = 0; block < BLOCKS; block++) {
        read_model(p->model);
        must(tudor_process(p->t, 0, p->in, p->out, p->samples));
        for (uint32_t slice = 0; slice < 3; slice++)
            must(tudor_process_slice(p->t, 0, p->in, p->out, p->samples, slice, 3));
        const int drawn = tudor_force(p->t, 0, p->out, p->out, p->samples); /* not every model draws */
        if (drawn != TUDOR_ERROR_DRAWS) must(drawn);
        must(tudor_slice_costs(p->t, 0, p->samples, 3, &worst, &total));
        for (int i = 0; i < tudor_attributes(p->model); i++) {
            tudor_attribute_info a;
            must(tudor_attribute(p->model, i, &a));
            if (a.count > 16) exit(7);
            must(tudor_get_attribute(p->t, i, value, a.count));
            must(tudor_set_attribute(p->t, i, value, a.count));
            must(tudor_get_stream_attribute(p->t, 0, i, value, a.count));
            must(tudor_set_stream_attribute(p->t, 0, i, value, a.count));
        }
        tudor_method_info m;
        must(tudor_method(p->model, 0, &m));
        must(tudor_save_start(p->t, 0, p->state, (size_t)m.start_bytes));
        must(tudor_save_state(p->t, p->state, p->need.state_bytes));
        if (block % 8 == 3) must(tudor_reset(p->t));
        if (block % 8 == 5) must(tudor_reset_method(p->t, 0));
        must(tudor_load_state(p->t, p->state, p->need.state_bytes));
        if (tudor_nonfinite(p->t) || strcmp(tudor_isa(p->t), "scalar")) exit(7);
    }
    return 0;
}

static void start(pthread_t *thread, struct player *p) {
    if (pthread_create(thread, 0, audio_thread, p)) exit(8);
}

int main(int argc, char **argv) {
    const char *plant = argc > 2 ? argv[2] : "";
    void *bytes = room(1 << 20);
    FILE *f = argc > 1 ? fopen(argv[1], "rb") : 0;
    const size_t length = f ? fread(bytes, 1, 1 << 20, f) : 0;
    tudor_model model, again;
    must(tudor_open(bytes, length, &model, 0));
    struct player players[2] = {make(&model), make(&model)};
    if (!strcmp(plant, "plant=tag")) must(tudor_reset(players[0].t));
    pthread_t threads[2];
    for (int turn = 0; turn < 2; turn++) { /* the second time the instances have changed threads */
        start(&threads[0], &players[turn]);
        start(&threads[1], &players[!strcmp(plant, "plant=race") ? turn : !turn]);
        for (int i = 0; i < BLOCKS; i++) {
            read_model(&model);
            must(tudor_open(bytes, length, &again, 0));
            struct player other = make(&again);
            drop(&other);
        }
        pthread_join(threads[0], 0);
        pthread_join(threads[1], 0);
    }
    tudor_error_text(0);
    for (size_t i = 0; i < COUNT; i++)
        if (!atomic_load(&calls[i])) printf("%s\n", functions[i].name);
    drop(&players[0]), drop(&players[1]);
    fclose(f), free(bytes);
    return 0;
}
