/* The state of the instrument as text, over a local socket: lines of "name value", then the end. */
#ifndef TUDOR_PI_STATUS_H
#define TUDOR_PI_STATUS_H

#include "audio.h"
#include "controls.h"
#include "saves.h"

#define STATUS_BYTES 8192

/* Writes the lines; their length. */
int status_text(char *text, int bytes, const tudor_module *m, const struct audio *a, const struct controls *c,
                const struct saves *saves);
/* A listening socket at `path`, or -1. */
int status_listen(const char *path);
/* Answers whoever asks, without waiting for anybody. */
void status_answer(int socket, const tudor_module *m, const struct audio *a, const struct controls *c,
                   const struct saves *saves);
/* Asks a running program; the length of its answer, or -1 if none runs. */
int status_ask(const char *path, char *text, int bytes);

#endif
