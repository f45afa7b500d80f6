/* What becomes of readings: float32 from standard input, pairs of mean and told to standard output. */
#include "steady.h"

#include <stdio.h>

int main(void) {
    struct steady s = {0};
    float reading;
    while (fread(&reading, sizeof reading, 1, stdin) == 1) {
        steady_take(&s, reading);
        const float pair[2] = {s.mean, s.told};
        fwrite(pair, sizeof pair, 1, stdout);
    }
    return 0;
}
