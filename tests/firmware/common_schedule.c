/* For each line "frame block up down has_input" on standard input: slices, delay, prime, and the fewest and the most
 * slices in a block once all has begun. */
#include "instrument.h"

#include <stdio.h>

int main(void) {
    unsigned frame, block, up, down, has_input;
    while (scanf("%u %u %u %u %u", &frame, &block, &up, &down, &has_input) == 5) {
        struct schedule s;
        if (plan_schedule(&s, frame, block, up, down, (int)has_input)) {
            puts("refused");
            continue;
        }
        uint64_t at = 0;
        uint32_t least = UINT32_MAX, most = 0;
        for (uint32_t c = 0; c < 20000; c++) {
            at += s.step;
            const uint32_t due = (uint32_t)(at / s.unit);
            at %= s.unit;
            if (due < least) least = due;
            if (due > most) most = due;
        }
        printf("%u %u %u %u %u\n", s.slices, s.delay, s.prime, least, most);
    }
    return 0;
}
