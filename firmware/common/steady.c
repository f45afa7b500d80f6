#include "steady.h"

#define READINGS 64u

int steady_take(struct steady *s, float reading) {
    const float distance = reading - s->mean, far = distance * (1.0f / STEADY_MOVES), sure = far * far;
    const int first = s->readings == 0;
    if (first || sure >= 1.0f) {
        s->mean = reading;
        s->readings = 1;
    } else {
        if (s->readings < READINGS) s->readings++;
        const float share = 1.0f / (float)s->readings;
        s->mean += distance * (share > sure ? share : sure);
    }
    const float moved = s->mean - s->told;
    if (!first && moved < STEADY_STEP && moved > -STEADY_STEP) return 0;
    s->told = s->mean;
    return 1;
}
