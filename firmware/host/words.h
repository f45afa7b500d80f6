/* Text without stdio, which bare metal does not have. */
#ifndef TUDOR_HOST_WORDS_H
#define TUDOR_HOST_WORDS_H

#include <stdint.h>

void print_number(uint64_t value);
void print_fact(const char *name, uint64_t value); /* "name value\n" */
uint32_t read_number(const char **text);           /* digits; leaves *text behind them */

#endif
