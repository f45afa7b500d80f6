#include "controls.h"

#include "gpio.h"
#include "notes.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define STEPS 4095
#define DEBOUNCE_US 200 /* short enough for a gate of 1 ms */

static void open_adcs(struct controls *c, const struct settings *s) {
    for (int i = 0; i < MAX_ADCS; i++) {
        c->adc[i].file = -1;
        if (s->adc[i].kind == ADC_NONE) continue;
        const int error = adc_open(&c->adc[i], &s->adc[i]);
        if (error) note("adc%d: %s: %s", i + 1, s->adc[i].path, strerror(error));
    }
}

static void open_gates(struct controls *c, const struct settings *s) {
    int out[LED_COUNT + 1], outs = 0;
    for (int i = 0; i < MODULE_GATES; i++)
        if (s->gate[i].line >= 0) {
            c->input_line[c->input_count] = s->gate[i].line;
            c->input_source[c->input_count] = i;
            c->input_inverted[c->input_count++] = s->gate[i].inverted;
        }
    for (int i = 0; i <= LED_COUNT; i++) {
        const int line = i < LED_COUNT ? s->led[i].line : s->gate_out.line;
        if (line >= 0) out[outs++] = line;
    }
    c->chip = c->input_count + outs ? gpio_chip("/dev") : -1;
    if (c->input_count + outs && c->chip < 0) note("gates and LEDs: no GPIO header was found");
    if (c->chip < 0) return;
    if (c->input_count && (c->inputs = gpio_inputs(c->chip, c->input_line, (unsigned)c->input_count, DEBOUNCE_US)) < 0)
        note("gates: the pins cannot be had: %s", strerror(errno));
    if (outs && (c->outputs = gpio_outputs(c->chip, out, (unsigned)outs)) < 0)
        note("LEDs: the pins cannot be had: %s", strerror(errno));
}

static void open_midi(struct controls *c) {
    const struct alsa_api *const api = c->api;
    if (api->snd_seq_open(&c->sequencer, "default", SND_SEQ_OPEN_DUPLEX, 0) < 0) {
        c->sequencer = 0;
        note("MIDI: this kernel has no ALSA sequencer (modprobe snd-seq)");
        return;
    }
    api->snd_seq_set_client_name(c->sequencer, "tudor");
    c->port = api->snd_seq_create_simple_port(c->sequencer, "in", SND_SEQ_PORT_CAP_WRITE | SND_SEQ_PORT_CAP_SUBS_WRITE,
                                              SND_SEQ_PORT_TYPE_MIDI_GENERIC | SND_SEQ_PORT_TYPE_APPLICATION);
    api->snd_seq_connect_from(c->sequencer, c->port, SND_SEQ_CLIENT_SYSTEM, SND_SEQ_PORT_SYSTEM_ANNOUNCE);
}

void controls_open(struct controls *c, struct settings *settings, const struct alsa_api *api) {
    *c = (struct controls){.settings = settings, .api = api, .chip = -1, .inputs = -1, .outputs = -1};
    for (int i = 0; i < MODULE_KNOBS; i++) c->knob[i] = -1;
    for (int i = 0; i < MODULE_CVS; i++) c->cv[i] = -1;
    open_adcs(c, settings);
    open_gates(c, settings);
    if (strcmp(settings->midi, "off")) open_midi(c);
}

/* Stamped one block ahead: every control is late by the same time, without jitter. */
static void push(struct controls *c, uint32_t lane, uint16_t kind, int source, float value) {
    const module_event event = {.at_samples = module_now(c->m) + c->block_samples, .kind = kind,
                                .source = (uint16_t)source, .value = value};
    module_push(c->m, lane, &event);
}

/* Reads one input; pushes it if it has moved by a step. A CV is centred: -1 to 1. */
static void read_pin(struct controls *c, const struct analog_pin *pin, _Atomic int *shown, uint16_t kind, int source) {
    if (pin->adc < 0) return;
    const float value = adc_read(&c->adc[pin->adc], pin->channel);
    c->readings++;
    if (value < 0.0f) {
        c->read_errors++;
        return;
    }
    const float upright = pin->inverted ? 1.0f - value : value;
    const int steps = (int)(upright * STEPS + 0.5f);
    if (steps == *shown) return;
    *shown = steps;
    push(c, LANE_ANALOG, kind, source, kind == MODULE_CV ? 2.0f * upright - 1.0f : upright);
}

void controls_read_analog(struct controls *c) {
    for (int i = 0; i < MODULE_KNOBS; i++) read_pin(c, &c->settings->knob[i], &c->knob[i], MODULE_KNOB, i);
    for (int i = 0; i < MODULE_CVS; i++) read_pin(c, &c->settings->cv[i], &c->cv[i], MODULE_CV, i);
}

static void *analog_thread(void *context) {
    struct controls *const c = context;
    const long step_ns = 1000000000L / c->settings->control_hz;
    struct timespec next;
    prctl(PR_SET_NAME, "tudor-analog");
    clock_gettime(CLOCK_MONOTONIC, &next);
    while (!c->stop) {
        controls_read_analog(c);
        next.tv_nsec += step_ns;
        while (next.tv_nsec >= 1000000000L) next.tv_nsec -= 1000000000L, next.tv_sec++;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, 0);
    }
    return 0;
}

static void push_gate(struct controls *c, int index, int level) {
    push(c, LANE_GATES, MODULE_GATE, c->input_source[index], level != c->input_inverted[index] ? 1.0f : 0.0f);
}

