/* The module's audio loop against a sound card in memory, which can be late, stuck, cut in two, or gone. Counts what
 * real-time audio must not do between two blocks: memory taken or freed, locks, calls of the system (a filter in the
 * kernel ends the program).
 *
 *   pi_audio MODEL BLOCKS [xrun=N] [odd=N] [gone=N] [tick=N] [early] [plant=malloc|lock|syscall|slow]
 *
 * tick=N: a card that looks at its clock rarely. It wakes the program every N samples, has the buffer that is asked for,
 * to 1024 samples, and is late when that is full. early: it wakes it before there is anything, for ever.
 *
 *   pi_audio cards CODEC CARD... [late=N]
 *
 * chooses a card instead: each CARD is "ID:TITLE:WAYS", with p for one that plays and c for one that records; late=N:
 * the last of them comes after N looks. Prints "card=NAME capture=NAME why=TEXT", and notes.
 *
 * Prints "played=N xruns=N misses=N mallocs=N locks=N peak=X digest=N why=TEXT". */
#include "audio.h"
#include "moment.h"
#include "notes.h"
#include "pi_cards.h"
#include "../core/only_writes.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PERIOD 128
#define BUFFER 512 /* not what was asked for: the loop has to take what it gets */
#define LARGEST 1024

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void __libc_free(void *);
static unsigned long mallocs, locks;
void *malloc(size_t n) { mallocs++; return __libc_malloc(n); }
void *calloc(size_t n, size_t m) { mallocs++; return __libc_calloc(n, m); }
void free(void *p) { mallocs++; __libc_free(p); }
int pthread_mutex_lock(pthread_mutex_t *m) { (void)m; locks++; return 0; }
int pthread_mutex_unlock(pthread_mutex_t *m) { (void)m; return 0; }

/* ---- the card: two rings of stereo S32, always a period further when it is waited for ---- */

struct ring {
    int32_t samples[LARGEST][2];
    snd_pcm_channel_area_t areas[2];
    snd_pcm_uframes_t at; /* of the program, in the ring */
    long there;           /* to be read, or room */
    int running, late;
};

static struct ring play_ring, record_ring;
static int after, fault_at = -1, fault, odd, tick, early, opened;
static unsigned long wakes, buffer = BUFFER;
static uint32_t heard, digest = 2166136261u, noise = 1;
static int32_t peak;

static struct ring *ring_of(snd_pcm_t *pcm) { return pcm == (snd_pcm_t *)&play_ring ? &play_ring : &record_ring; }

static const char *fake_strerror(int error) { return error == -ENODEV ? "the card is gone" : "another error"; }

static int fake_prepare(snd_pcm_t *pcm) {
    struct ring *const r = ring_of(pcm);
    r->at = 0;
    r->there = r == &play_ring ? (long)buffer : 0;
    r->late = 0;
    return 0;
}

static int fake_start(snd_pcm_t *pcm) {
    ring_of(pcm)->running = 1;
    return 0;
}

static int fake_drop(snd_pcm_t *pcm) {
    ring_of(pcm)->running = 0;
    return 0;
}

static snd_pcm_sframes_t fake_avail(snd_pcm_t *pcm) {
    if (after == fault_at && fault) {
        const int now = fault;
        if (fault != -ENODEV) fault = 0;
        return now;
    }
    return ring_of(pcm)->late ? -EPIPE : ring_of(pcm)->there;
}

/* What is recorded meanwhile. */
static void hear(struct ring *r, long samples) {
    for (long i = 0; i < samples; i++) {
        const snd_pcm_uframes_t at = (r->at + (snd_pcm_uframes_t)(r->there + i)) % buffer;
        for (int c = 0; c < 2; c++) {
            noise = noise * 1664525u + 1013904223u;
            r->samples[at][c] = (int32_t)noise >> 3;
        }
    }
}

/* The card looks at its clock: both ways go on, and both end where one has nothing left. */
static int fake_tick(struct ring *r) {
    struct ring *const both[2] = {&record_ring, &play_ring};
    if (r->late) return -EPIPE;
    hear(&record_ring, record_ring.there + tick < (long)buffer ? tick : 0);
    for (int i = 0; i < 2; i++) both[i]->there += both[i]->running ? tick : 0;
    for (int i = 0; i < 2; i++)
        if (both[i]->running && both[i]->there >= (long)buffer) record_ring.late = play_ring.late = 1;
    return r->late ? -EPIPE : 1;
}

static int fake_wait(snd_pcm_t *pcm, int ms) {
    struct ring *const r = ring_of(pcm);
    (void)ms;
    if (++wakes > 20000000) _exit(7); /* it waits for ever */
    if (!r->running) return -EIO;
    if (early && after >= 10) return 1;
    if (tick) return fake_tick(r);
    if (r == &record_ring) hear(r, PERIOD);
    r->there += PERIOD;
    return 1;
}

