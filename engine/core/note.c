/* A gate, and what is held from one of its rising edges to the next. */
#include <string.h>

#include "internal.h"

#define THRESHOLD 0.5f

/* `state`: whether the gate was open; the values that are held; `most` less the age. So zeros are the time before the
 * first gate. */
void tudor_note(const struct map_args *a, float most, float *state) {
    const uint32_t values = a->channels - 1;
    float *held = state + 1;
    for (uint32_t r = 0; r < a->rows; r++) {
        const float *x = (const float *)a->x.data + r * a->x.row;
        float *y = (float *)a->y.data + r * a->y.row;
        const float is_open = x[0] > THRESHOLD ? 1.0f : 0.0f;
        if (is_open > state[0]) {
            memcpy(held, x + 1, values * sizeof(float));
            held[values] = most;
        } else if (held[values] > 0.0f) {
            held[values] -= 1.0f;
        }
        state[0] = is_open;
        memcpy(y, held, values * sizeof(float));
        y[values] = most - held[values];
    }
}
