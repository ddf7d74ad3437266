#include "server/node_state.h"

#include <errno.h>

#include "coord/assert.h"
#include "coord/bytes.h"
#include "coord/map_codec.h"

enum {
    STATE_MAGIC = 0x736e6873, /* "shns" */
    STATE_FORMAT = 1,
    HASH_BYTES = 8,
};

size_t sherd_node_state_encode(const struct sherd_node_state *state,
                               uint8_t out[SHERD_NODE_STATE_BYTES_MAX])
{
    uint8_t *at = out;

    SHERD_ASSERT(state->count <= SHERD_PARTITIONS);
    at = sherd_bytes_put_u32(at, STATE_MAGIC);
    at = sherd_bytes_put_u32(at, STATE_FORMAT);
    at = sherd_bytes_put_u16(at, state->node);
    at = sherd_bytes_put_u16(at, state->count);
    at = sherd_bytes_put_u64(at, state->incarnation);
    at = sherd_bytes_put_u64(at, state->live);
    at = sherd_bytes_put_u64(at, state->seen);
    for (uint16_t i = 0; i < state->count; i++) {
        at = sherd_bytes_put_u64(at, state->floors[i].clock);
        at = sherd_bytes_put_u64(at, state->floors[i].client);
        at = sherd_bytes_put_u32(at, state->floors[i].epoch);
        at = sherd_bytes_put_u32(at, state->forgotten[i]);
    }
    at = sherd_bytes_put_u64(at, sherd_map_hash((struct sherd_bytes){out, (size_t)(at - out)}));
    SHERD_ASSERT((size_t)(at - out) <= SHERD_NODE_STATE_BYTES_MAX);
    return (size_t)(at - out);
}

/* The fields behind magic and format. */
static int take_fields(struct sherd_bytes_reader *in, struct sherd_node_state *out)
{
    out->node = sherd_bytes_take_u16(in);
    out->count = sherd_bytes_take_u16(in);
    out->incarnation = sherd_bytes_take_u64(in);
    out->live = sherd_bytes_take_u64(in);
    out->seen = sherd_bytes_take_u64(in);
    sherd_bytes_require(in, out->count <= SHERD_PARTITIONS && out->incarnation != 0);
    for (uint16_t i = 0; i < out->count && !in->broken; i++) {
        out->floors[i].clock = sherd_bytes_take_u64(in);
        out->floors[i].client = sherd_bytes_take_u64(in);
        out->floors[i].epoch = sherd_bytes_take_u32(in);
        out->forgotten[i] = sherd_bytes_take_u32(in);
    }
    return in->broken || sherd_bytes_left(in) != HASH_BYTES ? -EBADMSG : 0;
}

int sherd_node_state_decode(struct sherd_bytes in, struct sherd_node_state *out)
{
    *out = (struct sherd_node_state){0};
    if (in.size < HASH_BYTES) return -EBADMSG;

    struct sherd_bytes_reader all = sherd_bytes_read(in);
    struct sherd_bytes_reader tail = sherd_bytes_read(
        (struct sherd_bytes){(const uint8_t *)in.data + in.size - HASH_BYTES, HASH_BYTES});
    uint32_t magic = sherd_bytes_take_u32(&all), format = sherd_bytes_take_u32(&all);

    if (all.broken || magic != STATE_MAGIC ||
        sherd_bytes_take_u64(&tail) !=
            sherd_map_hash((struct sherd_bytes){in.data, in.size - HASH_BYTES}))
        return -EBADMSG;
    if (format != STATE_FORMAT) return -EPROTONOSUPPORT;
    return take_fields(&all, out);
}
