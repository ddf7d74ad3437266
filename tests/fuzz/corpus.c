/* fuzz_corpus FOLDER - writes what the fuzz targets begin from, FOLDER/<target>/..., always the
 * same bytes. Run it again when a format changes. What was found by fuzzing is not made here. */
#include "tests/fuzz/corpus.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "coord/bytes.h"
#include "coord/map_codec.h"
#include "coord/membership.h"
#include "tests/support/wire_messages.h"

enum { FILE_BYTES_MAX = 4096, PATH_SIZE = 4096 };
enum { MESSAGE, PAGE, FRAME, RECORD }; /* fuzz_wire.c */

static const char *folder;

static void stop(const char *what)
{
    fprintf(stderr, "fuzz_corpus: %s\n", what);
    exit(1);
}

void corpus_write(const char *target, const char *name, struct sherd_bytes bytes)
{
    char path[PATH_SIZE];

    if (bytes.size > FILE_BYTES_MAX) stop(name);
    snprintf(path, sizeof(path), "%s/%s", folder, target);
    mkdir(path, 0777);
    snprintf(path, sizeof(path), "%s/%s/%s", folder, target, name);
    FILE *file = fopen(path, "we");
    if (file == NULL || fwrite(bytes.data, 1, bytes.size, file) != bytes.size) stop(path);
    if (fclose(file) != 0) stop(path);
}

/* ---- wire ---- */

/* Frame 0 alone, and the sizes of the others. */
static void write_frame(const struct wire_message *m, const char *name)
{
    uint8_t out[FILE_BYTES_MAX], *at = out;

    at = sherd_bytes_put_u8(at, FRAME);
    at = sherd_bytes_put_u8(at, (uint8_t)(m->frame_count - 1));
    for (size_t i = 1; i < m->frame_count; i++)
        at = sherd_bytes_put_u16(at, (uint16_t)(m->frames[i].size - SHERD_SHARD_INLINE_MAX - 1));
    at = sherd_bytes_put(at, m->frames[0]);
    corpus_write("wire", name, (struct sherd_bytes){out, (size_t)(at - out)});
}

static void write_kinds(void)
{
    char name[32];

    for (size_t i = 0; i < WIRE_KINDS; i++) {
        struct wire_message m = wire_one_record(wire_kind(i));
        while (m.frame_count > 4 || m.out.size > FILE_BYTES_MAX - 16)
            m = wire_one_record(wire_kind(i));
        snprintf(name, sizeof(name), "kind-%02u", (unsigned)wire_kind(i));
        write_frame(&m, name);
    }
}

static void write_batch(void)
{
    struct wire_message m;

    wire_begin(&m, SHERD_REQUESTS, 4);
    for (uint32_t i = 0; i < 4; i++) {
        struct sherd_request r = wire_random_request(i % 2 ? SHERD_READ : SHERD_COMMIT, true);
        wire_send_request(&m, &r);
    }
    write_frame(&m, "four-records");
}

/* At the limits: one step further must be refused. */
static void write_limits(void)
{
    struct sherd_request r = wire_random_request(SHERD_READ, true);
    struct sherd_answer a = wire_random_answer(SHERD_STATE, true);
    struct wire_message m;

    r.key = wire_random_bytes(SHERD_KEY_BYTES_MAX);
    wire_begin(&m, SHERD_REQUESTS, 3);
    for (int i = 0; i < 3; i++)
        wire_send_request(&m, &r);
    write_frame(&m, "longest-keys");

    a.entry_count = SHERD_ENTRIES_MAX;
    for (uint8_t i = 0; i < a.entry_count; i++) {
        a.entries[i] = wire_random_entry(true);
        a.entries[i].shard = wire_random_bytes(wire_below(20));
        a.entries[i].meta.size = SHERD_VALUE_BYTES_MAX;
    }
    wire_begin(&m, SHERD_ANSWERS, 2);
    wire_send_answer(&m, &a);
    wire_send_answer(&m, &a);
    write_frame(&m, "most-entries");
}

static void write_message(void)
{
    uint8_t out[FILE_BYTES_MAX], *at = out;
    struct wire_message m = wire_one_record(SHERD_PING);

    at = sherd_bytes_put_u8(at, MESSAGE);
    at = sherd_bytes_put_u8(at, 0);
    at = sherd_bytes_put_u32(at, (uint32_t)m.frames[0].size);
    at = sherd_bytes_put(at, m.frames[0]);
    corpus_write("wire", "message", (struct sherd_bytes){out, (size_t)(at - out)});
}

