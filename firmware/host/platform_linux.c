/* Linux: x86 natively, aarch64 on a Raspberry Pi or under qemu-aarch64. */
#define _GNU_SOURCE /* clock_gettime, syscall */
#include "platform.h"
#include "tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void platform_print(const char *text) { fputs(text, stdout); }
void platform_complain(const char *text) { fputs(text, stderr); }
_Noreturn void platform_exit(int code) { exit(code); }

static _Noreturn void stop(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

void *platform_memory(size_t bytes, int fast) {
    static void *latest; /* each holds where the one before lies: kept to the end, none is lost */
    (void)fast;
    const size_t whole = (bytes + 64) / 64 * 64 + 64;
    char *memory = aligned_alloc(64, whole);
    if (!memory) stop("memory", "there is not enough");
    memset(memory, 0, whole);
    memcpy(memory, &latest, sizeof latest);
    latest = memory;
    return memory + 64;
}

void *platform_read(const char *path, size_t *bytes) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) stop(path, "cannot be read");
    const long length = ftell(file);
    if (length < 0 || fseek(file, 0, SEEK_SET)) stop(path, "cannot be read");
    *bytes = (size_t)length;
    void *data = platform_memory(*bytes, 0);
    if (fread(data, 1, *bytes, file) != *bytes) stop(path, "cannot be read");
    fclose(file);
    return data;
}

void platform_write(const char *path, const void *data, size_t bytes) {
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, bytes, file) != bytes || fclose(file)) stop(path, "cannot be written");
}

uint64_t platform_count(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

const char *platform_unit(void) { return "nanoseconds"; }

/* A kernel answers "no such call"; a plugin of the emulator sees it. */
void platform_mark(uint32_t slot, int begins) { syscall(TALLY_MARK, (long)slot, (long)begins); }

int main(int count, char **words) { host_main(count, words); }
