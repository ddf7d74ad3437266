/* fuzz_report - a node's report from anywhere: refused, or within the limits and the same bytes
 * again; and the keeper takes any report that decodes, under a map that the input does not know. */
#include <errno.h>

#include "coord/map_codec.h"
#include "coord/membership.h"
#include "tests/fuzz/fuzz.h"

enum { NODES = 6, PARTITIONS = 16, NOW_MS = 1000 };

/* A keeper without a map, that was told to make the first one of six nodes. */
static struct sherd_membership *keeper(void)
{
    static struct sherd_membership m;
    static struct sherd_map *map, *next;

    if (map == NULL) {
        map = calloc(1, sherd_map_size(PARTITIONS));
        next = calloc(1, sherd_map_size(PARTITIONS));
    }
    SHERD_ASSERT(map != NULL && next != NULL);
    memset(map, 0, sherd_map_size(PARTITIONS));
    map->k = 4;
    map->m = 2;
    map->node_count = NODES;
    map->partition_count = PARTITIONS;
    for (uint16_t i = 0; i < NODES; i++)
        map->nodes[i] = (struct sherd_node){.id = i, .weight = 1, .endpoint = "tcp://host:7500"};
    struct sherd_membership_config config = {.vacate_after_ms = 30000, .init = true, .cluster = 9};
    sherd_membership_init(&m, &config, map, next);
    return &m;
}

/* The report, and after it the five others say the same of themselves. */
static void check_keeper(const struct sherd_report *first)
{
    struct sherd_membership *m = keeper();
    struct sherd_report r = *first;

    sherd_membership_hear(m, first, NOW_MS);
    sherd_membership_step(m, NOW_MS);
    for (uint16_t i = 0; i < NODES; i++) {
        r.node = i;
        r.incarnation = first->incarnation + i;
        sherd_membership_hear(m, &r, NOW_MS);
    }
    if (sherd_membership_step(m, NOW_MS) == SHERD_MEMBERSHIP_PUBLISH) {
        SHERD_ASSERT(m->next->version > m->map->version);
        sherd_membership_commit(m);
        r.cluster = m->map->cluster;
        r.map_version = m->map->version;
        for (r.node = 0; r.node < NODES; r.node++)
            sherd_membership_hear(m, &r, NOW_MS + 1);
        sherd_membership_step(m, NOW_MS + 1);
    }
    SHERD_ASSERT(m->map->live <= m->map->version);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t again[SHERD_REPORT_BYTES_MAX];
    uint8_t *copy = fuzz_copy((struct sherd_bytes){data, size});
    struct sherd_bytes in = {copy, size};
    struct sherd_report r = {0};
    int rc = sherd_report_decode(in, &r);

    SHERD_ASSERT(rc == 0 || rc == -EBADMSG);
    if (rc == 0) {
        SHERD_ASSERT(r.node < SHERD_NODES_MAX);
        SHERD_ASSERT(sherd_report_encode(&r, again, in.size - 1) == 0);
        SHERD_ASSERT(sherd_report_encode(&r, again, sizeof(again)) == in.size);
        fuzz_same((struct sherd_bytes){again, in.size}, in);
        check_keeper(&r);
    }
    free(copy);
    return 0;
}
