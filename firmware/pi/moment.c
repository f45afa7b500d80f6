#include "moment.h"

#include <time.h>

#define SECOND_NS 1000000000
#define LATER_PART 32

uint64_t moment_mark(uint32_t samples, uint64_t at_ns) {
    const uint64_t mark = (uint64_t)samples << 32 | (uint32_t)at_ns;
    return mark ? mark : 1; /* a nanosecond off, once in an age */
}

uint64_t moment_began(uint64_t *expected_ns, uint64_t now_ns, uint64_t block_ns) {
    const int64_t late = (int64_t)(now_ns - *expected_ns), whole = (int64_t)block_ns;
    const int anew = !*expected_ns || late > whole || late < -whole;
    const uint64_t began = anew ? now_ns : *expected_ns + (uint64_t)(late < 0 ? late / 2 : late / LATER_PART);
    *expected_ns = began + block_ns;
    return began;
}

uint64_t moment_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

int moment_samples(uint64_t mark, uint32_t rate_hz, uint32_t most_samples, uint64_t at_ns, uint32_t *samples) {
    const int64_t since_ns = (int32_t)((uint32_t)at_ns - (uint32_t)mark); /* modulo 2^32: within 2.1 s either way */
    const int64_t since = since_ns * (int64_t)rate_hz / SECOND_NS;
    if (!mark || since > (int64_t)most_samples || since_ns < -SECOND_NS) return 0;
    *samples = (uint32_t)(mark >> 32) + (uint32_t)since;
    return 1;
}
