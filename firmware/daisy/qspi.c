/* Registers: reference manual RM0433, "Quad-SPI interface"; commands: data sheet of the IS25LP064A. */
#include "qspi.h"

#include <stdint.h>

#ifdef QSPI_SIMULATED /* a test gives registers and memory */
uint32_t qspi_register(uint32_t offset);
void qspi_set_register(uint32_t offset, uint32_t value);
uint8_t qspi_data(void);
void qspi_set_data(uint8_t byte);
uint8_t qspi_mapped(uint32_t at);
uint32_t qspi_interrupts_off(void);
void qspi_interrupts_restore(uint32_t before);
void qspi_shield(int on);
#define IN_ITCM
#else
#define BASE 0x52005000u
#define IN_ITCM __attribute__((noinline, section(".text.tudor_qspi")))
static inline uint32_t qspi_register(uint32_t offset) { return *(volatile uint32_t *)(BASE + offset); }
static inline void qspi_set_register(uint32_t offset, uint32_t value) { *(volatile uint32_t *)(BASE + offset) = value; }
static inline uint8_t qspi_data(void) { return *(volatile uint8_t *)(BASE + 0x20u); }
static inline void qspi_set_data(uint8_t byte) { *(volatile uint8_t *)(BASE + 0x20u) = byte; }
/* The line is dropped from the data cache first (DCIMVAC): what it holds may be from before a write. */
static inline uint8_t qspi_mapped(uint32_t at) {
    if (at % 32 == 0) {
        __asm volatile("dsb" ::: "memory");
        *(volatile uint32_t *)0xe000ef5cu = QSPI_MAPPED + at;
        __asm volatile("dsb\n isb" ::: "memory");
    }
    return *(const volatile uint8_t *)(QSPI_MAPPED + at);
}
static inline uint32_t qspi_interrupts_off(void) {
    uint32_t before;
    __asm volatile("mrs %0, primask\n cpsid i\n dsb\n isb" : "=r"(before)::"memory");
    return before;
}
/* The processor reads ahead where code and data lie. While the flash does not answer, the last region of the MPU (libDaisy
 * uses the first ones) says that nothing lies there: strongly ordered, not to be executed. */
static inline void qspi_shield(int on) {
    *(volatile uint32_t *)0xe000ed98u = 7; /* RNR, RBAR, RASR: architecture reference manual of ARMv7-M, B3.5 */
    *(volatile uint32_t *)0xe000ed9cu = QSPI_MAPPED;
    *(volatile uint32_t *)0xe000eda0u = on ? 1u << 28 | 3u << 24 | 22u << 1 | 1u : 0u;
    __asm volatile("dsb\n isb" ::: "memory");
}
static inline void qspi_interrupts_restore(uint32_t before) { __asm volatile("msr primask, %0\n isb" ::"r"(before) : "memory"); }
#endif

enum { CR = 0x00, SR = 0x08, FCR = 0x0c, DLR = 0x10, CCR = 0x14, AR = 0x18, ABR = 0x1c };
#define ABORT 2u
#define TRANSFERRED 2u
#define FIFO 4u
#define BUSY 0x20u
#define CLEAR_ALL 0x1bu

#define INSTRUCTION 0x100u      /* on one line */
#define ADDRESS (0x400u | 0x2000u) /* on one line, of 24 bits */
#define DATA 0x01000000u        /* on one line */
#define READING 0x04000000u
#define READ_FORMAT 0xe3fffc00u /* of the reading that is set up: all but mode, instruction, and when that is sent */
#define WRITE_ENABLE 0x06u
#define READ_STATUS 0x05u
#define PAGE_PROGRAM 0x02u
#define SECTOR_ERASE 0xd7u
#define IN_PROGRESS 1u
#define ENABLED 2u
#define MOST_POLLS 4000000u /* of some 100 ns: longer than any sector takes */

/* 0: the flag did not come. */
IN_ITCM static int wait(uint32_t flag, uint32_t goal) {
    for (uint32_t i = 0; i < MOST_POLLS; i++)
        if ((qspi_register(SR) & flag) == goal) return 1;
    return 0;
}

