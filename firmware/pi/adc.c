#include "adc.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/i2c-dev.h>
#include <linux/spi/spidev.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SPI_HZ 1000000 /* the MCP3208's most at 2.7 V; at 3.3 V a little more is allowed */
/* ADS1015: single shot, 4.096 V full scale, 3300 per second, no comparator (data sheet, table "Config Register"). */
#define ADS_CONFIG 0x83c3u
#define ADS_SINGLE_ENDED 0x4000u
#define ADS_STEPS_AT_SUPPLY (3.3f / 4.096f * 2047.0f)
#define ADS1115_RATE 0x0020u /* its fastest, 860 per second, where the ADS1015 has 3300 */
#define ADS1115_STEPS_AT_SUPPLY (3.3f / 4.096f * 32767.0f)
#define ADS_IDLE 0x8000u /* in the configuration as it is read: no conversion is under way */

int adc_open(struct adc *adc, const struct adc_place *place) {
    adc->kind = place->kind;
    adc->file = open(place->path, O_RDWR | O_CLOEXEC);
    if (adc->file < 0) return errno;
    unsigned char mode = SPI_MODE_0, bits = 8;
    unsigned int hz = SPI_HZ;
    int failed;
    if (place->kind == ADC_MCP3208)
        failed = ioctl(adc->file, SPI_IOC_WR_MODE, &mode) < 0 || ioctl(adc->file, SPI_IOC_WR_BITS_PER_WORD, &bits) < 0
                 || ioctl(adc->file, SPI_IOC_WR_MAX_SPEED_HZ, &hz) < 0;
    else
        failed = ioctl(adc->file, I2C_SLAVE, (long)place->address) < 0;
    if (!failed) return 0;
    const int error = errno;
    adc_close(adc);
    return error;
}

/* Start bit, single-ended, three bits of channel; twelve bits come back (data sheet, figure "SPI Communication"). */
static float read_mcp3208(const struct adc *adc, int channel, int times) {
    unsigned char out[3] = {(unsigned char)(0x06 | channel >> 2), (unsigned char)((channel & 3) << 6), 0};
    unsigned char in[ADC_TIMES][3] = {{0}};
    struct spi_ioc_transfer transfer[ADC_TIMES] = {{0}};
    for (int i = 0; i < times; i++)
        transfer[i] = (struct spi_ioc_transfer){.tx_buf = (uintptr_t)out, .rx_buf = (uintptr_t)in[i], .len = sizeof out,
                                                .speed_hz = SPI_HZ, .bits_per_word = 8,
                                                .cs_change = i + 1 < times}; /* each begins with a new select */
    const int done = times == 1 ? ioctl(adc->file, SPI_IOC_MESSAGE(1), transfer)
                                : ioctl(adc->file, SPI_IOC_MESSAGE(ADC_TIMES), transfer);
    if (done < 0) return (float)-errno;
    int sum = 0;
    for (int i = 0; i < times; i++) sum += (in[i][1] & 0x0f) << 8 | in[i][2];
    return (float)sum / (4095.0f * (float)times);
}

float adc_read(const struct adc *adc, int channel, int times) {
    if (adc->file < 0) return (float)-ENODEV;
    return read_mcp3208(adc, channel, times);
}

int adc_begin(const struct adc *adc, int channel) {
    const unsigned rate = adc->kind == ADC_ADS1115 ? ADS1115_RATE : 0;
    const unsigned config = ADS_CONFIG | rate | ADS_SINGLE_ENDED | (unsigned)channel << 12;
    const unsigned char start[3] = {1, (unsigned char)(config >> 8), (unsigned char)config};
    if (adc->file < 0) return ENODEV;
    return write(adc->file, start, sizeof start) == sizeof start ? 0 : EIO;
}

/* Whether the conversion is done is asked: its time is only known to 10 per cent, and a result that is read too early is
 * that of the input before. */
float adc_collect(const struct adc *adc) {
    const unsigned char config = 1, result = 0;
    unsigned char in[2];
    if (adc->file < 0) return (float)-ENODEV;
    if (write(adc->file, &config, 1) != 1 || read(adc->file, in, sizeof in) != sizeof in) return (float)-EIO;
    if (!(((unsigned)in[0] << 8 | in[1]) & ADS_IDLE)) return (float)-EAGAIN;
    if (write(adc->file, &result, 1) != 1 || read(adc->file, in, sizeof in) != sizeof in) return (float)-EIO;
    const int steps = (int16_t)(in[0] << 8 | in[1]); /* an ADS1015's are multiples of 16 */
    const float value = adc->kind == ADC_ADS1115 ? (float)steps / ADS1115_STEPS_AT_SUPPLY
                                                 : (float)(steps / 16) / ADS_STEPS_AT_SUPPLY;
    return value < 0.0f ? 0.0f : value > 1.0f ? 1.0f : value;
}

void adc_close(struct adc *adc) {
    if (adc->file >= 0) close(adc->file);
    adc->file = -1;
}
