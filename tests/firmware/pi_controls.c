/* The module's controls against converters and pins that are played here: every system call that reaches for hardware
 * is answered by a model of the chip, as its data sheet says. Prints what was pushed to the instrument.
 *
 *   pi_controls adc | sweep LOOKS | ads1115 | gpio | midi HEXBYTES | serial PORT BAUD | settings FILE | throttled FOLDER | governor FOLDER | formats */
#include "check.h"
#include "block.h"
#include "controls.h"
#include "gpio.h"
#include "notes.h"
#include "serial.h"

#include <errno.h>
#include <linux/gpio.h>
#include <linux/i2c-dev.h>
#include <linux/spi/spidev.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { SPI = 1000, I2C, CHIP, LINES_IN, LEDS_OUT, GATE_OUT };

int __wrap_open(const char *path, int flags, ...);
int __wrap_ioctl(int file, unsigned long request, ...);
ssize_t __wrap_read(int file, void *to, size_t bytes);
ssize_t __wrap_write(int file, const void *from, size_t bytes);
int __wrap_close(int file);
int __wrap_fcntl(int file, int command, ...);
int __real_open(const char *path, int flags, ...);
int __real_ioctl(int file, unsigned long request, ...);
ssize_t __real_read(int file, void *to, size_t bytes);
ssize_t __real_write(int file, const void *from, size_t bytes);
int __real_close(int file);
int __wrap_module_push(tudor_module *m, uint32_t lane, const module_event *event);
uint32_t __wrap_module_now(const tudor_module *m);
void __wrap_module_read_status(const tudor_module *m, module_status *status);

static int volts[2][8]; /* codes: 12 bit of the MCP3208; 12 bit signed of the ADS1015 */
static int spi_fails;
static unsigned ads_pointer, ads_config = 0x8583, ads_address;
static int is_1115;
static int ads_busy, ads_takes, ads_channel; /* questions until a conversion is done; the input of the last that is */

int __wrap_open(const char *path, int flags, ...) {
    if (!strcmp(path, "/dev/spidev0.0")) return SPI;
    if (!strcmp(path, "/dev/i2c-1")) return I2C;
    if (!strcmp(path, "/dev/gpiochip0")) return CHIP + 100; /* another chip comes first */
    if (!strcmp(path, "/dev/gpiochip1")) return CHIP;
    return __real_open(path, flags);
}

int __wrap_close(int file) { return file >= SPI ? 0 : __real_close(file); }
int __wrap_fcntl(int file, int command, ...) { return (void)file, (void)command, 0; }

static int spi_one(struct spi_ioc_transfer *t);
static int spi_all(struct spi_ioc_transfer *t, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        if (t[i].cs_change != (i + 1 < count) || spi_one(&t[i]) < 0) return errno = EIO, -1;
    return (int)(3 * count);
}

/* MCP3208: after the start bit single/differential, D2 D1 D0, a sample clock, a null bit, twelve bits. */
static int spi_one(struct spi_ioc_transfer *t) {
    const unsigned char *const out = (const unsigned char *)(uintptr_t)t->tx_buf;
    unsigned char *const in = (unsigned char *)(uintptr_t)t->rx_buf;
    if (t->len != 3 || spi_fails) return errno = EIO, -1;
    const unsigned bits = (unsigned)out[0] << 16 | (unsigned)out[1] << 8 | out[2];
    int start = 23;
    while (start >= 0 && !(bits >> start & 1)) start--;
    if (start < 18 || !(bits >> (start - 1) & 1)) return errno = EPROTO, -1; /* single-ended, room for the answer */
    const unsigned channel = bits >> (start - 4) & 7, answer = (unsigned)volts[0][channel];
    const int first = start - 7; /* bit where B11 comes out */
    unsigned shifted = first >= 11 ? answer << (first - 11) : 0;
    if (first < 11) return errno = EPROTO, -1;
    shifted |= 0xe00000; /* what comes before the null bit is undefined */
    for (int i = 0; i < 3; i++) in[i] = (unsigned char)(shifted >> (16 - 8 * i));
    return 3;
}

