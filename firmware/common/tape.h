/* A ring of latent rows; see tape.c. */
#ifndef TUDOR_MODULE_TAPE_H
#define TUDOR_MODULE_TAPE_H

#include "basics.h"

struct player;

/* Positions and lengths are in 1/2^20 beats, positions modulo 4096 beats. */
struct tape {
    float *rows;        /* [size][width] */
    uint32_t *heard;    /* [size]: the position at which each is heard */
    uint32_t size;      /* rows there is room for; 0: there is no tape */
    uint32_t width, count; /* numbers in a row, of all streams; rows in a frame */
    uint32_t next, written;      /* place of the next row that is recorded; how many there are */
    uint32_t holds, first, held, row; /* a loop is repeated: place of its first row, how many, which is due */
    uint32_t from, begins, lasts; /* where it was recorded, where its present round began, its length */
};

int tape_wanted(const struct player *p);
void tape_lay(struct tape *t, const struct player *p, struct region *bulk);
uint32_t tape_early(const struct player *p, uint32_t frame);
void tape_clear(struct tape *t);
void tape_rows(struct tape *t, float *rows, uint64_t begins, uint64_t lasts, uint32_t beats);

#endif
