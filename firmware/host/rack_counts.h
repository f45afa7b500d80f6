/* Counting the parts of a callback; see rack_counts.c. */
#ifndef TUDOR_HOST_RACK_COUNTS_H
#define TUDOR_HOST_RACK_COUNTS_H

#include <stdint.h>

enum { RACK_OFF, RACK_BLOCK, RACK_PLAYER, RACK_MODEL, RACK_OPS, RACK_INPUT, RACK_CONTROLS, RACK_ATTRIBUTES,
       RACK_LATENTS, RACK_MIX, RACK_OUTPUT, RACK_TRANSPORT };

int rack_counts_choose(const char *name); /* 0: there is no such part */
void rack_counts_begin(int marks);        /* counts from now on */
void rack_counts_enter(uint32_t part);
void rack_counts_leave(uint32_t part);

#endif