static int gpio(int file, unsigned long request, void *argument) {
    if (request == GPIO_GET_CHIPINFO_IOCTL) {
        struct gpiochip_info *const info = argument;
        memset(info, 0, sizeof *info);
        strcpy(info->label, file == CHIP ? "pinctrl-bcm2711" : "raspberrypi-exp-gpio");
        return 0;
    }
    if (request == GPIO_V2_GET_LINE_IOCTL) {
        struct gpio_v2_line_request *const r = argument;
        printf("lines %u flags 0x%llx attributes %u of %s:", r->num_lines, (unsigned long long)r->config.flags,
               r->config.num_attrs, r->consumer);
        for (unsigned i = 0; i < r->num_lines; i++) printf(" %u", r->offsets[i]);
        printf("\n");
        r->fd = !(r->config.flags & GPIO_V2_LINE_FLAG_OUTPUT) ? LINES_IN : r->offsets[0] == 23 ? GATE_OUT : LEDS_OUT;
        return 0;
    }
    struct gpio_v2_line_values *const v = argument;
    if (request == GPIO_V2_LINE_GET_VALUES_IOCTL) return v->bits = 0x1 & v->mask, 0;
    printf("%s %llx of %llx\n", file == GATE_OUT ? "gate" : "leds", (unsigned long long)v->bits, (unsigned long long)v->mask);
    return 0;
}

int __wrap_ioctl(int file, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void *const argument = va_arg(rest, void *);
    va_end(rest);
    if (file == SPI && _IOC_NR(request) == 0) /* a message of so many transfers; the others set something up */
        return spi_all(argument, _IOC_SIZE(request) / (unsigned)sizeof(struct spi_ioc_transfer));
    if (file == SPI) return 0;
    if (file < SPI) return __real_ioctl(file, request, argument);
    if (file == I2C) return request == I2C_SLAVE ? (ads_address = (unsigned)(uintptr_t)argument, 0) : -1;
    return gpio(file, request, argument);
}

/* ADS1015: a pointer register, then a configuration whose top bit starts a conversion, or the result. */
ssize_t __wrap_write(int file, const void *from, size_t bytes) {
    const unsigned char *const data = from;
    if (file != I2C) return __real_write(file, from, bytes);
    if (ads_address != 0x49) return -1;
    ads_pointer = data[0];
    if (bytes == 3 && ads_pointer == 1) {
        ads_config = (unsigned)data[1] << 8 | data[2];
        ads_busy = ads_takes;
        if (!ads_busy) ads_channel = (int)(ads_config >> 12 & 3);
    }
    return (ssize_t)bytes;
}

ssize_t __wrap_read(int file, void *to, size_t bytes) {
    unsigned char *const data = to;
    static int edges;
    if (file == LINES_IN) {
        struct gpio_v2_line_event *const e = to;
        if (edges == 3) return -1;
        *e = (struct gpio_v2_line_event){.offset = edges == 1 ? 27 : 17,
                                         .timestamp_ns = 1000000u * (unsigned)(edges + 1),
                                         .id = edges == 2 ? GPIO_V2_LINE_EVENT_RISING_EDGE : GPIO_V2_LINE_EVENT_FALLING_EDGE};
        edges++;
        return sizeof *e;
    }
    if (file != I2C) return __real_read(file, to, bytes);
    if (ads_pointer == 1) { /* the top bit says that it is idle */
        if (ads_busy > 0 && --ads_busy == 0) ads_channel = (int)(ads_config >> 12 & 3);
        data[0] = (unsigned char)((ads_config >> 8 & 0x7f) | (ads_busy ? 0 : 0x80));
        data[1] = (unsigned char)ads_config;
        return 2;
    }
    /* started, single shot, +-4.096 V, single-ended input; the result of the last that is done */
    if (ads_pointer != 0 || !(ads_config & 0x8000) || !(ads_config & 0x100) || (ads_config >> 9 & 7) != 1
        || !(ads_config & 0x4000))
        return -1;
    if ((ads_config >> 5 & 7) != (is_1115 ? 7 : 6)) return -1; /* 860 or 3300 a second */
    const int code = volts[1][ads_channel] * (is_1115 ? 1 : 16);
    data[0] = (unsigned char)((unsigned)code >> 8);
    data[1] = (unsigned char)code;
    return 2;
}

