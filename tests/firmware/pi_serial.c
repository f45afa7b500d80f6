/* MIDI from a real port, until standard input ends: "ready", what was pushed to the instrument, how many messages.
 *
 *   pi_serial PORT BAUD */
#include "controls.h"
#include "serial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int __wrap_module_push(tudor_module *m, uint32_t lane, const module_event *event);
uint32_t __wrap_module_now(const tudor_module *m);
void __wrap_module_read_status(const tudor_module *m, module_status *status);

int __wrap_module_push(tudor_module *m, uint32_t lane, const module_event *e) {
    (void)m;
    printf("push lane %u at %u midi %02x%02x%02x\n", lane, e->at_samples, e->midi[0], e->midi[1], e->midi[2]);
    return 0;
}

uint32_t __wrap_module_now(const tudor_module *m) { return (void)m, 1000; }
void __wrap_module_read_status(const tudor_module *m, module_status *s) { (void)m, memset(s, 0, sizeof *s); }

static void *until_end(void *context) {
    char byte;
    while (read(0, &byte, 1) > 0) continue;
    ((struct controls *)context)->stop = 1;
    return 0;
}

int main(int argc, char **argv) {
    static struct settings settings;
    static struct controls c;
    pthread_t ends;
    if (argc != 3) return 2;
    settings_default(&settings);
    c = (struct controls){.settings = &settings, .block_samples = 128, .serial = serial_open(argv[1], atoi(argv[2]))};
    if (c.serial < 0) return printf("serial %s\n", strerror(-c.serial)), 0;
    setvbuf(stdout, 0, _IOLBF, 0);
    printf("ready\n");
    pthread_create(&ends, 0, until_end, &c);
    serial_thread(&c);
    pthread_join(ends, 0);
    printf("messages %u\n", (unsigned)c.messages);
    return 0;
}
