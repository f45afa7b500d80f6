/* Plays a model file on raw float32, the same way on every machine:
 *
 *   host MODEL METHOD IN OUT [frames=1,7,3] [slices=N] [isa=NAME] [count=calls|ops] [marks=1] [times=FILE]
 *
 * IN and OUT hold [channels][rows], planar. Blocks are `frames` frames long, lengths taken in turn. Each block is
 * played by one call, or with slices=N by N calls that share its work. Facts and counts go to standard output, a line
 * each: "name value". FILE gets what every call took, uint64 each. Exit codes: 0 played; 1 wrong use; 2 the file was
 * refused. */
#include "counter.h"
#include "platform.h"
#include "tally.h"
#include "tudor.h"
#include "words.h"

#include <string.h>

#define MAX_LENGTHS 64

struct options {
    const char *isa, *times;
    uint32_t lengths[MAX_LENGTHS], length_count; /* frames */
    uint32_t slices;
    enum counter_mode count;
    int marks;
};

struct job {
    tudor *t;
    int method;
    tudor_method_info info;
    const struct options *options;
    const float *in;
    float *out;
    float *block_in, *block_out;
    uint32_t total_samples;
};

static _Noreturn void die(int code, const char *what, const char *why) {
    platform_complain(what);
    platform_complain(": ");
    platform_complain(why);
    platform_complain("\n");
    platform_exit(code);
}

static void check(int error, const char *what) {
    if (error) die(1, what, tudor_error_text(error));
}

/* The value of a word "name=value" if that is its name. */
static const char *value_of(const char *word, const char *name) {
    const size_t length = strlen(name);
    return strncmp(word, name, length) == 0 && word[length] == '=' ? word + length + 1 : 0;
}

static void parse_lengths(struct options *o, const char *text) {
    o->length_count = 0;
    do {
        const uint32_t frames = read_number(&text);
        if (frames == 0 || o->length_count == MAX_LENGTHS) die(1, "frames", "wants up to 64 numbers above 0");
        o->lengths[o->length_count++] = frames;
    } while (*text++ == ',');
}

static struct options parse(int count, char **words) {
    struct options o = {.isa = 0, .lengths = {1}, .length_count = 1};
    for (int i = 5; i < count; i++) {
        const char *value;
        if ((value = value_of(words[i], "frames")) != 0)
            parse_lengths(&o, value);
        else if ((value = value_of(words[i], "slices")) != 0)
            o.slices = read_number(&value);
        else if ((value = value_of(words[i], "isa")) != 0)
            o.isa = value;
        else if ((value = value_of(words[i], "count")) != 0)
            o.count = strcmp(value, "ops") == 0 ? COUNTER_OPS : COUNTER_CALLS;
        else if ((value = value_of(words[i], "marks")) != 0)
            o.marks = 1;
        else if ((value = value_of(words[i], "times")) != 0)
            o.times = value;
        else
            die(1, words[i], "no such option");
    }
    if (o.times) o.count = COUNTER_CALLS;
    return o;
}

static void play_block(const struct job *j, uint32_t samples) {
    const uint32_t slices = j->options->slices;
    for (uint32_t slice = 0; slice < (slices ? slices : 1); slice++) {
        counter_begin(TALLY_CALLS);
        const int error = slices ? tudor_process_slice(j->t, j->method, j->block_in, j->block_out, samples, slice, slices)
                                 : tudor_process(j->t, j->method, j->block_in, j->block_out, samples);
        counter_end(TALLY_CALLS);
        check(error, "process");
    }
}

/* Gathers a block of every channel, plays it, and puts the result where it belongs. */
static uint64_t play_all(const struct job *j) {
    const tudor_method_info *m = &j->info;
    const uint32_t in_all = j->total_samples / m->in_ratio, out_all = j->total_samples / m->out_ratio;
    uint64_t blocks = 0;
    for (uint32_t at = 0, n; at < j->total_samples; at += n, blocks++) {
        n = j->options->lengths[blocks % j->options->length_count] * m->frame_samples;
        if (n > j->total_samples - at) n = j->total_samples - at;
        const uint32_t in_rows = n / m->in_ratio, out_rows = n / m->out_ratio;
        for (uint32_t c = 0; c < m->in_channels; c++)
            memcpy(j->block_in + c * in_rows, j->in + c * in_all + at / m->in_ratio, in_rows * sizeof(float));
        play_block(j, n);
        for (uint32_t c = 0; c < m->out_channels; c++)
            memcpy(j->out + c * out_all + at / m->out_ratio, j->block_out + c * out_rows, out_rows * sizeof(float));
    }
    return blocks;
}