uint32_t __wrap_module_now(const tudor_module *m) { return (void)m, 1000; }

static module_status shown;
void __wrap_module_read_status(const tudor_module *m, module_status *status) { (void)m, *status = shown; }

int __wrap_module_push(tudor_module *m, uint32_t lane, const module_event *e) {
    (void)m;
    printf("push lane %u kind %u source %u value %.5f at %u midi %02x%02x%02x\n", lane, e->kind, e->source,
           (double)e->value, e->at_samples, e->midi[0], e->midi[1], e->midi[2]);
    return 0;
}

static const char *const WIRED = "adc1 = mcp3208 /dev/spidev0.0\nadc2 = ads1015 /dev/i2c-1 0x49\nknob1 = adc1.0\n"
                                 "knob2 = adc1.7\ncv1 = -adc1.4\ncv2 = adc2.3\ngate1 = -gpio17\ngate2 = gpio27\n"
                                 "led_play = gpio24\nled_clip = -gpio16\ngate_out = gpio23\nmidi = off\n";

static void adc(struct controls *c, int takes) {
    ads_takes = takes;
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 8; i++) volts[0][i] = 500 * i + 100 + (round == 2), volts[1][i] = 400 * i;
        controls_read_analog(c);
        printf("round\n");
    }
    spi_fails = 1;
    controls_read_analog(c);
    printf("readings %u errors %u\n", (unsigned)c->readings, (unsigned)c->read_errors);
}

/* The same chip with 16 bits: at its own rate, and its last four bits count. */
static void ads1115(void) {
    static struct settings s;
    static struct controls c;
    settings_default(&s);
    settings_read(&s, "test", "adc1 = ads1115 /dev/i2c-1 0x49\ncv1 = -adc1.0\nknob1 = adc1.3\nmidi = off\n");
    controls_open(&c, &s, 0);
    c.block_samples = 128;
    is_1115 = 1;
    volts[1][0] = 13205, volts[1][3] = 26399;
    for (int round = 0; round < 4; round++) controls_read_analog(&c);
    printf("complaints %d\n", s.complaints);
}

/* Inputs of one ADS1015 in turn, its conversions taking that many looks. */
static void sweep(struct controls *c, struct settings *s, int takes) {
    settings_read(s, "test", "knob1 = off\nknob2 = adc2.0\nknob3 = adc2.1\ncv1 = off\ncv2 = adc2.3\ncv3 = adc2.2\n");
    ads_takes = takes;
    for (int i = 0; i < 4; i++) volts[1][i] = 100 + 400 * i;
    for (int round = 0; round < 40; round++) controls_read_analog(c);
    printf("readings %u errors %u\n", (unsigned)c->readings, (unsigned)c->read_errors);
}

static void gates(struct controls *c) {
    struct gpio_edge edge;
    uint64_t levels = 0;
    module_status s = {.state = MODULE_PLAYING};
    gpio_get(c->inputs, 2, &levels);
    printf("levels %llx\n", (unsigned long long)levels);
    while (gpio_edge(c->inputs, &edge)) printf("edge %d %d %llu\n", edge.line, edge.level, (unsigned long long)edge.at_ns);
    controls_show(c, &s, 1);
    controls_show(c, &s, 3000);
    s = (module_status){.state = MODULE_OVERLOAD, .flags = MODULE_LIMITING};
    controls_show(c, &s, 3020);
    for (int i = 0; i < 5; i++) { /* only what changes is set */
        shown = (module_status){.envelope = i == 2 || i == 3 ? 0.5f : 0.0f, .in_peak = i == 1 ? 1.0f : 0.5f};
        controls_after_block(c);
    }
    s = (module_status){.state = MODULE_PLAYING};
    controls_show(c, &s, 5000);
}

