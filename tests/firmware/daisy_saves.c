/* The Daisy's instrument with a flash of its own for saves, told what to do, on any machine. A millisecond is a block.
 *
 *   daisy_saves STORE FLASH OUT DTCM AXI D2 SDRAM WORD...     FLASH: what the ring's sectors hold; OUT: what they then hold
 *
 *   run N       so many blocks       slot N    choose it          knob N V    knob N to V / 1000
 *   loud N      audio in, or none    broken N  the flash keeps nothing, or all
 *   say NAME    prints "NAME_slot", "NAME_saved" and so on */
#include "platform.h"
#include "rig.h"
#include "words.h"

#include <string.h>

static uint8_t *flash;
static uint32_t broken, loud, loud_erases, touched;
static struct rig rig;
static float in[2][RIG_BLOCK], out[2][RIG_BLOCK];
static struct rig_inputs inputs;
static uint32_t now, dark, longest_dry, dry;

static int flash_read(void *context, uint32_t at, void *to, uint32_t bytes) {
    (void)context;
    memcpy(to, flash + at, bytes);
    return 0;
}
static int flash_program(void *context, uint32_t at, const void *from, uint32_t bytes) {
    (void)context;
    for (uint32_t i = 0; i < bytes && !broken; i++) flash[at + i] &= ((const uint8_t *)from)[i];
    touched++;
    return 0;
}
static int flash_erase(void *context, uint32_t at) {
    (void)context;
    if (!broken) memset(flash + at, 0xff, 4096);
    loud_erases += loud;
    return 0;
}

static void say(const char *name, const char *what, uint64_t value) {
    platform_print(name);
    platform_print("_");
    print_fact(what, value);
}

static void run(uint32_t blocks) {
    const float *const from[2] = {in[0], in[1]};
    float *const to[2] = {out[0], out[1]};
    struct rig_outputs outputs;
    module_status s;
    for (uint32_t b = 0; b < blocks; b++, now++) {
        for (uint32_t i = 0; i < RIG_BLOCK; i++)
            in[0][i] = in[1][i] = loud ? (float)((now * RIG_BLOCK + i) * 2654435761u >> 8) * 0x1p-25f - 0.25f : 0.0f;
        rig_block(&rig, &inputs, from, to, &outputs);
        rig_attend(&rig, now);
        dark += !outputs.led;
        module_read_status(rig.m, &s);
        dry = s.wet < 0.5f ? dry + 1 : 0;
        if (dry > longest_dry) longest_dry = dry;
    }
}

static void say_all(const char *name) {
    module_status s;
    module_read_status(rig.m, &s);
    say(name, "slot", s.slot);
    say(name, "state", s.state);
    say(name, "loaded", s.loaded);
    say(name, "latent1", (uint64_t)(s.latent[0] * 1000000.0f));
    say(name, "saved", rig.keeper.ring.saved);
    say(name, "failed", (uint64_t)rig.keeper.failed);
    say(name, "touched", touched);
    say(name, "dark", dark);
    say(name, "dry", longest_dry);
    dark = longest_dry = 0;
}

static uint32_t number_of(const char *word) { return read_number(&word); }

void host_main(int count, char **words) {
    size_t store_bytes, flash_bytes;
    if (count < 8) platform_exit(2);
    struct rig_board board = {.knobs = 4, .cvs = 4, .channels = 2, .own = {platform_memory(160 << 10, 0), 160 << 10},
                              .saved = {platform_memory(64 << 10, 0), 64 << 10}};
    board.store = platform_read(words[1], &store_bytes);
    board.store_bytes = store_bytes;
    const uint8_t *const was = platform_read(words[2], &flash_bytes);
    flash = platform_memory(flash_bytes, 0);
    memcpy(flash, was, flash_bytes);
    board.saves = (save_flash){(uint32_t)flash_bytes, 4096, 64, 0, flash_read, flash_program, flash_erase};
    for (int i = 0; i < RIG_MEMORIES; i++) {
        const size_t bytes = number_of(words[4 + i]);
        board.memory[i] = (struct rig_memory){platform_memory(bytes, 0), bytes};
    }
    inputs.gate[0] = 0;
    if (rig_start(&rig, &board)) platform_exit(3);
    print_fact("fault", rig.fault);
    print_fact("refused", (uint64_t)rig.why.code);
    print_fact("forgot", (uint64_t)rig.forgot.code);
    print_fact("turns", rig.bank.turns);
    for (int i = 8; i + 1 < count; i += 2) {
        const char *const value = words[i + 1];
        if (!strcmp(words[i], "run")) run(number_of(value));
        if (!strcmp(words[i], "loud")) loud = number_of(value);
        if (!strcmp(words[i], "broken")) broken = number_of(value);
        if (!strcmp(words[i], "say")) say_all(value);
        if (!strcmp(words[i], "slot"))
            module_push(rig.m, 0, &(module_event){.kind = MODULE_SELECT, .source = (uint16_t)number_of(value)});
        if (!strcmp(words[i], "knob") && i + 2 < count) {
            inputs.analog[number_of(value)] = (float)number_of(words[i + 2]) / 1000.0f;
            i++;
        }
    }
    print_fact("loud_erases", loud_erases);
    platform_write(words[3], flash, flash_bytes);
    platform_exit(0);
}
