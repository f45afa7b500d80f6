/* Header: "TUDRSTOR", version, then
 *   version 1: model bytes, mapping bytes, CRC, 0, calibration bytes; the model, padded to 64, its mapping, the calibration
 *   version 2: count, bytes of all that follows the header, CRC of it, 0, calibration bytes; an entry of 64 bytes for each
 *              model: model bytes, mapping bytes, name (32), 0; then each model and each mapping, padded to 64, and the
 *              calibration */
#include "store.h"

#include "crc.h"

#include <string.h>

#define ENTRY_BYTES 64u

static uint32_t word_at(const uint8_t *at) {
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static uint64_t padded(uint32_t bytes) { return ((uint64_t)bytes + 63) / 64 * 64; }

static void set_name(char to[STORE_NAME], const char *from) {
    for (uint32_t i = 0; i < STORE_NAME; i++) to[i] = i + 1 < STORE_NAME && from[i] ? from[i] : 0;
    for (uint32_t i = 1; i < STORE_NAME; i++)
        if (!to[i - 1]) to[i] = 0;
}

static enum store_fault find_one(const uint8_t *head, size_t room, struct store *store) {
    struct store_model *const m = &store->models[0];
    const uint32_t model = word_at(head + 12), mapping = word_at(head + 16), calibration = word_at(head + 28);
    const uint64_t all = padded(model) + mapping + calibration;
    const uint8_t *const data = head + STORE_HEADER_BYTES;
    if (model == 0 || all > room) return STORE_LENGTHS;
    if (module_crc32(0, data, (size_t)all) != word_at(head + 20)) return STORE_DAMAGED;
    const char *const texts = (const char *)data + padded(model);
    *m = (struct store_model){data, mapping ? texts : 0, model, mapping, "model"};
    store->calibration = calibration ? texts + mapping : 0;
    store->calibration_bytes = calibration;
    store->count = 1;
    return STORE_GOOD;
}

static enum store_fault find_list(const uint8_t *head, size_t room, struct store *store) {
    const uint8_t *const data = head + STORE_HEADER_BYTES;
    const uint32_t count = word_at(head + 12), bytes = word_at(head + 16), calibration = word_at(head + 28);
    uint64_t at = (uint64_t)count * ENTRY_BYTES;
    if (count == 0 || count > STORE_MODELS || bytes > room || at > bytes) return STORE_LENGTHS;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *const entry = data + i * ENTRY_BYTES;
        struct store_model *const m = &store->models[i];
        m->model_bytes = word_at(entry);
        m->mapping_bytes = word_at(entry + 4);
        set_name(m->name, (const char *)entry + 8);
        const uint64_t mapping_at = at + padded(m->model_bytes), end = mapping_at + padded(m->mapping_bytes);
        if (m->model_bytes == 0 || end > bytes) return STORE_LENGTHS;
        m->model = data + at;
        m->mapping = m->mapping_bytes ? (const char *)data + mapping_at : 0;
        at = end;
    }
    if (at + calibration != bytes) return STORE_LENGTHS;
    if (module_crc32(0, data, bytes) != word_at(head + 20)) return STORE_DAMAGED;
    store->calibration = calibration ? (const char *)data + at : 0;
    store->calibration_bytes = calibration;
    store->count = count;
    return STORE_GOOD;
}

enum store_fault store_find(const void *at, size_t room, struct store *store) {
    const uint8_t *const head = at;
    enum store_fault fault = STORE_LENGTHS;
    *store = (struct store){0};
    if (room < STORE_HEADER_BYTES || memcmp(head, "TUDRSTOR", 8)) return STORE_EMPTY;
    room -= STORE_HEADER_BYTES;
    if (word_at(head + 8) == 1) fault = find_one(head, room, store);
    if (word_at(head + 8) == 2) fault = find_list(head, room, store);
    if (fault != STORE_GOOD) *store = (struct store){0};
    return fault;
}
