/* Everything a host may ask about a model, and attributes. */
#include "internal.h"

#include <string.h>

#define FAULT(code, NAME, text) text,
static const char *const error_texts[] = {
#include "faults.inc"
};
#undef FAULT

#define OP(code, NAME, name, ...) #name "\0"
static const char op_names[] = /* one string: pointers would be longer than most names */
#include "ops.inc"
    ;
#define OP(code, ...) code,
static const uint8_t op_codes[] = {
#include "ops.inc"
};

/* Of a kind that is in the list; codes may have gaps. */
static const char *op_name(uint32_t kind) {
    const char *name = op_names;
    for (const uint8_t *code = op_codes; *code != kind; code++) name += strlen(name) + 1;
    return name;
}

const char *tudor_error_text(int code) {
    return code >= 0 && code < TUDOR_ERROR_END ? error_texts[code] : "unknown error";
}

const char *tudor_name(const tudor_model *model) { return text_at(model, header_of(model)->name); }
const char *tudor_metadata(const tudor_model *model) { return text_at(model, header_of(model)->metadata); }
uint32_t tudor_sample_rate_hz(const tudor_model *model) { return header_of(model)->sample_rate_hz; }
int tudor_methods(const tudor_model *model) { return (int)header_of(model)->methods_count; }
int tudor_attributes(const tudor_model *model) { return (int)header_of(model)->attributes_count; }

static int method_outside(const tudor_model *model, int method) {
    return method < 0 || (uint32_t)method >= header_of(model)->methods_count;
}

int tudor_find_method(const tudor_model *model, const char *name) {
    for (int i = 0; i < tudor_methods(model); i++)
        if (strcmp(text_at(model, method_of(model, (uint32_t)i)->name), name) == 0) return i;
    return -1;
}

#define ROLE(code, NAME, name) {code, #name},
static const struct {
    int code;
    char name[12];
} roles[] = {
#include "roles.inc"
};
#undef ROLE

/* Given, or else by its name. */
static int role_of(const tudor_model *model, const struct format_method *m) {
    if (m->role) return (int)m->role;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (strcmp(text_at(model, m->name), roles[i].name) == 0) return roles[i].code;
    return TUDOR_ROLE_EFFECT;
}

int tudor_find_role(const tudor_model *model, int role) {
    for (int i = 0; i < tudor_methods(model); i++)
        if (role_of(model, method_of(model, (uint32_t)i)) == role) return i;
    return -1;
}

int tudor_method(const tudor_model *model, int method, tudor_method_info *info) {
    if (!model || !info) return TUDOR_ERROR_NULL_POINTER;
    if (method_outside(model, method)) return TUDOR_ERROR_METHOD;
    const struct format_method *m = method_of(model, (uint32_t)method);
    *info = (tudor_method_info){text_at(model, m->name), m->in_channels, m->in_ratio, m->out_channels, m->out_ratio,
                                m->frame_samples, m->latency_samples, text_at(model, m->in_labels),
                                text_at(model, m->out_labels), role_of(model, m), tudor_start_bytes(model, m)};
    return 0;
}

int tudor_find_attribute(const tudor_model *model, const char *name) {
    for (int i = 0; i < tudor_attributes(model); i++)
        if (strcmp(text_at(model, attribute_of(model, (uint32_t)i)->name), name) == 0) return i;
    return -1;
}

int tudor_attribute(const tudor_model *model, int attribute, tudor_attribute_info *info) {
    if (!model || !info) return TUDOR_ERROR_NULL_POINTER;
    if (attribute < 0 || attribute >= tudor_attributes(model)) return TUDOR_ERROR_ARGUMENT;
    const struct format_attribute *a = attribute_of(model, (uint32_t)attribute);
    *info = (tudor_attribute_info){text_at(model, a->name), text_at(model, a->label), a->count, a->minimum, a->maximum,
                                   weights_at(model, a->defaults)};
    return 0;
}

int tudor_ops(const tudor_model *model, int method) {
    return !model || method_outside(model, method) ? 0 : (int)method_of(model, (uint32_t)method)->ops_count;
}

