/* The rack's models: loaded, taking turns, capturing, and what is kept of what hands have set. */
#include "capture.h"
#include "platform.h"
#include "rack.h"
#include "words.h"

/* As a board would say it of all: here each slot may be asked for by itself. */
static uint32_t stereo_of(const struct rack *r, uint32_t slot) {
    const size_t said = r->stereo ? strlen(r->stereo) : 0;
    return said ? (uint32_t)(r->stereo[slot < said ? slot : said - 1] - '0') : MODULE_STEREO_OFF;
}

static void load(struct rack *r, uint32_t slot, const char *name, const char *map_name) {
    module_complaint why = {0, 0, ""};
    module_need need;
    size_t bytes, map_bytes = 0;
    const void *const file = platform_read(name, &bytes);
    const char *const map = *map_name && strcmp(map_name, "-") ? platform_read(map_name, &map_bytes) : 0;
    r->m->config.stereo = stereo_of(r, slot);
    int error = module_measure(r->m, file, bytes, map, map_bytes, &need, &why);
    if (!error) {
        void *const fast = platform_memory(need.fast_bytes, 1), *const bulk = platform_memory(need.bulk_bytes, 0);
        error = module_load(r->m, slot, name, file, bytes, map, map_bytes, fast, need.fast_bytes, bulk, need.bulk_bytes, &why);
    }
    if (error) {
        platform_print("refused ");
        platform_print(name);
        platform_print(": ");
        platform_print(why.text);
        platform_print("\n");
        print_fact("refused_slot", slot);
        return;
    }
    print_fact("slot", slot);
    print_fact("way", need.way);
    print_fact("latency_samples", need.latency_samples);
    print_fact("strike_samples", need.strike_samples);
    print_fact("ahead_samples", need.ahead_samples);
    print_fact("slices", need.slices);
    print_fact("streams", need.streams);
    print_fact("fast_bytes", need.fast_bytes);
    print_fact("bulk_bytes", need.bulk_bytes);
    const size_t more = r->captures ? capture_bytes(r->m, slot) : 0;
    if (more && capture_open(r->m, slot, platform_memory(more, 0), more)) rack_die("capture", "was refused");
    if (more) print_fact("capture_bytes", more);
}

static _Noreturn void derive(struct rack *r) {
    char name[64], text[4096];
    size_t bytes;
    if (!rack_next(&r->models, name, sizeof name)) rack_die("derive", "wants models=");
    const void *const file = platform_read(name, &bytes);
    if (!module_derive_mapping(r->m, file, bytes, text, sizeof text)) rack_die(name, "is no model that an instrument can play");
    platform_print(text);
    platform_exit(0);
}

void rack_load(struct rack *r) {
    char name[64], map[64];
    if (r->derive) derive(r);
    for (uint32_t slot = 0; rack_next(&r->models, name, sizeof name); slot++) {
        map[0] = 0;
        (void)rack_next(&r->maps, map, sizeof map);
        if (r->turns && slot < MODULE_SLOTS) {
            memcpy(r->turn[slot].name, name, sizeof name);
            memcpy(r->turn[slot].map, map, sizeof map);
            module_offer(r->m, slot, name);
        }
        if (!r->turns || slot == 0) load(r, slot, name, map);
    }
}

/* As a board's control thread does it. */
void rack_take_turns(struct rack *r) {
    const uint32_t wanted = module_wanted(r->m);
    if (wanted == MODULE_SLOTS || module_unload(r->m, r->loaded)) return;
    load(r, wanted, r->turn[wanted].name, r->turn[wanted].map);
    r->loaded = wanted;
}

void rack_restore(struct rack *r) {
    module_complaint why = {0, 0, ""};
    size_t bytes;
    if (!r->restore) return;
    const void *const saved = platform_read(r->restore, &bytes);
    if (!module_restore(r->m, saved, bytes, &why)) return;
    platform_print("refused ");
    platform_print(why.text);
    platform_print("\n");
}

/* Behind the last block, in some more of silence. */
void rack_save(struct rack *r, float *const *out) {
    const size_t room = module_save_bytes(r->m);
    void *const saved = platform_memory(room, 0);
    size_t bytes = 0;
    if (module_save(r->m, saved, room)) rack_die("save", "was refused");
    for (uint32_t i = 0; i < 100 && !bytes; i++) {
        module_process(r->m, 0, out);
        bytes = module_saved(r->m);
    }
    platform_write(r->save, saved, bytes);
}
