/* jobs.h - operations that the background thread runs on keys: FINISH and REPAIR.
 *
 * Each owns a copy of its key. Whoever starts jobs bounds how many of them it has running. */
#ifndef SHERD_SERVER_JOBS_H
#define SHERD_SERVER_JOBS_H

#include "client/engine.h"

struct sherd_job;

struct sherd_jobs {
    struct sherd_engine *engine;
    struct sherd_job *first; /* running */
};

/* `key` lives until this returns. May start jobs. */
typedef void sherd_job_done(void *context, struct sherd_bytes key, enum sherd_outcome outcome);

/* `done` is called from a later poll of the engine, exactly once, unless jobs are ended before.
 * 0; -ENOMEM, -EINVAL (no key): `done` is not called. */
int sherd_jobs_start(struct sherd_jobs *jobs, enum sherd_op_kind kind, struct sherd_bytes key,
                     sherd_job_done *done, void *context);

/* Frees what still runs: after the engine was closed. */
void sherd_jobs_fini(struct sherd_jobs *jobs);

#endif