static void write_page(void)
{
    uint8_t out[FILE_BYTES_MAX];
    struct sherd_writer_buffer body = {out + 1, 0, sizeof(out) - 1};
    struct sherd_entry entries[2];

    out[0] = PAGE;
    for (uint8_t count = 0; count < 3; count++) {
        for (uint8_t i = 0; i < count; i++) {
            entries[i] = wire_random_entry(true);
            entries[i].shard = wire_random_bytes(wire_below(50));
        }
        if (sherd_wire_put_item(&body, wire_random_key(true), entries, count) != 0) stop("page");
    }
    corpus_write("wire", "page", (struct sherd_bytes){out, 1 + body.size});
}

static void write_records(void)
{
    uint8_t out[300];
    char name[32];

    for (uint8_t i = 0; i < 6; i++) {
        sherd_bytes_put(out, wire_random_bytes(sizeof(out)));
        out[0] = RECORD;
        out[1] = (uint8_t)(i * 4);
        snprintf(name, sizeof(name), "record-%u", i);
        corpus_write("wire", name, (struct sherd_bytes){out, sizeof(out)});
    }
}

/* ---- map, report, keeper ---- */

static struct sherd_map *new_map(uint8_t k, uint8_t m, uint16_t nodes, uint16_t partitions)
{
    struct sherd_map *map = calloc(1, sherd_map_size(partitions));

    if (map == NULL) stop("no memory");
    map->k = k;
    map->m = m;
    map->node_count = nodes;
    map->partition_count = partitions;
    for (uint16_t i = 0; i < nodes; i++) {
        struct sherd_node *n = &map->nodes[i];
        *n = (struct sherd_node){.id = i, .weight = 1};
        snprintf(n->endpoint, sizeof(n->endpoint), "tcp://h%u:7500", i);
        if (i % 2) snprintf(n->zone, sizeof(n->zone), "z%u", i % 3);
    }
    return map;
}

static void hear_all(struct sherd_membership *m, uint64_t now_ms, uint64_t incarnation)
{
    for (uint16_t i = 0; i < m->map->node_count; i++) {
        struct sherd_report r = {.node = i, .incarnation = incarnation + i};
        r.cluster = m->map->cluster;
        r.map_version = m->map->version;
        sherd_membership_hear(m, &r, now_ms);
    }
}

/* The keeper's maps: the first, and what follows when all nodes are there, one came back empty, and
 * others are silent. */
static void write_maps(const char *code, struct sherd_map *map)
{
    static struct sherd_membership m;
    static uint8_t out[1 + 16 + (64 << 10)];
    struct sherd_membership_config config = {.vacate_after_ms = 1000, .init = true, .cluster = 77};
    struct sherd_map *next = new_map(map->k, map->m, map->node_count, map->partition_count);
    uint64_t now_ms = 1000;
    char name[64];

    sherd_membership_init(&m, &config, map, next);
    for (unsigned made = 0; made < 3 && now_ms < 60000; now_ms += 400) {
        hear_all(&m, now_ms, made < 2 ? 1000 : 1000 + made % 2);
        if (made >= 1) { /* node 1 has another memory */
            struct sherd_report r = {.node = 1, .incarnation = 5000 + made};
            sherd_membership_hear(&m, &r, now_ms);
        }
        if (sherd_membership_step(&m, now_ms) != SHERD_MEMBERSHIP_PUBLISH) continue;
        size_t size = sherd_map_encode(next, out + 17, sizeof(out) - 17);
        if (size == 0 || size > FILE_BYTES_MAX - 25) stop(code);
        snprintf(name, sizeof(name), "%s-%u", code, ++made);
        corpus_write("map", name, (struct sherd_bytes){out + 17, size});
        uint8_t *at = sherd_bytes_put_u8(out, 1); /* set the checksum right */
        at = sherd_bytes_put_u32(at, 0x706b6873);
        at = sherd_bytes_put_u32(at, 1);
        sherd_bytes_put_u64(at, next->live);
        corpus_write("keeper", name, (struct sherd_bytes){out, 17 + size + 8});
        sherd_membership_commit(&m);
    }
    free(next);
    free(map);
}

/* A map that the encoder would not make: another value at `at`, and one more byte behind it. The
 * target sets its checksum right. */
