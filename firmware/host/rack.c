/* Plays the instrument (firmware/common) from files, the same way on every machine:
 *
 *   rack models=A,B maps=X,- events=E [in=I] [out=O] [trace=T] [calibration=C] [rate=48000] [block=48] [seconds=N]
 *        [channels=IN,OUT] [taps=32] [overlap=0] [fade=30] [seed=1] [digest=1] [lane=256] [derive=1]
 *        [count=PART] [from=BLOCK] [marks=1] [times=FILE] [tables=131072] [heard=0] [meter=4] [turns=1] [slots=8]
 *        [restore=FILE] [save=FILE] [catch=1]
 *   rack calibration=C calibrated=FILE
 *
 * Models go to slots in turn; a map "-" is derived. A model that is refused is said and skipped. E holds module_event
 * records in order of time; kinds of its own, below, plant faults. I and O hold [channels][samples] float32, planar; with
 * no I a test signal is made. T gets a module_status for every block. digest=1 says a digest of the output for each
 * second instead of keeping it. derive=1 only prints the mapping that the first model is played with. count: instructions
 * of one part of every callback from BLOCK on (rack_counts.c names them); FILE gets what each call of it took, uint64.
 * turns=1: only one model is loaded at a time, the others when they are wanted. restore: what a run before has saved at
 * its end. calibrated: only reads the calibration, and writes struct calibration of every knob and CV; what is wrong is said.
 * Facts go to standard output, a line each: "name value". */
#include "counter.h"
#include "instrument.h"
#include "platform.h"
#include "rack_counts.h"
#include "words.h"

#include <string.h>

enum { PLANT_LOAD = 100, /* every block from now on takes this share of its time */
       PLANT_MISS,       /* an xrun */
       PLANT_NAN,        /* the model's next output holds what is no number, */
       PLANT_HUGE,       /* or what is far too large */
       HOST_TEMPO,       /* a host's transport runs at this tempo, 0: it is silent, negative: it stands, */
       HOST_BEAT };      /* and is here at the event's time */

struct rack {
    module_config config;
    tudor_module *m;
    const module_event *events;
    size_t event_count, next;
    const float *in;
    float *out;
    module_status *trace;
    const char *models, *maps, *events_path, *in_path, *out_path, *trace_path, *calibration, *calibrated, *count,
        *times_path, *restore, *save;
    struct { char name[64], map[64]; } turn[MODULE_SLOTS]; /* models that take turns */
    uint32_t turns, loaded;
    uint32_t samples, seconds, digest, derive, count_from, marks, tables;
    uint32_t ticks, plant, host_meter;
    float load, host_tempo;
    double host_beat; /* at the next block's beginning */
};

static struct rack rack;

static _Noreturn void die(const char *what, const char *why) {
    platform_complain(what);
    platform_complain(": ");
    platform_complain(why);
    platform_complain("\n");
    platform_exit(1);
}

/* ---- planted faults: the linker sends the runtime's calls through here ---- */

int __real_tudor_process(tudor *t, int method, const float *in, float *out, uint32_t samples);
int __real_tudor_process_slice(tudor *t, int method, const float *in, float *out, uint32_t samples, uint32_t slice,
                               uint32_t slices);
int __wrap_tudor_process(tudor *t, int method, const float *in, float *out, uint32_t samples);
int __wrap_tudor_process_slice(tudor *t, int method, const float *in, float *out, uint32_t samples, uint32_t slice,
                               uint32_t slices);

static void plant(float *out) {
    const uint32_t bits = rack.plant == PLANT_NAN ? 0x7fc00000u : 0x7149f2cau; /* 1e30 */
    if (rack.plant) memcpy(out, &bits, sizeof bits);
    rack.plant = 0;
}

int __wrap_tudor_process(tudor *t, int method, const float *in, float *out, uint32_t samples) {
    rack_counts_enter(RACK_MODEL);
    const int error = __real_tudor_process(t, method, in, out, samples);
    rack_counts_leave(RACK_MODEL);
    plant(out);
    return error;
}

int __wrap_tudor_process_slice(tudor *t, int method, const float *in, float *out, uint32_t samples, uint32_t slice,
                               uint32_t slices) {
    rack_counts_enter(RACK_MODEL);
    const int error = __real_tudor_process_slice(t, method, in, out, samples, slice, slices);
    rack_counts_leave(RACK_MODEL);
    if (slice + 1 == slices) plant(out);
    return error;
}

