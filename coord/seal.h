/* seal.h - who can still answer in an epoch, and when the next one is live (PROTOCOL 7.3). Pure.
 *
 * A voter of an epoch is known by its node and slot incarnation. It can answer in that epoch until
 * its node has sealed a later one of the partition, or until that memory is gone: the node has
 * registered another life since. A node not heard of can still answer. */
#ifndef SHERD_COORD_SEAL_H
#define SHERD_COORD_SEAL_H

#include "coord/membership.h"

/* Whether the memory that `node` was given this slot incarnation of partition `index` for is gone:
 * with the node's whole memory, or alone (struct sherd_report: forgotten). */
bool sherd_seal_is_gone(const struct sherd_membership *m, uint16_t index, uint16_t node,
                        uint32_t incarnation);

/* Whether that memory has sealed the map `version`, or a later one. */
bool sherd_seal_has_sealed(const struct sherd_membership *m, uint16_t index, uint16_t node,
                           uint32_t incarnation, uint64_t version);

/* Whether the voter of `x` in `slot` can still answer there: its node has not sealed map `next`, in
 * which the partition left that epoch. UINT64_MAX: it has not left it. */
bool sherd_seal_can_answer(const struct sherd_membership *m, uint16_t index,
                           const struct sherd_epoch *x, uint8_t slot, uint64_t next);

/* Whether fewer than min(q, r) voters can still answer, in every epoch of `p`, a partition of
 * m->map, before its newest. */
bool sherd_seal_is_retired(const struct sherd_membership *m, const struct sherd_partition *p);

/* Likewise in its newest epoch, of a partition that the current map says is lost: a node that has
 * sealed this map answers LOST. */
bool sherd_seal_is_shut(const struct sherd_membership *m, const struct sherd_partition *p);

/* Whether the current map is live: every partition in it whose epoch is above map->live has enough
 * voters sealed, and its older epochs are retired. Lost partitions hold up nobody. */
bool sherd_seal_is_live(const struct sherd_membership *m);

#endif
