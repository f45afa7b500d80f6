/* The module's way from the kernel's records of edges to events, and what its LEDs say. Records go through a pipe, as
 * the kernel hands them over; what is read from standard input is done line by line:
 *
 *   gates BUTTONS              (once) one gate for each letter, at line 17 and on: j a jack, b a button; low means on
 *   block SAMPLES NS           the audio thread begins a block
 *   wake SAMPLES NS            it wakes up for one, perhaps late
 *   edge LINE LEVEL NS         the kernel writes a record; nothing is read yet
 *   read NS                    the gate thread wakes up
 *   leds SLOT STATE FLAGS CLIPPED MS   what is lit, a bit for each LED
 *
 * Prints "push SOURCE VALUE AT", "due NS" after each read where something is held back, "lit BITS". */
#include "controls.h"
#include "moment.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/gpio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int __wrap_module_push(tudor_module *m, uint32_t lane, const module_event *event);
uint32_t __wrap_module_now(const tudor_module *m);
void __wrap_module_read_status(const tudor_module *m, module_status *status);

int __wrap_module_push(tudor_module *m, uint32_t lane, const module_event *e) {
    (void)m;
    if (lane == LANE_GATES && e->kind == MODULE_GATE)
        printf("push %u %.0f %u\n", e->source, (double)e->value, e->at_samples);
    return 0;
}

uint32_t __wrap_module_now(const tudor_module *m) { return (void)m, 5000; }
void __wrap_module_read_status(const tudor_module *m, module_status *s) { (void)m, memset(s, 0, sizeof *s); }

int main(void) {
    static struct audio audio = {.rate_hz = 48000, .period_samples = 128};
    static struct controls c;
    static struct settings settings;
    char line[200], kinds[MODULE_GATES + 1] = "";
    uint64_t ns = 0, expected = 0;
    unsigned a = 0, b = 0, flags = 0, clipped = 0;
    int pipes[2];
    if (pipe2(pipes, O_NONBLOCK)) return 9;
    settings_default(&settings);
    c = (struct controls){.settings = &settings, .audio = &audio, .rate_hz = 48000, .block_samples = 128,
                          .inputs = pipes[0]};
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "gates %8s", kinds) == 1) {
            char text[300];
            int used = 0;
            for (int i = 0; kinds[i]; i++)
                used += snprintf(text + used, sizeof text - (size_t)used, "gate%d = -gpio%d%s\n", i + 1, 17 + i,
                                 kinds[i] == 'b' ? " button" : "");
            settings_read(&settings, "test", text);
            for (int i = 0; i < settings.complaints; i++) printf("complaint %s\n", settings.complaint[i]);
            for (int i = 0; i < MODULE_GATES; i++)
                if (settings.gate[i].line >= 0) c.gates.gate[c.gates.count++] = gates_of(&settings, i);
            gates_start(&c.gates, ~(uint64_t)0, 1, controls_push_gate, &c);
        } else if (sscanf(line, "block %u %" SCNu64, &a, &ns) == 2) {
            audio.mark = moment_mark(a, ns);
        } else if (sscanf(line, "wake %u %" SCNu64, &a, &ns) == 2) {
            audio.mark = moment_mark(a, moment_began(&expected, ns, (uint64_t)128 * 1000000000u / 48000));
        } else if (sscanf(line, "edge %u %u %" SCNu64, &a, &b, &ns) == 3) {
            const struct gpio_v2_line_event record = {
                .timestamp_ns = ns, .offset = a,
                .id = b ? GPIO_V2_LINE_EVENT_RISING_EDGE : GPIO_V2_LINE_EVENT_FALLING_EDGE};
            if (write(pipes[1], &record, sizeof record) != sizeof record) return 8;
        } else if (sscanf(line, "read %" SCNu64, &ns) == 1) {
            controls_read_gates(&c, ns);
            if (gates_due_ns(&c.gates) != NEVER_NS) printf("due %" PRIu64 "\n", gates_due_ns(&c.gates));
        } else if (sscanf(line, "leds %u %u %u %u %" SCNu64, &a, &b, &flags, &clipped, &ns) == 5) {
            const module_status status = {.slot = a, .state = b, .flags = flags};
            printf("lit %u\n", leds_on(&c.lights, &status, (int)clipped, ns));
        } else {
            return 7;
        }
    }
    return 0;
}
