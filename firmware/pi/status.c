#include "status.h"

#include "notes.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef TUDOR_VERSION
#define TUDOR_VERSION "unknown"
#endif

struct writer {
    char *text;
    int bytes, used;
};

__attribute__((format(printf, 2, 3))) static void line(struct writer *w, const char *format, ...) {
    va_list values;
    va_start(values, format);
    const int room = w->bytes - w->used, length = vsnprintf(w->text + w->used, (size_t)room, format, values);
    va_end(values);
    if (length < 0 || length + 1 >= room) return; /* no room: the line is left out */
    w->used += length;
    w->text[w->used++] = '\n';
}

static void write_audio(struct writer *w, const struct audio *a) {
    line(w, "card %s", a->card);
    line(w, "rate_hz %u", a->rate_hz);
    line(w, "period_samples %u", a->period_samples);
    line(w, "buffer_samples %lu", (unsigned long)a->play.buffer_samples);
    line(w, "inputs %u", a->in_channels);
    line(w, "outputs %u", a->out_channels);
    line(w, "xruns %u", (unsigned)a->xruns);
    line(w, "waits %u", (unsigned)a->waits);
}

static void write_controls(struct writer *w, const struct controls *c) {
    line(w, "readings %u", (unsigned)c->readings);
    line(w, "read_errors %u", (unsigned)c->read_errors);
    line(w, "edges %u", (unsigned)c->edges);
    line(w, "midi_messages %u", (unsigned)c->messages);
    for (int i = 0; i < MODULE_KNOBS; i++)
        if (c->knob[i] >= 0) line(w, "knob%d %d", i + 1, (int)c->knob[i]);
    for (int i = 0; i < MODULE_CVS; i++)
        if (c->cv[i] >= 0) line(w, "cv%d %d\ncv%d_reading %.6f", i + 1, (int)c->cv[i], i + 1, (double)c->level[i]);
    line(w, "calibration %s", c->settings->calibration);
}

int status_text(char *text, int bytes, const tudor_module *m, const struct audio *a, const struct controls *c,
                const struct saves *saves) {
    static const char *const ways[] = {"none", "effect", "bend", "", "source"};
    static const struct { const char *name; uint32_t flag; } flags[] = {
        {"clocked", MODULE_CLOCKED}, {"frozen", MODULE_FROZEN}, {"recording", MODULE_RECORDING}, {"looping", MODULE_LOOPING}};
    struct writer w = {text, bytes - 1, 0};
    module_status s;
    module_read_status(m, &s);
    line(&w, "version %s", TUDOR_VERSION);
    line(&w, "state %s", module_state_text(s.state));
    line(&w, "blocks %u", s.blocks);
    line(&w, "slot %u", s.slot < MODULE_SLOTS ? s.slot + 1 : 0);
    line(&w, "way %s", s.way < sizeof ways / sizeof *ways ? ways[s.way] : "none");
    line(&w, "instances %u", s.streams);
    line(&w, "narrowed %u", s.flags & MODULE_NARROWED ? 1u : 0u);
    line(&w, "load %.4f", (double)s.load);
    line(&w, "load_worst %.4f", (double)s.load_worst);
    line(&w, "latency_samples %u", s.latency_samples);
    line(&w, "strike_samples %u", s.strike_samples);
    line(&w, "misses %u", s.misses);
    line(&w, "overloads %u", s.overloads);
    line(&w, "faults %u", s.faults);
    line(&w, "dropped %u", s.dropped);
    line(&w, "ignored %u", s.ignored);
    line(&w, "in_peak %.5f", (double)s.in_peak);
    line(&w, "out_peak %.5f", (double)s.out_peak);
    line(&w, "wet %.3f", (double)s.wet);
    line(&w, "tempo %.2f", (double)s.tempo);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        line(&w, "%s %d", flags[i].name, (s.flags & flags[i].flag) != 0);
    for (uint32_t i = 0; i < s.latents && i < MODULE_SHOWN; i++) line(&w, "latent%u %.4f", i + 1, (double)s.latent[i]);
    write_audio(&w, a);
    write_controls(&w, c);
    if (saves->file >= 0) line(&w, "unsaved %d", keeper_owes(&saves->keeper));
    for (uint32_t i = 0; i < MODULE_SLOTS; i++)
        if (s.loaded >> i & 1) line(&w, "model%u %s", i + 1, module_slot_name(m, i));
    for (int i = 0; note_kept(i); i++) line(&w, "note %s", note_kept(i));
    text[w.used] = 0;
    return w.used;
}

static int place(struct sockaddr_un *at, const char *path) {
    *at = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof at->sun_path) return 1;
    strcpy(at->sun_path, path);
    return 0;
}

int status_listen(const char *path) {
    struct sockaddr_un at;
    const int file = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (file < 0 || place(&at, path)) return -1;
    unlink(path);
    if (bind(file, (const struct sockaddr *)&at, sizeof at) || listen(file, 4)) {
        close(file);
        return -1;
    }
    chmod(path, 0666); /* it only tells */
    return file;
}

void status_answer(int socket, const tudor_module *m, const struct audio *a, const struct controls *c,
                   const struct saves *saves) {
    static char text[STATUS_BYTES];
    for (int file; (file = accept(socket, 0, 0)) >= 0; close(file)) {
        const int length = status_text(text, STATUS_BYTES, m, a, c, saves);
        send(file, text, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
}

int status_ask(const char *path, char *text, int bytes) {
    struct sockaddr_un at;
    int used = -1;
    const int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct timeval patience = {.tv_sec = 2};
    if (file < 0 || place(&at, path)) return -1;
    setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(file, (const struct sockaddr *)&at, sizeof at) == 0) {
        ssize_t got;
        used = 0;
        while (used < bytes - 1 && (got = recv(file, text + used, (size_t)(bytes - 1 - used), 0)) > 0) used += (int)got;
        text[used] = 0;
    }
    close(file);
    return used > 0 ? used : -1;
}
