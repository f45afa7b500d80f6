/* Chooses the kernels for the processor it runs on. Builds may leave bodies out: TUDOR_ONLY_SCALAR keeps one,
 * TUDOR_NO_AVX512 drops that one. */
#include "kernels.h"

#include <string.h>

#if !defined(TUDOR_ONLY_SCALAR) && (defined(__x86_64__) || defined(_M_X64))
#define TUDOR_X86
#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#else
#include <cpuid.h>
#endif

struct cpuid { uint32_t a, b, c, d; };

static struct cpuid cpuid(uint32_t leaf) {
    struct cpuid r = {0, 0, 0, 0};
#if defined(_MSC_VER) && !defined(__clang__)
    int regs[4];
    __cpuidex(regs, (int)leaf, 0);
    r = (struct cpuid){(uint32_t)regs[0], (uint32_t)regs[1], (uint32_t)regs[2], (uint32_t)regs[3]};
#else
    __cpuid_count(leaf, 0, r.a, r.b, r.c, r.d);
#endif
    return r;
}

/* Which register halves the operating system saves: without that the instructions may not be used. */
static uint32_t saved_registers(void) {
#if defined(_MSC_VER) && !defined(__clang__)
    return (uint32_t)_xgetbv(0);
#else
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
#endif
}

static int x86_level(void) { /* 0: neither, 2: AVX2 and FMA, 3: AVX-512F and BW too, 4: VNNI too */
    if (cpuid(0).a < 7) return 0;
    const struct cpuid seven = cpuid(7);
    const uint32_t c = cpuid(1).c, b = seven.b;
    const uint32_t fma = 1u << 12, osxsave = 1u << 27, avx = 1u << 28, avx2 = 1u << 5;
    const uint32_t avx512 = 1u << 16 | 1u << 30, vnni = 1u << 11; /* F and BW */
    if (!(c & osxsave)) return 0;
    const uint32_t saved = saved_registers();
    if (!(c & fma) || !(c & avx) || !(b & avx2) || (saved & 6) != 6) return 0;
    if ((b & avx512) != avx512 || (saved & 0xe6) != 0xe6) return 2;
    return seven.c & vnni ? 4 : 3;
}
#endif

/* The bodies that run on this processor, the fastest first; how many. */
static int list_able(const struct tudor_kernels *able[6]) {
    int count = 0;
#if defined(TUDOR_X86)
    const int level = x86_level();
#ifndef TUDOR_NO_AVX512
    if (level >= 4) able[count++] = &tudor_kernels_avx512vnni;
    if (level >= 3) able[count++] = &tudor_kernels_avx512;
#endif
    if (level >= 2) able[count++] = &tudor_kernels_avx2;
#elif !defined(TUDOR_ONLY_SCALAR) && (defined(__aarch64__) || defined(_M_ARM64))
    able[count++] = &tudor_kernels_neon;
#endif
    able[count++] = &tudor_kernels_scalar;
#ifndef TUDOR_ONLY_SCALAR
    able[count++] = &tudor_kernels_ref;
#endif
    return count;
}

/* Apart from finding by name: who never asks for a body needs no comparing of names. */
const struct tudor_kernels *tudor_best_kernels(void) {
    const struct tudor_kernels *able[6];
    list_able(able);
    return able[0];
}

const struct tudor_kernels *tudor_find_kernels(const char *name) {
    const struct tudor_kernels *able[6];
    const int count = list_able(able);
    if (!name) return able[0];
    for (int i = 0; i < count; i++)
        if (strcmp(able[i]->name, name) == 0) return able[i];
    return 0;
}
