/* tudor-module: the instrument on a Raspberry Pi.
 *
 *   tudor-module [--config FILE]     plays until it is told to stop
 *   tudor-module --status            what the running one does
 *   tudor-module --check [SECONDS]   what only a board can show, watched while it runs
 *   tudor-module --blocks N          plays N blocks and stops (for tests)
 *
 * Threads: audio (real-time, one core), analog inputs, gates, MIDI; and this one, which loads models, answers for the
 * status, shows the LEDs, saves what hands have set, and tells systemd's watchdog that sound still flows. */
#include "audio.h"
#include "capture.h"
#include "check.h"
#include "controls.h"
#include "machine.h"
#include "moment.h"
#include "notes.h"
#include "saves.h"
#include "screen.h"
#include "slots.h"
#include "status.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SHOW_MS 20
#define PULSE_MS 1000
#define CLIP_MS 1000 /* for so long the screen tells of a clip */
#define CLOCK_HZ 1000000000u

static const char *const CONFIGS[] = {"/boot/firmware/tudor/module.conf", "/etc/tudor/module.conf"};
static const char *const CODEC = "/etc/tudor/codec.conf"; /* of whoever made the card; the others have the last word */

struct instrument {
    struct settings settings;
    struct alsa_api api;
    struct audio audio;
    struct controls controls;
    struct saves saves;
    struct screen screen;
    tudor_module *m;
    uint64_t blocks;
    uint32_t narrowed; /* bits of slots of which it was noted */
    pthread_t thread;
    _Atomic int ended;
    _Atomic int cpu_error, priority_error; /* errno; 0: granted */
};

static volatile sig_atomic_t stopped;

static void stop(int signal) {
    (void)signal;
    stopped = 1;
}

static uint32_t clock_now(void *context) {
    (void)context;
    return (uint32_t)moment_now_ns();
}

/* A line for systemd (sd_notify's protocol: a datagram to the socket in NOTIFY_SOCKET). */
static void notify(const char *text) {
    const char *const path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (!path || !*path || strlen(path) >= sizeof at.sun_path) return;
    memcpy(at.sun_path, path, strlen(path));
    if (*path == '@') at.sun_path[0] = 0;
    const socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    const int file = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (file < 0) return;
    sendto(file, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&at, length);
    close(file);
}

/* 0: there is no such file. */
static int read_file(struct settings *s, const char *path, int wanted) {
    size_t bytes;
    char *const text = read_whole(path, &bytes);
    if (!text) {
        if (wanted || errno != ENOENT) note("%s: %s", path, strerror(errno));
        return 0;
    }
    settings_read(s, path, text);
    free(text);
    return 1;
}

static void read_settings(struct settings *s, const char *named) {
    settings_default(s);
    if (named)
        read_file(s, named, 1);
    else if (read_file(s, CODEC, 0), !read_file(s, CONFIGS[0], 0))
        read_file(s, CONFIGS[1], 0);
    for (int i = 0; i < s->complaints; i++) note("%s", s->complaint[i]);
}

/* Real-time scheduling on a core of its own, for the calling thread, which is not the one that notes. */
static void become_urgent(struct instrument *it) {
    const struct settings *const s = &it->settings;
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    const int cpu = s->cpu == AUTO ? (cores > 1 ? (int)cores - 1 : OFF) : s->cpu;
    cpu_set_t set;
    CPU_ZERO(&set);
    if (cpu >= 0) {
        CPU_SET((size_t)cpu, &set);
        if (sched_setaffinity(0, sizeof set, &set)) it->cpu_error = errno;
    }
    const struct sched_param priority = {.sched_priority = s->priority};
    if (s->priority > 0 && sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &priority))
        it->priority_error = errno;
}

static void note_urgency(struct instrument *it) {
    const int cpu = atomic_exchange(&it->cpu_error, 0), priority = atomic_exchange(&it->priority_error, 0);
    if (cpu) note("cpu = %d: %s; the audio thread may run on any core", it->settings.cpu, strerror(cpu));
    if (priority)
        note("priority = %d: %s; sound may be interrupted", it->settings.priority, strerror(priority));
}

static void *audio_thread(void *context) {
    struct instrument *const it = context;
    prctl(PR_SET_NAME, "tudor-audio");
    become_urgent(it);
    const int failed = audio_play(&it->audio, it->m, it->blocks);
    it->ended = failed ? 2 : 1;
    return 0;
}

static int make_module(struct instrument *it) {
    const struct settings *const s = &it->settings;
    module_config config;
    module_complaint why = {0};
    module_defaults(&config);
    config.sample_rate_hz = it->audio.rate_hz;
    config.block_samples = it->audio.period_samples;
    config.in_channels = it->audio.in_channels;
    config.out_channels = it->audio.out_channels;
    config.lanes = LANES;
    config.resample_taps = (uint32_t)s->resample_taps & ~1u;
    config.resample_bytes = 1 << 20;
    config.overlap = 1;
    config.burst_macs = machine_burst_macs();
    config.stereo = !strcmp(s->stereo, "on")    ? MODULE_STEREO_ON
                    : !strcmp(s->stereo, "off") ? MODULE_STEREO_OFF
                                                : MODULE_STEREO_AUTO;
    config.overload_load = (float)(s->overload > 0 ? s->overload : 95) / 100.0f;
    config.clock = s->overload > 0 ? clock_now : 0;
    config.clock_hz = CLOCK_HZ;
    const size_t bytes = module_bytes(&config);
    void *const memory = bytes ? aligned_alloc(64, (bytes + 63) / 64 * 64) : 0;
    if (!memory || module_init(&config, memory, bytes, &it->m)) {
        note("the instrument cannot be set up for %u Hz, blocks of %u", it->audio.rate_hz, it->audio.period_samples);
        return 1;
    }
    size_t length;
    char *const text = read_whole(s->calibration, &length);
    if (!text && errno != ENOENT) note("%s: %s", s->calibration, strerror(errno));
    if (text && module_read_calibration(it->m, text, length, &why))
        note("%.80s:%u: %.100s", s->calibration, why.line, why.text);
    free(text);
    return 0;
}

