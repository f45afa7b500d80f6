#include "cards.h"

#include "notes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOK_EACH_MS 200

struct choice {
    int rank, card, device; /* rank 0: none */
    char seen[120];         /* what was passed over */
};

enum { PLAYS = 1, PLAYS_AND_RECORDS, IS_CODEC };

/* Whether a list with commas has the word. */
static int listed(const char *list, const char *word) {
    for (const size_t length = strlen(word); *list; list += strspn(list, ", ")) {
        const size_t here = strcspn(list, ", ");
        if (here == length && !strncmp(list, word, length)) return 1;
        list += here;
    }
    return 0;
}

/* The first device of the card that goes that way; -1: none does. */
static int first_device(const struct alsa_api *api, snd_ctl_t *control, snd_pcm_stream_t way) {
    snd_pcm_info_t *const info = calloc(1, api->snd_pcm_info_sizeof());
    int found = -1;
    for (int device = -1; info && found < 0;) {
        if (api->snd_ctl_pcm_next_device(control, &device) < 0 || device < 0) break;
        api->snd_pcm_info_set_device(info, (unsigned)device);
        api->snd_pcm_info_set_subdevice(info, 0);
        api->snd_pcm_info_set_stream(info, way);
        if (api->snd_ctl_pcm_info(control, info) >= 0) found = device;
    }
    free(info);
    return found;
}

static void look_at(const struct alsa_api *api, const struct settings *s, int card, struct choice *best) {
    char name[16], id[32] = "", title[96] = "";
    snd_ctl_t *control;
    snprintf(name, sizeof name, "hw:%d", card);
    if (api->snd_ctl_open(&control, name, 0) < 0) return;
    snd_ctl_card_info_t *const info = calloc(1, api->snd_ctl_card_info_sizeof());
    if (info && api->snd_ctl_card_info(control, info) >= 0) {
        snprintf(id, sizeof id, "%s", api->snd_ctl_card_info_get_id(info));
        snprintf(title, sizeof title, "%s", api->snd_ctl_card_info_get_name(info));
    }
    free(info);
    const int device = first_device(api, control, SND_PCM_STREAM_PLAYBACK);
    const int records = first_device(api, control, SND_PCM_STREAM_CAPTURE) >= 0;
    api->snd_ctl_close(control);
    const int screen = strstr(title, "hdmi") || strstr(title, "HDMI") || strstr(title, "Headphones");
    const int rank = device < 0 || screen ? 0 : listed(s->codec, id) ? IS_CODEC : records ? PLAYS_AND_RECORDS : PLAYS;
    const size_t used = strlen(best->seen);
    if (!rank) snprintf(best->seen + used, sizeof best->seen - used, "%s%s", used ? ", " : "", id);
    if (rank > best->rank) best->rank = rank, best->card = card, best->device = device;
}

static struct choice best_card(const struct alsa_api *api, const struct settings *s) {
    struct choice best = {.rank = 0};
    for (int card = -1; api->snd_card_next(&card) == 0 && card >= 0;) look_at(api, s, card, &best);
    return best;
}

int cards_choose(const struct alsa_api *api, const struct settings *s, char *name, size_t name_bytes, char *why,
                 size_t why_bytes) {
    const struct timespec pause = {.tv_nsec = LOOK_EACH_MS * 1000000L};
    struct choice best = best_card(api, s);
    for (int ms = 0; *s->codec && best.rank < IS_CODEC && ms < 1000 * s->codec_wait_s; ms += LOOK_EACH_MS) {
        nanosleep(&pause, 0);
        best = best_card(api, s);
    }
    if (!best.rank) {
        snprintf(why, why_bytes, "no sound card that plays was found%s%s%s; is the codec seated, and its overlay in "
                 "config.txt?", *best.seen ? " (only " : "", best.seen, *best.seen ? ")" : "");
        return 1;
    }
    if (*s->codec && best.rank < IS_CODEC)
        note("codec = %s: did not come; hw:%d is played on instead", s->codec, best.card);
    if (best.device)
        snprintf(name, name_bytes, "hw:%d,%d", best.card, best.device);
    else
        snprintf(name, name_bytes, "hw:%d", best.card);
    return 0;
}
