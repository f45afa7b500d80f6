/* Gates and buttons: from edges that the kernel stamps to levels that hold.
 *
 * The first edge counts at once. What the same line does in its lock-out after that is bouncing; where it ends up
 * elsewhere than was told, that is told when the lock-out is over. So a pulse that is shorter than the lock-out is
 * seen, lengthened to it. Nothing is asked of the kernel's own debouncing: it counts in ticks of 4 ms, and loses what
 * is over before one has passed. */
#ifndef TUDOR_PI_GATES_H
#define TUDOR_PI_GATES_H

#include "settings.h"

#include <stdint.h>

#define JACK_LOCKOUT_NS 500000u    /* comparators and transistors chatter for less */
#define BUTTON_LOCKOUT_NS 8000000u /* contacts bounce for some milliseconds */
#define NEVER_NS UINT64_MAX

struct gate {
    int line, source, inverted; /* BCM number; gate of the instrument from 0; low means on */
    uint32_t lockout_ns;
    int level, told;     /* of the pin, as last reported; as last told */
    uint64_t until_ns;   /* end of the lock-out */
};

struct gates {
    struct gate gate[MODULE_GATES];
    int count;
};

/* Called with each level that counts: 1 is on. `at_ns` is on the clock of the edges. */
typedef void gate_tell(void *context, int source, int on, uint64_t at_ns);

/* The i-th gate of the settings, which is wired. */
struct gate gates_of(const struct settings *s, int i);

/* Levels from which all starts, bit i for the i-th gate; each is told. */
void gates_start(struct gates *g, uint64_t levels, uint64_t at_ns, gate_tell *tell, void *context);
/* An edge, in the order of time. Lock-outs that ended before it are settled first. */
void gates_edge(struct gates *g, int line, int level, uint64_t at_ns, gate_tell *tell, void *context);
/* Tells what a lock-out has held back until now. */
void gates_settle(struct gates *g, uint64_t now_ns, gate_tell *tell, void *context);
/* When gates_settle is to be called next; NEVER_NS: nothing is held back. */
uint64_t gates_due_ns(const struct gates *g);

/* Reads all edges that wait at `lines` (see gpio.h), and settles. */
void gates_read(struct gates *g, int lines, uint64_t now_ns, gate_tell *tell, void *context);

#endif
