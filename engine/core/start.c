/* What a fresh stream begins with, as a file may say it: state words, then of each ring its history, oldest row first.
 * A fresh ring's window is at its front, so a start fits whatever blocks the instance is made for. */
#include "internal.h"

#include <string.h>

static size_t history_bytes(const struct format_buffer *b) {
    return (size_t)b->history * b->row_stride * number_bytes(b);
}

/* In the file: whole words. */
static uint64_t stored_bytes(const struct format_buffer *b) {
    return ((uint64_t)b->history * b->row_stride * number_bytes(b) + 3) / 4 * 4;
}

uint64_t tudor_start_bytes(const tudor_model *model, const struct format_method *m) {
    uint64_t bytes = (uint64_t)m->state_words * sizeof(float);
    for (uint32_t b = 0; b < m->buffers_count; b++) bytes += stored_bytes(&buffers_of(model, m)[b]);
    return bytes;
}

static int all_finite(const float *x, uint64_t count) {
    for (uint64_t i = 0; i < count; i++)
        if (!(x[i] >= -0x1.fffffep127f && x[i] <= 0x1.fffffep127f)) return 0;
    return 1;
}

int tudor_start_damaged(const tudor_model *model, const struct format_method *m) {
    if (m->start == 0) return 0;
    if (tudor_weights_outside(header_of(model), m->start - 1, tudor_start_bytes(model, m))) return 1;
    const float *x = weights_at(model, m->start - 1);
    if (!all_finite(x, m->state_words)) return 1;
    x += m->state_words;
    for (uint32_t b = 0; b < m->buffers_count; b++) {
        const struct format_buffer *buffer = &buffers_of(model, m)[b];
        const uint64_t words = stored_bytes(buffer) / sizeof *x;
        if (buffer->type == FORMAT_ROWS_FLOAT32 && !all_finite(x, words)) return 1;
        x += words;
    }
    return 0;
}

/* Where a stream's state words are, and where the past rows of one of its rings begin. */
static char *words_of(const tudor *t, uint32_t index, uint32_t stream) {
    const struct method_plan *plan = &t->plans[index];
    return t->fast + plan->fast_state + stream * plan->fast_state_bytes + plan->words;
}

static char *rows_of(const tudor *t, uint32_t index, uint32_t stream, uint32_t b) {
    const struct method_plan *plan = &t->plans[index];
    const struct format_buffer *buffer = &buffers_of(&t->model, method_of(&t->model, index))[b];
    char *const fast = t->fast + plan->fast_state + stream * plan->fast_state_bytes;
    char *const ring = buffer->bulk ? t->bulk + plan->bulk_state + stream * plan->bulk_state_bytes : fast;
    const uint32_t slot = ((const uint32_t *)(const void *)fast)[b];
    return ring + t->buffers[plan->first_buffer + b].offset + (size_t)slot * buffer->row_stride * number_bytes(buffer);
}

void tudor_put_start(tudor *t, uint32_t index) {
    const struct format_method *m = method_of(&t->model, index);
    if (m->start == 0) return;
    for (uint32_t stream = 0; stream < t->batch; stream++) {
        const char *from = (const char *)weights_at(&t->model, m->start - 1);
        memcpy(words_of(t, index, stream), from, m->state_words * sizeof(float));
        from += m->state_words * sizeof(float);
        for (uint32_t b = 0; b < m->buffers_count; b++) {
            const struct format_buffer *buffer = &buffers_of(&t->model, m)[b];
            if (buffer->history) memcpy(rows_of(t, index, stream, b), from, history_bytes(buffer));
            from += stored_bytes(buffer);
        }
    }
}

int tudor_save_start(const tudor *t, int method, void *to, size_t bytes) {
    if (!t || !to) return TUDOR_ERROR_NULL_POINTER;
    if (method < 0 || (uint32_t)method >= t->methods) return TUDOR_ERROR_METHOD;
    if (t->busy_method >= 0) return TUDOR_ERROR_BUSY;
    const uint32_t index = (uint32_t)method;
    const struct format_method *m = method_of(&t->model, index);
    if (bytes != tudor_start_bytes(&t->model, m)) return TUDOR_ERROR_ARGUMENT;
    char *at = to;
    memset(at, 0, bytes);
    memcpy(at, words_of(t, index, 0), m->state_words * sizeof(float));
    at += m->state_words * sizeof(float);
    for (uint32_t b = 0; b < m->buffers_count; b++) {
        const struct format_buffer *buffer = &buffers_of(&t->model, m)[b];
        if (buffer->history) memcpy(at, rows_of(t, index, 0, b), history_bytes(buffer));
        at += stored_bytes(buffer);
    }
    return 0;
}
