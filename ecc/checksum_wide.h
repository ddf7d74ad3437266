/* checksum_wide.h - XXH3 compiled for processors with AVX2: several times as fast on large values.
 * The results are the same everywhere. */
#ifndef SHERD_ECC_CHECKSUM_WIDE_H
#define SHERD_ECC_CHECKSUM_WIDE_H

#include <stddef.h>
#include <stdint.h>

/* Only where the processor has AVX2. */
uint64_t sherd_checksum_wide(const void *data, size_t size);

#endif
