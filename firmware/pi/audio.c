#include "audio.h"

#include "cards.h"
#include "moment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PERIODS_MOST 16u
#define SHORT_BLOCKS 32u /* a card that is late before so many blocks, */
#define SHORT_RUNS 6     /* so many times in a row, gets a larger buffer */

static const snd_pcm_format_t FORMATS[SAMPLE_FORMATS] = {SND_PCM_FORMAT_S32_LE, SND_PCM_FORMAT_S24_3LE,
                                                         SND_PCM_FORMAT_S24_LE, SND_PCM_FORMAT_S16_LE,
                                                         SND_PCM_FORMAT_FLOAT_LE};

static int failed(struct audio *a, const char *what, int error) {
    snprintf(a->why, sizeof a->why, "%s: %s: %s", a->card, what, a->api->snd_strerror(error));
    return 1;
}

/* Agrees on format, channels, rate and buffer. `near`: channels wanted. */
static int configure(struct audio *a, struct stream *s, unsigned near) {
    const struct alsa_api *const api = a->api;
    snd_pcm_hw_params_t *const p = calloc(1, api->snd_pcm_hw_params_sizeof());
    snd_pcm_uframes_t period = a->period_samples;
    unsigned periods = a->periods, rate = a->rate_hz;
    int format = 0, error = p ? api->snd_pcm_hw_params_any(s->pcm, p) : -ENOMEM;
    if (error >= 0) error = api->snd_pcm_hw_params_set_rate_resample(s->pcm, p, 0);
    if (error >= 0) error = api->snd_pcm_hw_params_set_access(s->pcm, p, SND_PCM_ACCESS_MMAP_INTERLEAVED);
    while (error >= 0 && format < SAMPLE_FORMATS && api->snd_pcm_hw_params_test_format(s->pcm, p, FORMATS[format]))
        format++;
    if (format == SAMPLE_FORMATS) error = -EINVAL;
    s->channels = near;
    if (error >= 0) error = api->snd_pcm_hw_params_set_format(s->pcm, p, FORMATS[format]);
    if (error >= 0) error = api->snd_pcm_hw_params_set_channels_near(s->pcm, p, &s->channels);
    if (error >= 0) error = api->snd_pcm_hw_params_set_rate_near(s->pcm, p, &rate, 0);
    if (error >= 0) error = api->snd_pcm_hw_params_set_period_size_near(s->pcm, p, &period, 0);
    if (error >= 0) error = api->snd_pcm_hw_params_set_periods_near(s->pcm, p, &periods, 0);
    if (error >= 0) error = api->snd_pcm_hw_params(s->pcm, p);
    if (error >= 0) error = api->snd_pcm_hw_params_get_buffer_size(p, &s->buffer_samples);
    free(p);
    s->format = (enum sample_format)format;
    if (error < 0) return failed(a, "does not take these settings", error);
    if (a->record.pcm && s == &a->play && (rate != a->rate_hz || period != a->period_samples)) {
        snprintf(a->why, sizeof a->why, "%s: input and output do not agree on rate and period", a->card);
        return 1;
    }
    a->rate_hz = rate;
    a->period_samples = (uint32_t)period;
    return 0;
}

/* Wakes us for each period, and never starts by itself. */
static int configure_waking(struct audio *a, struct stream *s) {
    const struct alsa_api *const api = a->api;
    snd_pcm_sw_params_t *const p = calloc(1, api->snd_pcm_sw_params_sizeof());
    int error = p ? api->snd_pcm_sw_params_current(s->pcm, p) : -ENOMEM;
    if (error >= 0) error = api->snd_pcm_sw_params_set_avail_min(s->pcm, p, a->period_samples);
    if (error >= 0) error = api->snd_pcm_sw_params_set_start_threshold(s->pcm, p, (snd_pcm_uframes_t)1 << 30);
    if (error >= 0) error = api->snd_pcm_sw_params(s->pcm, p);
    free(p);
    return error < 0 ? failed(a, "does not take these settings", error) : 0;
}

static int open_stream(struct audio *a, struct stream *s, const char *name, snd_pcm_stream_t way, int wanted) {
    const int error = a->api->snd_pcm_open(&s->pcm, name, way, SND_PCM_NONBLOCK);
    if (error < 0) {
        s->pcm = 0;
        return failed(a, way == SND_PCM_STREAM_CAPTURE ? "cannot be opened for input" : "cannot be opened", error);
    }
    return configure(a, s, wanted > 0 ? (unsigned)wanted : 2) || configure_waking(a, s);
}

