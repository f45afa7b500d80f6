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
/* Takes input lines that report both edges, kept steady by a pull and a debounce time where `debounce_us` is not 0.
 * A file descriptor to poll, or -1 with errno. */
int gpio_inputs(int chip, const int *lines, unsigned count, unsigned debounce_us);
int gpio_outputs(int chip, const int *lines, unsigned count);
/* Bit i: the level of the i-th line; 0 on success. */
int gpio_get(int lines, unsigned count, uint64_t *levels);
int gpio_set(int lines, uint64_t levels, uint64_t mask);
/* The next edge: BCM number of the line and its new level. 1: an edge; 0: none waiting. */
int gpio_edge(int lines, int *line, int *level);

#endif
