/* AVX-512 (F and BW): 32 registers of 16 lanes; with VNNI, a table that multiplies whole numbers in one step. The pragmas let this file use instructions that the rest of the
 * program must not assume, without compiler options of its own. */
#if (defined(__x86_64__) || defined(_M_X64)) && !defined(TUDOR_NO_AVX512)
#if defined(__clang__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx2,fma"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC target("avx512f,avx512bw,avx2,fma")
#endif
#include "vec_avx512.h"

#define TILES                                                                                            \
    TILE(4, 1) TILE(4, 2) TILE(4, 3) TILE(4, 4) TILE(4, 5) TILE(4, 6)                                     \
    TILE(3, 1) TILE(3, 2) TILE(3, 3) TILE(3, 4) TILE(3, 5) TILE(3, 6) TILE(3, 8)                          \
    TILE(2, 1) TILE(2, 2) TILE(2, 3) TILE(2, 4) TILE(2, 5) TILE(2, 6) TILE(2, 8) TILE(2, 10) TILE(2, 12)  \
    TILE(1, 1) TILE(1, 2) TILE(1, 3) TILE(1, 4) TILE(1, 5) TILE(1, 6) TILE(1, 8)
static const unsigned char tile_frames[5] = {0, 8, 12, 8, 6};
#define TILE_FRAMES(vectors) tile_frames[vectors]
#define TILE_VECTORS(frames) ((void)(frames), 4)

#define NARROW_KERNELS tudor_kernels_avx2
#include "kernels.inc"
#include "hidden.inc"
#include "kernels_rnn.inc"
#include "kernels_norm.inc"
#include "kernels_attention.inc"
#include "kernels_tones.inc"
#include "kernels_draw.inc"

#ifndef TUDOR_NO_INT
#include "kernels_mixed.inc"
#include "kernels_int_rows.inc"
#define INT_UNROLL 1
#define INT_FRAME_VECTORS 2
#define INT_TILES                                                                  \
    TILE(2, 1) TILE(2, 2) TILE(2, 3) TILE(2, 4) TILE(2, 5) TILE(2, 6)               \
    TILE(1, 1) TILE(1, 2) TILE(1, 3) TILE(1, 4) TILE(1, 5) TILE(1, 6) TILE(1, 8) TILE(1, 10) TILE(1, 12)
static const unsigned char int_tile_frames[3] = {0, 12, 6};
#define INT_TILE_FRAMES(vectors) int_tile_frames[vectors]
#define INT_TILE_VECTORS(frames) ((void)(frames), 2)
#define INT(name) int_##name
#include "kernels_int.inc"
#define INT_KERNELS int_conv, int_depthwise, mixed

#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vnni,avx2,fma"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC target("avx512f,avx512bw,avx512vnni,avx2,fma")
#endif
#undef IV_DOT
#undef IV_DOT1
#undef INT
#define IV_DOT(sum, w, x) _mm512_dpwssd_epi32(sum, w, x)
#define INT(name) vnni_##name
#include "kernels_int.inc"
#define VNNI_KERNELS vnni_conv, vnni_depthwise, mixed
#else
#define INT_KERNELS 0, 0, 0
#define VNNI_KERNELS 0, 0, 0
#endif

const struct tudor_kernels tudor_kernels_avx512 = {"avx512", conv, depthwise, map, gated, add, mul, affine, lstm, gru,
                                                   INT_KERNELS, norm, attention, pitch_track, harmonics, exponentials};
const struct tudor_kernels tudor_kernels_avx512vnni = {"avx512vnni", conv, depthwise, map, gated, add, mul, affine,
                                                       lstm, gru, VNNI_KERNELS, norm, attention, pitch_track, harmonics, exponentials};
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int tudor_no_avx512;
#endif
