#include "controls.h"

#include "gpio.h"
#include "moment.h"
#include "notes.h"
#include "sequencer.h"
#include "serial.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define STEPS 4095
#define LATE_MS 20            /* a converter that is not done by then has failed */
#define IDLE_NS 200000000u    /* how long a thread sleeps before it looks whether to stop */
#define BELOW_AUDIO 10        /* the gate thread's priority, under the audio thread's */
#define GATE_OUT_LEVEL 0.1f   /* of the follower */
#define CLIPS 0.985f          /* of the input, which has no room above full scale */

static void open_adcs(struct controls *c, const struct settings *s) {
    for (int i = 0; i < MAX_ADCS; i++) {
        c->adc[i].file = -1;
        if (s->adc[i].kind == ADC_NONE) continue;
        const int error = adc_open(&c->adc[i], &s->adc[i]);
        if (error) note("adc%d: %s: %s", i + 1, s->adc[i].path, strerror(error));
    }
}

static int take_outputs(struct controls *c, const int *lines, unsigned count, const char *what) {
    const int file = count ? gpio_outputs(c->chip, lines, count) : -1;
    if (count && file < 0) note("%s: the pins cannot be had: %s", what, strerror(errno));
    return file;
}

static void open_pins(struct controls *c, const struct settings *s) {
    int in[MODULE_GATES], out[LED_COUNT];
    unsigned ins = 0, outs = 0;
    for (int i = 0; i < MODULE_GATES; i++)
        if (s->gate[i].line >= 0) {
            in[ins++] = s->gate[i].line;
            c->gates.gate[c->gates.count++] = gates_of(s, i);
        }
    for (int i = 0; i < LED_COUNT; i++)
        if (s->led[i].line >= 0) out[outs++] = s->led[i].line;
    if (!ins && !outs && s->gate_out.line < 0) return;
    if ((c->chip = gpio_chip("/dev")) < 0) {
        note("gates and LEDs: no GPIO header was found");
        return;
    }
    if (ins && (c->inputs = gpio_inputs(c->chip, in, ins)) < 0)
        note("gates: the pins cannot be had: %s", strerror(errno));
    c->leds = take_outputs(c, out, outs, "LEDs");
    c->gate_out = take_outputs(c, &s->gate_out.line, s->gate_out.line >= 0, "gate_out");
}

void controls_open(struct controls *c, struct settings *settings, const struct alsa_api *api) {
    *c = (struct controls){.settings = settings, .api = api, .chip = -1, .inputs = -1, .leds = -1,
                           .gate_out = -1, .gate_shown = -1, .serial = -1};
    for (int i = 0; i < MODULE_KNOBS; i++) c->knob[i] = -1;
    for (int i = 0; i < MODULE_CVS; i++) c->cv[i] = -1;
    open_adcs(c, settings);
    open_pins(c, settings);
    for (int i = 0; i < MAX_ADCS; i++) c->turn[i].pin = -1;
    if (!strcmp(settings->midi, "off")) return;
    sequencer_open(c);
    if (!strcmp(settings->midi_port, "off")) return;
    c->serial = serial_open(settings->midi_port, settings->midi_baud);
    if (c->serial < 0) note("midi_port = %s: %s", settings->midi_port, strerror(-c->serial));
}

/* Where the audio thread has left no mark, as near as its count of blocks goes. */
uint32_t controls_stamp(const struct controls *c, uint64_t at_ns) {
    uint32_t at;
    const uint64_t mark = c->audio ? c->audio->mark : 0;
    if (!moment_samples(mark, c->rate_hz, 4 * c->block_samples, at_ns, &at)) at = module_now(c->m);
    return at + c->block_samples;
}

static void push(struct controls *c, uint32_t lane, uint16_t kind, int source, float value, uint32_t at_samples) {
    const module_event event = {.at_samples = at_samples, .kind = kind, .source = (uint16_t)source, .value = value};
    module_push(c->m, lane, &event);
}

/* ---- knobs and CVs ---- */

