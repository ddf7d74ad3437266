/* gf_reference.h - the code of ecc/, written a second time: slowly, and from the definition.
 *
 * Shares nothing with ISA-L: multiplication in GF(2^8) is bit by bit, modulo the polynomial 0x11d,
 * and a parity shard is the sum of its products, byte by byte. For comparison in tests. */
#ifndef SHERD_GF_REFERENCE_H
#define SHERD_GF_REFERENCE_H

#include <stddef.h>
#include <stdint.h>

uint8_t gf_reference_mul(uint8_t a, uint8_t b);

/* The b for which a * b = 1. a is not 0. */
uint8_t gf_reference_inverse(uint8_t a);

/* Writes the shard of `slot`, size bytes, of a code with k data shards. */
void gf_reference_shard(unsigned k, unsigned slot, size_t size, const uint8_t *const data[],
                        uint8_t *out);

#endif
