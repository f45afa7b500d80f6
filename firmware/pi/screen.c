#include "screen.h"

#include "notes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/i2c-dev.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define PIECES (PICTURE_BYTES / SCREEN_PIECE)
#define ACROSS (PICTURE_WIDTH / SCREEN_PIECE) /* pieces in a page */
/* The first byte of a transfer: commands follow, or dots (SSD1306 data sheet, 8.1.5.2). */
#define COMMANDS 0x00
#define DOTS 0x40

/* Data sheet, table 9-1 and the application note's flow: clock, 64 rows, from row 0, charge pump on, addresses that run
 * along a row, mirrored both ways as such boards are mounted, pins, contrast, precharge, level, from memory, not inverted,
 * on. */
static const uint8_t wake[] = {COMMANDS, 0xAE, 0xD5, 0x80, 0xA8, 0x3F, 0xD3, 0x00, 0x40, 0x8D, 0x14, 0x20, 0x00,
                               0xA1,     0xC8, 0xDA, 0x12, 0x81, 0x7F, 0xD9, 0xF1, 0xDB, 0x40, 0xA4, 0xA6, 0xAF};
static const uint8_t sleep_now[] = {COMMANDS, 0xAE};

static int send(const struct screen *s, const uint8_t *bytes, size_t count) {
    return write(s->file, bytes, count) == (ssize_t)count ? 0 : errno ? errno : EIO;
}

static void give_up(struct screen *s, const char *what, int error) {
    note("screen: %s: %s", what, strerror(error));
    if (s->file >= 0) close(s->file);
    s->file = -1;
}

void screen_open(struct screen *s, const struct i2c_place *place) {
    memset(s, 0, sizeof *s);
    s->file = -1;
    if (!place->path[0]) return;
    s->file = open(place->path, O_RDWR | O_CLOEXEC);
    if (s->file < 0 || ioctl(s->file, I2C_SLAVE, (long)place->address) < 0) {
        give_up(s, place->path, errno);
        return;
    }
    const int error = send(s, wake, sizeof wake);
    if (error) give_up(s, "does not answer", error);
}

/* Where the piece lies, then its dots. */
static int send_piece(const struct screen *s, int piece, const uint8_t *dots) {
    const uint8_t column = (uint8_t)(piece % ACROSS * SCREEN_PIECE), page = (uint8_t)(piece / ACROSS);
    const uint8_t place[] = {COMMANDS, 0x21, column, (uint8_t)(column + SCREEN_PIECE - 1), 0x22, page, page};
    uint8_t bytes[1 + SCREEN_PIECE] = {DOTS};
    memcpy(bytes + 1, dots, SCREEN_PIECE);
    const int error = send(s, place, sizeof place);
    return error ? error : send(s, bytes, sizeof bytes);
}

void screen_show(struct screen *s, const uint8_t *picture) {
    if (s->file < 0) return;
    for (int looked = 0, sent = 0; looked < PIECES && sent < SCREEN_PIECES; looked++) {
        const int piece = s->next;
        const size_t at = (size_t)piece * SCREEN_PIECE;
        s->next = (piece + 1) % PIECES;
        if (s->known[piece] && !memcmp(s->shown + at, picture + at, SCREEN_PIECE)) continue;
        const int error = send_piece(s, piece, picture + at);
        if (error) {
            give_up(s, "is not there any more", error);
            return;
        }
        memcpy(s->shown + at, picture + at, SCREEN_PIECE);
        s->known[piece] = 1;
        sent++;
    }
}

void screen_close(struct screen *s) {
    if (s->file < 0) return;
    send(s, sleep_now, sizeof sleep_now);
    close(s->file);
    s->file = -1;
}
