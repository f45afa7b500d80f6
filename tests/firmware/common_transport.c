/* The transport alone, driven from a file: the same on every machine.
 *
 *   common_transport EVENTS OUT RATE BLOCK BLOCKS
 *
 * EVENTS holds `struct given` in order of `handed`: a block sees what was handed over before it begins. OUT gets a
 * `struct seen` for every block, as it stands at the block's end. Facts: instructions that the transport's functions take
 * of a block, where they can be counted: their sum over all blocks, the worst one's, and the worst one's of the last half
 * of the blocks. */
#include "platform.h"
#include "transport.h"
#include "words.h"

enum { PULSE = 1, MIDI_PULSE, TAP, DOWNBEAT, MIDI, OWN, HOST };

struct given {
    uint32_t handed, at, kind, number;
    float value, reserved;
};

struct seen {
    uint64_t position;
    uint32_t step, passed; /* half beats passed in the block; 0x100: led, 0x200: stopped */
};

static uint64_t spent, empty; /* instructions: of this block so far; of counting nothing */

static int step(struct transport *t, uint32_t samples) {
    const uint64_t began = platform_count();
    const int passed = transport_step(t, samples);
    spent += platform_count() - began - empty;
    return passed;
}

/* Of what is called, and of calling it. */
typedef void taker(struct transport *t, enum transport_source source, uint32_t per_beat, uint32_t at);
static uint64_t counted(taker *take, struct transport *t, enum transport_source source, uint32_t per_beat, uint32_t at) {
    const uint64_t began = platform_count();
    take(t, source, per_beat, at);
    return platform_count() - began;
}
static void nothing(struct transport *t, enum transport_source source, uint32_t per_beat, uint32_t at) {
    (void)t, (void)source, (void)per_beat, (void)at;
}
static taker *volatile const none = nothing, *volatile const one = transport_pulse;

/* A pulse's own are counted; taps, starts and hosts come too rarely. */
static void pulse(struct transport *t, enum transport_source source, uint32_t per_beat, uint32_t at) {
    spent += counted(one, t, source, per_beat, at) - counted(none, t, source, per_beat, at);
}

static void give(struct transport *t, const struct given *g) {
    switch (g->kind) {
    case PULSE: pulse(t, TRANSPORT_GATE, g->number, g->at); break;
    case MIDI_PULSE: pulse(t, TRANSPORT_MIDI, MIDI_PULSES, g->at); break;
    case TAP: transport_tap(t, g->at); break;
    case DOWNBEAT: transport_downbeat(t, g->at); break;
    case MIDI: transport_midi(t, g->number, (uint32_t)g->value); break;
    case OWN: transport_own(t, g->value); break;
    default: transport_host(t, g->value, (double)(int32_t)g->number / 1024.0, 4, g->value > 0.0f);
    }
}

static uint32_t block_of(struct transport *t, uint32_t block, const struct given *events, uint32_t *next, uint32_t known) {
    uint32_t passed = 0;
    for (uint32_t done = 0, n; done < block; done += n) {
        n = block - done < 16 ? block - done : 16;
        passed += (uint32_t)step(t, n);
        for (; *next < known && (int32_t)(events[*next].at - t->time) <= 0; ++*next) give(t, &events[*next]);
    }
    return passed;
}

void host_main(int count, char **words) {
    uint32_t numbers[3], next = 0, known = 0;
    size_t bytes;
    if (count != 6) platform_exit(1);
    for (int i = 0; i < 3; i++) {
        const char *word = words[3 + i];
        numbers[i] = read_number(&word);
    }
    const struct given *const events = platform_read(words[1], &bytes);
    const uint32_t all = (uint32_t)(bytes / sizeof *events), block = numbers[1], blocks = numbers[2];
    struct seen *const out = platform_memory(blocks * sizeof *out, 0);
    struct transport t;
    transport_start(&t, numbers[0]);
    uint64_t worst = 0, settled = 0, sum = 0;
    empty = platform_count();
    empty = platform_count() - empty;
    for (uint32_t n = 0; n < blocks; n++) {
        while (known < all && events[known].handed <= n * block) known++;
        spent = 0;
        const uint32_t passed = block_of(&t, block, events, &next, known);
        sum += spent;
        if (spent > worst) worst = spent;
        if (n >= blocks / 2 && spent > settled) settled = spent;
        out[n] = (struct seen){t.position, t.step, passed | (transport_is_led(&t) ? 0x100u : 0u) | (t.stopped ? 0x200u : 0u)};
    }
    platform_write(words[2], out, blocks * sizeof *out);
    print_fact("sum", sum);
    print_fact("worst", worst);
    print_fact("settled", settled);
    platform_exit(0);
}
