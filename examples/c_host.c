/* A host in C: a sound file through a model, block by block, as an audio callback would do it.
 *
 *   cc c_host.c $(pkg-config --cflags --libs tudor) -o c_host        (or with engine/core's sources)
 *   ./c_host MODEL.tudor IN.wav OUT.wav [attribute=value]...
 *
 * IN: 16-bit or float32 WAV at the model's rate with as many channels as the model takes. OUT is as long as IN and
 * late by the printed latency. */
#include <tudor.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_SAMPLES = 512, PCM = 1, FLOAT = 3, EXTENSIBLE = 0xfffe };

struct sound {
    uint32_t rate, channels, samples;
    float *planar; /* [channels][samples] */
};

static void fail(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static void check(const char *what, int error) {
    if (error) fail(what, tudor_error_text(error));
}

/* Zeroed memory on a 64-byte boundary, at least one line of it. */
static void *room(size_t bytes) {
    const size_t whole = bytes / 64 * 64 + 64;
    void *memory = aligned_alloc(64, whole);
    if (!memory) fail("memory", "there is not enough");
    return memset(memory, 0, whole);
}

static unsigned char *read_file(const char *path, size_t *bytes) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END)) fail(path, "cannot be opened");
    const long end = ftell(file);
    rewind(file);
    if (end < 0) fail(path, "cannot be read");
    unsigned char *data = room((size_t)end);
    *bytes = fread(data, 1, (size_t)end, file);
    fclose(file);
    return data;
}
static uint32_t u16(const unsigned char *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }
static uint32_t u32(const unsigned char *p) { return u16(p) | u16(p + 2) << 16; }

static struct sound read_wav(const char *path) {
    size_t bytes, at = 12;
    unsigned char *data = read_file(path, &bytes);
    uint32_t kind = 0, bits = 0;
    struct sound s = {0, 0, 0, 0};
    if (bytes < 12 || memcmp(data, "RIFF", 4) || memcmp(data + 8, "WAVE", 4)) fail(path, "is not a WAV file");
    while (at + 8 <= bytes && !s.planar) {
        const size_t left = bytes - at - 8, said = u32(data + at + 4);
        const size_t size = said < left ? said : left; /* a header's length is not believed */
        const unsigned char *body = data + at + 8;
        if (!memcmp(data + at, "fmt ", 4) && size >= 16) {
            kind = u16(body), s.channels = u16(body + 2), s.rate = u32(body + 4), bits = u16(body + 14);
            if (kind == EXTENSIBLE && size >= 26) kind = u16(body + 24);
        } else if (!memcmp(data + at, "data", 4)) {
            if (!s.channels || !((kind == PCM && bits == 16) || (kind == FLOAT && bits == 32)))
                fail(path, "holds neither 16-bit nor float32 samples");
            s.samples = (uint32_t)(size / (bits / 8) / s.channels);
            s.planar = room((size_t)s.samples * s.channels * sizeof(float));
            for (uint32_t c = 0; c < s.channels; c++)
                for (uint32_t i = 0; i < s.samples; i++) {
                    const unsigned char *from = body + ((size_t)i * s.channels + c) * (bits / 8);
                    float *to = &s.planar[(size_t)c * s.samples + i];
                    const uint32_t word = bits == 16 ? u16(from) : u32(from);
                    if (bits == 16) *to = (float)(int16_t)word / 32768.0f;
                    else memcpy(to, &word, sizeof word);
                }
        }
        at += 8 + size + (size & 1);
    }
    free(data);
    if (!s.planar) fail(path, "holds no sound");
    return s;
}

static void put(unsigned char **to, uint32_t value, int bytes) {
    for (; bytes--; value >>= 8) *(*to)++ = (unsigned char)value;
}

