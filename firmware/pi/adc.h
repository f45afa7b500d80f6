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
/* A reading from 0 (ground) to 1 (the supply, 3.3 V), or a negative errno. */
float adc_read(const struct adc *adc, int channel);
/* Steps between 0 and 1. */
int adc_steps(const struct adc *adc);
void adc_close(struct adc *adc);

#endif
