/* A voltage as it is meant: what a converter reads of it, without its noise. Boards put their CVs through this before
 * they push them.
 *
 * What moves is followed, the quicker the farther it is; what stands still becomes the mean of the last 64 readings; and
 * only what then differs by more than a step is told. No hardware in here. */
#ifndef TUDOR_MODULE_STEADY_H
#define TUDOR_MODULE_STEADY_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define STEADY_MOVES 0x1p-8f /* from here on a reading is followed at once: eight steps of 12 bits over -1 to 1 */
#define STEADY_STEP 0x1p-14f /* what is told: 0.4 cents at 1 V/oct where -1 to 1 is 10 V */

/* Zeroed before the first reading. */
struct steady {
    float mean, told;
    uint32_t readings; /* in the mean, to 64 */
};

/* A reading from -1 to 1. 1: `told` has changed, and is to be pushed. */
int steady_take(struct steady *s, float reading);

#ifdef __cplusplus
}
#endif

#endif
