/* keeper.h - the authority of the cluster map: a thread in the node that carries it (PROTOCOL 7).
 *
 * It hears the nodes' heartbeats, lets coord/membership.h decide, makes every new map durable in
 * keeper_dir/map, and only then pushes it (SEAL) to all who sent heartbeats; likewise for LIVE. Who
 * lacks the newest map, or does not know that it is live, is told again at every heartbeat.
 * The file is not node state: kill, wipe and start of the node do not touch it. While the keeper is
 * down, reads and writes go on under the current map. */
#ifndef SHERD_SERVER_KEEPER_H
#define SHERD_SERVER_KEEPER_H

#include <stdbool.h>

#include "client/conf.h"

struct sherd_keeper;

/* Binds conf->keeper, reads keeper_dir, and starts the thread. `init`: if there is no map yet, make
 * the first one as soon as all configured nodes are heard. `conf` must live as long as the keeper.
 * Every failure is logged; *out is set only on success:
 * -EINVAL   no endpoint or directory configured, or the map is of another code, more partitions or
 *           more nodes than configured
 * -ENOENT   no map, and not told to make one
 * -EBADMSG  the map's file is damaged: never taken for a new cluster
 * -EBUSY    another process uses the directory
 * other     of the file, the socket, memory */
int sherd_keeper_start(const struct sherd_conf *conf, bool init, void *zmq_context,
                       struct sherd_keeper **out);

/* Stops the thread within 1 s and joins it. NULL is allowed. */
void sherd_keeper_stop(struct sherd_keeper *k);

#endif