static const struct analog_pin *pin_of(const struct controls *c, int i) {
    return i < MODULE_KNOBS ? &c->settings->knob[i] : &c->settings->cv[i - MODULE_KNOBS];
}

/* A reading of the i-th pin; pushed if it has moved: a knob by a step, a CV, which is centred, by what steady.h says. */
static void take_reading(struct controls *c, int i, float value) {
    const int is_knob = i < MODULE_KNOBS, source = is_knob ? i : i - MODULE_KNOBS;
    _Atomic int *const shown = is_knob ? &c->knob[source] : &c->cv[source];
    c->readings++;
    if (value < 0.0f) {
        c->read_errors++;
        return;
    }
    const float upright = pin_of(c, i)->inverted ? 1.0f - value : value;
    const int steps = (int)(upright * STEPS + 0.5f), moved = steps != *shown;
    *shown = steps;
    if (is_knob && moved) push(c, LANE_ANALOG, MODULE_KNOB, source, upright, controls_stamp(c, moment_now_ns()));
    if (is_knob) return;
    struct steady *const steady = &c->steady[source];
    const int tell = steady_take(steady, 2.0f * upright - 1.0f);
    c->level[source] = steady->mean;
    if (tell) push(c, LANE_ANALOG, MODULE_CV, source, steady->told, controls_stamp(c, moment_now_ns()));
}

/* Takes what the converter has been busy with since the last round, and begins the next of its inputs. */
static void take_turn(struct controls *c, int a) {
    struct turn *const turn = &c->turn[a];
    if (turn->pin >= 0) {
        const float value = adc_collect(&c->adc[a]);
        if (value == (float)-EAGAIN && ++turn->late <= LATE_MS * c->settings->control_hz / 1000 + 1) return;
        take_reading(c, turn->pin, value);
    }
    turn->late = 0;
    for (int tried = 0; tried < PINS; tried++) {
        turn->pin = (turn->pin + 1) % PINS;
        const struct analog_pin *const pin = pin_of(c, turn->pin);
        if (pin->adc != a) continue;
        if (!adc_begin(&c->adc[a], pin->channel)) return;
        take_reading(c, turn->pin, (float)-EIO);
        break;
    }
    turn->pin = -1;
}

void controls_read_analog(struct controls *c) {
    for (int i = 0; i < PINS; i++) {
        const struct analog_pin *const pin = pin_of(c, i);
        if (pin->adc >= 0 && c->settings->adc[pin->adc].kind == ADC_MCP3208)
            take_reading(c, i, adc_read(&c->adc[pin->adc], pin->channel, i < MODULE_KNOBS ? 1 : ADC_TIMES));
    }
    for (int a = 0; a < MAX_ADCS; a++)
        if (c->settings->adc[a].kind > ADC_MCP3208) take_turn(c, a);
}

