/* A bare Cortex-M7: QEMU's board mps2-an500. Files, words and the exit code go through semihosting: the processor
 * stops at a breakpoint, and the emulator reads the request from memory. */
#include "platform.h"

#include <string.h>

extern uint32_t stack_top, bss_begin, bss_end;
extern char fast_begin, fast_end, bulk_begin, bulk_end;

/* Arm's semihosting interface: operation in r0, address of its arguments in r1. */
enum { SYS_OPEN = 1, SYS_CLOSE, SYS_WRITE0 = 4, SYS_WRITE, SYS_READ, SYS_FLEN = 12, SYS_GET_CMDLINE = 21,
       SYS_EXIT_EXTENDED = 32 };
enum { MODE_READ = 1, MODE_WRITE = 5 }; /* "rb", "wb" */
#define APPLICATION_EXIT 0x20026u

static int32_t ask(uint32_t operation, const void *arguments) {
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return (int32_t)r0;
}

static uint32_t address(const void *pointer) { return (uint32_t)(uintptr_t)pointer; }

_Noreturn void platform_exit(int code) {
    const uint32_t arguments[] = {APPLICATION_EXIT, (uint32_t)code};
    ask(SYS_EXIT_EXTENDED, arguments);
    for (;;) {}
}

void platform_print(const char *text) { ask(SYS_WRITE0, text); }
void platform_complain(const char *text) { ask(SYS_WRITE0, text); }

static _Noreturn void stop(const char *what, const char *why) {
    platform_complain(what);
    platform_complain(why);
    platform_exit(1);
}

/* Memory is taken once and never given back: two regions, each used from its beginning. Where the fast one has not
 * enough the other gives it: an emulator knows no slow memory. */
void *platform_memory(size_t bytes, int fast) {
    static char *next[2];
    char *const begin = fast ? &fast_begin : &bulk_begin, *const end = fast ? &fast_end : &bulk_end;
    if (!next[fast]) next[fast] = begin;
    const size_t whole = (bytes + 127) / 64 * 64; /* always some bytes behind what was asked for */
    if ((size_t)(end - next[fast]) < whole) {
        if (fast) return platform_memory(bytes, 0);
        stop("memory", ": the board has not enough\n");
    }
    void *memory = next[fast];
    next[fast] += whole;
    return memset(memory, 0, whole);
}

static uint32_t open_file(const char *path, uint32_t mode) {
    const uint32_t arguments[] = {address(path), mode, (uint32_t)strlen(path)};
    const int32_t handle = ask(SYS_OPEN, arguments);
    if (handle < 0) stop(path, ": cannot be opened\n");
    return (uint32_t)handle;
}

/* Both answer how many bytes were *not* moved. */
static void move(uint32_t operation, const char *path, uint32_t handle, const void *data, size_t bytes) {
    const uint32_t arguments[] = {handle, address(data), (uint32_t)bytes};
    if (ask(operation, arguments) != 0) stop(path, ": cannot be read or written\n");
    ask(SYS_CLOSE, &handle);
}

void *platform_read(const char *path, size_t *bytes) {
    const uint32_t handle = open_file(path, MODE_READ);
    const int32_t length = ask(SYS_FLEN, &handle);
    if (length < 0) stop(path, ": cannot be read\n");
    *bytes = (size_t)length;
    void *data = platform_memory(*bytes, 0);
    move(SYS_READ, path, handle, data, *bytes);
    return data;
}

void platform_write(const char *path, const void *data, size_t bytes) {
    move(SYS_WRITE, path, open_file(path, MODE_WRITE), data, bytes);
}

/* The board's timer counts down at 25 MHz of a time that QEMU, told `-icount shift=10`, advances by 2^10 ns with every
 * instruction: 40 ns a tick, so instructions = ticks * 40 / 1024. It starts anew after 10 million instructions and then
 * interrupts; the handler is counted too, a few instructions in millions. */
#define TIMER ((volatile uint32_t *)0x40000000u)
#define TIMER_PERIOD (1u << 28)
#define TIMER_INTERRUPT 8
enum { TIMER_CONTROL, TIMER_VALUE, TIMER_RELOAD, TIMER_CLEAR };
enum { TIMER_ENABLE = 1, TIMER_ENABLE_INTERRUPT = 8 };

static volatile uint32_t timer_periods;

static void timer_starts_anew(void) {
    TIMER[TIMER_CLEAR] = 1;
    timer_periods++;
}

static void start_timer(void) {
    TIMER[TIMER_RELOAD] = TIMER[TIMER_VALUE] = TIMER_PERIOD - 1;
    TIMER[TIMER_CONTROL] = TIMER_ENABLE | TIMER_ENABLE_INTERRUPT;
    *(volatile uint32_t *)0xE000E100u = 1u << TIMER_INTERRUPT; /* the interrupt controller lets it through */
}

uint64_t platform_count(void) {
    uint32_t periods, value;
    do { /* again, if it started anew in between */
        periods = timer_periods;
        value = TIMER[TIMER_VALUE];
    } while (periods != timer_periods);
    const uint64_t ticks = (uint64_t)periods * TIMER_PERIOD + (TIMER_PERIOD - 1 - value);
    return (ticks * 40 + 512) / 1024;
}

const char *platform_unit(void) { return "instructions"; }
void platform_mark(uint32_t slot, int begins) { (void)slot, (void)begins; }

static void start(void) {
    static char line[512];
    char *words[32];
    int count = 0;
    uint32_t arguments[] = {address(line), sizeof line};
    if (ask(SYS_GET_CMDLINE, arguments) != 0) stop("command line", ": too long\n");
    for (char *at = line; *at && count < 32; ) {
        words[count++] = at;
        while (*at && *at != ' ') at++;
        while (*at == ' ') *at++ = 0;
    }
    start_timer();
    host_main(count, words);
}

/* First instructions after power-up: coprocessors 10 and 11, the floating-point unit, on; zeroed variables; go. */
_Noreturn void reset(void);
_Noreturn void reset(void) {
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20;
    __asm__ volatile("dsb\n isb" ::: "memory");
    for (uint32_t *word = &bss_begin; word < &bss_end; word++) *word = 0;
    start();
    platform_exit(0);
}

static void fault(void) {
    platform_complain("the processor took a fault\n");
    platform_exit(99);
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16 + TIMER_INTERRUPT + 1] = {
    &stack_top, (const void *)reset, (const void *)fault, (const void *)fault,
    (const void *)fault, (const void *)fault, (const void *)fault,
    [16 + TIMER_INTERRUPT] = (const void *)timer_starts_anew,
};
