/* map_codec.h - the cluster map and the nodes' reports to and from bytes. Trusts nothing. */
#ifndef SHERD_COORD_MAP_CODEC_H
#define SHERD_COORD_MAP_CODEC_H

#include <sherd/base.h>

#include "coord/map.h"
#include "coord/membership.h"

/* The size of sherd_map_encode's output for this map. */
size_t sherd_map_encoded_max(const struct sherd_map *map);

/* Writes the map, ending in the XXH3_64 of all before it. Returns the size, or 0: no room. A vacant
 * slot has no incarnation, and one that did not vote in an open epoch no node there either: they
 * are decoded as 0 and SHERD_NO_NODE. Counts and slots beyond their limits and strings without a
 * closing zero are programmer errors (asserted). */
size_t sherd_map_encode(const struct sherd_map *map, uint8_t *out, size_t capacity);

/* How many partitions the encoded map has, so that the caller can make room
 * (sherd_map_size()); 0: not a map. */
uint16_t sherd_map_peek_partitions(struct sherd_bytes in);

/* Checks everything and fills *out, whose memory is sherd_map_size(sherd_map_peek_partitions(in)).
 * 0 or -EBADMSG; on failure *out is undefined. What holds of a decoded map:
 * - the checksum was right; version > 0 (a map that is none is never sent), live <= version;
 * - there is room for a successor: the version, and the next incarnations, are below 2^32. The last
 *   map that is decoded has a successor that is not: a keeper must not publish that one;
 * - 1 <= k, k + m <= SHERD_SLOTS_MAX, counts of nodes, partitions and open epochs in 1 .. limit;
 * - a node's id is its index; endpoint and zone are zero-terminated, without control characters;
 * - voters and learners are disjoint and below k + m, each held by a node, no node twice; a vacant
 *   slot names a node or SHERD_NO_NODE;
 * - every open epoch has k voters or more, each a node; epochs ascend, none is above the version;
 * - epoch and voters of the partition are those of its last open epoch. */
int sherd_map_decode(struct sherd_bytes in, struct sherd_map *out);

/* The hash that a successor names as its predecessor: of the encoded form. */
uint64_t sherd_map_hash(struct sherd_bytes encoded);

/* Reports have one size, SHERD_REPORT_BYTES_MAX at most. 0 from encode: no room. decode: 0, or
 * -EBADMSG: another size, or a node id beyond SHERD_NODES_MAX. */
size_t sherd_report_encode(const struct sherd_report *r, uint8_t *out, size_t capacity);
int sherd_report_decode(struct sherd_bytes in, struct sherd_report *out);
enum { SHERD_REPORT_BYTES_MAX = 256 };

#endif