/* A clock that tells what the script says; it is read at the beginning and at the end of every block. */
#define TICKS_PER_SAMPLE 1000u
static uint32_t script_clock(void *context) {
    struct rack *const r = context;
    const uint32_t now = r->ticks;
    r->ticks += (uint32_t)(r->load * (float)(r->config.block_samples * TICKS_PER_SAMPLE));
    return now;
}

/* ---- words ---- */

static const char *value_of(const char *word, const char *name) {
    const size_t length = strlen(name);
    return strncmp(word, name, length) == 0 && word[length] == '=' ? word + length + 1 : 0;
}

static void parse(struct rack *r, int count, char **words) {
    module_config *const c = &r->config;
    const struct { const char *name; const char **to; } paths[] = {
        {"models", &r->models}, {"maps", &r->maps}, {"events", &r->events_path}, {"in", &r->in_path},
        {"out", &r->out_path}, {"trace", &r->trace_path}, {"calibration", &r->calibration},
        {"calibrated", &r->calibrated}, {"count", &r->count}, {"times", &r->times_path},
        {"restore", &r->restore}, {"save", &r->save}};
    const struct { const char *name; uint32_t *to; } numbers[] = {
        {"rate", &c->sample_rate_hz}, {"block", &c->block_samples}, {"seconds", &r->seconds}, {"channels", &c->in_channels},
        {"taps", &c->resample_taps}, {"overlap", &c->overlap}, {"fade", &c->fade_ms}, {"seed", &c->seed},
        {"digest", &r->digest}, {"derive", &r->derive}, {"lane", &c->lane_events}, {"from", &r->count_from},
        {"marks", &r->marks}, {"tables", &r->tables}, {"heard", &c->heard_samples}, {"meter", &r->host_meter},
        {"turns", &r->turns}, {"slots", &c->slots}, {"catch", &c->catch_up}};
    for (int i = 1; i < count; i++) {
        const char *value;
        int known = 0;
        for (size_t k = 0; k < sizeof paths / sizeof *paths; k++)
            if ((value = value_of(words[i], paths[k].name)) != 0) *paths[k].to = value, known = 1;
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
            if ((value = value_of(words[i], numbers[k].name)) != 0) {
                *numbers[k].to = read_number(&value);
                if (*value == ',') value++, c->out_channels = read_number(&value);
                known = 1;
            }
        if (!known) die(words[i], "no such option");
    }
    if (r->tables) c->resample_bytes = r->tables;
    if (r->count && !rack_counts_choose(r->count)) die(r->count, "no such part");
}

/* Copies the next of a comma-separated list; 0: there is none. */
static int next_of(const char **list, char *name, size_t size) {
    size_t i = 0;
    if (!*list || !**list) return 0;
    for (; **list && **list != ','; (*list)++)
        if (i + 1 < size) name[i++] = **list;
    if (**list == ',') (*list)++;
    name[i] = 0;
    return 1;
}

/* ---- slots ---- */

static void load(struct rack *r, uint32_t slot, const char *name, const char *map_name) {
    module_complaint why = {0, 0, ""};
    module_need need;
    size_t bytes, map_bytes = 0;
    const void *const file = platform_read(name, &bytes);
    const char *const map = *map_name && strcmp(map_name, "-") ? platform_read(map_name, &map_bytes) : 0;
    int error = module_measure(r->m, file, bytes, map, map_bytes, &need, &why);
    if (!error) {
        void *const fast = platform_memory(need.fast_bytes, 1), *const bulk = platform_memory(need.bulk_bytes, 0);
        error = module_load(r->m, slot, name, file, bytes, map, map_bytes, fast, need.fast_bytes, bulk, need.bulk_bytes, &why);
    }
    if (error) {
        platform_print("refused ");
        platform_print(name);
        platform_print(": ");
        platform_print(why.text);
        platform_print("\n");
        print_fact("refused_slot", slot);
        return;
    }
    print_fact("slot", slot);
    print_fact("way", need.way);
    print_fact("latency_samples", need.latency_samples);
    print_fact("slices", need.slices);
    print_fact("fast_bytes", need.fast_bytes);
    print_fact("bulk_bytes", need.bulk_bytes);
}

static _Noreturn void derive(struct rack *r) {
    char name[64], text[4096];
    size_t bytes;
    if (!next_of(&r->models, name, sizeof name)) die("derive", "wants models=");
    const void *const file = platform_read(name, &bytes);
    if (!module_derive_mapping(r->m, file, bytes, text, sizeof text)) die(name, "is no model that an instrument can play");
    platform_print(text);
    platform_exit(0);
}

