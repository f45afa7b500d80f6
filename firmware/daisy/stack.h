/* How deep a stack ever was: painted before, looked at behind. */
#ifndef TUDOR_DAISY_STACK_H
#define TUDOR_DAISY_STACK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Paints from `low`, the stack's end, up to `here`, below which nothing lives yet. */
void stack_paint(uint32_t *low, const uint32_t *here);
/* Bytes below `top`, where it begins, that were ever written. All of it: it was full, or more than that. */
size_t stack_deepest(const uint32_t *low, const uint32_t *top);

#ifdef __cplusplus
}
#endif

#endif
