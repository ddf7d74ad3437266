/* sealed.h - the map that this node has sealed, and what it reports of it to the keeper.
 *
 * A newer map, from wherever it came, is offered here; it is sealed into the own service first, and
 * becomes the background thread's map only when the service says SEALED. So what is reported is
 * true: the node answers no older epoch any more. Bits of finished work belong to the epoch and the
 * own incarnation that a partition has in the sealed map, and go with them. */
#ifndef SHERD_SERVER_SEALED_H
#define SHERD_SERVER_SEALED_H

#include "coord/membership.h"
#include "server/turn.h"

struct sherd_sealed {
    struct sherd_report report; /* map_version and live: as sealed */
    struct sherd_map *map;      /* NULL: none yet. Changes only in sherd_sealed_turn */
    bool urgent; /* the report has news for the keeper; whoever sends it clears this */

    struct sherd_map *next; /* offered, not yet sealed; NULL: none */
    uint8_t *next_bytes;    /* its encoded form */
    size_t next_size;
    uint64_t told_version; /* newest that the own service said to have sealed */
    uint64_t live_offered, live_told;
    bool seal_asked, live_asked; /* requests to the own service in flight */
    uint64_t now_ms;             /* of the turn */
    uint64_t seal_retry_ms, live_retry_ms;
};

void sherd_sealed_init(struct sherd_sealed *s, uint16_t self, uint64_t incarnation);
void sherd_sealed_fini(struct sherd_sealed *s);

/* An encoded map; copied, if it is newer than all seen. 0, -EBADMSG, -EPROTO (of another cluster),
 * -ENOMEM. */
int sherd_sealed_offer(struct sherd_sealed *s, struct sherd_bytes encoded);
/* Epochs up to `version` are live. */
void sherd_sealed_offer_live(struct sherd_sealed *s, uint64_t version);

/* Moves on. Returns whether the map, or what is live of it, changed. */
bool sherd_sealed_turn(struct sherd_sealed *s, const struct sherd_turn *t);

/* What the service has forgotten (progress.h), as far as the sealed map speaks of it. */
void sherd_sealed_note_forgotten(struct sherd_sealed *s, const struct sherd_progress *progress);

/* The newest version known here, sealed or about to be. 0: none. */
uint64_t sherd_sealed_newest(const struct sherd_sealed *s);

/* The own slot in partition `index` of the sealed map, or -1: none, or one given to an earlier life
 * of this node, or to a memory that it has forgotten. */
int sherd_sealed_own_slot(const struct sherd_sealed *s, uint16_t index);
/* Whether the partition's epoch is sealed, live and not lost: work on it makes sense. */
bool sherd_sealed_is_open(const struct sherd_sealed *s, uint16_t index);

/* Work that was finished in `epoch` of a partition; ignored when that is not its epoch now. */
void sherd_sealed_set_rebuilt(struct sherd_sealed *s, uint16_t index, uint32_t epoch);
void sherd_sealed_set_scanned(struct sherd_sealed *s, uint16_t index, uint32_t epoch);

static inline bool sherd_bit(const uint8_t *bits, uint16_t i) { return bits[i / 8] >> i % 8 & 1; }

#endif