static void load_all(struct rack *r) {
    char name[64], map[64];
    if (r->derive) derive(r);
    for (uint32_t slot = 0; next_of(&r->models, name, sizeof name); slot++) {
        map[0] = 0;
        (void)next_of(&r->maps, map, sizeof map);
        if (r->turns && slot < MODULE_SLOTS) {
            memcpy(r->turn[slot].name, name, sizeof name);
            memcpy(r->turn[slot].map, map, sizeof map);
            module_offer(r->m, slot, name);
        }
        if (!r->turns || slot == 0) load(r, slot, name, map);
    }
}

/* As a board's control thread does it. */
static void take_turns(struct rack *r) {
    const uint32_t wanted = module_wanted(r->m);
    if (wanted == MODULE_SLOTS || module_unload(r->m, r->loaded)) return;
    load(r, wanted, r->turn[wanted].name, r->turn[wanted].map);
    r->loaded = wanted;
}

static void restore(struct rack *r) {
    module_complaint why = {0, 0, ""};
    size_t bytes;
    if (!r->restore) return;
    const void *const saved = platform_read(r->restore, &bytes);
    if (!module_restore(r->m, saved, bytes, &why)) return;
    platform_print("refused ");
    platform_print(why.text);
    platform_print("\n");
}

/* Behind the last block, in some more of silence. */
static void save(struct rack *r, float *const *out) {
    const size_t room = module_save_bytes(r->m);
    void *const saved = platform_memory(room, 0);
    size_t bytes = 0;
    if (module_save(r->m, saved, room)) die("save", "was refused");
    for (uint32_t i = 0; i < 100 && !bytes; i++) {
        module_process(r->m, 0, out);
        bytes = module_saved(r->m);
    }
    platform_write(r->save, saved, bytes);
}

/* ---- time ---- */

static double host_beats(const struct rack *r, uint32_t samples) { /* in the block or a little before it */
    return r->host_tempo <= 0.0f ? 0.0 : (double)(int32_t)samples * (double)r->host_tempo / 60.0 /
                                             (double)r->config.sample_rate_hz;
}

static void run_host(struct rack *r) {
    if (r->host_tempo == 0.0f) return;
    const float tempo = r->host_tempo < 0.0f ? -r->host_tempo : r->host_tempo;
    module_host_transport(r->m, &(module_transport){r->host_beat, tempo, r->host_meter ? r->host_meter : 4,
                                                    r->host_tempo > 0.0f});
    r->host_beat += host_beats(r, r->config.block_samples);
}

static void push_due(struct rack *r, uint32_t end) {
    for (; r->next < r->event_count && r->events[r->next].at_samples < end; r->next++) {
        const module_event *const e = &r->events[r->next];
        if (e->kind == PLANT_LOAD)
            r->load = e->value;
        else if (e->kind == PLANT_MISS)
            module_report_miss(r->m);
        else if (e->kind == PLANT_NAN || e->kind == PLANT_HUGE)
            r->plant = e->kind;
        else if (e->kind == HOST_TEMPO)
            r->host_tempo = e->value;
        else if (e->kind == HOST_BEAT)
            r->host_beat = (double)e->value + host_beats(r, end - r->config.block_samples - e->at_samples);
        else
            (void)module_push(r->m, 0, e);
    }
}

/* Bursts of noise over a slow saw: loud, quiet and silent, with nothing of libm in it. */
static float test_signal(uint32_t i, uint32_t rate, uint32_t channel) {
    uint32_t n = (i + 1) * 2654435761u ^ (channel * 0x9E3779B9u);
    n = (n ^ n >> 15) * 0x735a2d97u;
    const uint32_t beat = rate / 4, at = i % beat;
    const float decay = 1.0f - (float)at / (float)beat, saw = (float)(i * 110u % rate) / (float)rate - 0.5f;
    const float noise = (float)(n >> 8) * 0x1p-23f - 1.0f;
    return i / rate % 4 == 3 ? 0.0f : 0.6f * noise * decay * decay * decay + 0.4f * saw;
}

static uint64_t digested(uint64_t digest, const float *x, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        digest = (digest ^ bits) * 0x100000001B3u;
    }
    return digest;
}

static void gather(const struct rack *r, uint32_t at, float *const *block) {
    const uint32_t length = r->config.block_samples;
    for (uint32_t c = 0; c < r->config.in_channels; c++)
        for (uint32_t i = 0; i < length; i++)
            block[c][i] = r->in ? (at + i < r->samples ? r->in[(size_t)c * r->samples + at + i] : 0.0f)
                                : test_signal(at + i, r->config.sample_rate_hz, c);
}

