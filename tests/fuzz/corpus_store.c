/* corpus_store.c - values of a durable store's database, and edits of its file: fuzz_store.c. */
#include "server/store_lmdb_record.h"
#include "tests/fuzz/corpus.h"

enum { WHAT = 1, EDITS = 2, BYTES_MAX = 4096 };

static const uint8_t shard[900] = {1, 2, 3};

static struct sherd_entry entry(uint64_t clock, bool committed, size_t shard_size)
{
    return (struct sherd_entry){
        .ballot = {clock, 77,  3},
        .version = {clock,     77,    3},
        .meta = {clock,    0,    100, 0},
        .committed = committed,
        .has_shard = true,
        .crc = 9,
        .shard = {shard, shard_size}
    };
}

/* One more record at the end of what was written; with all kinds of fields if it has entries. */
static uint8_t *put_record(uint8_t *at, const char *key, unsigned count)
{
    struct sherd_stored_record r = {
        .key = {key, strlen(key)}
    };

    r.record.count = (uint8_t)count;
    for (uint8_t i = 0; i < count; i++)
        r.record.entries[i] = entry(i + 1, i == 0, i == 0 ? sizeof(shard) : i);
    if (count > 1) {
        r.record.entries[1].meta.expires_ms = 5;
        r.record.entries[1].version.clock = 1;
        r.record.entries[1].shown = true;
        r.record.entries[1].shard = (struct sherd_bytes){NULL, 5000};
        r.shard_ids[1] = 12;
        r.record.refused = (struct sherd_ballot){9, 9, 9};
    }
    if (count != 1) r.record.promised = (struct sherd_ballot){8, 9, 9};
    return sherd_stored_put(at, &r);
}

static void write_value(const char *name, const unsigned *counts, size_t count)
{
    uint8_t out[BYTES_MAX], *at = out;
    char key[] = "k0";

    at = sherd_bytes_put_u8(at, WHAT);
    sherd_stored_db_key(3, 1, 0x123456789, at);
    at += SHERD_STORED_DB_KEY_BYTES;
    for (size_t i = 0; i < count; i++) {
        at = put_record(at, key, counts[i]);
        key[1]++;
    }
    at = sherd_bytes_put_u32(at, 0); /* the target sets it right */
    corpus_write("store", name, (struct sherd_bytes){out, (size_t)(at - out)});
}

static void write_edit(const char *name, uint16_t page, uint16_t place, uint8_t byte)
{
    uint8_t out[16], *at = out;

    at = sherd_bytes_put_u8(at, EDITS);
    at = sherd_bytes_put_u16(at, page);
    at = sherd_bytes_put_u16(at, place);
    at = sherd_bytes_put_u8(at, byte);
    corpus_write("store", name, (struct sherd_bytes){out, (size_t)(at - out)});
}

void corpus_write_store(void)
{
    write_value("settled", (const unsigned[]){1}, 1);
    write_value("bounds", (const unsigned[]){0}, 1);
    write_value("entries", (const unsigned[]){SHERD_ENTRIES_MAX}, 1);
    write_value("same-hash", (const unsigned[]){1, 0, 3}, 3);
    write_value("nothing", NULL, 0);
    write_edit("edit-meta-flags", 0, 16 + 24 + 4, 0xff);
    write_edit("edit-meta-number", 1, 16 + 24 + 96 + 8, 1);
    write_edit("edit-page-flags", 9, 10, 3);
    write_edit("edit-page-lower", 9, 12, 0xff);
    write_edit("edit-page-upper", 10, 15, 0xff);
    write_edit("edit-node", 11, 16, 0x10);
}
