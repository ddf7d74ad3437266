#include "coord/seal.h"

bool sherd_seal_is_gone(const struct sherd_membership *m, uint16_t index, uint16_t node,
                        uint32_t incarnation)
{
    uint64_t life = m->members[node].incarnation;

    if (incarnation != 0 && m->members[node].forgotten[index] == incarnation) return true;
    if (life == 0) life = m->map->nodes[node].incarnation; /* not heard: as it was */
    return !sherd_map_is_same_life(m->map, node, incarnation, life);
}

bool sherd_seal_has_sealed(const struct sherd_membership *m, uint16_t index, uint16_t node,
                           uint32_t incarnation, uint64_t version)
{
    const struct sherd_member *member = &m->members[node];

    return member->incarnation != 0 && !sherd_seal_is_gone(m, index, node, incarnation) &&
           member->map_version >= version;
}

bool sherd_seal_can_answer(const struct sherd_membership *m, uint16_t index,
                           const struct sherd_epoch *x, uint8_t slot, uint64_t next)
{
    uint16_t node = x->node[slot];
    uint32_t incarnation = x->incarnation[slot];

    return !sherd_seal_is_gone(m, index, node, incarnation) &&
           !sherd_seal_has_sealed(m, index, node, incarnation, next);
}

/* Whether fewer than min(q, r) voters of `x` have not sealed `next` yet, and still could. */
static bool is_over(const struct sherd_membership *m, uint16_t index, const struct sherd_epoch *x,
                    uint64_t next)
{
    struct sherd_quorum quorum = sherd_quorum_of(sherd_slots_count(x->voters), m->map->k);
    uint8_t left = 0;

    for (uint32_t rest = x->voters; rest != 0; rest &= rest - 1)
        if (sherd_seal_can_answer(m, index, x, sherd_slots_first(rest), next)) left++;
    return left < quorum.q && left < quorum.r;
}

static uint16_t index_of(const struct sherd_membership *m, const struct sherd_partition *p)
{
    return (uint16_t)(p - m->map->partitions);
}

bool sherd_seal_is_retired(const struct sherd_membership *m, const struct sherd_partition *p)
{
    for (uint32_t i = 0; i + 1 < p->open_count; i++)
        if (!is_over(m, index_of(m, p), &p->open[i], p->open[i + 1].epoch)) return false;
    return true;
}

bool sherd_seal_is_shut(const struct sherd_membership *m, const struct sherd_partition *p)
{
    return sherd_seal_is_retired(m, p) &&
           is_over(m, index_of(m, p), &p->open[p->open_count - 1], m->map->version);
}

static bool is_manned(const struct sherd_membership *m, const struct sherd_partition *p)
{
    uint8_t sealed = 0;

    for (uint32_t rest = p->voters; rest != 0; rest &= rest - 1) {
        uint8_t slot = sherd_slots_first(rest);
        if (sherd_seal_has_sealed(m, index_of(m, p), p->node[slot], p->incarnation[slot], p->epoch))
            sealed++;
    }
    return sealed >= sherd_partition_quorum(p, m->map->k).q;
}

bool sherd_seal_is_live(const struct sherd_membership *m)
{
    for (uint16_t i = 0; i < m->map->partition_count; i++) {
        const struct sherd_partition *p = &m->map->partitions[i];
        if (p->lost || p->epoch <= m->map->live) continue;
        if (!is_manned(m, p) || !sherd_seal_is_retired(m, p)) return false;
    }
    return true;
}