/* LEDs and the screen. */
static void show(struct instrument *it, const module_status *status) {
    const uint64_t now_ms = moment_now_ns() / 1000000u + 1, clipped_ms = it->controls.lights.clipped_ms;
    uint8_t picture[PICTURE_BYTES];
    controls_show(&it->controls, status, now_ms);
    if (it->screen.file < 0) return;
    picture_draw(picture, status, module_slot_name(it->m, status->slot), clipped_ms && now_ms - clipped_ms < CLIP_MS,
                 it->audio.rate_hz);
    screen_show(&it->screen, picture);
}

/* Once for each slot whose model is played once where two were wanted. */
static void note_narrow(struct instrument *it, const module_status *status) {
    const uint32_t bit = status->slot < MODULE_SLOTS ? 1u << status->slot : 0;
    if (!(status->flags & MODULE_NARROWED) || it->narrowed & bit) return;
    it->narrowed |= bit;
    note("stereo = auto: two of %.40s take too long; one plays, for both sides", module_slot_name(it->m, status->slot));
}

static void note_widened(struct instrument *it) {
    const uint32_t blocks = atomic_exchange(&it->audio.widened, 0);
    if (blocks)
        note("periods = %d: too few for %.40s, which was late again and again; it has %u blocks now, and is later by those",
             it->settings.periods, it->audio.card, blocks);
}

/* Until a signal or the audio thread's end; 0: all is well. */
static int attend(struct instrument *it, int socket) {
    uint32_t seen = 0, shown = 0, ready = 0;
    while (!stopped && !it->ended) {
        struct pollfd wait = {.fd = socket, .events = POLLIN};
        poll(&wait, socket >= 0, SHOW_MS);
        note_urgency(it);
        note_widened(it);
        if (socket >= 0) status_answer(socket, it->m, &it->audio, &it->controls, &it->saves);
        module_status status;
        module_read_status(it->m, &status);
        show(it, &status);
        note_narrow(it, &status);
        capture_attend(it->m);
        saves_attend(&it->saves, it->m, (uint32_t)(moment_now_ns() / 1000000u));
        if ((!ready && status.blocks > 8) || (++shown * SHOW_MS >= PULSE_MS && status.blocks != seen)) {
            notify(ready ? "WATCHDOG=1" : "READY=1\nWATCHDOG=1");
            seen = status.blocks;
            shown = 0;
            ready = 1;
        }
    }
    return it->ended == 2;
}

static int play(struct instrument *it) {
    const char *const missing = alsa_load(&it->api);
    if (missing) {
        fprintf(stderr, "%s\n", missing);
        return 1;
    }
    if (audio_open(&it->audio, &it->api, &it->settings)) {
        fprintf(stderr, "%s\n", it->audio.why);
        return 1;
    }
    if (make_module(it)) return 1;
    slots_load(it->m, it->settings.models);
    saves_open(&it->saves, it->m, it->settings.saves);
    if (mlockall(MCL_CURRENT | MCL_FUTURE)) note("memory cannot be locked: %s", strerror(errno));
    controls_open(&it->controls, &it->settings, &it->api);
    screen_open(&it->screen, &it->settings.screen);
    const int socket = status_listen(it->settings.socket);
    if (socket < 0) note("%s: %s; no status", it->settings.socket, strerror(errno));
    if (controls_start(&it->controls, it->m, &it->audio)
        || pthread_create(&it->thread, 0, audio_thread, it)) {
        fprintf(stderr, "threads: %s\n", strerror(errno));
        return 1;
    }
    const int failed = attend(it, socket);
    notify("STOPPING=1");
    it->audio.stop = 1;
    pthread_join(it->thread, 0);
    controls_stop(&it->controls);
    screen_close(&it->screen);
    if (failed) fprintf(stderr, "%s\n", it->audio.why);
    module_status status;
    module_read_status(it->m, &status);
    fprintf(stderr, "played %u blocks, %u xruns, %u overloads, %u faults\n", status.blocks, (unsigned)it->audio.xruns,
            status.overloads, status.faults);
    saves_close(&it->saves);
    audio_close(&it->audio);
    return failed;
}

static int usage(void) {
    fprintf(stderr, "tudor-module [--config FILE] [--blocks N] | --status | --check [SECONDS]; see module.conf\n");
    return 2;
}

int main(int count, char **words) {
    static struct instrument it;
    static char text[STATUS_BYTES];
    const char *config = 0;
    int ask = 0, watch = 0;
    for (int i = 1; i < count; i++) {
        const int more = i + 1 < count;
        if (!strcmp(words[i], "--config") && more)
            config = words[++i];
        else if (!strcmp(words[i], "--blocks") && more)
            it.blocks = strtoull(words[++i], 0, 10);
        else if (!strcmp(words[i], "--status"))
            ask = 1;
        else if (!strcmp(words[i], "--check"))
            watch = more && atoi(words[i + 1]) > 0 ? atoi(words[++i]) : 20;
        else
            return usage();
    }
    const struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, 0);
    sigaction(SIGINT, &action, 0);
    read_settings(&it.settings, config);
    if (watch) return check_board(&it.settings, watch);
    if (!ask) return play(&it);
    if (status_ask(it.settings.socket, text, STATUS_BYTES) < 0) {
        fprintf(stderr, "%s: nobody answers; does tudor-module run?\n", it.settings.socket);
        return 1;
    }
    fputs(text, stdout);
    return 0;
}
