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
 * An MCP3208 answers at once. */
float adc_read(const struct adc *adc, int channel);
/* An ADS1015 takes 0.3 ms for each: begin, do something else, collect. -EAGAIN: it is not done yet. 0, or an errno. */
int adc_begin(const struct adc *adc, int channel);
float adc_collect(const struct adc *adc);

/* Steps between 0 and 1. */
int adc_steps(const struct adc *adc);
void adc_close(struct adc *adc);

#endif
