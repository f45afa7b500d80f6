/* Counts what calls and operations cost. Counting is off until counter_use. */
#ifndef TUDOR_HOST_COUNTER_H
#define TUDOR_HOST_COUNTER_H

#include <stddef.h>
#include <stdint.h>

enum counter_mode {
    COUNTER_OFF,
    COUNTER_CALLS, /* whole calls only: nothing disturbs them */
    COUNTER_OPS    /* each operation too */
};

/* `outside`: an observer counts at platform_mark, and this program reports nothing. */
void counter_use(enum counter_mode mode, int outside);
/* From now on, what each whole call takes is written to `log`, up to `room` of them. */
void counter_log(uint64_t *log, size_t room);
size_t counter_logged(void);
void counter_begin(uint32_t slot);
void counter_end(uint32_t slot);
void counter_report(void);

#endif
