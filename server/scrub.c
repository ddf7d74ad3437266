/* scrub.c - reads every shard again, slowly, so that one that rots is found before it is needed,
 * and tells peers what is held here in few bytes. */
#include <string.h>

#include <sherd/ecc.h>

#include "coord/bytes.h"
#include "server/digest.h"
#include "server/service_parts.h"

enum {
    SCRUB_RECORDS = 500,       /* a tick, at most */
    SCRUB_PAUSE_MS = 60000,    /* after each whole round */
    RECORD_BYTES = 128,        /* what looking at a record counts beside its shards */
    DIGEST_RECORDS_MAX = 8192, /* of one answer: bounds the turn */
};

/* A store may have looked already, and shows what does not fit as absent. */
static bool is_rotten(const struct sherd_entry *e)
{
    return e->has_shard && e->shard.data && sherd_crc32c(e->shard.data, e->shard.size) != e->crc;
}

/* Returns how many bytes were looked at. */
static uint64_t check(struct sherd_service *s, const struct sherd_store_key *key,
                      const struct sherd_record *record)
{
    uint64_t bytes = RECORD_BYTES;

    for (uint8_t i = 0; i < record->count; i++) {
        bytes += record->entries[i].shard.size;
        if (!is_rotten(&record->entries[i])) continue;
        s->store->ops->strip(s->store, key, record->entries[i].handle);
        sherd_service_damaged(s, key);
        break; /* the views are gone; the next round sees what else there is */
    }
    return bytes;
}

/* The cursor has the key in memory of its own: a change may take the view away. */
static void keep_place(struct sherd_scrub *scrub, const struct sherd_store_key *key)
{
    memcpy(scrub->key, key->key.data, key->key.size);
    scrub->at.hash = key->hash;
    scrub->at.key = (struct sherd_bytes){scrub->key, key->key.size};
}

void sherd_service_scrub(struct sherd_service *s)
{
    struct sherd_scrub *scrub = &s->scrub;
    struct sherd_store_key key;
    struct sherd_record record;

    if (scrub->rate.bytes_per_second == 0 || s->now_ms < scrub->again_ms) return;
    sherd_rate_fill(&scrub->rate, s->now_ms);
    for (unsigned i = 0; i < SCRUB_RECORDS && sherd_rate_allows(&scrub->rate); i++) {
        int rc = sherd_service_next(s, &scrub->at, true, &key, &record);
        if (rc < 0) return; /* here again, in the next tick */
        if (rc == 1) {
            keep_place(scrub, &key);
            uint64_t bytes = check(s, &scrub->at, &record);
            scrub->bytes += bytes;
            sherd_rate_take(&scrub->rate, bytes);
            continue;
        }
        scrub->at = (struct sherd_store_key){
            .partition = (uint16_t)((scrub->at.partition + 1) % SHERD_PARTITIONS)};
        if (scrub->at.partition != 0) continue;
        scrub->rounds++;
        scrub->again_ms = s->now_ms + SCRUB_PAUSE_MS;
        return;
    }
}

/* What must be alike on all voters: the newest value that is known to be complete. */
static uint64_t mark_of(const struct sherd_store_key *key, const struct sherd_record *record,
                        uint64_t wall_ms)
{
    uint8_t bytes[32], *at = bytes, i = record->count;

    while (i > 0 && !record->entries[i - 1].committed)
        i--;
    if (i == 0 || sherd_meta_is_empty(&record->entries[i - 1].meta, wall_ms)) return 0;

    const struct sherd_entry *e = &record->entries[i - 1];
    at = sherd_bytes_put_u64(at, key->hash);
    at = sherd_bytes_put_u64(at, e->version.clock);
    at = sherd_bytes_put_u64(at, e->version.client);
    at = sherd_bytes_put_u32(at, e->version.epoch);
    at = sherd_bytes_put_u32(at, e->has_shard);
    return sherd_hash_key(bytes, (size_t)(at - bytes));
}

/* From the hash `since` on, up to the one in the body, or as far as an answer goes. */
void sherd_service_digest(struct sherd_service *s, const struct sherd_request *r,
                          struct sherd_answer *a)
{
    struct sherd_digest digest = {.last = UINT64_MAX};
    uint64_t last = UINT64_MAX;
    struct sherd_store_key cursor = {.partition = r->partition, .hash = r->since}, key;
    struct sherd_record record;
    unsigned seen = 0;
    int rc;

    if (r->body.size == sizeof(last)) {
        struct sherd_bytes_reader in = sherd_bytes_read(r->body);
        last = sherd_bytes_take_u64(&in);
    }
    while ((rc = sherd_service_next(s, &cursor, false, &key, &record)) == 1) {
        if (key.hash > last) break;
        if (seen >= DIGEST_RECORDS_MAX && key.hash != cursor.hash) {
            digest.last = cursor.hash; /* whole hashes only */
            break;
        }
        seen++;
        uint64_t mark = mark_of(&key, &record, s->wall_ms);
        digest.sum ^= mark;
        digest.count += mark != 0;
        cursor = key;
    }
    if (digest.last > last) digest.last = last;
    if (rc < 0) return; /* an empty body says nothing */
    a->body = (struct sherd_bytes){s->digest, sherd_digest_encode(&digest, s->digest)};
}
