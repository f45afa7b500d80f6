/* Plays a scripted mixture of everything and counts what real-time audio must not do: taking or freeing memory (the C
 * library's functions are replaced by counting ones), locking (likewise), and calling the system (a filter in the
 * kernel ends the program).
 *
 *   common_realtime BLOCK BLOCKS MODEL MODEL [plant=malloc|lock|syscall]     prints "mallocs=N locks=N blocks=N changes=N" */
#define _GNU_SOURCE
#include "module.h"
#include "../core/only_writes.h"

#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void __libc_free(void *);
static unsigned long mallocs, locks;
void *malloc(size_t n) { mallocs++; return __libc_malloc(n); }
void free(void *p) { mallocs++; __libc_free(p); }
int pthread_mutex_lock(pthread_mutex_t *m) { (void)m; locks++; return 0; }
int pthread_mutex_unlock(pthread_mutex_t *m) { (void)m; return 0; }

static _Alignas(64) char files[2][8 << 20], memory[4 << 20], fast[2][8 << 20], bulk[2][8 << 20];
static float in[2][8192], out[2][8192];
static uint32_t ticks;

static uint32_t clock_now(void *context) { (void)context; return ticks += 10; }

static int load(tudor_module *m, uint32_t slot, const char *path) {
    module_need need;
    module_complaint why;
    FILE *f = fopen(path, "rb");
    const size_t bytes = f ? fread(files[slot], 1, sizeof files[slot], f) : 0;
    if (f) fclose(f);
    if (module_measure(m, files[slot], bytes, 0, 0, &need, &why)) return 1;
    return module_load(m, slot, path, files[slot], bytes, 0, 0, fast[slot], sizeof fast[slot], bulk[slot],
                       sizeof bulk[slot], &why);
}

static void push_all(tudor_module *m, uint32_t i) {
    module_event e = {.at_samples = module_now(m) + i % 40, .kind = (uint16_t)(1 + i % 3), .source = (uint16_t)(i % 6)};
    e.value = (float)(i * 2654435761u >> 8) * 0x1p-24f;
    if (i % 900 == 899) e = (module_event){.kind = MODULE_SELECT, .source = (uint16_t)(i / 900 % 2)};
    if (i % 7 == 0) e = (module_event){.kind = MODULE_MIDI, .midi = {0x90, (uint8_t)(i % 128), (uint8_t)(i % 100)}};
    (void)module_push(m, 0, &e);
    if (i % 4000 == 3999)
        for (int k = 0; k < 5; k++) module_report_miss(m);
}

int main(int argc, char **argv) {
    module_config c;
    tudor_module *m;
    module_status s;
    if (argc < 5) return 9;
    module_defaults(&c);
    c.block_samples = (uint32_t)atoi(argv[1]);
    c.clock = clock_now;
    c.clock_hz = 1000000;
    c.overlap = 1;
    const long blocks = atol(argv[2]);
    if (module_init(&c, memory, sizeof memory, &m) || load(m, 0, argv[3]) || load(m, 1, argv[4])) return 8;
    for (uint32_t i = 0; i < 8192; i++) in[0][i] = in[1][i] = (float)(i * 2654435761u % 1000) / 1000.0f - 0.5f;
    const float *const from[2] = {in[0], in[1]};
    float *const to[2] = {out[0], out[1]};
    const char *plant = argc > 5 ? argv[5] : "";
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    unsigned long changes = 0;
    uint32_t slot = MODULE_SLOTS;
    if (forbid_system_calls()) return 5;
    const unsigned long before = mallocs;
    locks = 0;
    for (long i = 0; i < blocks; i++) {
        push_all(m, (uint32_t)i);
        module_process(m, from, to);
        module_read_status(m, &s);
        changes += s.slot != slot;
        slot = s.slot;
        if (i == blocks / 2 && !strcmp(plant, "plant=malloc")) free(malloc(8));
        if (i == blocks / 2 && !strcmp(plant, "plant=lock")) pthread_mutex_lock(&mutex);
        if (i == blocks / 2 && !strcmp(plant, "plant=syscall")) (void)!syscall(SYS_getppid);
    }
    char text[128];
    const int length = snprintf(text, sizeof text, "mallocs=%lu locks=%lu blocks=%ld changes=%lu overloads=%u\n",
                                mallocs - before, locks, blocks, changes, (unsigned)s.overloads);
    (void)!write(1, text, (size_t)length);
    _exit(0);
}