/* Of the blocks that so many frames are played in. */
static uint32_t longest_block(const struct options *o, uint32_t frames) {
    uint32_t most = 0, n;
    for (uint32_t at = 0, blocks = 0; at < frames; at += n, blocks++) {
        n = o->lengths[blocks % o->length_count];
        if (n > frames - at) n = frames - at;
        if (n > most) most = n;
    }
    return most;
}

static tudor *instance(const tudor_model *model, const struct options *o, uint32_t max_samples) {
    tudor_sizes need;
    tudor *t;
    check(tudor_measure(model, 1, max_samples, &need), "measure");
    void *fast = platform_memory(need.fast_bytes, 1), *bulk = platform_memory(need.bulk_bytes, 0);
    check(tudor_init(model, 1, max_samples, fast, need.fast_bytes, bulk, need.bulk_bytes, &t), "init");
    if (o->isa) check(tudor_use_isa(t, o->isa), o->isa);
    platform_print("isa ");
    platform_print(tudor_isa(t));
    platform_print("\n");
    print_fact("fast_bytes", need.fast_bytes);
    print_fact("bulk_bytes", need.bulk_bytes);
    print_fact("state_bytes", need.state_bytes);
    return t;
}

static void open_model(const char *path, tudor_model *model) {
    size_t bytes;
    tudor_fault fault;
    const void *file = platform_read(path, &bytes);
    if (tudor_open(file, bytes, model, &fault)) {
        platform_complain(fault.record);
        die(2, "", tudor_error_text(fault.code));
    }
}

void host_main(int count, char **words) {
    if (count < 5) die(1, "usage", "host MODEL METHOD IN OUT [name=value]...");
    const struct options o = parse(count, words);
    tudor_model model;
    open_model(words[1], &model);
    struct job j = {.options = &o, .method = tudor_find_method(&model, words[2])};
    if (j.method < 0) die(1, words[2], "the model has no such method");
    check(tudor_method(&model, j.method, &j.info), words[2]);
    size_t in_bytes;
    j.in = platform_read(words[3], &in_bytes);
    const uint32_t rows = (uint32_t)(in_bytes / sizeof(float)) / j.info.in_channels;
    const uint32_t frames = rows / (j.info.frame_samples / j.info.in_ratio), frame = j.info.frame_samples;
    if (frames == 0 || frames * (frame / j.info.in_ratio) * j.info.in_channels * sizeof(float) != in_bytes)
        die(1, words[3], "is no whole number of frames");
    const uint32_t longest = longest_block(&o, frames) * frame;
    const size_t out_bytes = sizeof(float) * (frames * frame / j.info.out_ratio) * j.info.out_channels;
    j.total_samples = frames * frame;
    j.out = platform_memory(out_bytes, 0);
    j.block_in = platform_memory(sizeof(float) * longest / j.info.in_ratio * j.info.in_channels, 1);
    j.block_out = platform_memory(sizeof(float) * longest / j.info.out_ratio * j.info.out_channels, 1);
    j.t = instance(&model, &o, longest);
    const size_t calls = (size_t)frames * (o.slices ? o.slices : 1); /* at most */
    uint64_t *const times = o.times ? platform_memory(calls * sizeof *times, 0) : 0;
    counter_use(o.count, o.marks);
    counter_log(times, times ? calls : 0);
    const uint64_t blocks = play_all(&j);
    platform_write(words[4], j.out, out_bytes);
    if (times) platform_write(o.times, times, counter_logged() * sizeof *times);
    print_fact("frame_samples", frame);
    print_fact("samples", j.total_samples);
    print_fact("blocks", blocks);
    print_fact("nonfinite", tudor_nonfinite(j.t));
    counter_report();
    platform_exit(0);
}
