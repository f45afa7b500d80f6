/* Rows that outlive a block. Every reader sees one straight run: `history` past rows, then the block's own.
 *
 * Sliding (history ≤ largest block): the window moves up the buffer; at the end, or before, the last `history` rows
 * are moved to the front.
 *
 *   | . . h h h B B B . |   ->   | . . . . . h h h B B B |   ->   | h h h B B B . . |
 *
 * Mirrored (long history): the window runs round a period of `history + block` rows, and rows beyond the period are
 * also written one period lower, where the window continues after the wrap. So the cost of a long history is spread
 * evenly over blocks, and no block ever pays for all of it. */
#include "internal.h"

#include <string.h>

static char *ring_of(const struct play *p, uint32_t b) {
    return (p->buffers[b].bulk ? p->bulk_state : p->fast_state) + p->plans[b].offset;
}

static size_t row_bytes(const struct format_buffer *b) { return b->row_stride * number_bytes(b); }

void tudor_rings_begin(const struct play *p) {
    for (uint32_t b = 0; b < p->method->buffers_count; b++) {
        const struct format_buffer *buffer = &p->buffers[b];
        const struct buffer_plan *plan = &p->plans[b];
        if (buffer->history == 0 || plan->period) continue;
        const uint32_t rows = p->frames * buffer->rows;
        /* Turning back early keeps the ring in the nearest cache when blocks are shorter than the largest. */
        uint32_t far = buffer->history > 32 ? buffer->history : 32;
        if (far < 4 * rows) far = 4 * rows;
        if (p->slots[b] < far && p->slots[b] + buffer->history + rows <= plan->capacity_rows) continue;
        char *data = ring_of(p, b);
        memmove(data, data + p->slots[b] * row_bytes(buffer), buffer->history * row_bytes(buffer));
        p->slots[b] = 0;
    }
    tudor_rings_place(p);
}

void tudor_rings_place(const struct play *p) {
    char *arena = p->t->fast + p->t->arena;
    for (uint32_t b = 0; b < p->method->buffers_count; b++) {
        const struct format_buffer *buffer = &p->buffers[b];
        p->plans[b].base = buffer->history
            ? ring_of(p, b) + ((size_t)p->slots[b] + buffer->history) * row_bytes(buffer)
            : arena + (size_t)buffer->arena_offset * p->frames;
    }
}

void tudor_rings_end(const struct play *p) {
    for (uint32_t b = 0; b < p->method->buffers_count; b++) {
        const struct format_buffer *buffer = &p->buffers[b];
        const uint32_t period = p->plans[b].period, rows = p->frames * buffer->rows;
        if (buffer->history == 0) continue;
        if (period) {
            const uint32_t end = p->slots[b] + buffer->history + rows;
            uint32_t first = p->slots[b] + buffer->history;
            if (first < period) first = period;
            if (end > first) {
                char *data = ring_of(p, b);
                const size_t row = row_bytes(buffer);
                memcpy(data + (first - period) * row, data + first * row, (end - first) * row);
            }
        }
        p->slots[b] += rows;
        if (period && p->slots[b] >= period) p->slots[b] -= period;
    }
}
