/* The sound card: opened, asked for its blocks, brought back after an xrun. */
#ifndef TUDOR_PI_AUDIO_H
#define TUDOR_PI_AUDIO_H

#include "alsa_api.h"
#include "block.h"
#include "settings.h"

#include <stdatomic.h>

struct stream {
    snd_pcm_t *pcm;
    enum sample_format format;
    unsigned channels; /* of the card */
    snd_pcm_uframes_t buffer_samples;
};

struct audio {
    const struct alsa_api *api;
    struct stream play, record; /* record.pcm is null without inputs */
    unsigned rate_hz, in_channels, out_channels;
    uint32_t period_samples, periods;
    const struct settings *settings;
    char card[64], capture[64];
    float *in[MODULE_CHANNELS], *out[MODULE_CHANNELS]; /* a block of each channel */
    int linked;
    _Atomic uint64_t mark; /* when the block that is being played began: see moment.h */
    uint32_t patience_ms; /* in which a period comes, or the card is stuck */
    _Atomic uint32_t xruns, waits; /* waits: times that the card gave nothing for a second */
    _Atomic uint32_t widened; /* blocks of the buffer, where those asked for were too few for the card; 0: they were not */
    _Atomic int stop;
    char why[160];
};

/* Opens the card as the settings say; what it gave stands in the struct after. 0, or `why` says what is wrong. */
int audio_open(struct audio *a, const struct alsa_api *api, const struct settings *s);
/* Plays blocks (0: without end) until `stop`. 0, or `why`. To be called from the audio thread. */
int audio_play(struct audio *a, tudor_module *m, uint64_t blocks);
void audio_close(struct audio *a);

#endif
