#include "settings.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { TEXT, NUMBER };

struct key {
    const char *name;
    enum kind kind;
    size_t offset, size;
    int least, most;
    const char *automatic, *off; /* words for AUTO and OFF, where they are possible */
};

#define TEXT_KEY(field) {#field, TEXT, offsetof(struct settings, field), sizeof((struct settings *)0)->field, 0, 0, 0, 0}
#define NUMBER_KEY(name, field, least, most, automatic, off) \
    {name, NUMBER, offsetof(struct settings, field), sizeof(int), least, most, automatic, off}

static const struct key KEYS[] = {
    TEXT_KEY(device),
    TEXT_KEY(capture),
    TEXT_KEY(models),
    TEXT_KEY(calibration),
    TEXT_KEY(socket),
    TEXT_KEY(midi),
    TEXT_KEY(midi_port),
    TEXT_KEY(codec),
    TEXT_KEY(saves),
    TEXT_KEY(stereo),
    NUMBER_KEY("codec_wait", codec_wait_s, 0, 60, 0, 0),
    NUMBER_KEY("rate", rate_hz, 8000, 192000, 0, 0),
    NUMBER_KEY("period", period_samples, 16, 4096, 0, 0),
    NUMBER_KEY("periods", periods, 2, 16, 0, 0),
    NUMBER_KEY("inputs", inputs, 0, 2, "auto", 0),
    NUMBER_KEY("outputs", outputs, 1, 2, "auto", 0),
    NUMBER_KEY("cpu", cpu, 0, 63, "auto", "off"),
    NUMBER_KEY("priority", priority, 1, 95, 0, "off"),
    NUMBER_KEY("overload", overload, 1, 100, 0, "off"),
    NUMBER_KEY("resample_taps", resample_taps, 8, 128, 0, 0),
    NUMBER_KEY("midi_baud", midi_baud, 1200, 1000000, 0, 0),
    NUMBER_KEY("control_hz", control_hz, 10, 4000, 0, 0),
};

void settings_default(struct settings *s) {
    *s = (struct settings){
        .device = "auto", .capture = "auto", .rate_hz = 48000, .period_samples = 128, .periods = 2, .inputs = AUTO,
        .outputs = AUTO, .cpu = AUTO, .priority = 80, .overload = 95, .resample_taps = 32,
        .stereo = "auto",
        .models = "/boot/firmware/tudor", .calibration = "/boot/firmware/tudor/calibration.txt",
        .socket = "/run/tudor/status", .midi = "on", .midi_port = "off", .midi_baud = 38400, .control_hz = 500,
        .codec = "", .codec_wait_s = 5, .saves = "/dev/mmcblk0p3",
    };
    for (int i = 0; i < MODULE_KNOBS; i++) s->knob[i].adc = OFF;
    for (int i = 0; i < MODULE_CVS; i++) s->cv[i].adc = OFF;
    for (int i = 0; i < MODULE_GATES; i++) s->gate[i].line = OFF;
    for (int i = 0; i < LED_COUNT; i++) s->led[i].line = OFF;
    s->gate_out.line = OFF;
}

__attribute__((format(printf, 2, 3))) static void complain(struct settings *s, const char *format, ...) {
    if (s->complaints == MAX_COMPLAINTS) return;
    va_list values;
    va_start(values, format);
    vsnprintf(s->complaint[s->complaints++], sizeof s->complaint[0], format, values);
    va_end(values);
}

/* A whole number that fills the text; 0 on success. */
static int read_int(const char *text, int least, int most, int *value) {
    char *end;
    const long number = strtol(text, &end, 0);
    if (end == text || *end || number < least || number > most) return 1;
    *value = (int)number;
    return 0;
}

/* The number behind a word such as "knob3", from 0; -1: another word, or a number outside 1 to `most`. */
static int numbered(const char *word, const char *stem, int most) {
    const size_t length = strlen(stem);
    int number;
    if (strncmp(word, stem, length) || read_int(word + length, 1, most, &number)) return -1;
    return number - 1;
}

