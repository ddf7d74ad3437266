/* placement.h - which nodes hold the slots of a partition.
 *
 * Weighted rendezvous hashing (Thaler and Ravishankar 1998; the weighting: Schindelhauer and
 * Schomaker 2005) in integers: score = -weight / log2(hash), so that every machine computes the
 * same. One slot per node; a partition takes its nodes from as many zones as there are before it
 * takes a second one from any. Nodes that name no zone are in one zone together. */
#ifndef SHERD_COORD_PLACEMENT_H
#define SHERD_COORD_PLACEMENT_H

#include "coord/map.h"

/* Fills slots[0..n-1] with ids of distinct nodes. `usable` tells for each node whether it may be
 * taken. Returns how many were filled: less than n when there are not enough. The order is by
 * slot: the first k hold data, and go to the best scores. Weight 0 takes no slot. */
uint8_t sherd_placement_choose(const struct sherd_node *nodes, uint16_t node_count,
                               const bool *usable, uint16_t partition, uint8_t n,
                               uint16_t slots[SHERD_SLOTS_MAX]);

/* The best node for one vacant slot of a partition that `taken` (slot -> node or SHERD_NO_NODE, n
 * of them) already occupies, or SHERD_NO_NODE. */
uint16_t sherd_placement_replace(const struct sherd_node *nodes, uint16_t node_count,
                                 const bool *usable, uint16_t partition, uint8_t n,
                                 const uint16_t *taken);

#endif