static void write_wav(const char *path, const struct sound *s) {
    const uint32_t data_bytes = s->samples * s->channels * 4;
    unsigned char head[44], *to = head;
    memcpy(to, "RIFF", 4), to += 4, put(&to, 36 + data_bytes, 4);
    memcpy(to, "WAVEfmt ", 8), to += 8, put(&to, 16, 4), put(&to, FLOAT, 2), put(&to, s->channels, 2);
    put(&to, s->rate, 4), put(&to, s->rate * s->channels * 4, 4), put(&to, s->channels * 4, 2), put(&to, 32, 2);
    memcpy(to, "data", 4), to += 4, put(&to, data_bytes, 4);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(head, sizeof head, 1, file) != 1) fail(path, "cannot be written");
    for (uint32_t i = 0; i < s->samples; i++)
        for (uint32_t c = 0; c < s->channels; c++)
            if (fwrite(&s->planar[(size_t)c * s->samples + i], sizeof(float), 1, file) != 1) fail(path, "disk is full");
    if (fclose(file)) fail(path, "disk is full");
}

int main(int argc, char **argv) {
    if (argc < 4) fail("usage", "c_host MODEL.tudor IN.wav OUT.wav [attribute=value]...");
    size_t bytes;
    tudor_model model;
    tudor_method_info method;
    tudor_sizes need;
    tudor *player;
    void *file = read_file(argv[1], &bytes);
    check(argv[1], tudor_open(file, bytes, &model, NULL));
    const int effect = tudor_find_role(&model, TUDOR_ROLE_EFFECT);
    if (effect < 0) fail(argv[1], "has no method that is an effect");
    check(argv[1], tudor_method(&model, effect, &method));
    if (method.in_ratio != 1 || method.out_ratio != 1) fail(argv[1], "does not turn audio into audio");
    const struct sound in = read_wav(argv[2]);
    if (in.rate != tudor_sample_rate_hz(&model)) fail(argv[2], "is not at the model's sample rate");
    if (in.channels != method.in_channels) fail(argv[2], "has not as many channels as the model takes");

    const uint32_t frame = method.frame_samples, block = (BLOCK_SAMPLES + frame - 1) / frame * frame;
    check(argv[1], tudor_measure(&model, 1, block, &need));
    void *fast = room(need.fast_bytes), *bulk = room(need.bulk_bytes);
    check(argv[1], tudor_init(&model, 1, block, fast, need.fast_bytes, bulk, need.bulk_bytes, &player));
    for (int i = 4; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (!equals) fail(argv[i], "write attribute=value");
        *equals = 0;
        const float value = strtof(equals + 1, NULL);
        check(argv[i], tudor_set_attribute(player, tudor_find_attribute(&model, argv[i]), &value, 1));
    }
    struct sound out = {in.rate, method.out_channels, in.samples, 0};
    out.planar = room((size_t)out.samples * out.channels * sizeof(float));
    float *x = room((size_t)block * in.channels * sizeof(float));
    float *y = room((size_t)block * out.channels * sizeof(float));
    for (uint32_t at = 0; at < in.samples; at += block) { /* this would be the audio callback */
        const uint32_t here = in.samples - at < block ? in.samples - at : block;
        memset(x, 0, (size_t)block * in.channels * sizeof(float)); /* the last block ends in silence */
        for (uint32_t c = 0; c < in.channels; c++)
            memcpy(x + (size_t)c * block, in.planar + (size_t)c * in.samples + at, here * sizeof(float));
        check(argv[1], tudor_process(player, effect, x, y, block));
        for (uint32_t c = 0; c < out.channels; c++)
            memcpy(out.planar + (size_t)c * out.samples + at, y + (size_t)c * block, here * sizeof(float));
    }
    write_wav(argv[3], &out);
    printf("%s: %u samples on %s, late by %u\n", argv[3], out.samples, tudor_isa(player), method.latency_samples);
    free(x), free(y), free(out.planar), free(in.planar), free(bulk), free(fast), free(file);
    return 0;
}
