/* Analog-to-digital converters on SPI and I2C. */
#ifndef TUDOR_PI_ADC_H
#define TUDOR_PI_ADC_H

#include "settings.h"

struct adc {
    enum adc_kind kind;
    int file; /* -1: could not be opened */
};

/* 0, or what was wrong (errno). */
int adc_open(struct adc *adc, const struct adc_place *place);

/* Readings go from 0 (ground) to 1 (the supply, 3.3 V); what is negative is an errno.
 *
 * An MCP3208 answers at once; the mean of `times` readings, 1 or ADC_TIMES. */
#define ADC_TIMES 4
float adc_read(const struct adc *adc, int channel, int times);
/* Those on I2C take a while for each, an ADS1015 0.3 ms, an ADS1115 1.2 ms: begin, do something else, collect. -EAGAIN: it is not done yet. 0, or an errno. */
int adc_begin(const struct adc *adc, int channel);
float adc_collect(const struct adc *adc);

void adc_close(struct adc *adc);

#endif