static int fake_begin(snd_pcm_t *pcm, const snd_pcm_channel_area_t **areas, snd_pcm_uframes_t *offset,
                      snd_pcm_uframes_t *frames) {
    struct ring *const r = ring_of(pcm);
    const snd_pcm_uframes_t to_end = buffer - r->at;
    *areas = r->areas;
    *offset = r->at;
    if (*frames > to_end) *frames = to_end;
    if (odd && *frames > (snd_pcm_uframes_t)odd) *frames = (snd_pcm_uframes_t)odd;
    return 0;
}

static snd_pcm_sframes_t fake_commit(snd_pcm_t *pcm, snd_pcm_uframes_t offset, snd_pcm_uframes_t frames) {
    struct ring *const r = ring_of(pcm);
    for (snd_pcm_uframes_t i = 0; r == &play_ring && r->running && i < frames; i++)
        for (int c = 0; c < 2; c++) {
            const int32_t v = r->samples[offset + i][c];
            digest = (digest ^ (uint32_t)v) * 16777619u;
            if (abs(v >> 1) > peak) peak = abs(v >> 1);
            heard++;
        }
    r->at = (r->at + frames) % buffer;
    r->there -= (long)frames;
    if (r == &play_ring && r->running && r->at % PERIOD == 0) after++;
    return (snd_pcm_sframes_t)frames;
}

static int fake_open(snd_pcm_t **pcm, const char *name, snd_pcm_stream_t way, int mode) {
    (void)mode;
    if (card_count) { /* a name is a card, and with a comma a device */
        const char *const comma = strchr(name, ',');
        const int device = comma ? atoi(comma + 1) : 0;
        if (way == SND_PCM_STREAM_CAPTURE) snprintf(capture_name, sizeof capture_name, "%s", name);
        if (!strchr(part(atoi(name + 3), 2), way == SND_PCM_STREAM_PLAYBACK ? "pP"[device] : "cC"[device])) return -ENOENT;
    }
    struct ring *const r = way == SND_PCM_STREAM_PLAYBACK ? &play_ring : &record_ring;
    for (unsigned c = 0; c < 2; c++)
        r->areas[c] = (snd_pcm_channel_area_t){.addr = r->samples, .first = 32 * c, .step = 64};
    *pcm = (snd_pcm_t *)r;
    opened++;
    return 0;
}

static int fake_close(snd_pcm_t *pcm) {
    ring_of(pcm)->running = 0;
    opened--;
    return 0;
}

static int fake_periods(snd_pcm_t *pcm, snd_pcm_hw_params_t *p, unsigned *periods, int *way) {
    (void)pcm, (void)p, (void)way;
    if (tick) buffer = *periods * PERIOD < LARGEST ? *periods * PERIOD : LARGEST;
    return 0;
}

static size_t one(void) { return sizeof(struct fake_info); }
static int good(void) { return 0; }
static int no_link(snd_pcm_t *a, snd_pcm_t *b) { return (void)a, (void)b, -ENOSYS; }
static int buffer_size(const snd_pcm_hw_params_t *p, snd_pcm_uframes_t *n) { return (void)p, *n = buffer, 0; }

static struct alsa_api card(void) {
    struct alsa_api a = {
        .snd_strerror = fake_strerror, .snd_pcm_open = fake_open, .snd_pcm_prepare = fake_prepare,
        .snd_pcm_start = fake_start, .snd_pcm_drop = fake_drop, .snd_pcm_avail_update = fake_avail,
        .snd_pcm_wait = fake_wait, .snd_pcm_mmap_begin = fake_begin, .snd_pcm_mmap_commit = fake_commit,
        .snd_pcm_close = fake_close, .snd_pcm_hw_params_set_periods_near = fake_periods,
        .snd_pcm_link = no_link, .snd_pcm_hw_params_sizeof = one, .snd_pcm_sw_params_sizeof = one,
        .snd_pcm_hw_params_get_buffer_size = buffer_size, .snd_card_next = fake_card_next,
        .snd_ctl_open = fake_ctl_open, .snd_ctl_card_info_sizeof = one, .snd_ctl_card_info = fake_card_info,
        .snd_ctl_card_info_get_id = fake_id, .snd_ctl_card_info_get_name = fake_title,
        .snd_ctl_pcm_next_device = fake_next_device, .snd_ctl_pcm_info = fake_pcm_info, .snd_pcm_info_sizeof = one,
        .snd_pcm_info_set_device = fake_set_device, .snd_pcm_info_set_stream = fake_set_way,
    };
    /* Whatever else is asked of it while it is set up is fine. */
    void (*const yes)(void) = (void (*)(void))good;
#define YES(name) memcpy(&a.name, &yes, sizeof yes);
    YES(snd_pcm_hw_params_any) YES(snd_pcm_hw_params_set_rate_resample) YES(snd_pcm_hw_params_set_access)
    YES(snd_pcm_hw_params_test_format) YES(snd_pcm_hw_params_set_format) YES(snd_pcm_hw_params_set_channels_near)
    YES(snd_pcm_hw_params_set_rate_near) YES(snd_pcm_hw_params_set_period_size_near)
    YES(snd_pcm_hw_params) YES(snd_pcm_sw_params_current)
    YES(snd_pcm_sw_params_set_avail_min) YES(snd_pcm_sw_params_set_start_threshold) YES(snd_pcm_sw_params)
    YES(snd_pcm_info_set_subdevice) YES(snd_ctl_close)
#undef YES
    return a;
}

