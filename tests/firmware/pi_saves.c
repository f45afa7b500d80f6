/* The Pi's saves without the Pi: an hour is as long as it takes.
 *
 *   pi_saves PARTITION MODEL KNOB SECONDS     two slots of the model; turns knob 1 from its end to KNOB / 1000, past what
 *                                             was kept, chooses slot 2 (KNOB below 0: touches nothing), and plays */
#include "notes.h"
#include "saves.h"
#include "slots.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int load(tudor_module *m, uint32_t slot, const char *name, const char *path) {
    module_need need;
    size_t bytes;
    char *const file = read_whole(path, &bytes);
    if (!file || module_measure(m, file, bytes, 0, 0, &need, 0)) return 1;
    return module_load(m, slot, name, file, bytes, 0, 0, aligned_alloc(64, need.fast_bytes), need.fast_bytes,
                       aligned_alloc(64, need.bulk_bytes + 64), need.bulk_bytes, 0);
}

int main(int count, char **words) {
    static struct saves saves;
    module_config c;
    tudor_module *m;
    module_status s;
    float out[48];
    float *const to[1] = {out};
    if (count < 5) return 9;
    module_defaults(&c);
    const size_t bytes = (module_bytes(&c) + 63) / 64 * 64;
    if (module_init(&c, aligned_alloc(64, bytes), bytes, &m) || load(m, 0, "a", words[2]) || load(m, 1, "b", words[2]))
        return 8;
    saves_open(&saves, m, words[1]);
    const int knob = atoi(words[3]);
    if (knob >= 0) {
        (void)module_push(m, 0, &(module_event){.kind = MODULE_KNOB, .value = 1.0f});
        (void)module_push(m, 0, &(module_event){.kind = MODULE_KNOB, .value = (float)knob / 1000.0f});
        (void)module_push(m, 0, &(module_event){.kind = MODULE_SELECT, .source = 1});
    }
    uint32_t owed_ms = 0; /* for so long it said that something was not there yet */
    for (uint32_t now = 0; now < 1000u * (uint32_t)atoi(words[4]); now++) {
        module_process(m, 0, to);
        if (now % 20 == 0) saves_attend(&saves, m, now);
        owed_ms += (uint32_t)keeper_owes(&saves.keeper);
    }
    module_read_status(m, &s);
    printf("slot %u\nsaved %u\nfailed %d\nowes %d\nowed_ms %u\n", s.slot, saves.keeper.ring.saved, saves.keeper.failed,
           keeper_owes(&saves.keeper), owed_ms);
    saves_close(&saves);
    return 0;
}
