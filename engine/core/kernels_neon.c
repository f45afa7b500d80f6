/* aarch64 NEON: 32 registers of 4 lanes. */
#if defined(__aarch64__) || defined(_M_ARM64)
#include "vec_neon.h"

#define TILES                                                                                \
    TILE(16, 1) TILE(8, 1) TILE(8, 2) TILE(8, 3)                                              \
    TILE(4, 1) TILE(4, 2) TILE(4, 3) TILE(4, 4) TILE(4, 5) TILE(4, 6)                         \
    TILE(2, 1) TILE(2, 2) TILE(2, 3) TILE(2, 4) TILE(2, 5) TILE(2, 6) TILE(2, 8) TILE(2, 10)  \
    TILE(1, 1) TILE(1, 2) TILE(1, 3) TILE(1, 4) TILE(1, 5) TILE(1, 6) TILE(1, 8) TILE(1, 10) TILE(1, 12)
static const unsigned char tile_frames[17] = {0, 12, 10, 0, 6, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1};
#define TILE_FRAMES(vectors) tile_frames[vectors]
#define TILE_VECTORS(frames) ((frames) == 1 ? 16 : (frames) <= 3 ? 8 : 4)

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
#define INT_TILES                                                        \
    TILE(4, 1) TILE(2, 1) TILE(2, 2) TILE(2, 3)                           \
    TILE(1, 1) TILE(1, 2) TILE(1, 3) TILE(1, 4) TILE(1, 5) TILE(1, 6)
static const unsigned char int_tile_frames[5] = {0, 6, 3, 0, 1};
#define INT_TILE_FRAMES(vectors) int_tile_frames[vectors]
#define INT_TILE_VECTORS(frames) ((frames) == 1 ? 4 : (frames) <= 3 ? 2 : 1)
#include "kernels_int.inc"
#define INT_KERNELS int_conv, int_depthwise, mixed
#else
#define INT_KERNELS 0, 0, 0
#endif

const struct tudor_kernels tudor_kernels_neon = {"neon", conv, depthwise, map, gated, add, mul, affine, lstm, gru,
    INT_KERNELS, norm, attention, pitch_track, harmonics, exponentials};
#else
typedef int tudor_no_neon;
#endif
