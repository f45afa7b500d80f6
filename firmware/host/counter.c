#include "counter.h"

#include "internal.h" /* of the runtime: operations are counted where the player runs them */
#include "platform.h"
#include "tally.h"
#include "words.h"

static struct {
    enum counter_mode mode;
    int outside;
    struct tally tallies[TALLY_SLOTS];
    uint64_t *log;
    size_t room, logged;
} counter;

void counter_use(enum counter_mode mode, int outside) {
    counter.mode = mode;
    counter.outside = outside;
    if (mode == COUNTER_OFF) return;
    for (int i = 0; i < 4; i++) { /* what counting nothing costs, to be taken off all else */
        counter_begin(TALLY_EMPTY);
        counter_end(TALLY_EMPTY);
    }
}

void counter_log(uint64_t *log, size_t room) {
    counter.log = log;
    counter.room = room;
    counter.logged = 0;
}

size_t counter_logged(void) { return counter.logged; }

void counter_begin(uint32_t slot) {
    if (counter.mode == COUNTER_OFF || slot >= TALLY_SLOTS) return;
    if (counter.outside)
        platform_mark(slot, 1);
    else
        tally_begin(&counter.tallies[slot], platform_count());
}

void counter_end(uint32_t slot) {
    if (counter.mode == COUNTER_OFF || slot >= TALLY_SLOTS) return;
    if (counter.outside)
        platform_mark(slot, 0);
    else {
        const uint64_t now = platform_count(), spent = now - counter.tallies[slot].start;
        tally_end(&counter.tallies[slot], now);
        if (slot == TALLY_CALLS && counter.logged < counter.room) counter.log[counter.logged++] = spent;
    }
}

void counter_report(void) {
    if (counter.mode == COUNTER_OFF || counter.outside) return;
    platform_print("unit ");
    platform_print(platform_unit());
    platform_print("\n");
    for (uint32_t slot = 0; slot < TALLY_SLOTS; slot++) {
        const struct tally *t = &counter.tallies[slot];
        if (!t->calls) continue;
        platform_print("tally ");
        print_number(slot);
        const uint64_t numbers[] = {t->calls, t->sum, t->worst};
        for (int i = 0; i < 3; i++) {
            platform_print(" ");
            print_number(numbers[i]);
        }
        platform_print("\n");
    }
}

/* The linker hands every call of tudor_run_op to the first of these (--wrap): the runtime needs no hooks. */
void tudor_run_op_wrapped(const struct play *p, const struct format_op *op, uint32_t first_unit, uint32_t end_unit)
    __asm__("__wrap_tudor_run_op");
void tudor_run_op_itself(const struct play *p, const struct format_op *op, uint32_t first_unit, uint32_t end_unit)
    __asm__("__real_tudor_run_op");

void tudor_run_op_wrapped(const struct play *p, const struct format_op *op, uint32_t first_unit, uint32_t end_unit) {
    if (counter.mode != COUNTER_OPS) {
        tudor_run_op_itself(p, op, first_unit, end_unit);
        return;
    }
    const uint32_t slot = TALLY_OPS + (uint32_t)(op - ops_of(&p->t->model, p->method));
    counter_begin(slot);
    tudor_run_op_itself(p, op, first_unit, end_unit);
    counter_end(slot);
}
