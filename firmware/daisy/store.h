/* Models as `tudor flash daisy` writes them into QSPI flash, apart from the app (firmware/flash/daisy.py), and where
 * the app itself writes. */
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
#define STORE_MODELS 8u
#define STORE_NAME 32u

/* What hands have set, and what a calibration found: rings of records (save_ring.h) in sectors of 4 KiB that the
 * bootloader leaves untouched. The 64 KiB before them are left to other apps' settings. */
#define SAVES_ADDRESS 0x90010000u
#define SAVES_BYTES 0x10000u
#define CALIBRATIONS_ADDRESS 0x90020000u
#define CALIBRATIONS_BYTES 0x8000u
#define CALIBRATIONS_KIND 2u /* SAVES_KIND is another */

enum store_fault { STORE_GOOD, STORE_EMPTY, STORE_LENGTHS, STORE_DAMAGED };

struct store_model {
    const uint8_t *model; /* aligned to 64 where the store is */
    const char *mapping;  /* null: none */
    uint32_t model_bytes, mapping_bytes;
    char name[STORE_NAME]; /* ends with 0 */
};

struct store {
    uint32_t count;
    struct store_model models[STORE_MODELS];
    const char *calibration; /* null: none */
    uint32_t calibration_bytes;
};

/* Looks at the store that begins at `at` and may be `room` bytes long. What it says is not trusted: a length leads
 * nowhere outside. Stores of one model, as they were written before there were lists, are read too. */
enum store_fault store_find(const void *at, size_t room, struct store *store);

#ifdef __cplusplus
}
#endif

#endif