static void write_broken(const char *name, struct sherd_bytes map, size_t at, uint8_t value)
{
    uint8_t out[FILE_BYTES_MAX];
    const uint8_t *in = map.data;

    memcpy(out, in, at);
    out[at] = value;
    out[at + 1] = 'e';
    memcpy(out + at + 2, in + at + 1, map.size - at - 1);
    corpus_write("map", name, (struct sherd_bytes){out, map.size + 1});
}

/* One more epoch than may be open, behind all others. */
static void write_epochs(struct sherd_map *map)
{
    enum { CHECKSUM = 8, EPOCH = 14, SLOT = 6 };
    struct sherd_partition *p = &map->partitions[0];
    uint8_t out[FILE_BYTES_MAX];

    p->open_count = SHERD_OPEN_EPOCHS_MAX;
    for (uint32_t i = 0; i < p->open_count; i++) {
        p->open[i] = p->open[0];
        p->open[i].epoch = i + 1;
    }
    p->epoch = SHERD_OPEN_EPOCHS_MAX;
    map->version = 100;
    size_t size = sherd_map_encode(map, out, sizeof(out));
    corpus_write("map", "most-epochs", (struct sherd_bytes){out, size});
    uint8_t *end = out + size - CHECKSUM;
    memcpy(end, end - EPOCH, EPOCH);
    sherd_bytes_put_u32(end, SHERD_OPEN_EPOCHS_MAX + 1);
    end[-SHERD_OPEN_EPOCHS_MAX * EPOCH - SLOT - 1]++;
    corpus_write("map", "too-many-epochs", (struct sherd_bytes){out, size + EPOCH});
}

/* At the limits and just beyond: one node, one partition. */
static void write_limit_maps(void)
{
    enum { ENDPOINT_SIZE_AT = 56 + 16 };
    struct sherd_map *map = new_map(1, 0, 1, 1);
    struct sherd_partition *p = &map->partitions[0];
    uint8_t out[FILE_BYTES_MAX];

    memset(map->nodes[0].endpoint, 'e', SHERD_ENDPOINT_BYTES_MAX - 1);
    memset(map->nodes[0].zone, 'z', SHERD_ZONE_BYTES_MAX - 1);
    map->version = p->epoch = p->open[0].epoch = 1;
    p->voters = p->open[0].voters = 1;
    p->open_count = 1;
    p->incarnation[0] = p->open[0].incarnation[0] = 1;
    struct sherd_bytes encoded = {out, sherd_map_encode(map, out, sizeof(out))};
    corpus_write("map", "longest-texts", encoded);
    write_broken("too-long-endpoint", encoded, ENDPOINT_SIZE_AT, SHERD_ENDPOINT_BYTES_MAX);
    map->nodes[0].endpoint[1] = map->nodes[0].zone[1] = '\0';
    map->k = 2; /* and one voter */
    encoded.size = sherd_map_encode(map, out, sizeof(out));
    corpus_write("map", "too-few-voters", encoded);
    map->k = 1;
    write_epochs(map);
    free(map);
}

static void write_reports(void)
{
    struct sherd_report r = {.node = 3, .incarnation = 1003, .cluster = 9, .map_version = 4};
    uint8_t out[SHERD_REPORT_BYTES_MAX];
    char name[32];

    for (unsigned i = 0; i < 3; i++) {
        size_t size = sherd_report_encode(&r, out, sizeof(out));
        snprintf(name, sizeof(name), "report-%u", i);
        corpus_write("report", name, (struct sherd_bytes){out, size});
        r = (struct sherd_report){.node = (uint16_t)(i * 255), .incarnation = 5};
        memset(r.rebuilt, 0xff, sizeof(r.rebuilt));
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) stop("usage: fuzz_corpus FOLDER");
    folder = argv[1];
    mkdir(folder, 0777);
    wire_start_over(NULL);
    write_kinds();
    write_batch();
    write_message();
    write_page();
    write_records();
    write_limits();
    write_maps("1+0", new_map(1, 0, 1, 1));
    write_maps("1+2", new_map(1, 2, 3, 4));
    write_maps("4+2", new_map(4, 2, 6, 8));
    write_maps("8+3", new_map(8, 3, 12, 12));
    write_maps("20+12", new_map(20, 12, 32, 2));
    write_limit_maps();
    write_reports();
    corpus_write_store();
    corpus_write_texts();
    return 0;
}
