#include <errno.h>

#include "coord/wire_parts.h"

size_t sherd_wire_item_bytes(struct sherd_bytes key, const struct sherd_entry *entries,
                             uint8_t count)
{
    return sizeof(uint16_t) + key.size + entries_bytes(entries, count, false);
}

int sherd_wire_put_item(struct sherd_writer_buffer *out, struct sherd_bytes key,
                        const struct sherd_entry *entries, uint8_t count)
{
    size_t size = sherd_wire_item_bytes(key, entries, count);

    if (room(out) < size) return -ENOBUFS;

    uint8_t *at = put_key(out->data + out->size, key);
    at = put_entries(at, entries, count, false);
    out->size += size;
    SHERD_ASSERT(at == out->data + out->size);
    return 0;
}

int sherd_wire_next_item(struct sherd_bytes body, size_t *at, struct sherd_bytes *key,
                         struct sherd_entry *entries, uint8_t *count)
{
    if (*at >= body.size) return *at == body.size ? -ENODATA : -EBADMSG;

    struct sherd_bytes_reader b = sherd_bytes_read(body);
    b.at += *at;
    struct sherd_bytes k = take_key(&b, false);
    uint8_t n = take_entries(&b, NULL, entries);
    if (b.broken) return -EBADMSG;

    *key = k;
    *count = n;
    *at = (size_t)(b.at - (const uint8_t *)body.data);
    return 0;
}
