/* The first process of an emulated Pi: loads the chip of gate_chip.c, lets the module's own gate thread read it, makes
 * pulses, and prints what reached the instrument and when.
 *
 * The kernel's command line ends in "-- DEBOUNCE_US LENGTH_US...": each length PULSES times, at phases that drift
 * against the kernel's ticks. DEBOUNCE_US is asked of the kernel as an older version of the module did; 0: as it is.
 * Prints "pulse LENGTH_US FELL_NS ROSE_NS" and "push ON AT_NS NOW_NS": the stamp as a time, and when it came. */
#include "controls.h"
#include "moment.h"
#include "notes.h"

#include <fcntl.h>
#include <linux/gpio.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PULSES 40
#define RATE_HZ 48000
#define BLOCK 128
#define KEPT 4096
#define PARAMETER "/sys/module/gate_chip/parameters/pulse"

int __wrap_module_push(tudor_module *m, uint32_t lane, const module_event *event);
uint32_t __wrap_module_now(const tudor_module *m);
void __wrap_module_read_status(const tudor_module *m, module_status *status);
int __wrap_ioctl(int file, unsigned long request, ...);
int __real_ioctl(int file, unsigned long request, ...);

static struct push {
    int on;
    uint32_t at_samples;
    uint64_t now_ns;
} pushes[KEPT];
static _Atomic int pushed;
static uint64_t begun_ns; /* of sample 0 */
static unsigned debounce_us;
static _Atomic int ended;
static struct audio audio = {.rate_hz = RATE_HZ, .period_samples = BLOCK};

int __wrap_module_push(tudor_module *m, uint32_t lane, const module_event *event) {
    (void)m, (void)lane;
    if (pushed < KEPT) pushes[pushed] = (struct push){event->value > 0.5f, event->at_samples, moment_now_ns()};
    pushed++;
    return 0;
}

uint32_t __wrap_module_now(const tudor_module *m) { return (void)m, (uint32_t)(audio.mark >> 32); }
void __wrap_module_read_status(const tudor_module *m, module_status *s) { (void)m, memset(s, 0, sizeof *s); }

int __wrap_ioctl(int file, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void *const argument = va_arg(rest, void *);
    va_end(rest);
    if (request == GPIO_V2_GET_LINE_IOCTL && debounce_us) {
        struct gpio_v2_line_request *const r = argument;
        r->config.attrs[r->config.num_attrs].attr.id = GPIO_V2_LINE_ATTR_ID_DEBOUNCE;
        r->config.attrs[r->config.num_attrs].attr.debounce_period_us = debounce_us;
        r->config.attrs[r->config.num_attrs++].mask = ((uint64_t)1 << r->num_lines) - 1;
    }
    return __real_ioctl(file, request, argument);
}

/* The audio thread's marks, without sound: blocks begin when they should. */
static void *blocks(void *context) {
    uint64_t expected = 0;
    (void)context;
    for (uint64_t n = 0; !ended; n++) {
        const uint64_t next = begun_ns + n * BLOCK * 1000000000u / RATE_HZ;
        const struct timespec at = {(time_t)(next / 1000000000u), (long)(next % 1000000000u)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, 0);
        audio.mark = moment_mark((uint32_t)(n * BLOCK),
                                 moment_began(&expected, moment_now_ns(), (uint64_t)BLOCK * 1000000000u / RATE_HZ));
    }
    return 0;
}

static void nap(long us) {
    const struct timespec time = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&time, 0);
}

static int load_chip(void) {
    const int file = open("/gate_chip.ko", O_RDONLY);
    return file < 0 || syscall(SYS_finit_module, file, "", 0) != 0;
}

static void pulse(unsigned length_us) {
    char text[64] = "0 0";
    unsigned long long fell = 0, rose = 0;
    const int length = snprintf(text, sizeof text, "17 %u", length_us);
    int file = open(PARAMETER, O_WRONLY);
    if (file < 0 || write(file, text, (size_t)length) != length) printf("pulse: cannot be made\n");
    close(file);
    nap((long)length_us + 15000);
    file = open(PARAMETER, O_RDONLY);
    const ssize_t got = read(file, text, sizeof text - 1);
    close(file);
    text[got > 0 ? got : 0] = 0;
    if (sscanf(text, "%llu %llu", &fell, &rose) == 2) printf("pulse %u %llu %llu\n", length_us, fell, rose);
}

int main(int count, char **words) {
    static struct settings settings;
    static struct controls c;
    pthread_t audio_thread;
    mkdir("/dev", 0755), mkdir("/sys", 0755);
    mount("dev", "/dev", "devtmpfs", 0, 0);
    mount("sys", "/sys", "sysfs", 0, 0);
    /* The kernel hands over what stands behind "--"; words with a dot or "=" would be its own. */
    debounce_us = count > 1 ? (unsigned)atoi(words[1]) : 0;
    if (load_chip()) perror("gate_chip.ko");
    settings_default(&settings);
    settings_read(&settings, "test", "gate1 = -gpio17\nmidi = off\n");
    controls_open(&c, &settings, 0);
    for (int i = 0; note_kept(i); i++) printf("note %s\n", note_kept(i));
    begun_ns = moment_now_ns() + 10000000u;
    if (pthread_create(&audio_thread, 0, blocks, 0) || controls_start(&c, 0, &audio)) perror("threads");
    nap(100000);
    const int first = pushed;
    for (int i = 2; i < count; i++)
        for (int n = 0; n < PULSES; n++) {
            nap(n * 370 % 4000);
            pulse((unsigned)atoi(words[i]));
        }
    nap(50000);
    for (int i = first; i < pushed && i < KEPT; i++)
        printf("push %d %llu %llu\n", pushes[i].on,
               (unsigned long long)(begun_ns + (uint64_t)pushes[i].at_samples * 1000000000u / RATE_HZ),
               (unsigned long long)pushes[i].now_ns);
    ended = 1;
    printf("end\n");
    fflush(stdout);
    sync();
    reboot(RB_POWER_OFF);
    return 0;
}
