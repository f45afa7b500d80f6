#include "store.h"

#include <string.h>

/* CRC-32 as zlib has it: polynomial 0xedb88320, bits reversed; without a table, since it runs once. */
static uint32_t crc32_of(const uint8_t *data, size_t bytes) {
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

enum store_fault store_find(const void *at, size_t room, struct store *store) {
    const uint8_t *const bytes = at;
    uint32_t head[6]; /* version, model bytes, mapping bytes, CRC, board, calibration bytes (0 in older stores) */
    *store = (struct store){0};
    if (room < STORE_HEADER_BYTES || memcmp(bytes, "TUDRSTOR", 8)) return STORE_EMPTY;
    memcpy(head, bytes + 8, sizeof head);
    room -= STORE_HEADER_BYTES;
    const uint32_t padding = (0u - head[1]) & 63u;
    const uint64_t all = (uint64_t)head[1] + padding + head[2] + head[5];
    if (head[0] != 1 || head[1] == 0 || all > room) return STORE_LENGTHS;
    if (crc32_of(bytes + STORE_HEADER_BYTES, (size_t)all) != head[3]) return STORE_DAMAGED;
    store->model = bytes + STORE_HEADER_BYTES;
    store->model_bytes = head[1];
    store->mapping_bytes = head[2];
    store->calibration_bytes = head[5];
    const char *const texts = (const char *)store->model + head[1] + padding;
    if (head[2]) store->mapping = texts;
    if (head[5]) store->calibration = texts + head[2];
    return STORE_GOOD;
}
