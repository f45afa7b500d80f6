/* The model as `tudor flash daisy` writes it into QSPI flash, apart from the app (firmware/flash/daisy.py). */
#ifndef TUDOR_DAISY_STORE_H
#define TUDOR_DAISY_STORE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define STORE_ADDRESS 0x90100000u
#define STORE_END 0x907c0000u
#define STORE_HEADER_BYTES 64u

enum store_fault { STORE_GOOD, STORE_EMPTY, STORE_LENGTHS, STORE_DAMAGED };

struct store {
    const uint8_t *model; /* aligned to 64 where `at` is */
    const char *mapping, *calibration; /* null: none */
    uint32_t model_bytes, mapping_bytes, calibration_bytes;
};

/* Looks at the store that begins at `at` and may be `room` bytes long. */
enum store_fault store_find(const void *at, size_t room, struct store *store);

#ifdef __cplusplus
}
#endif

#endif
