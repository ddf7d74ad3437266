/* records.c - reading the store, when what it holds may be damaged.
 *
 * A shard that does not fit its CRC is absent, and repaired from others. A record that is damaged,
 * or may be missing, is worse: this node no longer knows what it promised. It forgets the whole
 * partition then, answers no more for it, and is rebuilt there like a node that came back empty. */
#include <errno.h>
#include <string.h>

#include "client/log.h"
#include "server/service_parts.h"

void sherd_service_damaged(struct sherd_service *s, const struct sherd_store_key *key)
{
    struct sherd_damage *d = &s->damage;

    d->shards++;
    sherd_service_repair_later(s, key, s->now_ms);
    for (unsigned i = 0; i < SHERD_DAMAGED_KEYS; i++)
        if (d->size[i] == key->key.size && memcmp(d->key[i], key->key.data, d->size[i]) == 0)
            return;
    memcpy(d->key[d->next], key->key.data, key->key.size);
    d->size[d->next] = (uint16_t)key->key.size;
    d->next = (d->next + 1) % SHERD_DAMAGED_KEYS;
}

void sherd_service_forget(struct sherd_service *s, uint16_t partition)
{
    log_warn("what is kept of partition %u is damaged: it is forgotten, and will be rebuilt",
             partition);
    s->damage.partitions++;
    sherd_partitions_forget(&s->partitions, partition);
    s->store->ops->drop_partition(s->store, partition);
    s->unsaved = true;
}

/* While the store takes no changes, nothing can be forgotten for good: what is damaged is not
 * answered, and found again. */
static int fail(struct sherd_service *s, uint16_t partition, int rc)
{
    if (rc == -ENOMEM)
        s->counters.no_memory++;
    else if (rc != -EUCLEAN)
        s->broken = rc;
    else if (s->store->ops->fault(s->store) == 0)
        sherd_service_forget(s, partition);
    return rc;
}

/* Takes the shards away that do not fit their CRC, so that this node says that it lacks them also
 * when it is not asked for them; the record is loaded again. While the store takes no changes they
 * are absent in this record alone. */
static int strip_damaged(struct sherd_service *s, const struct sherd_store_key *key,
                         struct sherd_record *record)
{
    const struct sherd_store_ops *ops = s->store->ops;
    int rc = 0;

    while (rc == 0 && s->store->damaged != 0) {
        unsigned at = (unsigned)__builtin_ctz(s->store->damaged);
        if (ops->strip(s->store, key, record->entries[at].handle) < 0) return 0;
        sherd_service_damaged(s, key);
        rc = ops->load(s->store, key, true, record);
    }
    return rc;
}

int sherd_service_load(struct sherd_service *s, const struct sherd_store_key *key, bool with_shards,
                       struct sherd_record *record)
{
    int rc = s->store->ops->load(s->store, key, with_shards, record);

    if (rc == 0 && with_shards) rc = strip_damaged(s, key, record);
    return rc < 0 ? fail(s, key->partition, rc) : 0;
}

int sherd_service_next(struct sherd_service *s, const struct sherd_store_key *cursor,
                       bool with_shards, struct sherd_store_key *key, struct sherd_record *record)
{
    int rc = s->store->ops->next(s->store, cursor->partition, cursor, with_shards, key, record);

    if (rc == 1 && with_shards && s->store->damaged) {
        memcpy(s->damage.key_now, key->key.data, key->key.size); /* the view will be gone */
        key->key.data = s->damage.key_now;
        rc = strip_damaged(s, key, record);
        if (rc == 0) rc = 1;
    }
    return rc < 0 ? fail(s, cursor->partition, rc) : rc;
}
