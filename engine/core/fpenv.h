/* The floating-point mode: round to nearest, denormals kept. Hosts set others (audio programs like to flush
 * denormals), and results must not depend on that: saved at entry, restored at exit. */
#ifndef TUDOR_FPENV_H
#define TUDOR_FPENV_H

#include <stdint.h>

#if defined(__x86_64__) || defined(_M_X64) || defined(__SSE__)
#include <xmmintrin.h>
static inline uint32_t fpenv_enter(void) {
    uint32_t saved = _mm_getcsr();
    _mm_setcsr(0x1f80); /* all exceptions masked, nearest, no FTZ, no DAZ */
    return saved;
}
static inline void fpenv_leave(uint32_t saved) { _mm_setcsr(saved); }

#elif defined(__aarch64__)
static inline uint32_t fpenv_enter(void) {
    uint64_t saved, plain = 0;
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved));
    __asm__ volatile("msr fpcr, %0" : : "r"(plain));
    return (uint32_t)saved;
}
static inline void fpenv_leave(uint32_t saved) {
    uint64_t value = saved;
    __asm__ volatile("msr fpcr, %0" : : "r"(value));
}

#elif defined(__ARM_FP)
static inline uint32_t fpenv_enter(void) {
    uint32_t saved, plain = 0;
    __asm__ volatile("vmrs %0, fpscr" : "=r"(saved));
    __asm__ volatile("vmsr fpscr, %0" : : "r"(plain));
    return saved;
}
static inline void fpenv_leave(uint32_t saved) { __asm__ volatile("vmsr fpscr, %0" : : "r"(saved)); }

#else
static inline uint32_t fpenv_enter(void) { return 0; }
static inline void fpenv_leave(uint32_t saved) { (void)saved; }
#endif

#endif
