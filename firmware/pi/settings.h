/* What module.conf says: the sound card, where the models lie, what is wired to which pin. */
#ifndef TUDOR_PI_SETTINGS_H
#define TUDOR_PI_SETTINGS_H

#include "leds.h"

#include <stdint.h>

#define MAX_ADCS 4
#define MAX_COMPLAINTS 16
#define AUTO (-1)
#define OFF (-2)

enum adc_kind { ADC_NONE, ADC_MCP3208, ADC_ADS1015, ADC_ADS1115 };

struct adc_place {
    enum adc_kind kind;
    char path[64];
    int address; /* on the I2C bus */
};

/* Something on an I2C bus; "": nothing. */
struct i2c_place {
    char path[64];
    int address;
};

/* An input of a converter. adc: 0 is adc1; OFF: not wired. Inverted: the reading falls when the input rises. */
struct analog_pin {
    int adc, channel, inverted;
};

/* A GPIO by its BCM number; OFF: not wired. Button: its contacts bounce. */
struct digital_pin {
    int line, inverted, button;
};

struct settings {
    char device[64], capture[64]; /* ALSA names; "auto": the codec, or the first card that plays */
    char codec[64];                /* ids of cards to be preferred, with commas; "": none */
    int codec_wait_s;              /* for how long it may be missing at the start */
    int rate_hz, period_samples, periods, inputs, outputs;
    int cpu, priority, overload, resample_taps;
    char stereo[8]; /* on, off, auto */
    char models[200], calibration[200], socket[100], midi[64], saves[100];
    char midi_port[64]; /* a UART; "off": none */
    int midi_baud;
    int control_hz;
    struct adc_place adc[MAX_ADCS];
    struct i2c_place screen;
    struct analog_pin knob[MODULE_KNOBS], cv[MODULE_CVS];
    struct digital_pin gate[MODULE_GATES], led[LED_COUNT], gate_out;
    char complaint[MAX_COMPLAINTS][160]; /* lines that were not understood; their settings keep the default */
    int complaints;
};

void settings_default(struct settings *s);
/* Reads text over what is there already. `name` begins each complaint. */
void settings_read(struct settings *s, const char *name, const char *text);

#endif
