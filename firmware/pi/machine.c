#include "machine.h"

#include <stdlib.h>
#include <string.h>

#include "slots.h"

enum { BURST_MACS = 600000, BURST_MACS_SLOW = 200000 }; /* of a Pi 4 or 5; of a Pi 3 or a Pi Zero 2 */

uint32_t machine_burst_macs(void) {
    char *const model = read_whole("/proc/device-tree/model", &(size_t){0});
    const int slow = model && (strstr(model, "Pi 3") || strstr(model, "Pi Zero"));
    free(model);
    return slow ? BURST_MACS_SLOW : BURST_MACS;
}