void audio_close(struct audio *a) {
    if (a->play.pcm) a->api->snd_pcm_close(a->play.pcm);
    if (a->record.pcm) a->api->snd_pcm_close(a->record.pcm);
    a->play.pcm = a->record.pcm = 0;
}

static int open_streams(struct audio *a) {
    const struct settings *const s = a->settings;
    const struct alsa_api *const api = a->api;
    /* A card that only plays is no mistake unless inputs were asked for by number. */
    if (s->inputs && open_stream(a, &a->record, a->capture, SND_PCM_STREAM_CAPTURE, s->inputs)) {
        if (s->inputs > 0) return 1;
        if (a->record.pcm) api->snd_pcm_close(a->record.pcm);
        a->record.pcm = 0;
    }
    if (open_stream(a, &a->play, a->card, SND_PCM_STREAM_PLAYBACK, s->outputs)) return 1;
    a->in_channels = a->record.pcm ? a->record.channels : 0;
    a->out_channels = a->play.channels;
    if (a->in_channels > MODULE_CHANNELS) a->in_channels = MODULE_CHANNELS;
    if (a->out_channels > MODULE_CHANNELS) a->out_channels = MODULE_CHANNELS;
    if (s->inputs > 0 && a->in_channels > (unsigned)s->inputs) a->in_channels = (unsigned)s->inputs;
    if (s->outputs > 0 && a->out_channels > (unsigned)s->outputs) a->out_channels = (unsigned)s->outputs;
    a->linked = a->record.pcm && api->snd_pcm_link(a->record.pcm, a->play.pcm) == 0;
    return 0;
}

int audio_open(struct audio *a, const struct alsa_api *api, const struct settings *s) {
    *a = (struct audio){.api = api, .rate_hz = (unsigned)s->rate_hz, .period_samples = (uint32_t)s->period_samples,
                        .periods = (uint32_t)s->periods, .settings = s, .patience_ms = 1000};
    snprintf(a->card, sizeof a->card, "%s", s->device);
    if (!strcmp(s->device, "auto") && cards_choose(api, s, a->card, sizeof a->card, a->why, sizeof a->why))
        return 1;
    /* "hw:1": the first device of the card that records, which need not be the one that plays. */
    snprintf(a->capture, sizeof a->capture, "%s", strcmp(s->capture, "auto") ? s->capture : a->card);
    if (!strcmp(s->capture, "auto") && !strcmp(s->device, "auto")) a->capture[strcspn(a->capture, ",")] = 0;
    if (open_streams(a)) return 1;
    for (int c = 0; c < MODULE_CHANNELS; c++) {
        a->in[c] = calloc(a->period_samples, sizeof(float));
        a->out[c] = calloc(a->period_samples, sizeof(float));
        if (!a->in[c] || !a->out[c]) return failed(a, "blocks", -ENOMEM);
    }
    a->why[0] = 0;
    return 0;
}

/* Hands `samples` frames over between the card's memory and the blocks; 0 or a negative error. */
static int transfer(struct audio *a, struct stream *s, uint32_t samples) {
    for (uint32_t done = 0; done < samples;) {
        const snd_pcm_channel_area_t *areas;
        snd_pcm_uframes_t offset, count = samples - done;
        const int error = a->api->snd_pcm_mmap_begin(s->pcm, &areas, &offset, &count);
        if (error < 0) return error;
        if (count == 0) return -EPIPE;
        char *const at = (char *)areas[0].addr + areas[0].first / 8 + offset * (areas[0].step / 8);
        if (s == &a->record)
            block_read(s->format, at, s->channels, a->in_channels, a->in, done, (uint32_t)count);
        else
            block_write(s->format, at, s->channels, a->out_channels, (const float *const *)a->out, done,
                        (uint32_t)count);
        const snd_pcm_sframes_t taken = a->api->snd_pcm_mmap_commit(s->pcm, offset, count);
        if (taken < 0) return (int)taken;
        if ((snd_pcm_uframes_t)taken != count) return -EPIPE;
        done += (uint32_t)count;
    }
    return 0;
}

