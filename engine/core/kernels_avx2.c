/* AVX2 + FMA: 16 registers of 8 lanes. The pragmas let this file use instructions that the rest of the
 * program must not assume, without compiler options of its own. */
#if defined(__x86_64__) || defined(_M_X64)
#if defined(__clang__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC target("avx2,fma")
#endif
#include "vec_avx2.h"

#define TILES                                                                                            \
    TILE(8, 1) TILE(4, 1) TILE(4, 2) TILE(4, 3)                                                           \
    TILE(2, 1) TILE(2, 2) TILE(2, 3) TILE(2, 4) TILE(2, 5) TILE(2, 6)                                     \
    TILE(1, 1) TILE(1, 2) TILE(1, 3) TILE(1, 4) TILE(1, 5) TILE(1, 6) TILE(1, 8) TILE(1, 10) TILE(1, 12)
static const unsigned char tile_frames[9] = {0, 12, 6, 0, 3, 0, 0, 0, 1};
#define TILE_FRAMES(vectors) tile_frames[vectors]
#define TILE_VECTORS(frames) ((frames) == 1 ? 8 : (frames) <= 3 ? 4 : 2)

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
#define INT(name) int_##name
#define INT_UNROLL 1
#define INT_FRAME_VECTORS 4
#define INT_TILES TILE(4, 1) TILE(2, 1) TILE(2, 2) TILE(1, 1) TILE(1, 2) TILE(1, 3) TILE(1, 4) TILE(1, 5)
static const unsigned char int_tile_frames[5] = {0, 5, 2, 0, 1};
#define INT_TILE_FRAMES(vectors) int_tile_frames[vectors]
#define INT_TILE_VECTORS(frames) ((frames) == 1 ? 4 : (frames) == 2 ? 2 : 1)
#include "kernels_int.inc"
#define INT_KERNELS int_conv, int_depthwise, mixed
#else
#define INT_KERNELS 0, 0, 0
#endif

const struct tudor_kernels tudor_kernels_avx2 = {"avx2", conv, depthwise, map, gated, add, mul, affine, lstm, gru,
    INT_KERNELS, norm, attention, pitch_track, harmonics, exponentials};
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int tudor_no_avx2;
#endif