/* "mcp3208 /dev/spidev0.0", "ads1015 /dev/i2c-1 0x48", "ads1115 /dev/i2c-1 0x48" */
static const char *read_adc(const char *text, struct adc_place *adc) {
    char kind[16], path[64], address[16] = "0x48";
    const int words = sscanf(text, "%15s %63s %15s", kind, path, address);
    struct adc_place place = {.kind = ADC_NONE};
    if (words == 2 && !strcmp(kind, "mcp3208")) place.kind = ADC_MCP3208;
    if (words >= 2 && !strcmp(kind, "ads1015")) place.kind = ADC_ADS1015;
    if (words >= 2 && !strcmp(kind, "ads1115")) place.kind = ADC_ADS1115;
    if (place.kind == ADC_NONE || read_int(address, 0x08, 0x77, &place.address))
        return "wants \"mcp3208 /dev/spidev0.0\", \"ads1015 /dev/i2c-1 0x48\" or ads1115";
    memcpy(place.path, path, sizeof place.path);
    *adc = place;
    return 0;
}

/* "ssd1306 /dev/i2c-1 0x3c", "off" */
static const char *read_screen(const char *text, struct i2c_place *screen) {
    struct i2c_place place;
    char kind[16], address[16] = "0x3c";
    if (!strcmp(text, "off")) return (screen->path[0] = 0, (const char *)0);
    if (sscanf(text, "%15s %63s %15s", kind, place.path, address) < 2 || strcmp(kind, "ssd1306")
        || read_int(address, 0x08, 0x77, &place.address))
        return "wants \"ssd1306 /dev/i2c-1 0x3c\", or off";
    *screen = place;
    return 0;
}

/* "adc1.3", "-adc1.3", "off" */
static const char *read_analog(const char *text, struct analog_pin *pin) {
    struct analog_pin found = {.inverted = *text == '-'};
    char *end;
    if (!strcmp(text, "off")) return (pin->adc = OFF, (const char *)0);
    text += found.inverted;
    if (strncmp(text, "adc", 3)) return "wants an input such as adc1.0, or -adc1.0 where it is inverted";
    found.adc = (int)strtol(text + 3, &end, 10) - 1;
    if (found.adc < 0 || found.adc >= MAX_ADCS || *end != '.') return "names no converter; adc1 to adc4";
    if (read_int(end + 1, 0, 7, &found.channel)) return "wants a channel from 0 to 7";
    *pin = found;
    return 0;
}

/* "gpio17", "-gpio17", "off" */
static const char *read_digital(const char *text, struct digital_pin *pin) {
    struct digital_pin found = {.inverted = *text == '-'};
    if (!strcmp(text, "off")) return (pin->line = OFF, (const char *)0);
    text += found.inverted;
    if (strncmp(text, "gpio", 4) || read_int(text + 4, 0, 53, &found.line))
        return "wants a pin such as gpio17, or -gpio17 where low means on";
    *pin = found;
    return 0;
}

/* The same, with the word "button" behind it where contacts bounce. */
static const char *read_gate(char *text, struct digital_pin *pin) {
    static const char word[] = "button";
    const size_t length = strlen(text), cut = sizeof word - 1;
    const int button = length > cut && !strcmp(text + length - cut, word) && strchr(" \t", text[length - cut - 1]);
    for (size_t n = button ? length - cut : 0; n && strchr(" \t", text[n - 1]); n--) text[n - 1] = 0;
    const char *const why = read_digital(text, pin);
    if (!why) pin->button = button;
    return why ? "wants a pin such as gpio17, -gpio17 where low means on, -gpio17 button where it bounces" : 0;
}

