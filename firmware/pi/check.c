#include "check.h"

#include "status.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ASKED_EACH_US 100000

struct watch {
    int wrong;
    double seconds, load_worst, load_sum;
    int answers;
    int lowest[2][MODULE_KNOBS], highest[2][MODULE_KNOBS]; /* of knobs, of CVs */
};

static void tell(struct watch *w, int good, const char *what, const char *detail) {
    printf("%s  %-28s %s\n", good ? "ok   " : "WRONG", what, detail);
    w->wrong += !good;
}

/* The value behind a name in the status; null: there is none. */
static const char *value_of(const char *text, const char *name) {
    const size_t length = strlen(name);
    for (const char *at = text; at; at = strchr(at, '\n'), at += at != 0)
        if (!strncmp(at, name, length) && at[length] == ' ') return at + length + 1;
    return 0;
}

static double number_of(const char *text, const char *name) {
    const char *const value = value_of(text, name);
    return value ? strtod(value, 0) : 0.0;
}

static void watch_answer(struct watch *w, const char *text) {
    static const char *const stems[2] = {"knob", "cv"};
    const double load = number_of(text, "load_worst");
    w->answers++;
    w->load_sum += number_of(text, "load");
    if (load > w->load_worst) w->load_worst = load;
    for (int kind = 0; kind < 2; kind++)
        for (int i = 0; i < MODULE_KNOBS; i++) {
            char name[16];
            snprintf(name, sizeof name, "%s%d", stems[kind], i + 1);
            const char *const value = value_of(text, name);
            if (!value) continue;
            const int steps = atoi(value);
            if (steps < w->lowest[kind][i]) w->lowest[kind][i] = steps;
            if (steps > w->highest[kind][i]) w->highest[kind][i] = steps;
        }
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void check_sound(struct watch *w, const char *first, const char *last) {
    char text[160];
    const double blocks = number_of(last, "blocks") - number_of(first, "blocks");
    const double rate = blocks * number_of(last, "period_samples") / w->seconds, wanted = number_of(last, "rate_hz");
    snprintf(text, sizeof text, "%.0f samples per second, %.0f wanted", rate, wanted);
    tell(w, rate > 0.98 * wanted && rate < 1.02 * wanted, "the card runs", text);
    const double xruns = number_of(last, "xruns") - number_of(first, "xruns");
    snprintf(text, sizeof text, "%.0f in %.0f s", xruns, w->seconds);
    tell(w, xruns == 0.0, "xruns", text);
    snprintf(text, sizeof text, "mean %.1f %%, worst block %.1f %%", 100.0 * w->load_sum / w->answers,
             100.0 * w->load_worst);
    tell(w, w->load_worst < 0.9, "load", text);
    snprintf(text, sizeof text, "%.0f overloads, %.0f faults", number_of(last, "overloads"), number_of(last, "faults"));
    tell(w, number_of(last, "overloads") + number_of(last, "faults") == 0.0, "the model", text);
    snprintf(text, sizeof text, "in %.3f, out %.3f (full scale is 1)", number_of(last, "in_peak"),
             number_of(last, "out_peak"));
    tell(w, 1, "level now", text);
}

static void check_controls(struct watch *w, const struct settings *s, const char *first, const char *last) {
    char text[160], name[24];
    const double errors = number_of(last, "read_errors") - number_of(first, "read_errors");
    snprintf(text, sizeof text, "%.0f per second, %.0f errors",
             (number_of(last, "readings") - number_of(first, "readings")) / w->seconds, errors);
    tell(w, errors == 0.0, "converters", text);
    for (int kind = 0; kind < 2; kind++)
        for (int i = 0; i < MODULE_KNOBS; i++) {
            const struct analog_pin *const pin = kind ? &s->cv[i] : &s->knob[i];
            if (pin->adc < 0) continue;
            const int low = w->lowest[kind][i], high = w->highest[kind][i];
            snprintf(name, sizeof name, "%s%d", kind ? "cv" : "knob", i + 1);
            snprintf(text, sizeof text, low > high ? "no reading" : "%d to %d of 4095%s", low, high,
                     high - low > 3500 ? "" : ", not turned over its range meanwhile");
            tell(w, low <= high, name, text);
        }
    snprintf(text, sizeof text, "%.0f edges, %.0f MIDI messages meanwhile",
             number_of(last, "edges") - number_of(first, "edges"),
             number_of(last, "midi_messages") - number_of(first, "midi_messages"));
    tell(w, 1, "gates and MIDI", text);
}

/* A number from a file of the kernel; -1: there is none. */
static long kernel_number(const char *path, int base) {
    char text[64];
    FILE *const file = fopen(path, "r");
    const int got = file && fgets(text, sizeof text, file);
    if (file) fclose(file);
    return got ? strtol(text, 0, base) : -1;
}

long check_throttled(const char *platform) {
    glob_t found;
    char pattern[200];
    snprintf(pattern, sizeof pattern, "%s/soc*/soc*:firmware/get_throttled", platform);
    const long flags = glob(pattern, 0, 0, &found) ? -1 : kernel_number(found.gl_pathv[0], 16);
    globfree(&found);
    return flags;
}

/* The first word of a file of the kernel, into `word`; 0: there is none. */
static int kernel_word(const char *path, char *word, int bytes) {
    FILE *const file = fopen(path, "r");
    const int got = file && fgets(word, bytes, file);
    if (file) fclose(file);
    if (got) word[strcspn(word, " \n")] = 0;
    return got;
}

int check_governor(const char *cpus, char *text, int bytes) {
    char path[200], governor[32], slower[32] = "";
    long lowest_khz = -1;
    int cpu = 0;
    for (;; cpu++) {
        snprintf(path, sizeof path, "%s/cpu%d/cpufreq/scaling_governor", cpus, cpu);
        if (!kernel_word(path, governor, sizeof governor)) break;
        if (strcmp(governor, "performance")) memcpy(slower, governor, sizeof slower);
        snprintf(path, sizeof path, "%s/cpu%d/cpufreq/scaling_cur_freq", cpus, cpu);
        const long khz = kernel_number(path, 10);
        if (lowest_khz < 0 || khz < lowest_khz) lowest_khz = khz;
    }
    if (cpu == 0) return -1;
    snprintf(text, (size_t)bytes, "governor %s, %ld MHz%s", *slower ? slower : "performance", lowest_khz / 1000,
             *slower ? "; it slows down in rests: cpufreq.default_governor=performance in cmdline.txt" : "");
    return !*slower;
}

static void check_system(struct watch *w, const char *last) {
    char text[256];
    const int steady = check_governor("/sys/devices/system/cpu", text, sizeof text);
    if (steady >= 0) tell(w, steady, "processor", text);
    const long heat = kernel_number("/sys/class/thermal/thermal_zone0/temp", 10);
    const long throttled = check_throttled("/sys/devices/platform");
    if (heat >= 0) {
        snprintf(text, sizeof text, "%.1f degrees C", (double)heat / 1000.0);
        tell(w, heat < 80000, "temperature", text);
    }
    if (throttled >= 0) /* bit 0: undervoltage now, 16: since the start; 2 and 18: throttled */
        tell(w, (throttled & 0x50005) == 0, "power", throttled & 0x10001 ? "the 5 V supply sags" : "steady");
    FILE *const mounts = fopen("/proc/mounts", "r");
    while (mounts && fgets(text, sizeof text, mounts))
        if (strstr(text, " / overlay ")) tell(w, 1, "root file system", "overlay: pulling the power loses nothing");
    if (mounts) fclose(mounts);
    for (const char *at = last; (at = strstr(at, "\nnote ")) != 0;) {
        const size_t length = strcspn(at += 6, "\n");
        snprintf(text, sizeof text, "%.*s", (int)(length < 200 ? length : 200), at);
        tell(w, 0, "the program says", text);
    }
}

int check_board(const struct settings *s, int seconds) {
    static char first[STATUS_BYTES], last[STATUS_BYTES];
    struct watch w = {0};
    for (int i = 0; i < MODULE_KNOBS; i++) w.lowest[0][i] = w.lowest[1][i] = 1 << 30, w.highest[0][i] = w.highest[1][i] = -1;
    if (status_ask(s->socket, first, STATUS_BYTES) < 0) {
        printf("WRONG  tudor-module does not run; `journalctl -u tudor-module` says why\n");
        return 1;
    }
    printf("watching for %d s: turn every knob from end to end, patch something into each jack\n", seconds);
    fflush(stdout);
    const double begun = seconds_now();
    do {
        usleep(ASKED_EACH_US);
        if (status_ask(s->socket, last, STATUS_BYTES) < 0) {
            printf("WRONG  tudor-module stopped meanwhile; `journalctl -u tudor-module` says why\n");
            return 1;
        }
        w.seconds = seconds_now() - begun;
        watch_answer(&w, last);
    } while (w.seconds < seconds);
    tell(&w, value_of(last, "model1") != 0, "models", value_of(last, "model1") ? "loaded" : "none could be loaded");
    check_sound(&w, first, last);
    check_controls(&w, s, first, last);
    check_system(&w, last);
    printf("%d wrong\n", w.wrong);
    return w.wrong != 0;
}
