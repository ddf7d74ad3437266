/* gf_reference.c - Reed-Solomon over GF(2^8), slowly and from the definition. */
#include "tests/support/gf_reference.h"

#include <string.h>

uint8_t gf_reference_mul(uint8_t a, uint8_t b)
{
    unsigned product = 0;

    for (unsigned bit = 0; bit < 8; bit++)
        if (b >> bit & 1) product ^= (unsigned)a << bit;
    for (unsigned bit = 14; bit >= 8; bit--) /* the remainder modulo x^8 + x^4 + x^3 + x^2 + 1 */
        if (product >> bit & 1) product ^= 0x11du << (bit - 8);
    return (uint8_t)product;
}

uint8_t gf_reference_inverse(uint8_t a)
{
    uint8_t b = 1;

    while (gf_reference_mul(a, b) != 1)
        b++;
    return b;
}

/* The Cauchy matrix 1 / (slot + piece), where + is exclusive or; for k = 1, copies. */
static uint8_t coefficient(unsigned k, unsigned slot, unsigned piece)
{
    if (slot < k) return slot == piece;
    if (k == 1) return 1;
    return gf_reference_inverse((uint8_t)(slot ^ piece));
}

void gf_reference_shard(unsigned k, unsigned slot, size_t size, const uint8_t *const data[],
                        uint8_t *out)
{
    uint8_t products[256];

    memset(out, 0, size);
    for (unsigned piece = 0; piece < k; piece++) {
        uint8_t factor = coefficient(k, slot, piece);
        for (unsigned byte = 0; byte < 256; byte++)
            products[byte] = gf_reference_mul(factor, (uint8_t)byte);
        for (size_t i = 0; i < size; i++)
            out[i] ^= products[data[piece][i]];
    }
}
