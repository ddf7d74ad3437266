/* checksum.c - CRC-32C for shards, XXH3 for whole values and for keys. */
#include <isa-l/crc.h>
#include <sherd/ecc.h>

#define XXH_INLINE_ALL /* all of xxHash is in the header: nothing to link */
#include <xxhash.h>

#define CRC_CHUNK ((size_t)1 << 30) /* ISA-L counts bytes in an int */

uint32_t sherd_crc32c(const void *data, size_t size)
{
    /* ISA-L only reads its input but declares it writable. */
    union {
        const void *in;
        unsigned char *out;
    } bytes = {.in = data};
    uint32_t crc = UINT32_MAX; /* RFC 3720 inverts before and after, crc32_iscsi does neither */

    for (size_t done = 0; done < size;) {
        size_t chunk = size - done < CRC_CHUNK ? size - done : CRC_CHUNK;
        crc = crc32_iscsi(bytes.out + done, (int)chunk, crc);
        done += chunk;
    }
    return ~crc;
}

#ifdef SHERD_CHECKSUM_WIDE
#include "ecc/checksum_wide.h"

enum { WIDE_MIN = 1024 }; /* below, there is nothing to win */

uint64_t sherd_checksum(const void *data, size_t size)
{
    if (size >= WIDE_MIN && __builtin_cpu_supports("avx2")) return sherd_checksum_wide(data, size);
    return XXH3_64bits(data, size);
}
#else
uint64_t sherd_checksum(const void *data, size_t size) { return XXH3_64bits(data, size); }
#endif

uint64_t sherd_hash_key(const void *key, size_t size) { return XXH3_64bits(key, size); }
