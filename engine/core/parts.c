/* Weights that lie apart from the file. */
#include "internal.h"

#include <string.h>

const void *tudor_weights(const tudor_model *model) { return weights_at(model, 0); }

static int check_part(const tudor *t, const tudor_part *part) {
    const struct format_header *h = header_of(&t->model);
    if (!part->at) return TUDOR_ERROR_NULL_POINTER;
    if ((uintptr_t)part->at % FORMAT_ALIGN) return TUDOR_ERROR_ALIGNMENT;
    if (part->offset % FORMAT_ALIGN || part->bytes % FORMAT_ALIGN || part->offset > h->weights_bytes ||
        part->bytes > h->weights_bytes - part->offset)
        return TUDOR_ERROR_WEIGHTS;
    return memcmp(part->at, weights_at(&t->model, part->offset), part->bytes) ? TUDOR_ERROR_CHECKSUM : 0;
}

int tudor_use_parts(tudor *t, const tudor_part *parts, uint32_t count) {
    if (!t || (count && !parts)) return TUDOR_ERROR_NULL_POINTER;
    if (t->busy_method >= 0) return TUDOR_ERROR_BUSY;
#ifdef TUDOR_NO_PARTS /* builds for small machines */
    if (count) return TUDOR_ERROR_UNSUPPORTED;
#endif
    for (uint32_t i = 0; i < count; i++) {
        const int error = check_part(t, &parts[i]);
        if (error) return error;
    }
    tudor_plan_ops(t, parts, count);
    return 0;
}