/* MIDI from a real port, until standard input ends. */
static void *until_end(void *context) {
    char byte;
    while (__real_read(0, &byte, 1) > 0) continue;
    ((struct controls *)context)->stop = 1;
    return 0;
}

static int serial(struct controls *c, const char *port, int baud) {
    pthread_t ends;
    setvbuf(stdout, 0, _IOLBF, 0);
    c->serial = serial_open(port, baud);
    if (c->serial < 0) return printf("serial %s\n", strerror(-c->serial)), 0;
    printf("ready\n");
    pthread_create(&ends, 0, until_end, c);
    serial_thread(c);
    pthread_join(ends, 0);
    printf("messages %u\n", (unsigned)c->messages);
    return 0;
}

static void formats(void) {
    for (int f = 0; f < SAMPLE_FORMATS; f++) {
        unsigned char card[64];
        float in[4] = {0.5f, -1.0f, 0.999999f, 1.5f}, back[4];
        float *planes[1] = {back};
        const float *from[1] = {in};
        block_write((enum sample_format)f, card, 1, 1, from, 0, 4);
        block_read((enum sample_format)f, card, 1, 1, planes, 0, 4);
        printf("format %d bytes %u:", f, sample_bytes((enum sample_format)f));
        for (int i = 0; i < 4; i++) printf(" %.7f", (double)back[i]);
        printf("\n");
    }
}

int main(int argc, char **argv) {
    static struct settings s;
    static struct controls c;
    settings_default(&s);
    settings_read(&s, "test", WIRED);
    if (argc > 2 && !strcmp(argv[1], "settings")) {
        static char text[1 << 20];
        FILE *const f = fopen(argv[2], "rb");
        text[f ? fread(text, 1, sizeof text - 1, f) : 0] = 0;
        settings_default(&s);
        settings_read(&s, argv[2], text);
        printf("device %s period %d cpu %d overload %d knob1 %d.%d%s cv1 %d.%d%s gate1 %d%s\n", s.device,
               s.period_samples, s.cpu, s.overload, s.knob[0].adc, s.knob[0].channel, s.knob[0].inverted ? "-" : "",
               s.cv[0].adc, s.cv[0].channel, s.cv[0].inverted ? "-" : "", s.gate[0].line, s.gate[0].inverted ? "-" : "");
        for (int i = 0; i < s.complaints; i++) printf("complaint %s\n", s.complaint[i]);
        return 0;
    }
    if (argc > 2 && !strcmp(argv[1], "governor")) {
        char text[200] = "";
        const int steady = check_governor(argv[2], text, sizeof text);
        return printf("%d %s\n", steady, text), 0;
    }
    if (argc > 2 && !strcmp(argv[1], "throttled")) return printf("%ld\n", check_throttled(argv[2])), 0;
    if (argc > 1 && !strcmp(argv[1], "formats")) return formats(), 0;
    if (argc > 1 && !strcmp(argv[1], "ads1115")) return ads1115(), 0;
    controls_open(&c, &s, 0);
    c.block_samples = 128;
    if (argc > 1 && !strcmp(argv[1], "adc")) adc(&c, argc > 2 ? atoi(argv[2]) : 0);
    if (argc > 2 && !strcmp(argv[1], "sweep")) sweep(&c, &s, atoi(argv[2]));
    if (argc > 1 && !strcmp(argv[1], "gpio")) gates(&c);
    if (argc > 3 && !strcmp(argv[1], "serial")) return serial(&c, argv[2], atoi(argv[3]));
    if (argc > 2 && !strcmp(argv[1], "midi")) {
        module_midi parser = {0};
        unsigned char bytes[64];
        long n = 0;
        for (const char *p = argv[2]; p[0] && p[1]; p += 2)
            bytes[n++] = (unsigned char)strtol((char[]){p[0], p[1], 0}, 0, 16);
        controls_midi_bytes(&c, LANE_MIDI, &parser, bytes, n);
    }
    for (int i = 0; note_kept(i); i++) printf("note %s\n", note_kept(i));
    return 0;
}
