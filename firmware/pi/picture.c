#include "picture.h"

#include <stdio.h>
#include <string.h>

#define CELL 6 /* dots from one sign to the next: 21 in a row */
#define SIGN 5
#define BAR_PAGE 4
#define BAR_DOTS (8 * (PICTURE_PAGES - BAR_PAGE))

static const char letters[] = " -.%?0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
static const uint8_t signs[sizeof letters - 1][SIGN] = {
    {0x00, 0x00, 0x00, 0x00, 0x00}, {0x00, 0x08, 0x08, 0x08, 0x00}, {0x00, 0x60, 0x60, 0x00, 0x00}, {0x43, 0x33, 0x08, 0x66, 0x61},
    {0x02, 0x01, 0x59, 0x09, 0x06}, {0x3e, 0x51, 0x49, 0x45, 0x3e}, {0x00, 0x42, 0x7f, 0x40, 0x00}, {0x62, 0x51, 0x49, 0x49, 0x46},
    {0x22, 0x41, 0x49, 0x49, 0x36}, {0x18, 0x14, 0x12, 0x7f, 0x10}, {0x27, 0x45, 0x45, 0x45, 0x39}, {0x3c, 0x4a, 0x49, 0x49, 0x30},
    {0x01, 0x01, 0x79, 0x05, 0x03}, {0x36, 0x49, 0x49, 0x49, 0x36}, {0x06, 0x49, 0x49, 0x29, 0x1e}, {0x7c, 0x12, 0x11, 0x12, 0x7c},
    {0x7f, 0x49, 0x49, 0x49, 0x36}, {0x3e, 0x41, 0x41, 0x41, 0x22}, {0x7f, 0x41, 0x41, 0x22, 0x1c}, {0x7f, 0x49, 0x49, 0x49, 0x41},
    {0x7f, 0x09, 0x09, 0x09, 0x01}, {0x3e, 0x41, 0x49, 0x49, 0x7a}, {0x7f, 0x08, 0x08, 0x08, 0x7f}, {0x00, 0x41, 0x7f, 0x41, 0x00},
    {0x20, 0x40, 0x41, 0x3f, 0x01}, {0x7f, 0x08, 0x14, 0x22, 0x41}, {0x7f, 0x40, 0x40, 0x40, 0x40}, {0x7f, 0x02, 0x0c, 0x02, 0x7f},
    {0x7f, 0x06, 0x08, 0x30, 0x7f}, {0x3e, 0x41, 0x41, 0x41, 0x3e}, {0x7f, 0x09, 0x09, 0x09, 0x06}, {0x3e, 0x41, 0x51, 0x21, 0x5e},
    {0x7f, 0x09, 0x19, 0x29, 0x46}, {0x46, 0x49, 0x49, 0x49, 0x31}, {0x01, 0x01, 0x7f, 0x01, 0x01}, {0x3f, 0x40, 0x40, 0x40, 0x3f},
    {0x07, 0x38, 0x40, 0x38, 0x07}, {0x7f, 0x20, 0x18, 0x20, 0x7f}, {0x41, 0x36, 0x08, 0x36, 0x41}, {0x03, 0x04, 0x78, 0x04, 0x03},
    {0x61, 0x51, 0x49, 0x45, 0x43}};

const uint8_t *picture_sign(char letter) {
    if (letter >= 'a' && letter <= 'z') letter = (char)(letter - 'a' + 'A');
    if (letter == '_') letter = '-';
    const char *const at = letter ? strchr(letters, letter) : 0;
    return signs[(at ? at : strchr(letters, '?')) - letters];
}

/* What does not fit into the row is left out. */
static void write_row(uint8_t *byte, int page, int column, const char *text) {
    for (int x = column * CELL; *text && x + SIGN <= PICTURE_WIDTH; text++, x += CELL)
        memcpy(byte + page * PICTURE_WIDTH + x, picture_sign(*text), SIGN);
}

static void write_right(uint8_t *byte, int page, const char *text) {
    const int room = PICTURE_WIDTH / CELL, length = (int)strlen(text);
    write_row(byte, page, length < room ? room - length : 0, text);
}

/* A bar from the bottom; one dot is always there, so that a latent at its minimum is seen. */
static void draw_bar(uint8_t *byte, int x, int width, float part) {
    const float whole = part > 0.0f ? part < 1.0f ? part : 1.0f : 0.0f; /* and nothing for what is no number */
    const int dots = 1 + (int)(whole * (float)(BAR_DOTS - 1) + 0.5f);
    for (int y = 0; y < dots; y++) {
        const int dot = 8 * PICTURE_PAGES - 1 - y;
        for (int i = 0; i < width; i++) byte[dot / 8 * PICTURE_WIDTH + x + i] |= (uint8_t)(1u << dot % 8);
    }
}

static int whole_number(float value, int most) { return value > 0.0f ? value < (float)most ? (int)(value + 0.5f) : most : 0; }

void picture_draw(uint8_t *byte, const module_status *s, const char *name, int clipped, uint32_t rate_hz) {
    static const char *const held[] = {"FROZEN", "REC", "LOOP"};
    static const uint32_t flags[] = {MODULE_FROZEN, MODULE_RECORDING, MODULE_LOOPING};
    char text[64];
    memset(byte, 0, PICTURE_BYTES);
    if (s->state == MODULE_PLAYING || s->state == MODULE_CHANGING)
        snprintf(text, sizeof text, "%u %.32s", (unsigned)(s->slot + 1), name);
    else
        snprintf(text, sizeof text, "%.32s", module_state_text(s->state));
    write_row(byte, 0, 0, text);
    const int ms = rate_hz ? whole_number(1000.0f * (float)s->latency_samples / (float)rate_hz, 9999) : 0;
    snprintf(text, sizeof text, "LOAD %d%% %d MS", whole_number(100.0f * s->load, 999), ms);
    write_row(byte, 1, 0, text);
    if (clipped) write_right(byte, 1, "CLIP");
    int column = 0;
    for (size_t i = 0; i < sizeof held / sizeof *held; i++)
        if (s->flags & flags[i]) {
            write_row(byte, 2, column, held[i]);
            column += (int)strlen(held[i]) + 1;
        }
    snprintf(text, sizeof text, "%d.%d", whole_number(10.0f * s->tempo, 9999) / 10, whole_number(10.0f * s->tempo, 9999) % 10);
    write_right(byte, 2, text);
    const int count = s->latents < MODULE_SHOWN ? (int)s->latents : MODULE_SHOWN;
    for (int i = 0; i < count; i++)
        draw_bar(byte, i * (PICTURE_WIDTH / count), PICTURE_WIDTH / count - (count > 1 ? 3 : 0), s->latent[i]);
}
