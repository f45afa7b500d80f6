#include "block.h"

#include <string.h>

uint32_t sample_bytes(enum sample_format format) {
    static const uint32_t bytes[SAMPLE_FORMATS] = {4, 3, 4, 2, 4};
    return bytes[format];
}

static float read_sample(enum sample_format format, const unsigned char *p) {
    if (format == SAMPLE_FLOAT) {
        float value;
        memcpy(&value, p, sizeof value);
        return value;
    }
    uint32_t bits = 0; /* the sample in the uppermost bytes of 32 */
    for (uint32_t i = 0, n = format == SAMPLE_S24 ? 3 : sample_bytes(format); i < n; i++)
        bits |= (uint32_t)p[i] << (8 * (4 - n + i));
    return (float)((double)(int32_t)bits / 2147483648.0);
}

static void write_sample(enum sample_format format, unsigned char *p, float value) {
    static const double scales[SAMPLE_FORMATS] = {2147483648.0, 8388608.0, 8388608.0, 32768.0, 1.0};
    if (format == SAMPLE_FLOAT) {
        memcpy(p, &value, sizeof value);
        return;
    }
    const double scale = scales[format], most = scale - 1.0;
    double scaled = (double)value * scale;
    scaled += scaled < 0.0 ? -0.5 : 0.5;
    const int32_t whole = (int32_t)(scaled > most ? most : scaled < -scale ? -scale : scaled);
    const uint32_t bits = (uint32_t)whole;
    for (uint32_t i = 0; i < sample_bytes(format); i++) p[i] = (unsigned char)(bits >> (8 * i));
}

void block_read(enum sample_format format, const void *from, uint32_t stride, uint32_t channels, float *const *planes,
                uint32_t at, uint32_t count) {
    const uint32_t bytes = sample_bytes(format);
    const unsigned char *frame = from;
    for (uint32_t i = 0; i < count; i++, frame += (size_t)stride * bytes)
        for (uint32_t c = 0; c < channels; c++) planes[c][at + i] = read_sample(format, frame + (size_t)c * bytes);
}

void block_write(enum sample_format format, void *to, uint32_t stride, uint32_t channels, const float *const *planes,
                 uint32_t at, uint32_t count) {
    const uint32_t bytes = sample_bytes(format);
    unsigned char *frame = to;
    for (uint32_t i = 0; i < count; i++, frame += (size_t)stride * bytes)
        for (uint32_t c = 0; c < stride; c++)
            write_sample(format, frame + (size_t)c * bytes, planes[c < channels ? c : channels - 1][at + i]);
}
