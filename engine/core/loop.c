/* A loop: rows one after the other, each through all ops that are due in it; and where slices cut it. A row's cost is that
 * of the ops due in it, so one with a slow tier's step may cost more than a slice: it is cut between units of its ops. */
#include "internal.h"

#ifndef TUDOR_NO_LOOP

static const struct op_plan *plans_of(const struct play *p) { return p->ops + p->method->loop_first; }

static int is_due(const struct op_plan *o, uint32_t row) { return o->period <= 1 || (row + 1) % o->period == 0; }

/* What an op is cut into: the panels of a convolution. */
static uint32_t units_in(const struct play *p, uint32_t i) {
    const struct op_plan *o = &plans_of(p)[i];
    return is_conv(&p->first_op[p->method->loop_first + i]) ? o->runs * o->args.conv.end_panel : 1;
}

static uint64_t row_cost(const struct play *p, const struct op_plan *o) {
    return tudor_quotient((uint64_t)o->cost * o->period, p->method->loop_rows) + 1;
}

/* Units `from` to `to` of a row's. */
static void run_row(const struct play *p, uint32_t row, uint32_t from, uint32_t to) {
    const struct format_op *ops = p->first_op + p->method->loop_first;
    const struct op_plan *plans = plans_of(p);
    const int whole = from == 0 && to == UINT32_MAX;
    struct play one = *p;
    one.frames = 1;
    for (uint32_t i = 0, at = 0; i < loop_ops(p->method) && at < to; i++) {
        if (!is_due(&plans[i], row)) continue;
        one.step = plans[i].period > 1 ? row / plans[i].period : row;
        if (whole) {
            tudor_run_op(&one, &ops[i], 0, TUDOR_ALL_UNITS);
            continue;
        }
        const uint32_t count = units_in(p, i), rest = to - at < count ? to - at : count;
        if (from < at + rest) {
            const uint32_t first = from > at ? from - at : 0;
            tudor_run_op(&one, &ops[i], first, first == 0 && rest == count ? TUDOR_ALL_UNITS : rest);
        }
        at += count;
    }
}

void tudor_run_loop(const struct play *p, struct loop_place from, struct loop_place to) {
    uint32_t first = from.unit;
    for (uint32_t row = from.row; row < to.row; row++, first = 0) run_row(p, row, first, UINT32_MAX);
    if (to.unit) run_row(p, to.row, first, to.unit);
}

#define TIERS 4u /* rates of a loop that are told apart */
struct tiers {
    uint32_t count;
    struct { uint64_t cost; uint32_t period; } tier[TIERS]; /* what every `period`th row costs besides */
};

/* Of more rates than fit the rest counts as even. */
static struct tiers tiers_of(const struct play *p) {
    struct tiers s = {.count = 1, .tier = {{1, 1}}}; /* no cost is 0 */
    for (uint32_t i = 0; i < loop_ops(p->method); i++) {
        const struct op_plan *o = &plans_of(p)[i];
        uint32_t k = 0;
        while (k < s.count && s.tier[k].period != o->period) k++;
        if (k == s.count && s.count < TIERS) s.tier[s.count++].period = o->period;
        s.tier[k < TIERS ? k : 0].cost += k < TIERS ? row_cost(p, o) : tudor_quotient(o->cost, p->method->loop_rows);
    }
    return s;
}

static uint64_t rows_cost(const struct tiers *s, uint32_t rows) {
    uint64_t cost = 0;
    for (uint32_t k = 0; k < s->count; k++) cost += s->tier[k].cost * (rows / s->tier[k].period);
    return cost;
}

uint32_t tudor_loop_rows(const struct play *p) { return p->frames * p->method->loop_rows; }

uint64_t tudor_loop_cost(const struct play *p) {
    const struct tiers s = tiers_of(p);
    return rows_cost(&s, tudor_loop_rows(p));
}

/* Units of a row whose middle lies before `ahead`, and what they cost. */
static uint32_t units_before(const struct play *p, uint32_t row, uint64_t ahead, uint64_t *cost) {
    uint32_t units = 0;
    *cost = 0;
    for (uint32_t i = 0; i < loop_ops(p->method); i++) {
        const struct op_plan *o = &plans_of(p)[i];
        if (!is_due(o, row)) continue;
        const uint32_t count = units_in(p, i);
        const uint64_t each = tudor_quotient(row_cost(p, o), count) + 1;
        const uint64_t fit = ahead > *cost ? tudor_quotient(ahead - *cost + each / 2, each) : 0;
        units += fit < count ? (uint32_t)fit : count;
        *cost += each * (fit < count ? fit : count);
        if (fit < count) break;
    }
    return units;
}

struct loop_place tudor_loop_before(const struct play *p, uint64_t ahead, uint64_t *cost) {
    const struct tiers s = tiers_of(p);
    uint32_t low = 0, high = tudor_loop_rows(p); /* rows that are over by then */
    while (low < high) {
        const uint32_t row = low + (high - low) / 2;
        if (rows_cost(&s, row + 1) <= ahead)
            low = row + 1;
        else
            high = row;
    }
    struct loop_place place = {low, 0};
    *cost = rows_cost(&s, low);
    if (low == tudor_loop_rows(p)) return place;
    uint64_t part = 0;
    place.unit = units_before(p, low, ahead - *cost, &part);
    const uint64_t most = rows_cost(&s, low + 1) - *cost;
    *cost += part < most ? part : most;
    return place;
}
#endif