IN_ITCM static void command(uint32_t code) {
    qspi_set_register(CCR, code);
    (void)wait(TRANSFERRED, TRANSFERRED);
    qspi_set_register(FCR, CLEAR_ALL);
    (void)wait(BUSY, 0);
}

IN_ITCM static uint8_t read_byte(uint32_t code, int has_address) {
    qspi_set_register(DLR, 0);
    qspi_set_register(CCR, code);
    if (has_address) qspi_set_register(AR, 0xffffffu);
    (void)wait(TRANSFERRED, TRANSFERRED);
    const uint8_t byte = qspi_data();
    qspi_set_register(FCR, CLEAR_ALL);
    (void)wait(BUSY, 0);
    return byte;
}

/* From reading to taking commands. All lines high where a flash that is not reading would look for an instruction. */
IN_ITCM static void leave_reading(uint32_t reading) {
    qspi_set_register(CR, qspi_register(CR) | ABORT);
    for (uint32_t i = 0; i < MOST_POLLS && qspi_register(CR) & ABORT; i++) continue;
    (void)wait(BUSY, 0);
    qspi_set_register(FCR, CLEAR_ALL);
    qspi_set_register(ABR, 0xffu);
    (void)read_byte(READING | (reading & READ_FORMAT), 1);
}

IN_ITCM static int enable(void) {
    command(INSTRUCTION | WRITE_ENABLE);
    return (read_byte(READING | DATA | INSTRUCTION | READ_STATUS, 0) & ENABLED) != 0;
}

IN_ITCM static int finished(void) {
    for (uint32_t i = 0; i < MOST_POLLS; i++)
        if (!(read_byte(READING | DATA | INSTRUCTION | READ_STATUS, 0) & IN_PROGRESS)) return 1;
    return 0;
}

/* Writes `bytes` of `from`, or erases where there is none. */
IN_ITCM static int change(uint32_t at, const uint8_t *from, uint32_t bytes) {
    const uint32_t interrupts = qspi_interrupts_off(), reading = qspi_register(CCR), mode = qspi_register(ABR);
    qspi_shield(1);
    leave_reading(reading);
    int good = enable();
    if (good && from) {
        qspi_set_register(DLR, bytes - 1);
        qspi_set_register(CCR, DATA | ADDRESS | INSTRUCTION | PAGE_PROGRAM);
        qspi_set_register(AR, at);
        for (uint32_t i = 0; i < bytes && good; i++) {
            good = wait(FIFO, FIFO);
            qspi_set_data(from[i]);
        }
    } else if (good) {
        qspi_set_register(CCR, ADDRESS | INSTRUCTION | SECTOR_ERASE);
        qspi_set_register(AR, at);
    }
    good &= wait(TRANSFERRED, TRANSFERRED);
    qspi_set_register(FCR, CLEAR_ALL);
    good &= wait(BUSY, 0);
    good &= finished();
    qspi_set_register(ABR, mode);
    qspi_set_register(CCR, reading);
    qspi_shield(0);
    qspi_interrupts_restore(interrupts);
    return good ? 0 : -1;
}

IN_ITCM static int qspi_read(void *context, uint32_t at, void *to, uint32_t bytes) {
    const uint32_t from = (uint32_t)(uintptr_t)context + at - QSPI_MAPPED;
    volatile uint8_t *const out = to; /* so that no compiler makes a call of it */
    if (bytes && from % 32) (void)qspi_mapped(from / 32 * 32);
    for (uint32_t i = 0; i < bytes; i++) out[i] = qspi_mapped(from + i);
    return 0;
}

IN_ITCM static int qspi_program(void *context, uint32_t at, const void *from, uint32_t bytes) {
    return change((uint32_t)(uintptr_t)context + at - QSPI_MAPPED, from, bytes);
}

IN_ITCM static int qspi_erase(void *context, uint32_t at) {
    return change((uint32_t)(uintptr_t)context + at - QSPI_MAPPED, 0, 0);
}

save_flash qspi_flash(uint32_t address, uint32_t bytes) {
    return (save_flash){bytes, QSPI_SECTOR, QSPI_PIECE, (void *)(uintptr_t)address, qspi_read, qspi_program, qspi_erase};
}
