/* Plays many blocks and counts what real-time audio must not do: taking or freeing memory (the C library's functions
 * are replaced by counting ones) and calling the system (a filter in the kernel ends the program).
 *
 *   realtime MODEL METHOD BLOCKS [plant=malloc|syscall]     prints "mallocs=N blocks=N" */
#define _GNU_SOURCE
#include "tudor.h"
#include "only_writes.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void __libc_free(void *);
static unsigned long mallocs;
void *malloc(size_t n) { mallocs++; return __libc_malloc(n); }
void free(void *p) { mallocs++; __libc_free(p); }

static _Alignas(64) char file[64 << 20], fast[256 << 20], bulk[64 << 20];
static float in[1 << 20], out[1 << 20], drawn[1 << 20];

int main(int argc, char **argv) {
    tudor_model model;
    tudor_sizes need;
    tudor_method_info info;
    tudor *t;
    if (argc < 4) return 9;
    FILE *f = fopen(argv[1], "rb");
    size_t bytes = f ? fread(file, 1, sizeof file, f) : 0;
    int method = tudor_open(file, bytes, &model, NULL) ? -1 : tudor_find_method(&model, argv[2]);
    if (method < 0 || tudor_method(&model, method, &info)) return 8;
    const uint32_t most = info.frame_samples * 8;
    if (tudor_measure(&model, 1, most, &need) || need.fast_bytes > sizeof fast || need.bulk_bytes > sizeof bulk) return 7;
    if (tudor_init(&model, 1, most, fast, sizeof fast, bulk, sizeof bulk, &t)) return 6;
    for (size_t i = 0; i < sizeof in / sizeof *in; i++) in[i] = (float)(i * 2654435761u % 1000) / 1000.0f - 0.5f;
    const long blocks = atol(argv[3]);
    const char *plant = argc > 4 ? argv[4] : "";
    if (forbid_system_calls()) return 5;
    const unsigned long before = mallocs;
    for (long i = 0; i < blocks; i++) {
        const uint32_t frames = (uint32_t)(i * 5 % 8) + 1;
        for (int a = 0; a < tudor_attributes(&model); a++) {
            tudor_attribute_info about;
            if (tudor_attribute(&model, a, &about) || about.count > 64) _exit(3);
            const float values[64] = {(float)(i % 3)};
            if (tudor_set_stream_attribute(t, 0, a, values, about.count)) _exit(3);
        }
        /* what draws reads back what it hears */
        if (i % 2) (void)tudor_force(t, method, in, i % 4 == 1 ? drawn : 0, frames * info.frame_samples);
        int error = i % 3 ? tudor_process(t, method, in, out, frames * info.frame_samples) : 0;
        for (uint32_t s = 0; i % 3 == 0 && s < 4; s++)
            error |= tudor_process_slice(t, method, in, out, frames * info.frame_samples, s, 4);
        if (error) _exit(4);
        if (i == blocks / 2 && !strcmp(plant, "plant=malloc")) free(malloc(8));
        if (i == blocks / 2 && !strcmp(plant, "plant=syscall")) (void)!syscall(SYS_getppid);
    }
    const unsigned long during = mallocs - before;
    char text[96];
    int length = snprintf(text, sizeof text, "mallocs=%lu blocks=%ld\n", during, blocks);
    (void)!write(1, text, (size_t)length);
    _exit(0);
}
