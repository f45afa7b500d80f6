/* Capture: what is played into the instrument from a bar line on becomes the place of a loop, so that a model of loops goes
 * on from it. For boards that have time and memory beside the sound (a Pi, a desktop); a Daisy has no use for it.
 *
 *   size_t bytes = capture_bytes(m, slot);                // behind module_load; 0: this model finds no code in a sound
 *   capture_open(m, slot, memory, bytes);                 // yours again when the slot has been unloaded
 *   capture_attend(m);                                    // the control thread, again and again
 *
 * The gate's action `capture` has the audio thread record a window (as long as the model's `embed` wants it); the control
 * thread then finds its code with an instance of its own, which may take a while; and the audio thread jumps there. */
#ifndef TUDOR_MODULE_CAPTURE_H
#define TUDOR_MODULE_CAPTURE_H

#include "module.h"

#ifdef __cplusplus
extern "C" {
#endif

/* All of the control thread's. */
size_t capture_bytes(const tudor_module *m, uint32_t slot);
int capture_open(tudor_module *m, uint32_t slot, void *memory, size_t bytes);
/* 1: a place was found just now. */
int capture_attend(tudor_module *m);

#ifdef __cplusplus
}
#endif
#endif
