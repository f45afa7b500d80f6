/* The screen's driver against an SSD1306 of our own: its memory, addresses and commands by the data sheet.
 *
 *   pi_screen picture STATE FLAGS SLOT NAME LOAD LATENCY TEMPO CLIPPED LATENT...   the picture, in hexadecimal
 *   pi_screen shown [fails AFTER]                                                 looks until all is shown: a line each */
#include "screen.h"

#include "settings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_NUMBER 77

int __wrap_open(const char *path, int flags, ...);
int __wrap_ioctl(int file, unsigned long request, ...);
ssize_t __wrap_write(int file, const void *data, size_t bytes);
int __wrap_close(int file);
int __real_open(const char *path, int flags, ...);
ssize_t __real_write(int file, const void *data, size_t bytes);
int __real_close(int file);

static uint8_t memory[8][128];
static int first_column, last_column = 127, first_page, last_page = 7, column, page, lit, along_rows, address;
static long sent, transfers, fails_after = -1;

static void obey(const uint8_t *c, size_t n) {
    for (size_t i = 0; i < n; i++) {
        switch (c[i]) {
        case 0x21: first_column = column = c[i + 1], last_column = c[i + 2], i += 2; break;
        case 0x22: first_page = page = c[i + 1], last_page = c[i + 2], i += 2; break;
        case 0x20: along_rows = c[++i] == 0; break;
        case 0xAE: lit = 0; break;
        case 0xAF: lit = 1; break;
        case 0xD5: case 0xA8: case 0xD3: case 0x8D: case 0xDA: case 0x81: case 0xD9: case 0xDB: i++; break;
        default: break;
        }
    }
}

int __wrap_open(const char *path, int flags, ...) {
    return strcmp(path, "/dev/i2c-7") ? __real_open(path, flags) : FILE_NUMBER;
}

int __wrap_ioctl(int file, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    address = (int)va_arg(rest, long);
    va_end(rest);
    return file == FILE_NUMBER ? 0 : -1;
}

ssize_t __wrap_write(int file, const void *data, size_t bytes) {
    const uint8_t *const in = data;
    if (file != FILE_NUMBER) return __real_write(file, data, bytes);
    if (address != 0x3d || (fails_after >= 0 && transfers >= fails_after)) return -1;
    transfers++;
    sent += (long)bytes;
    if (in[0] == 0x00) obey(in + 1, bytes - 1);
    if (in[0] != 0x40) return (ssize_t)bytes;
    for (size_t i = 1; i < bytes; i++) {
        memory[page][column] = in[i];
        if (column++ < last_column) continue;
        column = first_column;
        page = page < last_page ? page + 1 : first_page;
    }
    return (ssize_t)bytes;
}

int __wrap_close(int file) { return file == FILE_NUMBER ? 0 : __real_close(file); }

static void print_hex(const uint8_t *bytes) {
    for (int i = 0; i < PICTURE_BYTES; i++) printf("%02x", bytes[i]);
    printf("\n");
}

static int picture(char **words, int count) {
    module_status s = {.state = (uint32_t)atoi(words[0]), .flags = (uint32_t)atoi(words[1]), .slot = (uint32_t)atoi(words[2]),
                       .load = strtof(words[4], 0), .latency_samples = (uint32_t)atoi(words[5]), .tempo = strtof(words[6], 0)};
    uint8_t bytes[PICTURE_BYTES];
    for (int i = 8; i < count && s.latents < MODULE_SHOWN; i++) s.latent[s.latents++] = strtof(words[i], 0);
    picture_draw(bytes, &s, words[3], atoi(words[7]), 48000);
    print_hex(bytes);
    return 0;
}

static int shown(void) {
    static uint8_t first[PICTURE_BYTES], second[PICTURE_BYTES];
    struct settings settings;
    struct screen screen;
    settings_default(&settings);
    settings_read(&settings, "module.conf", "screen = ssd1306 /dev/i2c-7 0x3d\n");
    for (int i = 0; i < PICTURE_BYTES; i++) first[i] = second[i] = (uint8_t)(i * 7 + i / 128);
    second[5] ^= 1;
    second[700] ^= 0x80;
    screen_open(&screen, &settings.screen);
    for (int look = 0; look < 60; look++) {
        const long before = sent;
        const uint8_t *const wanted = look < 40 ? first : second;
        screen_show(&screen, wanted);
        printf("%ld %d %d\n", sent - before, lit && along_rows && !memcmp(memory, wanted, PICTURE_BYTES), screen.file >= 0);
    }
    screen_close(&screen);
    printf("%d\n", lit);
    return 0;
}

int main(int count, char **words) {
    if (count > 9 && !strcmp(words[1], "picture")) return picture(words + 2, count - 2);
    if (count > 3) fails_after = atol(words[3]);
    if (count > 1 && !strcmp(words[1], "shown")) return shown();
    if (count > 1 && !strcmp(words[1], "signs"))
        for (char c = ' '; c <= 'Z'; c++) {
            for (int i = 0; i < 5; i++) printf("%02x", picture_sign(c)[i]);
            printf(" %d\n", c);
        }
    return 0;
}
