/* tudor_open: nothing in a file is believed before it was checked. */
#include "internal.h"

#include <string.h>

static int fail(tudor_fault *fault, int code, const char *record, uint32_t index) {
    if (fault) *fault = (tudor_fault){code, record, index};
    return code;
}

static int checksum_matches(const struct format_prefix *p) {
    const uint32_t *words = (const uint32_t *)(const void *)(p + 1);
    const uint32_t count = (p->file_bytes - (uint32_t)sizeof *p) / 4;
    uint64_t sum = 0, weighted = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += words[i];
        weighted += (uint64_t)(i + 1) * words[i];
    }
    return (uint32_t)sum == p->sum_low && (uint32_t)(sum >> 32) == p->sum_high &&
           (uint32_t)weighted == p->weighted_low && (uint32_t)(weighted >> 32) == p->weighted_high;
}

static int check_prefix(const void *file, size_t bytes) {
    const struct format_prefix *p = file;
    if (!file) return TUDOR_ERROR_NULL_POINTER;
    if ((uintptr_t)file % FORMAT_ALIGN) return TUDOR_ERROR_ALIGNMENT;
    if (bytes < sizeof *p) return TUDOR_ERROR_TOO_SHORT;
    if (p->magic != FORMAT_MAGIC) return TUDOR_ERROR_MAGIC;
    if (p->version > FORMAT_VERSION) return TUDOR_ERROR_NEWER;
    if (p->version < 1) return TUDOR_ERROR_VERSION;
    if (p->version < FORMAT_VERSION) return TUDOR_ERROR_OLDER;
    if (p->file_bytes < sizeof *p + sizeof(struct format_header)) return TUDOR_ERROR_TOO_SHORT;
    if (bytes < p->file_bytes || p->file_bytes % 64) return TUDOR_ERROR_TRUNCATED;
    return checksum_matches(p) ? 0 : TUDOR_ERROR_CHECKSUM;
}

static int section_outside(const struct format_prefix *p, uint32_t offset, uint64_t count, size_t size) {
    return offset % FORMAT_ALIGN || offset < sizeof *p + sizeof(struct format_header) || count > FORMAT_MAX_ITEMS * 1024ull ||
           offset + count * size > p->file_bytes;
}

static int check_sections(const struct format_prefix *p, const struct format_header *h, tudor_fault *fault) {
    const struct {
        const char *name;
        uint32_t offset, count;
        size_t size;
    } sections[] = {
        {"method section", h->methods, h->methods_count, sizeof(struct format_method)},
        {"attribute section", h->attributes, h->attributes_count, sizeof(struct format_attribute)},
        {"buffer section", h->buffers, h->buffers_count, sizeof(struct format_buffer)},
        {"value section", h->values, h->values_count, sizeof(struct format_value)},
        {"op section", h->ops, h->ops_count, sizeof(struct format_op)},
    };
    for (uint32_t i = 0; i < sizeof sections / sizeof *sections; i++)
        if (sections[i].count > FORMAT_MAX_ITEMS ||
            section_outside(p, sections[i].offset, sections[i].count, sections[i].size))
            return fail(fault, TUDOR_ERROR_SECTION, sections[i].name, i);
    if (section_outside(p, h->text, 0, 1) || h->text_bytes == 0 || h->text_bytes > p->file_bytes - h->text)
        return fail(fault, TUDOR_ERROR_SECTION, "text section", 0);
    if (section_outside(p, h->weights, 0, 1) || h->weights_bytes < 64 || h->weights_bytes > p->file_bytes - h->weights)
        return fail(fault, TUDOR_ERROR_SECTION, "weights section", 0);
    return 0;
}

static int text_outside(const struct format_header *h, uint32_t offset) { return offset >= h->text_bytes; }

/* Room for `bytes` at `offset`, with 64 spare bytes behind them for vector loads. */
int tudor_weights_outside(const struct format_header *h, uint32_t offset, uint64_t bytes) {
    return offset % FORMAT_ALIGN || bytes >= (uint64_t)1 << 42 || offset + bytes + 64 > h->weights_bytes;
}

static int check_attribute(const tudor_model *model, const struct format_attribute *a) {
    const struct format_header *h = header_of(model);
    if (text_outside(h, a->name) || text_outside(h, a->label)) return TUDOR_ERROR_TEXT;
    if (a->count == 0 || a->count > FORMAT_MAX_CHANNELS) return TUDOR_ERROR_ATTRIBUTE;
    if (!(a->minimum <= a->maximum) || !(a->minimum >= -1e30f) || !(a->maximum <= 1e30f)) return TUDOR_ERROR_ATTRIBUTE;
    return tudor_weights_outside(h, a->defaults, a->count * 4ull) ? TUDOR_ERROR_WEIGHTS : 0;
}

static int check_buffer(const struct format_method *m, const struct format_buffer *b) {
    if (b->rows == 0 || b->rows > FORMAT_MAX_ROWS || b->row_stride == 0 || b->row_stride > FORMAT_MAX_CHANNELS ||
        b->history > FORMAT_MAX_ROWS || b->bulk > 1)
        return TUDOR_ERROR_BUFFER;
    if (b->type > FORMAT_ROWS_INT16) return TUDOR_ERROR_NUMBERS;
    const int scaled = b->scale >= 0x1p-40f && b->scale <= 0x1p40f; /* false for NaN too */
    if (b->type == FORMAT_ROWS_INT16 ? !scaled : b->scale != 0.0f) return TUDOR_ERROR_SCALE;
    if (b->history) return 0;
    const uint64_t end = b->arena_offset + (uint64_t)b->rows * b->row_stride * number_bytes(b);
    return b->arena_offset % FORMAT_ALIGN || end > m->arena_bytes ? TUDOR_ERROR_BUFFER : 0;
}