static const char *read_value(const struct key *key, const char *text, struct settings *s) {
    static char wanted[64];
    void *const field = (char *)s + key->offset;
    if (key->kind == TEXT) {
        if (strlen(text) >= key->size) return "is too long";
        strcpy(field, text);
        return 0;
    }
    int *const number = field;
    if (key->automatic && !strcmp(text, key->automatic)) return (*number = AUTO, (const char *)0);
    if (key->off && !strcmp(text, key->off)) return (*number = OFF, (const char *)0);
    if (!read_int(text, key->least, key->most, number)) return 0;
    snprintf(wanted, sizeof wanted, "wants %d to %d%s%s%s%s", key->least, key->most, key->automatic ? ", or " : "",
             key->automatic ? key->automatic : "", key->off ? ", or " : "", key->off ? key->off : "");
    return wanted;
}

static const char *read_pair(struct settings *s, const char *name, char *value) {
    static const char *const leds[LED_COUNT] = {"led_play",   "led_fault",     "led_clip",
                                                "led_frozen", "led_recording", "led_looping"};
    int n;
    if (!strcmp(name, "midi") && strcmp(value, "on") && strcmp(value, "off")) return "wants on or off";
    if (!strcmp(name, "stereo") && strcmp(value, "on") && strcmp(value, "off") && strcmp(value, "auto"))
        return "wants on, off or auto";
    for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++)
        if (!strcmp(KEYS[i].name, name)) return read_value(&KEYS[i], value, s);
    if ((n = numbered(name, "adc", MAX_ADCS)) >= 0) return read_adc(value, &s->adc[n]);
    if ((n = numbered(name, "knob", MODULE_KNOBS)) >= 0) return read_analog(value, &s->knob[n]);
    if ((n = numbered(name, "cv", MODULE_CVS)) >= 0) return read_analog(value, &s->cv[n]);
    if ((n = numbered(name, "gate", MODULE_GATES)) >= 0) return read_gate(value, &s->gate[n]);
    if (!strcmp(name, "screen")) return read_screen(value, &s->screen);
    if (!strcmp(name, "gate_out")) return read_digital(value, &s->gate_out);
    for (int i = 0; i < LED_COUNT; i++)
        if (!strcmp(name, leds[i])) return read_digital(value, &s->led[i]);
    return "is no setting; module.conf of the package lists them all";
}

/* Cuts spaces off both ends. */
static char *trimmed(char *text) {
    while (*text && strchr(" \t\r", *text)) text++;
    for (size_t n = strlen(text); n && strchr(" \t\r", text[n - 1]); n--) text[n - 1] = 0;
    return text;
}

void settings_read(struct settings *s, const char *name, const char *text) {
    if (!strncmp(text, "\xEF\xBB\xBF", 3)) text += 3; /* some editors begin a text with a mark (UTF-8's) */
    for (int line = 1; *text; line++) {
        char copy[256];
        const size_t length = strcspn(text, "\n");
        snprintf(copy, sizeof copy, "%.*s", (int)(length < 1000 ? length : 1000), text);
        text += length + (text[length] == '\n');
        copy[strcspn(copy, "#")] = 0;
        char *const key = trimmed(copy);
        if (!*key) continue;
        char *const equals = strchr(key, '=');
        const char *why = "wants \"name = value\"";
        if (equals) {
            *equals = 0;
            why = read_pair(s, trimmed(key), trimmed(equals + 1));
        }
        if (why) complain(s, "%.60s:%d: %.30s %s", name, line, trimmed(key), why);
    }
    for (int i = 0; i < MODULE_KNOBS + MODULE_CVS; i++) {
        struct analog_pin *const pin = i < MODULE_KNOBS ? &s->knob[i] : &s->cv[i - MODULE_KNOBS];
        if (pin->adc < 0) continue;
        const enum adc_kind kind = s->adc[pin->adc].kind;
        if (kind != ADC_NONE && (kind == ADC_MCP3208 || pin->channel < 4)) continue;
        complain(s, "%.60s: %s%d reads adc%d.%d, which is not there", name, i < MODULE_KNOBS ? "knob" : "cv",
                 i % MODULE_KNOBS + 1, pin->adc + 1, pin->channel);
        pin->adc = OFF;
    }
}
