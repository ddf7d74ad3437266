/* effects.h - what a coordinator's machine asks of its owner, and what the owner tells it. */
#ifndef SHERD_COORD_EFFECTS_H
#define SHERD_COORD_EFFECTS_H

#include "coord/assert.h"
#include "coord/map.h"
#include "coord/message.h"

enum sherd_effect_kind {
    SHERD_EFFECT_SEND,       /* `message` to every slot of `slots` */
    SHERD_EFFECT_ENCODE_NEW, /* cut the new value (operation.meta) into shards for what follows */
    SHERD_EFFECT_ENCODE_OLD, /* make all shards of `version` again from the pieces received;
                                event ENCODED or CORRUPT */
    SHERD_EFFECT_DECODE,     /* the value of `version` from the pieces; event DECODED or CORRUPT */
    SHERD_EFFECT_COMPUTE,    /* operation.found is current (decoded when want_value): make the new
                                value; event COMPUTED or REFUSED */
    SHERD_EFFECT_REFRESH,    /* fetch a newer map, from the node of one slot of `slots` first; event
                                MAP when it is there */
    SHERD_EFFECT_ANSWER,     /* operation.outcome is final: tell the caller */
    SHERD_EFFECT_DONE, /* nothing more will be asked; after ANSWER, in the same list or later */
};

struct sherd_effect {
    uint8_t kind;
    uint8_t message;     /* SEND: enum sherd_message_kind */
    uint32_t slots;      /* SEND, REFRESH */
    uint32_t with_shard; /* SEND of READ, PROMISE: the slots asked for their shards too */
};

enum { SHERD_EFFECTS_MAX = 8 };

/* Carried out in order. One that asks for an event back is the last of its list. */
struct sherd_effects {
    uint8_t count;
    struct sherd_effect list[SHERD_EFFECTS_MAX];
};

static inline void sherd_effects_add(struct sherd_effects *out, struct sherd_effect e)
{
    SHERD_ASSERT(out->count < SHERD_EFFECTS_MAX);
    out->list[out->count++] = e;
}

static inline void sherd_effects_send(struct sherd_effects *out, enum sherd_message_kind message,
                                      uint32_t slots, uint32_t with_shard)
{
    if (slots == 0) return;
    sherd_effects_add(
        out, (struct sherd_effect){SHERD_EFFECT_SEND, (uint8_t)message, slots, with_shard});
}

/* What the owner knows when it steps a machine. */
struct sherd_env {
    const struct sherd_map *map; /* newest; alive as long as any operation that was bound to it */
    struct sherd_hlc *clock;
    uint64_t client;    /* ballots' client part */
    uint64_t now_us;    /* monotonic: deadlines, hedges */
    uint64_t wall_ms;   /* ballots, expiry */
    uint64_t random;    /* fresh with every step */
    uint32_t reachable; /* slots of the key's partition, in `map`, whose node is connected and was
                           not late lately */
    uint32_t hedge_us;  /* ask for one more shard after this long */
    uint32_t straggler_us; /* after q ACKs, wait this long for the rest */
};

#endif
