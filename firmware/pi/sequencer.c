#include "sequencer.h"

#include "moment.h"
#include "notes.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/prctl.h>

void sequencer_open(struct controls *c) {
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

void controls_midi_bytes(struct controls *c, uint32_t lane, module_midi *parser, const unsigned char *bytes, long count) {
    for (long i = 0; i < count; i++) {
        module_event event;
        if (!module_midi_byte(parser, bytes[i], &event)) continue;
        event.at_samples = controls_stamp(c, moment_now_ns());
        c->messages++;
        module_push(c->m, lane, &event);
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

void *sequencer_thread(void *context) {
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
            controls_midi_bytes(c, LANE_MIDI, &parser, bytes,
                                c->api->snd_midi_event_decode(decoder, bytes, sizeof bytes, event));
    }
    return 0;
}