static struct timespec timespec_of(uint64_t ns) {
    return (struct timespec){(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
}

static void *analog_thread(void *context) {
    struct controls *const c = context;
    const uint64_t step_ns = 1000000000u / (uint64_t)c->settings->control_hz;
    prctl(PR_SET_NAME, "tudor-analog");
    for (uint64_t next = moment_now_ns(); !c->stop;) {
        controls_read_analog(c);
        next += step_ns;
        const uint64_t now = moment_now_ns();
        if (now > next) next = now; /* a sweep took longer: nothing is caught up with */
        const struct timespec at = timespec_of(next);
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, 0);
    }
    return 0;
}

/* ---- gates ---- */

void controls_push_gate(void *context, int source, int on, uint64_t at_ns) {
    struct controls *const c = context;
    uint32_t at = controls_stamp(c, at_ns);
    if ((int32_t)(at - c->gates_last) < 0 && (int32_t)(c->gates_last - at) < (int32_t)c->block_samples)
        at = c->gates_last; /* the marks shake by a little */
    c->gates_last = at;
    push(c, LANE_GATES, MODULE_GATE, source, on ? 1.0f : 0.0f, at);
    c->edges++;
}

void controls_read_gates(struct controls *c, uint64_t now_ns) {
    gates_read(&c->gates, c->inputs, now_ns, controls_push_gate, c);
}

void controls_after_block(struct controls *c) {
    module_status status;
    module_read_status(c->m, &status);
    if ((status.flags & MODULE_LIMITING) || status.in_peak >= CLIPS) c->clipped = 1;
    const int on = (status.envelope > GATE_OUT_LEVEL) != c->settings->gate_out.inverted;
    if (c->gate_out < 0 || c->gate_shown == on) return;
    c->gate_shown = on;
    gpio_set(c->gate_out, (uint64_t)on, 1);
}

/* How long until the block that was last marked is surely done. `seen`: the mark of the block that was looked after
 * last; the thread's own clock stays with the audio's. */
static uint64_t block_due_ns(const struct controls *c, uint64_t *seen, uint64_t now_ns) {
    const uint64_t block_ns = (uint64_t)c->block_samples * 1000000000u / c->rate_hz, mark = c->audio->mark;
    const uint32_t age_ns = (uint32_t)now_ns - (uint32_t)mark;
    if (mark == *seen) return block_ns / 8; /* no block has begun since */
    if (age_ns < block_ns) return block_ns - age_ns;
    *seen = mark;
    return 0;
}

/* Edges as they come, and the gate output once a block: at the end of its time, which is always as long before the
 * sound comes out. */
static void *gate_thread(void *context) {
    struct controls *const c = context;
    struct pollfd wait = {.fd = c->inputs, .events = POLLIN};
    const struct sched_param urgency = {.sched_priority = c->settings->priority - BELOW_AUDIO};
    uint64_t levels, seen = 0;
    prctl(PR_SET_NAME, "tudor-gates");
    if (urgency.sched_priority > 0) sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &urgency);
    if (c->inputs >= 0 && gpio_get(c->inputs, (unsigned)c->gates.count, &levels) == 0)
        gates_start(&c->gates, levels, moment_now_ns(), controls_push_gate, c);
    while (!c->stop) {
        uint64_t now = moment_now_ns(), due = gates_due_ns(&c->gates);
        uint64_t sleep_ns = due == NEVER_NS ? IDLE_NS : due > now ? due - now : 0;
        const uint64_t block_ns = c->audio->mark ? block_due_ns(c, &seen, now) : IDLE_NS;
        if (!block_ns) controls_after_block(c);
        if (block_ns < sleep_ns) sleep_ns = block_ns;
        const struct timespec most = timespec_of(sleep_ns);
        ppoll(&wait, c->inputs >= 0, &most, 0);
        controls_read_gates(c, moment_now_ns());
    }
    return 0;
}

int controls_start(struct controls *c, tudor_module *m, const struct audio *audio) {
    void *(*const run[4])(void *) = {analog_thread, c->chip >= 0 ? gate_thread : 0, c->sequencer ? sequencer_thread : 0,
                                     c->serial >= 0 ? serial_thread : 0};
    c->m = m;
    c->audio = audio;
    c->block_samples = audio->period_samples;
    c->rate_hz = audio->rate_hz;
    for (int i = 0; i < 4; i++) {
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
    const int files[5] = {c->chip, c->inputs, c->leds, c->gate_out, c->serial};
    for (int i = 0; i < 5; i++)
        if (files[i] >= 0) close(files[i]);
}

void controls_show(struct controls *c, const module_status *status, uint64_t now_ms) {
    const int clipped = atomic_exchange(&c->clipped, 0) || (status->flags & MODULE_LIMITING);
    const uint32_t on = leds_on(&c->lights, status, clipped, now_ms);
    uint64_t levels = 0;
    unsigned bit = 0;
    for (int i = 0; i < LED_COUNT; i++) {
        const struct digital_pin *const pin = &c->settings->led[i];
        if (pin->line >= 0) levels |= (uint64_t)((on >> i & 1) != (uint32_t)pin->inverted) << bit++;
    }
    if (c->leds >= 0 && bit) gpio_set(c->leds, levels, ((uint64_t)1 << bit) - 1);
}
