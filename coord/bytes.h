/* bytes.h - little-endian fields to and from memory.
 *
 * Writing is unchecked: the caller computes the size of what it writes, checks it once against the
 * room, and asserts afterwards that it wrote that much. Each put returns where the next one goes.
 * Reading is checked, field by field: a field beyond the end, or one that require() refuses, breaks
 * the reader for good; what is read from then on is zero, and nothing beyond the end is touched. So
 * the caller may read a whole record and ask only once, at its end, whether the reader is broken.
 */
#ifndef SHERD_COORD_BYTES_H
#define SHERD_COORD_BYTES_H

#include <endian.h>
#include <sherd/base.h>
#include <stdbool.h>
#include <string.h>

static inline uint8_t *sherd_bytes_put_u8(uint8_t *at, uint8_t v)
{
    *at = v;
    return at + 1;
}

static inline uint8_t *sherd_bytes_put_u16(uint8_t *at, uint16_t v)
{
    v = htole16(v);
    memcpy(at, &v, sizeof(v));
    return at + sizeof(v);
}

static inline uint8_t *sherd_bytes_put_u32(uint8_t *at, uint32_t v)
{
    v = htole32(v);
    memcpy(at, &v, sizeof(v));
    return at + sizeof(v);
}

static inline uint8_t *sherd_bytes_put_u64(uint8_t *at, uint64_t v)
{
    v = htole64(v);
    memcpy(at, &v, sizeof(v));
    return at + sizeof(v);
}

/* The bytes alone; their length is the caller's to write. */
static inline uint8_t *sherd_bytes_put(uint8_t *at, struct sherd_bytes v)
{
    if (v.size != 0) memcpy(at, v.data, v.size); /* memcpy may not be given NULL */
    return at + v.size;
}

struct sherd_bytes_reader {
    const uint8_t *at, *end;
    bool broken;
};

/* `in` must not be NULL, even when it is empty. */
static inline struct sherd_bytes_reader sherd_bytes_read(struct sherd_bytes in)
{
    const uint8_t *start = in.data;

    return (struct sherd_bytes_reader){start, start + in.size, false};
}

static inline size_t sherd_bytes_left(const struct sherd_bytes_reader *r)
{
    return (size_t)(r->end - r->at);
}

/* What was read is only right if `ok`. */
static inline void sherd_bytes_require(struct sherd_bytes_reader *r, bool ok)
{
    if (!ok) {
        r->broken = true;
        r->end = r->at; /* nothing more to take */
    }
}

/* A view of the next `size` bytes, never NULL with size 0; {NULL, 0} when they are not there. */
static inline struct sherd_bytes sherd_bytes_take(struct sherd_bytes_reader *r, size_t size)
{
    struct sherd_bytes view = {r->at, size};

    sherd_bytes_require(r, !r->broken && size <= sherd_bytes_left(r));
    if (r->broken) return (struct sherd_bytes){NULL, 0};
    r->at += size;
    return view;
}

static inline uint8_t sherd_bytes_take_u8(struct sherd_bytes_reader *r)
{
    struct sherd_bytes b = sherd_bytes_take(r, 1);

    return b.size != 0 ? *(const uint8_t *)b.data : 0;
}

static inline uint16_t sherd_bytes_take_u16(struct sherd_bytes_reader *r)
{
    struct sherd_bytes b = sherd_bytes_take(r, sizeof(uint16_t));
    uint16_t v = 0;

    if (b.size != 0) memcpy(&v, b.data, sizeof(v));
    return le16toh(v);
}

static inline uint32_t sherd_bytes_take_u32(struct sherd_bytes_reader *r)
{
    struct sherd_bytes b = sherd_bytes_take(r, sizeof(uint32_t));
    uint32_t v = 0;

    if (b.size != 0) memcpy(&v, b.data, sizeof(v));
    return le32toh(v);
}

static inline uint64_t sherd_bytes_take_u64(struct sherd_bytes_reader *r)
{
    struct sherd_bytes b = sherd_bytes_take(r, sizeof(uint64_t));
    uint64_t v = 0;

    if (b.size != 0) memcpy(&v, b.data, sizeof(v));
    return le64toh(v);
}

#endif
