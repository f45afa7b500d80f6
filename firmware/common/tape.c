/* A tape of latents: what a generator made in the last bars, to be repeated exactly. A row that is held would be a tone.
 *
 *   generate -> rows -> tape -> rows -> decode
 *
 *   recorded   | . . . . . . . . . . . . . . . . . . . . . | now: the loop is the last bar before it
 *   heard                      begins |---- loop ----| end
 *   repeated                                         |0 1 2 3 ...     |0 1 2 3 ...     rows as they were, from each line on
 *
 * Rows do not fall on lines: a bar of 234.4 rows is played as 234 or 235. All but the last are the same rows each time,
 * and the bar begins within half a row of its line. A tempo that changes leaves rows out or plays them twice. */
#include "instrument.h"

#define PART(position) ((uint32_t)((position) >> 20)) /* of a beat, in 1/2^20, modulo 4096 beats */
#define PARTS (1u << 20)
#define SLOWEST 1.5f /* seconds of a beat, up to which a loop fits */
#define FAR 4        /* rows apart, where others are one: the song was moved */

int tape_wanted(const struct player *p) { return p->stages == 2 && p->edited == 0 && p->subject.loops; }

/* One loop at the slowest tempo, a row before it, and what has passed its end before the loop was asked for. */
void tape_lay(struct tape *t, const struct player *p, struct region *bulk) {
    tudor_method_info info;
    if (!tape_wanted(p) || tudor_method(&p->model, p->stage[1].method, &info)) return;
    const float rows_second = (float)tudor_sample_rate_hz(&p->model) / (float)info.in_ratio;
    t->count = p->frame / info.in_ratio;
    t->width = p->streams * info.in_channels;
    t->size = (uint32_t)(rows_second * SLOWEST * (float)(p->mapping.tape * p->mapping.meter)) + 2 + 2 * t->count;
    t->rows = take(bulk, (size_t)t->size * t->width * sizeof *t->rows);
    t->heard = take(bulk, t->size * sizeof *t->heard);
}

/* How long before its end a frame comes to the tape: what has to be known by then to be heard at one of its rows. */
uint32_t tape_early(const struct player *p, uint32_t frame) {
    const uint32_t fine = p->schedule.slices * FINE;
    return p->schedule.slices == 1 ? frame : frame - (uint32_t)((uint64_t)frame * p->stage[0].parts / fine);
}

void tape_clear(struct tape *t) { t->next = t->written = t->holds = 0; }

static uint32_t place_of(const struct tape *t, uint32_t ago) { /* of the row that was recorded so many rows ago, from 1 */
    return t->next >= ago ? t->next - ago : t->next + t->size - ago;
}

/* Finds the loop that ends at `end`, if all of it has been recorded; a tempo so slow that it has no room gives half of it,
 * or a quarter. */
static int find_loop(struct tape *t, uint32_t end, uint32_t span, uint32_t loop) {
    uint32_t ago = 1, held = 0;
    while (loop / span + 2 + t->count > t->size && loop > PARTS / 4) loop /= 2;
    if ((uint64_t)t->written * span < loop / 2) return 0; /* before all are looked at */
    const uint32_t last = end - span / 2, first = last - loop;
    while (ago <= t->written && (int32_t)(t->heard[place_of(t, ago)] - last) >= 0) ago++;
    for (; ago + held <= t->written; held++) {
        const uint32_t at = t->heard[place_of(t, ago + held)];
        const uint32_t later = held ? t->heard[place_of(t, ago + held - 1)] - at : span;
        if (later == 0 || later > FAR * span) return 0;
        if ((int32_t)(at - first) < 0) break; /* the row before it is there too */
    }
    if (ago + held > t->written || held < 2) return 0;
    t->first = place_of(t, ago + held - 1);
    t->held = held;
    t->begins = t->from = end - loop;
    t->lasts = loop;
    t->row = 0;
    return 1;
}

/* Whether repeating begins or ends at this row. A line of a beat that is less than a frame away is meant. */
static void turn(struct tape *t, uint32_t loop, uint32_t now, uint32_t span) {
    if (t->holds == (loop > 0)) return;
    const int32_t ahead = (int32_t)((now + PARTS / 2) / PARTS * PARTS - now), near = (int32_t)((t->count + 1) * span);
    const int is_near = ahead <= near && -ahead <= near;
    if (is_near && ahead > (int32_t)(span / 2)) return; /* at the row on the line */
    t->holds = loop && find_loop(t, is_near ? now + (uint32_t)ahead : now, span, loop);
    if (!loop) t->written = 0; /* what comes does not go on from what was recorded */
}

static uint32_t off(const struct tape *t, uint32_t row, uint32_t at) { /* how far a row was from a place in the loop */
    const uint32_t place = t->first + row < t->size ? t->first + row : t->first + row - t->size;
    const int32_t far = (int32_t)(t->heard[place] - t->from - at);
    return (uint32_t)(far < 0 ? -far : far);
}

/* Which row is due, from the loop's first; `held`: one more than there are, which is the one before the first. */
static uint32_t due(struct tape *t, uint32_t now, uint32_t span) {
    const uint32_t middle = now + span / 2;
    int32_t at = (int32_t)(middle - t->begins);
    if (at < 0 || (uint32_t)at >= t->lasts) {
        const int32_t rounds = at < 0 ? -(int32_t)(((uint32_t)-at + t->lasts - 1) / t->lasts) : (int32_t)((uint32_t)at / t->lasts);
        t->begins += (uint32_t)rounds * t->lasts;
        at = (int32_t)(middle - t->begins);
        t->row = 0;
    }
    const uint32_t place = (uint32_t)at - span / 2; /* below 0 where the first row is early */
    uint32_t row = t->row;
    if (row < t->held && off(t, row, place) > span) {
        while (row + 1 < t->held && off(t, row + 1, place) < off(t, row, place)) row++;
        while (row > 0 && off(t, row - 1, place) < off(t, row, place)) row--;
    }
    t->row = row < t->held ? row + 1 : t->held;
    return row;
}

static void record(struct tape *t, const float *rows, uint32_t r, uint32_t now) {
    for (uint32_t i = 0; i < t->width; i++) t->rows[(size_t)t->next * t->width + i] = rows[i * t->count + r];
    t->heard[t->next] = now;
    t->next = t->next + 1 < t->size ? t->next + 1 : 0;
    if (t->written < t->size) t->written++;
}

static void repeat(const struct tape *t, float *rows, uint32_t r, uint32_t row) {
    const uint32_t place = row == t->held ? t->first + t->size - 1 : t->first + row;
    const float *const from = t->rows + (size_t)(place < t->size ? place : place - t->size) * t->width;
    for (uint32_t i = 0; i < t->width; i++) rows[i * t->count + r] = from[i];
}

/* rows: [streams][latents][count] of a frame, which is heard from `begins` on and lasts `lasts`, as positions. beats: of
 * the loop that is to be repeated; 0: none. */
void tape_rows(struct tape *t, float *rows, uint64_t begins, uint64_t lasts, uint32_t beats) {
    const uint32_t span = PART(lasts / t->count);
    for (uint32_t r = 0; span && r < t->count; r++) {
        const uint32_t now = PART(begins + r * (lasts / t->count));
        turn(t, beats * PARTS, now, span);
        if (t->holds)
            repeat(t, rows, r, due(t, now, span));
        else
            record(t, rows, r, now);
    }
}
