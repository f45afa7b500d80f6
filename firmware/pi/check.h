/* What only a board can show, looked at while the instrument runs. */
#ifndef TUDOR_PI_CHECK_H
#define TUDOR_PI_CHECK_H

#include "settings.h"

/* Watches a running program for `seconds` and prints a line for each finding; 0: nothing is wrong. */
int check_board(const struct settings *s, int seconds);

#endif
