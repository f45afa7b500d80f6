/* One lane, register-tiled: Cortex-M7 (32 single-precision registers) and machines without a body of their own. */
#include "vec_scalar.h"

#ifdef __OPTIMIZE_SIZE__
#define TILES TILE(8, 1) TILE(4, 1) TILE(4, 2) TILE(4, 3) TILE(4, 4) TILE(1, 1) TILE(1, 2) TILE(1, 3) TILE(1, 4)
static const unsigned char tile_frames[9] = {0, 4, 0, 0, 4, 0, 0, 0, 1};
#define TILE_FRAMES(vectors) tile_frames[vectors]
#define TILE_VECTORS(frames) ((frames) == 1 ? 8 : 4)
#else
/* Taller tiles share each weight among more frames: 7 % fewer instructions at 16 frames, 11 % at one, for 6 KB of
 * code (counted on a Cortex-M7). */
#define TILES                                                                                \
    TILE(16, 1) TILE(8, 1)                                                                    \
    TILE(4, 1) TILE(4, 2) TILE(4, 3) TILE(4, 4) TILE(4, 5) TILE(4, 6)                         \
    TILE(1, 1) TILE(1, 2) TILE(1, 3) TILE(1, 4)
static const unsigned char tile_frames[17] = {0, 4, 0, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1};
#define TILE_FRAMES(vectors) tile_frames[vectors]
#define TILE_VECTORS(frames) ((frames) == 1 ? 16 : 4)
#endif

#include "kernels.inc"
#ifndef TUDOR_NO_NORM
#include "kernels_norm.inc"
#else
#define norm 0
#endif
#ifndef TUDOR_NO_ATTENTION
#include "kernels_attention.inc"
#else
#define attention 0
#endif
#ifndef TUDOR_NO_TONES
#include "kernels_tones.inc"
#else
#define pitch_track 0
#define harmonics 0
#endif
#ifndef TUDOR_NO_NOISE
#include "kernels_draw.inc"
#else
#define exponentials 0
#endif
#ifdef TUDOR_NO_FLOAT /* no convolutions of float32 or bfloat16, and so nothing recurrent */
#define conv 0
#define depthwise 0
#endif
#ifndef TUDOR_NO_RNN
#include "hidden.inc"
#include "kernels_rnn.inc"
#else
#define lstm 0
#define gru 0
#endif

#ifndef TUDOR_NO_INT
#define MIXED_ROWS 2
#define INT_CHUNK 6
#if defined(__GNUC__) && !defined(__clang__) && !defined(__OPTIMIZE_SIZE__)
#define INT_UNROLL_ROW _Pragma("GCC unroll 4")
#endif
#include "kernels_mixed.inc"
#include "kernels_int_rows.inc"
#define INT(name) int_##name
#ifdef __OPTIMIZE_SIZE__
#define INT_UNROLL 1
#else
#define INT_UNROLL 8
#define INT_KEEP(count) __asm__("" : "+r"(count)) /* else it is kept in more than one register */
#endif
#define INT_TILES TILE(4, 1) TILE(1, 1) TILE(1, 2) TILE(1, 3)
static const unsigned char int_tile_frames[5] = {0, 3, 0, 0, 1};
#define INT_TILE_FRAMES(vectors) int_tile_frames[vectors]
#define INT_TILE_VECTORS(frames) ((frames) == 1 ? 4 : 1)
#include "kernels_int.inc"
#define INT_KERNELS int_conv, int_depthwise, mixed
#else
#define INT_KERNELS 0, 0, 0
#endif

const struct tudor_kernels tudor_kernels_scalar = {"scalar", conv, depthwise, map, gated, add, mul, affine, lstm, gru,
    INT_KERNELS, norm, attention, pitch_track, harmonics, exponentials};
