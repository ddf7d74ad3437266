/* plan.c - the cache of decoding plans: a scan over 64 keys, eight cache lines. */
#include "ecc/plan.h"

void sherd_plans_init(struct sherd_plans *p, unsigned char *tables, size_t table_size)
{
    *p = (struct sherd_plans){.tables = tables, .table_size = table_size};
}

static unsigned unused_for_longest(const struct sherd_plans *p)
{
    unsigned oldest = 0;

    for (unsigned i = 1; i < SHERD_PLANS_MAX; i++)
        if (p->used[i] < p->used[oldest]) oldest = i;
    return oldest;
}

unsigned char *sherd_plans_find(struct sherd_plans *p, uint32_t sources, uint32_t wanted,
                                int *fresh)
{
    uint64_t key = (uint64_t)sources << 32 | wanted;
    unsigned i = 0;

    while (i < SHERD_PLANS_MAX && p->keys[i] != key)
        i++;
    *fresh = i == SHERD_PLANS_MAX;
    if (*fresh) {
        i = unused_for_longest(p); /* a free place was never used, so it comes first */
        p->keys[i] = key;
    } else {
        p->hits++;
    }
    p->used[i] = ++p->turn;
    return p->tables + i * p->table_size;
}
