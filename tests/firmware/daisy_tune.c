/* Calibrating at a Daisy's button, in simulated time: a hand, a light, voltages that were patched, a flash in a file.
 *
 *   daisy_tune FLASH READINGS PRESSES [breaks]   READINGS: float32 [voltages][cvs][readings], the next voltage after
 *             each press; PRESSES: s for a short one, l for a long one; empty: the button is not held at power-up. breaks:
 *             the flash does not keep what is written. Prints the flashes before each press, then the lines. */
#include "tune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CVS 4
#define READINGS 1700u

static uint8_t flash[CALIBRATIONS_BYTES];
static int breaks, lit, flashes;
static uint32_t now_ms;
static float *readings;
static size_t voltages, voltage, reading;
static const char *presses;
static struct { uint32_t from, to; } press[16]; /* when it is down */

static int read_flash(void *context, uint32_t at, void *to, uint32_t bytes) {
    (void)context;
    return memcpy(to, flash + at, bytes), 0;
}
static int program(void *context, uint32_t at, const void *from, uint32_t bytes) {
    (void)context;
    for (uint32_t i = 0; i < bytes; i++) flash[at + i] &= breaks ? 0 : ((const uint8_t *)from)[i];
    return 0;
}
static int erase(void *context, uint32_t at) {
    (void)context;
    return memset(flash + at, 0xff, 0x1000), 0;
}

static int button(void *context) {
    (void)context;
    for (size_t i = 0; i < 16; i++)
        if (now_ms >= press[i].from && now_ms < press[i].to) return i == 0 || now_ms != press[i].from + 3; /* bounces */
    return 0;
}
static void led(void *context, int on) {
    (void)context;
    if (on && !lit) flashes++;
    lit = on;
}
static void read_cvs(void *context, float *cvs) {
    (void)context;
    for (size_t i = 0; i < CVS; i++) cvs[i] = readings[(voltage * CVS + i) * READINGS + reading];
    reading = (reading + 1) % READINGS;
}
static void wait(void *context, uint32_t ms) {
    (void)context;
    for (uint32_t i = 0; i < ms; i++) {
        now_ms++;
        if (now_ms == press[0].to) flashes = 0;
        for (size_t p = 1; p < 16; p++) {
            if (press[p].to && now_ms == press[p].from) printf("flashes %d\n", flashes);
            if (press[p].to && now_ms == press[p].to + 1790) flashes = 0; /* read; the next voltage is patched */
            if (press[p].to && now_ms == press[p].to + 1700 && voltage + 1 < voltages) voltage++;
        }
    }
    if (now_ms > 60000) exit(3); /* it waits for somebody */
}

int main(int argc, char **argv) {
    char text[TUNE_TEXT];
    if (argc < 4) return 2;
    FILE *f = fopen(argv[1], "rb");
    memset(flash, 0xff, sizeof flash);
    if (f && fread(flash, 1, sizeof flash, f) != sizeof flash) return 2;
    if (f) fclose(f);
    f = fopen(argv[2], "rb");
    fseek(f, 0, SEEK_END);
    const size_t bytes = (size_t)ftell(f);
    rewind(f);
    readings = malloc(bytes);
    voltages = fread(readings, 1, bytes, f) / (CVS * READINGS * sizeof(float));
    fclose(f);
    presses = argv[3];
    breaks = argc > 4;
    if (*presses) press[0].to = 800;
    for (size_t i = 0; presses[i]; i++) {
        press[i + 1].from = press[i].to + (i ? 1800 : 20) + 3400;
        press[i + 1].to = press[i + 1].from + (presses[i] == 'l' ? 1200 : 100);
    }
    const struct tune_board board = {
        .cvs = CVS, .button = button, .read = read_cvs, .led = led, .wait = wait,
        .flash = {.bytes = CALIBRATIONS_BYTES, .sector_bytes = 0x1000, .page_bytes = 256, .read = read_flash,
                  .program = program, .erase = erase}};
    const size_t length = tune_start(&board, text);
    printf("ms %u\n%.*s", now_ms, (int)length, text);
    f = fopen(argv[1], "wb");
    fwrite(flash, 1, sizeof flash, f);
    return fclose(f);
}