/* From stillness: the buffer filled with silence, both directions running. */
static int start(struct audio *a) {
    const struct alsa_api *const api = a->api;
    api->snd_pcm_drop(a->play.pcm);
    if (a->record.pcm) api->snd_pcm_drop(a->record.pcm);
    int error = api->snd_pcm_prepare(a->play.pcm);
    if (error >= 0 && a->record.pcm && !a->linked) error = api->snd_pcm_prepare(a->record.pcm);
    for (int c = 0; c < MODULE_CHANNELS; c++) memset(a->out[c], 0, a->period_samples * sizeof(float));
    for (uint32_t i = 0; error >= 0 && i < a->play.buffer_samples / a->period_samples; i++)
        error = transfer(a, &a->play, a->period_samples);
    if (error >= 0 && a->record.pcm) error = api->snd_pcm_start(a->record.pcm);
    if (error >= 0 && !a->linked) error = api->snd_pcm_start(a->play.pcm);
    return error;
}

/* Until a period is there to be read and there is room for one; 0 or a negative error. A card that says that something
 * is there and has nothing is stuck too: this thread would go round for ever, before all others. */
static int wait_for_period(struct audio *a) {
    const uint64_t until_ns = moment_now_ns() + a->patience_ms * (uint64_t)1000000u;
    struct stream *const streams[2] = {&a->record, &a->play};
    for (int i = 0; i < 2; i++) {
        snd_pcm_t *const pcm = streams[i]->pcm;
        while (pcm && !a->stop) {
            const snd_pcm_sframes_t there = a->api->snd_pcm_avail_update(pcm);
            if (there < 0) return (int)there;
            if ((snd_pcm_uframes_t)there >= a->period_samples) break;
            const int woken = moment_now_ns() > until_ns ? 0 : a->api->snd_pcm_wait(pcm, (int)a->patience_ms);
            if (woken < 0) return woken;
            if (woken == 0) {
                a->waits++;
                return -EIO;
            }
        }
    }
    return 0;
}

/* A card that goes on in steps of more than a block has none left when two are all it has: twice as many. The same in all
 * else, or an error. What this takes is taken while there is no sound anyway. */
static int widen(struct audio *a) {
    const unsigned rate_hz = a->rate_hz, ins = a->in_channels, outs = a->out_channels;
    const uint32_t period_samples = a->period_samples;
    const snd_pcm_uframes_t before = a->play.buffer_samples;
    audio_close(a);
    a->periods *= 2;
    if (open_streams(a)) return -EIO;
    if (a->play.buffer_samples <= before) a->periods = PERIODS_MOST;
    a->widened = (uint32_t)(a->play.buffer_samples / a->period_samples);
    return a->rate_hz == rate_hz && a->in_channels == ins && a->out_channels == outs && a->period_samples == period_samples
               ? 0 : -EIO;
}

int audio_play(struct audio *a, tudor_module *m, uint64_t blocks) {
    const uint64_t block_ns = (uint64_t)a->period_samples * 1000000000u / a->rate_hz;
    uint64_t expected_ns = 0;
    uint64_t begun = 0, busy_ns = 0; /* blocks that were done when it began anew; what those since then took */
    int error = start(a), restarts = 0, short_runs = 0;
    for (uint64_t done = 0; error >= 0 && !a->stop && (!blocks || done < blocks);) {
        error = wait_for_period(a);
        if (error >= 0 && a->record.pcm) error = transfer(a, &a->record, a->period_samples);
        if (error >= 0 && !a->stop) {
            const uint64_t from_ns = moment_now_ns();
            a->mark = moment_mark(module_now(m), moment_began(&expected_ns, from_ns, block_ns));
            module_process(m, a->record.pcm ? (const float *const *)a->in : 0, a->out);
            busy_ns += moment_now_ns() - from_ns;
            error = transfer(a, &a->play, a->period_samples);
            done++;
            if (error >= 0) restarts = 0;
        }
        /* Late (EPIPE), suspended, or stuck: from the beginning. A card that is gone answers ENODEV. */
        if (error < 0 && error != -ENODEV && restarts++ < 16) {
            const int late = error == -EPIPE, slow = busy_ns > (done - begun) * block_ns; /* that is no fault of the card */
            a->xruns++;
            module_report_miss(m);
            short_runs = late && done - begun < SHORT_BLOCKS ? short_runs + !slow : 0;
            begun = done;
            busy_ns = 0;
            error = 0;
            if (short_runs >= SHORT_RUNS && a->periods < PERIODS_MOST) {
                short_runs = restarts = 0;
                error = widen(a);
            }
            if (error >= 0) error = start(a);
        }
    }
    return error < 0 ? failed(a, "stopped", error) : 0;
}

