/* Which sound card to play on. */
#ifndef TUDOR_PI_CARDS_H
#define TUDOR_PI_CARDS_H

#include "alsa_api.h"
#include "settings.h"

/* The card of `codec`, which may come up to `codec_wait` seconds after we look first; else one that plays and records,
 * else one that plays. A keyboard that is plugged in is a card too, but cannot play, nor can a webcam; a screen's or
 * the headphones' is not meant. Writes an ALSA name such as "hw:1" to `name`. 0, or a sentence in `why`. */
int cards_choose(const struct alsa_api *api, const struct settings *s, char *name, size_t name_bytes, char *why,
                 size_t why_bytes);

#endif
