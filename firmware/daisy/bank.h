/* The models of a store in the slots: all prepared where each finds the memory that it would have alone, else they take
 * turns in it. */
#ifndef TUDOR_DAISY_BANK_H
#define TUDOR_DAISY_BANK_H

#include "memory.h"
#include "apart.h"
#include "store.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where a model lies; one whose file lies nowhere is played from the store itself. */
struct bank_places {
    enum rig_place fast, bulk, file;
    uint32_t parts[RIG_MEMORIES]; /* bytes of weights that lie apart from the file, in quicker memories */
};

struct bank {
    struct store store;
    struct rig_memory memory[RIG_MEMORIES];
    tudor_model model[STORE_MODELS]; /* as they lie in the store */
    module_need need[STORE_MODELS];
    uint32_t playable; /* bits of models that the instrument takes */
    uint32_t turns;    /* not 0: only one is prepared, */
    uint32_t loaded;   /* this one */
    struct apart apart; /* of the model that is being placed */
    struct bank_places places[STORE_MODELS]; /* of those that are or were prepared */
};

/* Measures them all and decides. What is wrong with the first that cannot be played is in `why`. */
void bank_open(struct bank *bank, tudor_module *m, module_complaint *why);
/* Prepares the models; of those that take turns the one that the instrument wants, or the first. */
void bank_begin(struct bank *bank, tudor_module *m, module_complaint *why);
/* To be called again and again, not from the audio interrupt: loads what the instrument waits for. */
void bank_attend(struct bank *bank, tudor_module *m);
/* Whether a model that is prepared is read from the store. */
int bank_reads_store(const struct bank *bank);

#ifdef __cplusplus
}
#endif

#endif