static int check_value(const struct format_method *m, const struct format_buffer *buffers,
                       const struct format_value *v) {
    if (v->buffer >= m->buffers_count) return TUDOR_ERROR_VALUE;
    const struct format_buffer *b = &buffers[v->buffer];
    if (v->channels == 0 || v->first_channel >= b->row_stride || v->channels > b->row_stride - v->first_channel)
        return TUDOR_ERROR_VALUE;
    return v->delay > b->history ? TUDOR_ERROR_HISTORY : 0;
}

static int end_value_outside(const struct format_method *m, const struct format_value *values,
                          const struct format_buffer *buffers, uint32_t index, uint32_t channels, uint32_t ratio) {
    if (index >= m->values_count) return TUDOR_ERROR_VALUE;
    const struct format_value *v = &values[index];
    if (v->channels != channels) return TUDOR_ERROR_CHANNELS;
    if (buffers[v->buffer].type != FORMAT_ROWS_FLOAT32) return TUDOR_ERROR_NUMBERS;
    return ratio == 0 || m->frame_samples % ratio || buffers[v->buffer].rows != m->frame_samples / ratio
               ? TUDOR_ERROR_RATE
               : 0;
}

/* Records of one method follow those of the method before it, so no two methods share any. */
static int ranges_lie(const struct format_header *h, const struct format_method *m, const struct format_method *before) {
    const uint64_t ops = before ? (uint64_t)before->first_op + before->ops_count : 0;
    const uint64_t values = before ? (uint64_t)before->first_value + before->values_count : 0;
    const uint64_t buffers = before ? (uint64_t)before->first_buffer + before->buffers_count : 0;
    return m->first_op != ops || m->first_value != values || m->first_buffer != buffers ||
           ops + m->ops_count > h->ops_count || values + m->values_count > h->values_count ||
           buffers + m->buffers_count > h->buffers_count;
}

static int check_method(const tudor_model *model, uint32_t index, tudor_fault *fault) {
    const struct format_header *h = header_of(model);
    const struct format_method *m = method_of(model, index);
    if (text_outside(h, m->name) || text_outside(h, m->in_labels) || text_outside(h, m->out_labels))
        return fail(fault, TUDOR_ERROR_TEXT, "method", index);
    if (ranges_lie(h, m, index ? m - 1 : 0)) return fail(fault, TUDOR_ERROR_RANGE, "method", index);
#ifdef TUDOR_NO_LOOP
    if (m->loop_ops) return fail(fault, TUDOR_ERROR_UNSUPPORTED, "method", index);
#else
    if (m->loop_first > m->ops_count || m->loop_ops > m->ops_count - m->loop_first || m->loop_rows > FORMAT_MAX_ROWS ||
        !m->loop_ops != !m->loop_rows || (m->loop_first && !m->loop_ops))
        return fail(fault, TUDOR_ERROR_LOOP, "method", index);
#endif
    if (m->role >= TUDOR_ROLE_END) return fail(fault, TUDOR_ERROR_ROLE, "method", index);
    if (m->frame_samples == 0 || m->frame_samples > FORMAT_MAX_ROWS) return fail(fault, TUDOR_ERROR_RATE, "method", index);
    if (m->state_words > FORMAT_MAX_ROWS) return fail(fault, TUDOR_ERROR_STATE, "method", index);
    const struct format_buffer *buffers = buffers_of(model, m);
    const struct format_value *values = values_of(model, m);
    int code = 0;
    for (uint32_t i = 0; i < m->buffers_count; i++)
        if ((code = check_buffer(m, &buffers[i])) != 0) return fail(fault, code, "buffer", m->first_buffer + i);
    for (uint32_t i = 0; i < m->values_count; i++)
        if ((code = check_value(m, buffers, &values[i])) != 0) return fail(fault, code, "value", m->first_value + i);
    code = end_value_outside(m, values, buffers, m->input_value, m->in_channels, m->in_ratio);
    if (!code && values[m->input_value].delay) code = TUDOR_ERROR_VALUE;
    if (!code) code = end_value_outside(m, values, buffers, m->output_value, m->out_channels, m->out_ratio);
    if (code) return fail(fault, code, "method", index);
    if (tudor_start_damaged(model, m)) return fail(fault, TUDOR_ERROR_START, "method", index);
    uint32_t op = 0;
    code = tudor_check_ops(model, m, &op);
    return code ? fail(fault, code, "op", m->first_op + op) : 0;
}

int tudor_open(const void *file, size_t bytes, tudor_model *model, tudor_fault *fault) {
    if (!model) return fail(fault, TUDOR_ERROR_NULL_POINTER, "model", 0);
    *model = (tudor_model){0, 0};
    int code = check_prefix(file, bytes);
    if (code) return fail(fault, code, "file", 0);
    const struct format_prefix *p = file;
    const struct format_header *h = (const struct format_header *)(const void *)(p + 1);
    if ((code = check_sections(p, h, fault)) != 0) return code;
    const tudor_model view = {file, h};
    if (text_at(&view, 0)[h->text_bytes - 1] != 0) return fail(fault, TUDOR_ERROR_TEXT, "text section", 0);
    if (text_outside(h, h->name) || text_outside(h, h->metadata)) return fail(fault, TUDOR_ERROR_TEXT, "header", 0);
    for (uint32_t i = 0; i < h->attributes_count; i++)
        if ((code = check_attribute(&view, attribute_of(&view, i))) != 0) return fail(fault, code, "attribute", i);
    for (uint32_t i = 0; i < h->methods_count; i++)
        if ((code = check_method(&view, i, fault)) != 0) return code;
    *model = view;
    return fail(fault, 0, "", 0);
}
