#include "memory.h"

void *rig_take(struct rig_memory *memory, enum rig_place from, enum rig_place end, size_t bytes, enum rig_place *in) {
    const size_t whole = (bytes + 63) / 64 * 64;
    for (*in = from; *in < end; (*in)++) {
        struct rig_memory *const m = &memory[*in];
        if (whole > m->bytes) continue;
        void *const found = m->at;
        m->at = (char *)m->at + whole;
        m->bytes -= whole;
        return found;
    }
    *in = RIG_NOWHERE;
    return 0;
}