int tudor_op(const tudor_model *model, int method, int index, tudor_op_info *info) {
    if (!model || !info) return TUDOR_ERROR_NULL_POINTER;
    if (index < 0 || index >= tudor_ops(model, method)) return TUDOR_ERROR_ARGUMENT;
    const struct format_method *m = method_of(model, (uint32_t)method);
    const struct format_op *op = ops_of(model, m) + index;
    const struct format_value *values = values_of(model, m), *in = &values[op->in_a], *out = &values[op->out];
    const struct format_buffer *buffers = buffers_of(model, m), *to = &buffers[out->buffer];
    *info = (tudor_op_info){.kind = op_name(op->kind), .name = text_at(model, op->name)};
    info->macs = tudor_op_macs(op, values, buffers);
    info->cost = tudor_op_cost(op, values, buffers);
    const uint64_t row_bytes = (uint64_t)out->channels * number_bytes(to);
    /* Nobody has checked the fields of an op that reads no weights. */
    info->weights_bytes = facts_of(op)->weights == OP_WEIGHTS_NONE ? 0 : op->weights_bytes;
    info->state_bytes = sizeof(float) * tudor_state_words(op, values) + to->history * row_bytes;
    info->scratch_bytes = to->history ? 0 : to->rows * row_bytes;
    info->in_channels = in->channels;
    info->out_channels = out->channels;
    info->rows = to->rows;
    info->kernel = op->kernel;
    info->stride = op->stride;
    info->dilation = op->dilation;
    info->groups = op->groups;
    info->phases = op->phases;
    info->dtype = op->dtype;
    info->shared_rows = facts_of(op)->state == OP_STATE_HIDDEN ? 1 : TUDOR_UNIT_FRAMES;
    info->weights_offset = info->weights_bytes ? op->weights : 0;
    info->params_bytes = tudor_params_bytes(op, values);
    info->params_offset = info->params_bytes ? op->params : 0;
    info->steps = in_loop(m, (uint32_t)index) ? steps_of(op, values, buffers) : 0;
    return 0;
}

float *tudor_attribute_values(const tudor *t, uint32_t stream, uint32_t attribute) {
    float *at = t->attributes + stream * t->attribute_floats;
    for (uint32_t i = 0; i < attribute; i++) at += attribute_of(&t->model, i)->count;
    return at;
}

static int check_attribute_call(const tudor *t, uint32_t stream, int attribute, const float *values, uint32_t count) {
    if (!t || !values) return TUDOR_ERROR_NULL_POINTER;
    if (attribute < 0 || attribute >= tudor_attributes(&t->model) || stream >= t->batch) return TUDOR_ERROR_ARGUMENT;
    return attribute_of(&t->model, (uint32_t)attribute)->count == count ? 0 : TUDOR_ERROR_ATTRIBUTE;
}

int tudor_set_stream_attribute(tudor *t, uint32_t stream, int attribute, const float *values, uint32_t count) {
    const int error = check_attribute_call(t, stream, attribute, values, count);
    if (error) return error;
    const struct format_attribute *a = attribute_of(&t->model, (uint32_t)attribute);
    float *slot = tudor_attribute_values(t, stream, (uint32_t)attribute);
    for (uint32_t i = 0; i < count; i++) {
        float value = values[i] >= a->minimum ? values[i] : a->minimum; /* NaN becomes the minimum */
        if (value > a->maximum) value = a->maximum;
        slot[i] = value < 0x1p-60f && value > -0x1p-60f ? 0.0f : value;
    }
    return 0;
}

int tudor_set_attribute(tudor *t, int attribute, const float *values, uint32_t count) {
    int error = check_attribute_call(t, 0, attribute, values, count);
    for (uint32_t stream = 0; !error && stream < t->batch; stream++)
        error = tudor_set_stream_attribute(t, stream, attribute, values, count);
    return error;
}

int tudor_get_stream_attribute(const tudor *t, uint32_t stream, int attribute, float *values, uint32_t count) {
    const int error = check_attribute_call(t, stream, attribute, values, count);
    if (error) return error;
    memcpy(values, tudor_attribute_values(t, stream, (uint32_t)attribute), count * sizeof *values);
    return 0;
}

int tudor_get_attribute(const tudor *t, int attribute, float *values, uint32_t count) {
    return tudor_get_stream_attribute(t, 0, attribute, values, count);
}

uint64_t tudor_nonfinite(const tudor *t) { return t->nonfinite; }

const char *tudor_isa(const tudor *t) { return t->kernels->name; }

int tudor_use_isa(tudor *t, const char *name) {
    const struct tudor_kernels *kernels = tudor_find_kernels(name);
    if (!t) return TUDOR_ERROR_NULL_POINTER;
    if (!kernels) return TUDOR_ERROR_ISA;
    t->kernels = kernels;
    return 0;
}