static void *gate_thread(void *context) {
    struct controls *const c = context;
    struct pollfd wait = {.fd = c->inputs, .events = POLLIN};
    uint64_t levels;
    prctl(PR_SET_NAME, "tudor-gates");
    if (gpio_get(c->inputs, (unsigned)c->input_count, &levels) == 0)
        for (int i = 0; i < c->input_count; i++) push_gate(c, i, levels >> i & 1);
    while (!c->stop) {
        int line, level;
        if (poll(&wait, 1, 200) <= 0) continue;
        while (gpio_edge(c->inputs, &line, &level)) {
            c->edges++;
            for (int i = 0; i < c->input_count; i++)
                if (c->input_line[i] == line) push_gate(c, i, level);
        }
    }
    return 0;
}

void controls_midi_bytes(struct controls *c, module_midi *parser, const unsigned char *bytes, long count) {
    for (long i = 0; i < count; i++) {
        module_event event;
        if (!module_midi_byte(parser, bytes[i], &event)) continue;
        event.at_samples = module_now(c->m) + c->block_samples;
        c->messages++;
        module_push(c->m, LANE_MIDI, &event);
    }
}

/* Listens to every port of every client that can be listened to, but our own and the system's. */
static void connect_all(struct controls *c) {
    const struct alsa_api *const api = c->api;
    const unsigned wanted = SND_SEQ_PORT_CAP_READ | SND_SEQ_PORT_CAP_SUBS_READ;
    snd_seq_client_info_t *const client = calloc(1, api->snd_seq_client_info_sizeof());
    snd_seq_port_info_t *const port = calloc(1, api->snd_seq_port_info_sizeof());
    const int self = api->snd_seq_client_id(c->sequencer);
    if (client && port) {
        api->snd_seq_client_info_set_client(client, -1);
        while (api->snd_seq_query_next_client(c->sequencer, client) >= 0) {
            const int number = api->snd_seq_client_info_get_client(client);
            if (number == SND_SEQ_CLIENT_SYSTEM || number == self) continue;
            api->snd_seq_port_info_set_client(port, number);
            api->snd_seq_port_info_set_port(port, -1);
            while (api->snd_seq_query_next_port(c->sequencer, port) >= 0)
                if ((api->snd_seq_port_info_get_capability(port) & wanted) == wanted)
                    api->snd_seq_connect_from(c->sequencer, c->port, number, api->snd_seq_port_info_get_port(port));
        }
    }
    free(client);
    free(port);
}

static void *midi_thread(void *context) {
    struct controls *const c = context;
    module_midi parser = {0};
    snd_midi_event_t *decoder = 0;
    struct pollfd wait[4];
    const int count = c->api->snd_seq_poll_descriptors(c->sequencer, wait, 4, POLLIN);
    prctl(PR_SET_NAME, "tudor-midi");
    if (c->api->snd_midi_event_new(64, &decoder) < 0) return 0;
    c->api->snd_midi_event_no_status(decoder, 1);
    connect_all(c);
    while (!c->stop) {
        snd_seq_event_t *event;
        unsigned char bytes[64];
        if (poll(wait, (nfds_t)count, 200) <= 0 || c->api->snd_seq_event_input(c->sequencer, &event) < 0) continue;
        if (event->type == SND_SEQ_EVENT_PORT_START)
            connect_all(c);
        else
            controls_midi_bytes(c, &parser, bytes, c->api->snd_midi_event_decode(decoder, bytes, sizeof bytes, event));
    }
    return 0;
}

int controls_start(struct controls *c, tudor_module *m, uint32_t block_samples) {
    void *(*const run[3])(void *) = {analog_thread, c->inputs >= 0 ? gate_thread : 0, c->sequencer ? midi_thread : 0};
    c->m = m;
    c->block_samples = block_samples;
    for (int i = 0; i < 3; i++) {
        if (!run[i]) continue;
        if (pthread_create(&c->thread[c->threads], 0, run[i], c)) return 1;
        c->threads++;
    }
    return 0;
}

void controls_stop(struct controls *c) {
    c->stop = 1;
    for (int i = 0; i < c->threads; i++) pthread_join(c->thread[i], 0);
    for (int i = 0; i < MAX_ADCS; i++) adc_close(&c->adc[i]);
    if (c->sequencer) c->api->snd_seq_close(c->sequencer);
    const int files[3] = {c->chip, c->inputs, c->outputs};
    for (int i = 0; i < 3; i++)
        if (files[i] >= 0) close(files[i]);
}

void controls_show(struct controls *c, const module_status *status) {
    const struct settings *const s = c->settings;
    const int on[LED_COUNT + 1] = {
        status->state == MODULE_PLAYING || (status->state == MODULE_CHANGING && status->blocks / 64 % 2),
        status->state == MODULE_OVERLOAD || status->state == MODULE_RECOVERING || status->state == MODULE_EMPTY,
        (status->flags & MODULE_LIMITING) != 0, status->envelope > 0.1f};
    uint64_t levels = 0;
    unsigned bit = 0;
    for (int i = 0; i <= LED_COUNT; i++) {
        const struct digital_pin *const pin = i < LED_COUNT ? &s->led[i] : &s->gate_out;
        if (pin->line < 0) continue;
        levels |= (uint64_t)(on[i] != pin->inverted) << bit++;
    }
    if (c->outputs >= 0 && bit) gpio_set(c->outputs, levels, ((uint64_t)1 << bit) - 1);
}
