/* Plays the instrument (firmware/common) from files, the same way on every machine:
 *
 *   rack models=A,B maps=X,- events=E [in=I] [out=O] [trace=T] [calibration=C] [rate=48000] [block=48] [seconds=N]
 *        [channels=IN,OUT] [taps=32] [overlap=0] [fade=30] [seed=1] [digest=1] [lane=256] [derive=1]
 *        [count=PART] [from=BLOCK] [marks=1] [times=FILE] [tables=131072] [heard=0] [meter=4] [turns=1] [slots=8]
 *        [restore=FILE] [save=FILE] [catch=1] [stereo=0..] [captures=1]
 *        [burst=0] [ahead=0] [wet=1]
 *   rack calibration=C calibrated=FILE
 *
 * Models go to slots in turn; a map "-" is derived. A model that is refused is said and skipped. E holds module_event
 * records in order of time; kinds of its own, below, plant faults. I and O hold [channels][samples] float32, planar; with
 * no I a test signal is made. T gets a module_status for every block. digest=1 says a digest of the output for each
 * second instead of keeping it. derive=1 only prints the mapping that the first model is played with. count: instructions
 * of one part of every callback from BLOCK on (rack_counts.c names them); FILE gets what each call of it took, uint64.
 * stereo: a digit of enum module_stereo for each slot, the last one for all others.
 * wet=1: of the model alone, before it is mixed.
 * turns=1: only one model is loaded at a time, the others when they are wanted. restore: what a run before has saved at
 * its end. calibrated: only reads the calibration, and writes struct calibration of every knob and CV; what is wrong is said.
 * Facts go to standard output, a line each: "name value". */
#include "capture.h"
#include "counter.h"
#include "platform.h"
#include "rack.h"
#include "rack_counts.h"
#include "words.h"

static struct rack rack;

_Noreturn void rack_die(const char *what, const char *why) {
    platform_complain(what);
    platform_complain(": ");
    platform_complain(why);
    platform_complain("\n");
    platform_exit(1);
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
                                : rack_signal(at + i, r->config.sample_rate_hz, c);
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
        if (r->turns) rack_take_turns(r);
        if (r->captures && capture_attend(r->m)) print_fact("captured", at);
        rack_push_due(r, at + block);
        rack_run_host(r);
        gather(r, at, in);
        rack_counts_enter(RACK_BLOCK);
        module_process(r->m, (const float *const *)in, out);
        rack_counts_leave(RACK_BLOCK);
        for (uint32_t c = 0; r->wet && c < r->config.out_channels; c++)
            memcpy(out[c], r->m->wet[0][c], block * sizeof(float));
        for (uint32_t c = 0; c < r->config.out_channels; c++) {
            if (r->digest) digest = digested(digest, out[c], block);
            for (uint32_t i = 0; r->out && i < block && at + i < r->samples; i++)
                r->out[(size_t)c * r->samples + at + i] = out[c][i];
        }
        if (r->trace) module_read_status(r->m, &r->trace[n]);
        if (r->digest && (at + block) / rate != at / rate) print_fact("digest", digest);
    }
    if (r->save) rack_save(r, out);
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
    r->config.clock = rack_clock;
    r->config.clock_hz = TICKS_PER_SAMPLE * r->config.sample_rate_hz;
    r->config.context = r;
    const size_t memory = module_bytes(&r->config);
    if (!memory) rack_die("config", "this is not possible");
    if (module_init(&r->config, platform_memory(memory, 1), memory, &r->m)) rack_die("config", "was refused");
    if (!r->calibration) return;
    size_t bytes;
    const char *const text = platform_read(r->calibration, &bytes);
    const int error = module_read_calibration(r->m, text, bytes, &why);
    if (error && !r->calibrated) rack_die(r->calibration, why.text);
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
    rack_parse(r, count, words);
    start(r);
    rack_load(r);
    rack_restore(r);
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
