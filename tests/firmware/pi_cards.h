/* Sound cards for a libasound that is none: what can be asked of them before one is opened. Each is "ID:TITLE:WAYS": p,
 * it plays; c, it records; in capitals, its second device does. */
#ifndef TUDOR_TESTS_PI_CARDS_H
#define TUDOR_TESTS_PI_CARDS_H

#include <alsa/asoundlib.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fake_info {
    int card, device, way;
};
static char *cards[8];
static int card_count, late, looks;
static char capture_name[40] = "none";

static const char *part(int card, int which) {
    static char text[3][64];
    sscanf(cards[card], "%63[^:]:%63[^:]:%63s", text[0], text[1], text[2]);
    return text[which];
}

static int fake_card_next(int *card) {
    if (*card < 0) looks++;
    const int there = card_count - (looks <= late);
    *card = *card + 1 < there ? *card + 1 : -1;
    return 0;
}

static int fake_ctl_open(snd_ctl_t **control, const char *name, int mode) {
    static char places[8];
    (void)mode;
    const int card = atoi(name + 3);
    if (strncmp(name, "hw:", 3) || card >= card_count) return -ENODEV;
    *control = (snd_ctl_t *)(void *)&places[card];
    return 0;
}

static int card_of(const snd_ctl_t *control) {
    static snd_ctl_t *first;
    fake_ctl_open(&first, "hw:0", 0);
    return (int)((const char *)(const void *)control - (const char *)(void *)first);
}

static int fake_card_info(snd_ctl_t *control, snd_ctl_card_info_t *info) {
    ((struct fake_info *)(void *)info)->card = card_of(control);
    return 0;
}

static const char *fake_id(const snd_ctl_card_info_t *info) {
    return part(((const struct fake_info *)(const void *)info)->card, 0);
}

static const char *fake_title(const snd_ctl_card_info_t *info) {
    return part(((const struct fake_info *)(const void *)info)->card, 1);
}

/* Capital letters: the second device goes that way. */
static int fake_next_device(snd_ctl_t *control, int *device) {
    const char *const ways = part(card_of(control), 2);
    const int devices = strpbrk(ways, "PC") ? 2 : strpbrk(ways, "pc") ? 1 : 0;
    *device = *device + 1 < devices ? *device + 1 : -1;
    return 0;
}

static void fake_set_device(snd_pcm_info_t *info, unsigned device) {
    ((struct fake_info *)(void *)info)->device = (int)device;
}

static void fake_set_way(snd_pcm_info_t *info, snd_pcm_stream_t way) { ((struct fake_info *)(void *)info)->way = (int)way; }

static int fake_pcm_info(snd_ctl_t *control, snd_pcm_info_t *info) {
    const struct fake_info *const asked = (const struct fake_info *)(void *)info;
    const char way = asked->way == SND_PCM_STREAM_PLAYBACK ? "pP"[asked->device] : "cC"[asked->device];
    return strchr(part(card_of(control), 2), way) ? 0 : -ENOENT;
}

#endif
