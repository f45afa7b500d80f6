/* CRC-32 as zlib has it: polynomial 0xedb88320, bits reversed. Off the audio path. */
#ifndef TUDOR_MODULE_CRC_H
#define TUDOR_MODULE_CRC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of what `crc` is the CRC of (0: nothing) with `bytes` more. */
uint32_t module_crc32(uint32_t crc, const void *data, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
