/* Gates, button and LEDs, by the kernel's GPIO character device (linux/gpio.h, version 2 of its interface).
 *
 * This is what libgpiod wraps. The library is not used because Debian 12 has its version 1 and Debian 13 its version 2,
 * which share neither name nor functions: one program could not run on both. */
#ifndef TUDOR_PI_GPIO_H
#define TUDOR_PI_GPIO_H

#include "settings.h"

#include <stdint.h>

/* Opens the chip with the header's pins; a file descriptor, or -1 with errno. `folder`: usually "/dev". */
int gpio_chip(const char *folder);
/* Takes input lines that report both edges as they come, with a pull. A file descriptor to poll, which does not block;
 * or -1 with errno. */
int gpio_inputs(int chip, const int *lines, unsigned count);
int gpio_outputs(int chip, const int *lines, unsigned count);
/* Bit i: the level of the i-th line; 0 on success. */
int gpio_get(int lines, unsigned count, uint64_t *levels);
int gpio_set(int lines, uint64_t levels, uint64_t mask);

struct gpio_edge {
    int line, level; /* BCM number; what the line went to */
    uint64_t at_ns;  /* on CLOCK_MONOTONIC, taken in the kernel's interrupt */
};

/* The next edge. 1: an edge; 0: none waiting. */
int gpio_edge(int lines, struct gpio_edge *edge);

#endif
