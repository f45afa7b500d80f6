/* What the rack's files share: rack.c says what the program does. */
#ifndef TUDOR_RACK_H
#define TUDOR_RACK_H

#include "instrument.h"

enum { PLANT_LOAD = 100, /* every block from now on takes this share of its time */
       PLANT_MISS,       /* an xrun */
       PLANT_NAN,        /* the model's next output holds what is no number, */
       PLANT_HUGE,       /* or what is far too large */
       HOST_TEMPO,       /* a host's transport runs at this tempo, 0: it is silent, negative: it stands, */
       HOST_BEAT,        /* and is here at the event's time */
       PLANT_EACH };     /* and as much again for each stream of the model that plays */

struct rack {
    module_config config;
    tudor_module *m;
    const module_event *events;
    size_t event_count, next;
    const float *in;
    float *out;
    module_status *trace;
    const char *models, *maps, *events_path, *in_path, *out_path, *trace_path, *calibration, *calibrated, *count,
        *times_path, *restore, *save, *stereo;
    struct { char name[64], map[64]; } turn[MODULE_SLOTS]; /* models that take turns */
    uint32_t turns, loaded, captures; /* captures: what is played in may become a place */
    uint32_t samples, seconds, digest, derive, wet, count_from, marks, tables;
    uint32_t ticks, host_meter;
    float load, load_each, host_tempo;
    double host_beat; /* at the next block's beginning */
};

/* rack.c */
_Noreturn void rack_die(const char *what, const char *why);
/* rack_words.c */
void rack_parse(struct rack *r, int count, char **words);
int rack_next(const char **list, char *name, size_t size); /* the next of a list with commas; 0: there is none */
/* rack_slots.c */
void rack_load(struct rack *r);
void rack_take_turns(struct rack *r);
void rack_restore(struct rack *r);
void rack_save(struct rack *r, float *const *out);
/* rack_script.c */
#define TICKS_PER_SAMPLE 1000u
uint32_t rack_clock(void *context);
void rack_push_due(struct rack *r, uint32_t end);
void rack_run_host(struct rack *r);
float rack_signal(uint32_t i, uint32_t rate, uint32_t channel);

#endif
