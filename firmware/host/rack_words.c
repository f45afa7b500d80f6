/* The rack's command line. */
#include "counter.h"
#include "rack.h"
#include "rack_counts.h"
#include "words.h"

static const char *value_of(const char *word, const char *name) {
    const size_t length = strlen(name);
    return strncmp(word, name, length) == 0 && word[length] == '=' ? word + length + 1 : 0;
}

void rack_parse(struct rack *r, int count, char **words) {
    module_config *const c = &r->config;
    const struct { const char *name; const char **to; } paths[] = {
        {"models", &r->models}, {"maps", &r->maps}, {"events", &r->events_path}, {"in", &r->in_path},
        {"out", &r->out_path}, {"trace", &r->trace_path}, {"calibration", &r->calibration},
        {"calibrated", &r->calibrated}, {"count", &r->count}, {"times", &r->times_path},
        {"restore", &r->restore}, {"save", &r->save}, {"stereo", &r->stereo}};
    const struct { const char *name; uint32_t *to; } numbers[] = {
        {"rate", &c->sample_rate_hz}, {"block", &c->block_samples}, {"seconds", &r->seconds}, {"channels", &c->in_channels},
        {"taps", &c->resample_taps}, {"overlap", &c->overlap}, {"fade", &c->fade_ms}, {"seed", &c->seed},
        {"digest", &r->digest}, {"derive", &r->derive}, {"lane", &c->lane_events}, {"from", &r->count_from},
        {"marks", &r->marks}, {"tables", &r->tables}, {"heard", &c->heard_samples}, {"meter", &r->host_meter},
        {"turns", &r->turns}, {"slots", &c->slots}, {"catch", &c->catch_up},
        {"captures", &r->captures}, {"burst", &c->burst_macs}, {"wet", &r->wet}, {"ahead", &c->ahead}};
    for (int i = 1; i < count; i++) {
        const char *value;
        int known = 0;
        for (size_t k = 0; k < sizeof paths / sizeof *paths; k++)
            if ((value = value_of(words[i], paths[k].name)) != 0) *paths[k].to = value, known = 1;
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
            if ((value = value_of(words[i], numbers[k].name)) != 0) {
                *numbers[k].to = read_number(&value);
                if (*value == ',') value++, c->out_channels = read_number(&value);
                known = 1;
            }
        if (!known) rack_die(words[i], "no such option");
    }
    if (r->tables) c->resample_bytes = r->tables;
    if (r->count && !rack_counts_choose(r->count)) rack_die(r->count, "no such part");
}

/* Copies the next of a comma-separated list; 0: there is none. */
int rack_next(const char **list, char *name, size_t size) {
    size_t i = 0;
    if (!*list || !**list) return 0;
    for (; **list && **list != ','; (*list)++)
        if (i + 1 < size) name[i++] = **list;
    if (**list == ',') (*list)++;
    name[i] = 0;
    return 1;
}