static void play(struct rack *r) {
    const uint32_t block = r->config.block_samples, rate = r->config.sample_rate_hz;
    float *in[MODULE_CHANNELS], *out[MODULE_CHANNELS];
    uint64_t digest = 0xCBF29CE484222325u;
    for (uint32_t c = 0; c < MODULE_CHANNELS; c++) {
        in[c] = platform_memory(block * sizeof(float), 1);
        out[c] = platform_memory(block * sizeof(float), 1);
    }
    for (uint32_t at = 0, n = 0; at < r->samples; at += block, n++) {
        if (n == r->count_from) rack_counts_begin((int)r->marks);
        if (r->turns) take_turns(r);
        push_due(r, at + block);
        run_host(r);
        gather(r, at, in);
        rack_counts_enter(RACK_BLOCK);
        module_process(r->m, (const float *const *)in, out);
        rack_counts_leave(RACK_BLOCK);
        for (uint32_t c = 0; c < r->config.out_channels; c++) {
            if (r->digest) digest = digested(digest, out[c], block);
            for (uint32_t i = 0; r->out && i < block && at + i < r->samples; i++)
                r->out[(size_t)c * r->samples + at + i] = out[c][i];
        }
        if (r->trace) module_read_status(r->m, &r->trace[n]);
        if (r->digest && (at + block) / rate != at / rate) print_fact("digest", digest);
    }
    if (r->save) save(r, out);
}

static void report(const struct rack *r) {
    module_status s;
    module_read_status(r->m, &s);
    print_fact("blocks", s.blocks);
    print_fact("state", s.state);
    print_fact("misses", s.misses);
    print_fact("overloads", s.overloads);
    print_fact("faults", s.faults);
    print_fact("dropped", s.dropped);
    print_fact("ignored", s.ignored);
    print_fact("nonfinite", s.nonfinite);
    print_fact("changes", module_changes(r->m));
}

static void start(struct rack *r) {
    module_complaint why = {0, 0, ""};
    r->config.clock = script_clock;
    r->config.clock_hz = TICKS_PER_SAMPLE * r->config.sample_rate_hz;
    r->config.context = r;
    const size_t memory = module_bytes(&r->config);
    if (!memory) die("config", "this is not possible");
    if (module_init(&r->config, platform_memory(memory, 1), memory, &r->m)) die("config", "was refused");
    if (!r->calibration) return;
    size_t bytes;
    const char *const text = platform_read(r->calibration, &bytes);
    const int error = module_read_calibration(r->m, text, bytes, &why);
    if (error && !r->calibrated) die(r->calibration, why.text);
    if (!r->calibrated) return;
    if (error) {
        platform_print("refused ");
        platform_print(why.text);
        platform_print("\n");
    } else {
        platform_write(r->calibrated, r->m->controls.calibration, sizeof r->m->controls.calibration);
    }
    platform_exit(0);
}

static void read_files(struct rack *r) {
    size_t bytes = 0;
    if (r->events_path) r->events = platform_read(r->events_path, &bytes);
    r->event_count = bytes / sizeof(module_event);
    r->samples = r->seconds * r->config.sample_rate_hz;
    if (!r->in_path) return;
    r->in = platform_read(r->in_path, &bytes);
    const uint32_t channels = r->config.in_channels ? r->config.in_channels : 1;
    r->samples = (uint32_t)(bytes / sizeof(float)) / channels;
}

void host_main(int count, char **words) {
    struct rack *const r = &rack;
    module_defaults(&r->config);
    parse(r, count, words);
    start(r);
    load_all(r);
    restore(r);
    read_files(r);
    const uint32_t blocks = (r->samples + r->config.block_samples - 1) / r->config.block_samples;
    const size_t out_bytes = (size_t)r->samples * r->config.out_channels * sizeof(float);
    if (r->out_path) r->out = platform_memory(out_bytes, 0);
    if (r->trace_path) r->trace = platform_memory(blocks * sizeof *r->trace, 0);
    const size_t room = r->times_path ? 16 * (size_t)blocks : 0; /* the calls of one part */
    uint64_t *const times = room ? platform_memory(room * sizeof *times, 0) : 0;
    counter_log(times, room);
    play(r);
    if (times) platform_write(r->times_path, times, counter_logged() * sizeof *times);
    if (r->out_path) platform_write(r->out_path, r->out, out_bytes);
    if (r->trace_path) platform_write(r->trace_path, r->trace, blocks * sizeof *r->trace);
    report(r);
    counter_report();
    platform_exit(0);
}
