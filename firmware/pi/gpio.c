#include "gpio.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Labels of the header's chip: Pi 1 to 4 and Zero 2, Pi 5. */
static int has_header(const char *label) { return strstr(label, "pinctrl-bcm") || strstr(label, "pinctrl-rp1"); }

int gpio_chip(const char *folder) {
    for (int i = 0; i < 16; i++) {
        char path[64];
        struct gpiochip_info info;
        snprintf(path, sizeof path, "%s/gpiochip%d", folder, i);
        const int file = open(path, O_RDWR | O_CLOEXEC);
        if (file < 0) continue;
        if (ioctl(file, GPIO_GET_CHIPINFO_IOCTL, &info) == 0 && has_header(info.label)) return file;
        close(file);
    }
    errno = ENODEV;
    return -1;
}

#define EDGES 512 /* kept by the kernel while nobody reads; beyond that the oldest are lost, never the last level */

static int request(int chip, const int *lines, unsigned count, uint64_t flags) {
    struct gpio_v2_line_request wanted = {.num_lines = count, .event_buffer_size = EDGES};
    memcpy(wanted.consumer, "tudor-module", sizeof "tudor-module");
    for (unsigned i = 0; i < count; i++) wanted.offsets[i] = (uint32_t)lines[i];
    wanted.config.flags = flags;
    return ioctl(chip, GPIO_V2_GET_LINE_IOCTL, &wanted) < 0 ? -1 : wanted.fd;
}

int gpio_inputs(int chip, const int *lines, unsigned count) {
    const int file = request(chip, lines, count, GPIO_V2_LINE_FLAG_INPUT | GPIO_V2_LINE_FLAG_EDGE_RISING
                             | GPIO_V2_LINE_FLAG_EDGE_FALLING | GPIO_V2_LINE_FLAG_BIAS_PULL_UP);
    if (file >= 0) fcntl(file, F_SETFL, O_NONBLOCK);
    return file;
}

int gpio_outputs(int chip, const int *lines, unsigned count) {
    return request(chip, lines, count, GPIO_V2_LINE_FLAG_OUTPUT);
}

int gpio_get(int lines, unsigned count, uint64_t *levels) {
    struct gpio_v2_line_values values = {.mask = ((uint64_t)1 << count) - 1};
    if (ioctl(lines, GPIO_V2_LINE_GET_VALUES_IOCTL, &values) < 0) return errno;
    *levels = values.bits;
    return 0;
}

int gpio_set(int lines, uint64_t levels, uint64_t mask) {
    struct gpio_v2_line_values values = {.bits = levels, .mask = mask};
    return ioctl(lines, GPIO_V2_LINE_SET_VALUES_IOCTL, &values) < 0 ? errno : 0;
}

int gpio_edge(int lines, struct gpio_edge *edge) {
    struct gpio_v2_line_event event;
    if (read(lines, &event, sizeof event) != sizeof event) return 0;
    *edge = (struct gpio_edge){.line = (int)event.offset, .level = event.id == GPIO_V2_LINE_EVENT_RISING_EDGE,
                               .at_ns = event.timestamp_ns};
    return 1;
}
