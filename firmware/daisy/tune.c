#include "tune.h"

#include "basics.h"

#include <string.h>

#define HELD_MS 500u     /* of the button, at power-up */
#define LONG_MS 1000u
#define STILL_MS 20u     /* contacts bounce */
#define SETTLE_MS 200u   /* behind a press, before readings count */
#define READ_MS 1500u
#define FLASH_MS 150u
#define ROUND_MS 3000u   /* after which the flashes come again */
#define DARK_MS 600u     /* before the first of them */
#define LEAST_SLOPE 0.02f /* of readings in a volt: 0.2 where -1 to 1 is 10 V */
#define END 0.998f        /* of the converter's range */

struct tune {
    const struct tune_board *board;
    float at[TUNE_POINTS][TUNE_CVS];
    uint32_t points;
};

/* ---- the button and the light ---- */

/* How long it was pressed, in ms; waits for that, and shows how many volts are wanted. */
static uint32_t pressed(const struct tune_board *b, uint32_t volts) {
    float ignored[TUNE_CVS];
    uint32_t down = 0;
    for (uint32_t ms = ROUND_MS - DARK_MS;; ms = (ms + 1) % ROUND_MS) {
        const uint32_t flash = ms / FLASH_MS;
        b->led(b->context, volts ? flash < 2 * volts && flash % 2 == 0 : flash > 0);
        b->read(b->context, ignored); /* its filters run on */
        if (b->button(b->context))
            down++;
        else if (down >= STILL_MS)
            return down;
        else
            down = 0;
        b->wait(b->context, 1);
    }
}

static int is_held(const struct tune_board *b) {
    float ignored[TUNE_CVS];
    for (uint32_t ms = 0; ms < HELD_MS; ms++) {
        if (!b->button(b->context)) return 0;
        b->read(b->context, ignored);
        b->wait(b->context, 1);
    }
    b->led(b->context, 1);
    for (uint32_t open = 0; open < STILL_MS; b->wait(b->context, 1)) open = b->button(b->context) ? 0 : open + 1;
    return 1;
}

static void read_point(struct tune *t) {
    const struct tune_board *const b = t->board;
    float sum[TUNE_CVS] = {0}, now[TUNE_CVS] = {0};
    b->led(b->context, 1);
    for (uint32_t ms = 0; ms < SETTLE_MS + READ_MS; ms++) {
        b->read(b->context, now);
        for (uint32_t i = 0; i < b->cvs; i++) sum[i] += ms < SETTLE_MS ? 0.0f : now[i];
        b->wait(b->context, 1);
    }
    for (uint32_t i = 0; i < b->cvs; i++) t->at[t->points][i] = sum[i] * (1.0f / (float)READ_MS);
    t->points++;
}

/* ---- the lines ---- */

static int follows(const struct tune *t, uint32_t cv) {
    const int rises = t->at[1][cv] > t->at[0][cv];
    for (uint32_t i = 0; i < t->points; i++) {
        if (magnitude(t->at[i][cv]) > END) return 0;
        if (i && (rises ? t->at[i][cv] - t->at[i - 1][cv] : t->at[i - 1][cv] - t->at[i][cv]) < LEAST_SLOPE) return 0;
    }
    return 1;
}

static void say_reading(struct sentence *s, float reading) {
    const uint32_t millionths = (uint32_t)(magnitude(reading) * 1e6f + 0.5f);
    if (reading < 0.0f) say(s, "-");
    say_number(s, millionths / 1000000u);
    say(s, ".");
    for (uint32_t place = 100000; place > 1 && millionths % 1000000u < place; place /= 10) say(s, "0");
    say_number(s, millionths % 1000000u);
}

static void say_line(struct sentence *s, const struct tune *t, uint32_t cv) {
    say(s, "cv");
    say_number(s, cv + 1);
    for (uint32_t i = 0; i < t->points; i++) {
        say(s, " at=");
        say_reading(s, t->at[i][cv]);
        say(s, ":");
        say_number(s, i);
    }
    say(s, "\n");
}

/* The lines of `text` about CVs that were not found anew, behind those that were. */
static size_t merge(const struct tune *t, char *text, size_t bytes) {
    char made[TUNE_TEXT];
    struct sentence s = {made, sizeof made, 0};
    uint32_t found = 0, cv;
    for (uint32_t i = 0; i < t->board->cvs; i++)
        if (follows(t, i)) say_line(&s, t, i), found |= 1u << i;
    for (size_t at = 0; at < bytes;) {
        const char *const end = memchr(text + at, '\n', bytes - at);
        const size_t length = end ? (size_t)(end - text) - at + 1 : bytes - at;
        const char *const space = memchr(text + at, ' ', length);
        const struct word word = {text + at, space ? (size_t)(space - text) - at : length};
        const int again = read_index(word, "cv", 1, TUNE_CVS, &cv) && (found >> cv & 1);
        if (!again && s.at + length < sizeof made) {
            memcpy(made + s.at, text + at, length);
            s.at += length;
        }
        at += length;
    }
    memcpy(text, made, s.at);
    return s.at;
}

/* ---- all of it ---- */

/* 0: it is in the flash. */
static int keep(save_ring *ring, const char *text, size_t bytes) {
    static const char none[] = "#\n"; /* a record holds something */
    if (save_ring_begin(ring, bytes ? text : none, (uint32_t)(bytes ? bytes : sizeof none - 1))) return 1;
    while (save_ring_next(ring) != SAVE_IDLE) save_ring_step(ring);
    return ring->failed;
}

static void blink(const struct tune_board *b, uint32_t times, uint32_t ms) {
    for (uint32_t i = 0; i < 2 * times; i++) {
        b->led(b->context, i % 2 == 0);
        b->wait(b->context, ms);
    }
}

/* 1: the text is another one now. */
static int ask(const struct tune_board *board, char *text, size_t *bytes) {
    struct tune t = {.board = board};
    while (t.points < TUNE_POINTS) {
        if (pressed(board, t.points) >= LONG_MS) {
            if (t.points == 1) return 0; /* one point is none */
            if (t.points == 0) *bytes = 0;
            break;
        }
        read_point(&t);
    }
    if (t.points) *bytes = merge(&t, text, *bytes);
    return 1;
}

size_t tune_start(const struct tune_board *board, char *text) {
    save_ring ring;
    if (board->cvs > TUNE_CVS || save_ring_open(&ring, &board->flash, CALIBRATIONS_KIND)) return 0;
    size_t bytes = save_ring_read(&ring, text, TUNE_TEXT);
    if (bytes > TUNE_TEXT) bytes = 0;
    if (!is_held(board) || !ask(board, text, &bytes)) return bytes;
    const int failed = keep(&ring, text, bytes);
    if (failed) blink(board, 20, 50); /* it holds until the power goes */
    return bytes;
}
