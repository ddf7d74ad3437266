/* cluster.h - where the cluster is, and the `sherd` executable that kills and starts its nodes. */
#ifndef SHERD_BENCH_CLUSTER_H
#define SHERD_BENCH_CLUSTER_H

#include "bench/bench.h"

enum { BENCH_PATH_SIZE = 4096 };

/* The configuration file that --dir, --conf or $SHERD_CONF name. 0, or an exit code after a
 * report. */
int bench_cluster_conf(const struct bench_options *o, char out[BENCH_PATH_SIZE]);

/* Runs `sherd cluster VERB NODE --dir DIR` and waits for its end; its output goes to ours on
 * failure only. 0, or an exit code after a report. */
int bench_cluster_run(const struct bench_options *o, const char *verb, unsigned node);

#endif
