/* What only a board can show, looked at while the instrument runs. */
#ifndef TUDOR_PI_CHECK_H
#define TUDOR_PI_CHECK_H

#include "settings.h"

/* Watches a running program for `seconds` and prints a line for each finding; 0: nothing is wrong. */
int check_board(const struct settings *s, int seconds);
/* The firmware's flags of undervoltage and throttling, below the kernel's folder of platform devices, where a Pi 4 has
 * them in "soc" and a Pi 5 in "soc@107c000000"; -1: there are none. */
long check_throttled(const char *platform);
/* Governor and clock of the slowest processor below the kernel's folder of them, as text; 1: it always runs at its
 * highest, 0: it does not, -1: there is nothing to govern. */
int check_governor(const char *cpus, char *text, int bytes);

#endif
