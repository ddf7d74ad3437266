#include "server/jobs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { JOB_TIMEOUT_MS = 3000 };

struct sherd_job {
    struct sherd_op op;
    struct sherd_jobs *jobs;
    struct sherd_job *next, **link; /* link: what points at this one */
    sherd_job_done *done;
    void *context;
    uint8_t key[];
};

static void unlink_job(struct sherd_job *job)
{
    *job->link = job->next;
    if (job->next) job->next->link = job->link;
}

static void link_job(struct sherd_jobs *jobs, struct sherd_job *job)
{
    job->next = jobs->first;
    job->link = &jobs->first;
    if (job->next) job->next->link = &job->next;
    jobs->first = job;
}

static void on_done(struct sherd_op *op)
{
    struct sherd_job *job = op->context;

    unlink_job(job);
    job->done(job->context, op->key, op->outcome);
    free(op->result.data);
    free(job);
}

int sherd_jobs_start(struct sherd_jobs *jobs, enum sherd_op_kind kind, struct sherd_bytes key,
                     sherd_job_done *done, void *context)
{
    if (key.size == 0 || key.size > SHERD_KEY_BYTES_MAX) return -EINVAL;

    struct sherd_job *job = calloc(1, sizeof(*job) + key.size);
    int rc;

    if (!job) return -ENOMEM;
    memcpy(job->key, key.data, key.size);
    job->jobs = jobs;
    job->done = done;
    job->context = context;
    job->op.kind = kind;
    job->op.key = (struct sherd_bytes){job->key, key.size};
    job->op.timeout_ms = JOB_TIMEOUT_MS;
    job->op.done = on_done;
    job->op.context = job;
    link_job(jobs, job);
    rc = sherd_engine_submit(jobs->engine, &job->op);
    if (rc < 0) {
        unlink_job(job);
        free(job);
    }
    return rc;
}

void sherd_jobs_fini(struct sherd_jobs *jobs)
{
    for (struct sherd_job *job = jobs->first, *next; job; job = next) {
        next = job->next;
        free(job);
    }
    jobs->first = NULL;
}
