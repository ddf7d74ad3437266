/* pages.c - LIST: a page of a partition's keys, or of the keys that the background must look at. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sherd/ecc.h>

#include "server/service_parts.h"

enum {
    PAGE_BYTES_MAX = 4 << 20,
    PAGE_BYTES_DEFAULT = 1 << 20,
    VISITS_MAX = 20000, /* records looked at for one page: bounds the turn */
    QUEUE_VISITS_MAX = 8192,
    UNDECIDED_AGAIN_MS = 2000,
};

static bool reserve(struct sherd_writer_buffer *page, size_t more)
{
    size_t need = page->size + more, capacity = page->capacity ? page->capacity : 4096;
    uint8_t *data;

    if (need <= page->capacity) return true;
    while (capacity < need)
        capacity *= 2;
    data = realloc(page->data, capacity);
    if (!data) return false;
    page->data = data;
    page->capacity = capacity;
    return true;
}

static bool put_item(struct sherd_writer_buffer *page, struct sherd_bytes key,
                     const struct sherd_entry *entries, uint8_t count)
{
    return reserve(page, sherd_wire_item_bytes(key, entries, count)) &&
           sherd_wire_put_item(page, key, entries, count) == 0;
}

static bool is_wanted(const struct sherd_request *r, const struct sherd_store_key *key,
                      const struct sherd_record *record)
{
    if (r->body.size != 0 &&
        (key->key.size < r->body.size || memcmp(key->key.data, r->body.data, r->body.size) != 0))
        return false;
    for (uint8_t i = 0; i < record->count; i++)
        if (record->entries[i].ballot.clock >= r->since) return true;
    return false;
}

/* Without shards, or only those of the newest committed entry and above, as for READ. */
static void trim_shards(struct sherd_record *record, bool with_shards)
{
    uint8_t newest = 0;

    for (uint8_t i = 0; i < record->count; i++)
        if (record->entries[i].committed) newest = i;
    for (uint8_t i = 0; i < record->count; i++)
        if (!with_shards || i < newest || !record->entries[i].has_shard)
            record->entries[i].shard = (struct sherd_bytes){NULL, 0};
}

/* Whoever reads a list may choose by it: what it shows is shown (participant.h). */
static void show(struct sherd_service *s, const struct sherd_store_key *key,
                 struct sherd_record *record)
{
    struct sherd_change change = {.shown = sherd_record_show(record)};

    if (change.shown) s->store->ops->apply(s->store, key, record, &change, NULL);
}

static void list_keys(struct sherd_service *s, const struct sherd_request *r, uint32_t limit,
                      struct sherd_answer *a)
{
    struct sherd_store_key cursor = {r->partition, 0, r->key}, key;
    struct sherd_record record;
    bool with_shards = (r->flags & SHERD_WITH_SHARD) != 0;
    unsigned visits = 0;
    int rc;

    if (r->key.size != 0) cursor.hash = sherd_hash_key(r->key.data, r->key.size);
    while ((rc = sherd_service_next(s, &cursor, with_shards, &key, &record)) == 1) {
        cursor = key;
        if (is_wanted(r, &key, &record)) {
            show(s, &key, &record);
            trim_shards(&record, with_shards);
            if (!put_item(&s->page, key.key, record.entries, record.count)) return;
        }
        if (s->page.size >= limit) return;
        if (++visits == VISITS_MAX) { /* an item without entries only moves the reader's cursor */
            put_item(&s->page, key.key, NULL, 0);
            return;
        }
    }
    if (rc == 0) a->flags |= SHERD_ANSWER_END;
}

/* Whether the entry that was noted is still undecided. A newer one of the key has a place of its
 * own in the queue: finishing it too early would only disturb its writer. */
static bool is_meant(const struct sherd_record *record, struct sherd_ballot ballot)
{
    if (sherd_ballot_is_zero(ballot)) return true;
    for (uint8_t i = 0; i < record->count; i++)
        if (!record->entries[i].committed && sherd_ballot_equal(record->entries[i].ballot, ballot))
            return true;
    return false;
}

/* Puts the keys with this hash that are meant on the page. Returns how many; negative: it could not
 * be done now. */
static int put_keys_of(struct sherd_service *s, const struct sherd_queue_item *item,
                       struct sherd_writer_buffer *page)
{
    struct sherd_store_key cursor = {.partition = item->partition, .hash = item->hash}, key;
    struct sherd_record record;
    int found = 0, rc;

    while ((rc = sherd_service_next(s, &cursor, false, &key, &record)) == 1 &&
           key.hash <= item->hash) {
        if (key.hash == item->hash && is_meant(&record, item->ballot)) {
            if (!put_item(page, key.key, NULL, 0)) return -ENOMEM;
            found++;
        }
        cursor = key;
    }
    return rc < 0 ? rc : found;
}

static void list_queue(struct sherd_service *s, struct sherd_queue *q, uint32_t limit,
                       struct sherd_writer_buffer *page, struct sherd_answer *a)
{
    struct sherd_queue_item item;

    for (unsigned i = 0; i < QUEUE_VISITS_MAX && page->size < limit; i++) {
        if (!sherd_queue_pop_due(q, s->now_ms, &item)) {
            a->flags |= SHERD_ANSWER_END;
            return;
        }
        int found = put_keys_of(s, &item, page);
        if (found < 0 || (found > 0 && !sherd_ballot_is_zero(item.ballot))) {
            item.due_ms = s->now_ms + UNDECIDED_AGAIN_MS; /* until it is decided */
            sherd_queue_push(q, item);                    /* into the place that it had */
        }
        if (found < 0) return;
    }
}

/* Nothing puts back on the list what is taken off it for a page: a page that did not arrive is sent
 * again. */
static void list_repair(struct sherd_service *s, uint64_t arrived, uint32_t limit,
                        struct sherd_answer *a)
{
    if (arrived == s->repair_pages) {
        s->repair_pages++;
        s->repair_page.size = 0;
        list_queue(s, &s->repair, limit, &s->repair_page, a);
    }
    a->body = (struct sherd_bytes){s->repair_page.data, s->repair_page.size};
}

void sherd_service_list(struct sherd_service *s, const struct sherd_request *r,
                        struct sherd_answer *a)
{
    uint32_t limit = r->limit ? r->limit : PAGE_BYTES_DEFAULT;

    if (limit > PAGE_BYTES_MAX) limit = PAGE_BYTES_MAX;
    s->page.size = 0;
    a->epoch = r->partition < s->partitions.count ? s->states[r->partition].epoch : 0;
    switch (r->what) {
    case SHERD_LIST_KEYS: list_keys(s, r, limit, a); break;
    case SHERD_LIST_UNDECIDED: list_queue(s, &s->undecided, limit, &s->page, a); break;
    case SHERD_LIST_REPAIR: list_repair(s, r->since, limit, a); return;
    case SHERD_LIST_DIGEST: sherd_service_digest(s, r, a); return;
    default: list_queue(s, &s->dead, limit, &s->page, a); break;
    }
    a->body = (struct sherd_bytes){s->page.data, s->page.size};
}