/* ---- */

static _Alignas(64) char file[16 << 20], memory[8 << 20], fast[32 << 20], bulk[32 << 20];

static const char *planted = "";

/* The instrument's own sign of life: the place to plant what must be caught. */
static void healthy(void *context) {
    static pthread_mutex_t mutex;
    (void)context;
    if (!strcmp(planted, "slow"))
        for (const uint64_t until = moment_now_ns() + 3000000u; moment_now_ns() < until;) {}
    if (!strcmp(planted, "malloc")) free(malloc(8));
    if (!strcmp(planted, "lock")) pthread_mutex_lock(&mutex);
    if (!strcmp(planted, "syscall")) (void)!syscall(SYS_getppid);
}

static int value(const char *word, const char *name) {
    const size_t n = strlen(name);
    return !strncmp(word, name, n) ? atoi(word + n) : -1;
}

/* Which of the cards is played on. */
static int choose(int count, char **words) {
    static struct audio a;
    static struct settings s;
    static struct alsa_api api;
    settings_default(&s);
    s.codec_wait_s = 1;
    snprintf(s.codec, sizeof s.codec, "%s", words[2]);
    for (int i = 3; i < count; i++)
        if (!strncmp(words[i], "late=", 5))
            late = atoi(words[i] + 5);
        else if (card_count < 8)
            cards[card_count++] = words[i];
    api = card();
    const int failed = audio_open(&a, &api, &s);
    printf("card=%s capture=%s why=%s\n", a.card, capture_name, failed ? a.why : "");
    for (int i = 0; note_kept(i); i++) printf("note %s\n", note_kept(i));
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 3 && !strcmp(argv[1], "cards")) return choose(argc, argv);
    static struct audio a;
    static struct settings s;
    static struct alsa_api api;
    module_config config;
    module_need need;
    module_complaint why = {0};
    tudor_module *m;
    for (int i = 3; i < argc; i++) {
        const int xrun = value(argv[i], "xrun="), gone = value(argv[i], "gone="), cut = value(argv[i], "odd=");
        const int every = value(argv[i], "tick=");
        if (xrun >= 0) fault_at = xrun, fault = -EPIPE;
        if (gone >= 0) fault_at = gone, fault = -ENODEV;
        if (cut >= 0) odd = cut;
        if (every >= 0) tick = every;
        if (!strcmp(argv[i], "early")) early = 1;
        if (!strncmp(argv[i], "plant=", 6)) planted = argv[i] + 6;
    }
    FILE *f = argc > 2 ? fopen(argv[1], "rb") : 0;
    const size_t bytes = f ? fread(file, 1, sizeof file, f) : 0;
    api = card();
    settings_default(&s);
    strcpy(s.device, "memory");
    if (audio_open(&a, &api, &s)) return 9;
    if (early) a.patience_ms = 20;
    module_defaults(&config);
    config.block_samples = PERIOD;
    config.in_channels = config.out_channels = 2;
    config.healthy = healthy;
    if (module_bytes(&config) > sizeof memory || module_init(&config, memory, sizeof memory, &m)) return 8;
    if (module_measure(m, file, bytes, 0, 0, &need, &why) || need.fast_bytes > sizeof fast) return 7;
    if (module_load(m, 0, "m", file, bytes, 0, 0, fast, sizeof fast, bulk, sizeof bulk, &why)) return 6;
    if (forbid_system_calls()) return 5;
    const unsigned long before = mallocs;
    const int failed = audio_play(&a, m, strtoull(argv[2], 0, 10));
    const unsigned long during = mallocs - before;
    module_status status;
    module_read_status(m, &status);
    char text[300];
    const int length = snprintf(text, sizeof text, "played=%u xruns=%u misses=%u mallocs=%lu locks=%lu peak=%d heard=%u "
                                "digest=%u buffer=%lu open=%d waits=%u why=%s\n", status.blocks, (unsigned)a.xruns,
                                status.misses, during, locks, peak, heard, digest, a.play.buffer_samples, opened,
                                (unsigned)a.waits, failed ? a.why : "");
    (void)!write(1, text, (size_t)length);
    _exit(0);
}
