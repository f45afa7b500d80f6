/* What the host program needs from the machine it runs on: files, memory, words, and a counter. One file per machine
 * gives it: platform_linux.c, platform_an500.c. Nothing here returns an error: what fails ends the program. */
#ifndef TUDOR_HOST_PLATFORM_H
#define TUDOR_HOST_PLATFORM_H

#include <stddef.h>
#include <stdint.h>

void platform_print(const char *text);
void platform_complain(const char *text);
_Noreturn void platform_exit(int code);

/* Zeroed and aligned to 64 bytes. `fast`: near the processor, where the machine has such memory. */
void *platform_memory(size_t bytes, int fast);
void *platform_read(const char *path, size_t *bytes);
void platform_write(const char *path, const void *data, size_t bytes);

/* A count that only grows, in platform_unit: "instructions" where an emulator counts them, else "nanoseconds". */
uint64_t platform_count(void);
const char *platform_unit(void);
/* Tells an observer outside, where there can be one, that counting of `slot` begins or ends. */
void platform_mark(uint32_t slot, int begins);

/* Implemented by host.c; argv holds `count` words, the program's own name first. */
void host_main(int count, char **words);

#endif
