#include "tests/support/nodes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bsd/stdlib.h>
#include <zmq.h>

static int write_file(const char *dir, const char *name, const char *text)
{
    char path[NODES_PATH_SIZE + 16];
    FILE *file;
    int rc = 0;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    file = fopen(path, "we");
    if (!file) return -errno;
    if (fputs(text, file) < 0) rc = -EIO;
    if (fclose(file) != 0) rc = -EIO;
    return rc;
}

int nodes_write_conf(const char *dir, unsigned k, unsigned m, uint32_t vacate_after_ms)
{
    char text[1024];
    int size, rc;

    size = snprintf(text, sizeof(text),
                    "code = \"%u+%u\"\nkeeper = \"tcp://127.0.0.1:1\"\npartitions = %d\n"
                    "max_memory = \"64MiB\"\nrecovery_rate = \"0\"\nkeeper_dir = \"%s/keeper\"\n"
                    "vacate_after_ms = %u\nlog_level = \"error\"\ninclude(\"nodes.conf\")\n",
                    k, m, NODES_PARTITIONS, dir, (unsigned)vacate_after_ms);
    if (size < 0 || (size_t)size >= sizeof(text)) return -ENAMETOOLONG;
    rc = write_file(dir, "main.conf", text);
    if (rc < 0) return rc;
    return write_file(dir, "nodes.conf",
                      "node 0 { endpoint = \"tcp://127.0.0.1:2\" }\n"
                      "node 1 { endpoint = \"tcp://127.0.0.1:3\" }\n"
                      "node 2 { endpoint = \"tcp://127.0.0.1:4\" }\n");
}

int nodes_load(struct nodes *n, const char *dir, char *error, size_t error_size)
{
    char path[NODES_PATH_SIZE + 16];
    int rc;

    memset(n, 0, sizeof(*n));
    snprintf(n->dir, sizeof(n->dir), "%s", dir);
    snprintf(path, sizeof(path), "%s/main.conf", dir);
    rc = sherd_conf_load(path, &n->conf, error, error_size);
    if (rc < 0) return rc;
    snprintf(n->conf.keeper, sizeof(n->conf.keeper), "ipc://%s/k", n->dir);
    for (unsigned i = 0; i < NODES; i++)
        snprintf(n->conf.nodes[i].endpoint, sizeof(n->conf.nodes[i].endpoint), "ipc://%s/%u",
                 n->dir, i);
    return 0;
}

static void *serve(void *context)
{
    struct nodes_one *one = context;

    one->served = sherd_service_run(one->service, &one->stop);
    return NULL;
}

static void close_all(struct nodes *n, unsigned node)
{
    struct nodes_one *one = &n->one[node];

    sherd_background_stop(one->background);
    if (node == 0) {
        sherd_keeper_stop(n->keeper);
        n->keeper = NULL;
    }
    sherd_service_close(one->service);
    if (one->context) zmq_ctx_term(one->context);
    one->background = NULL;
    one->service = NULL;
    one->context = NULL;
}

/* As server/main.c does it. */
static int open_all(struct nodes *n, unsigned node)
{
    struct nodes_one *one = &n->one[node];
    struct sherd_service_life life;
    uint64_t incarnation = 0;
    int rc;

    while (incarnation == 0)
        arc4random_buf(&incarnation, sizeof(incarnation));
    one->context = zmq_ctx_new();
    if (!one->context) return -ENOMEM;
    rc = sherd_service_open(&one->conf, one->context, incarnation, &one->progress, &one->service);
    if (rc == 0 && node == 0) rc = sherd_keeper_start(&one->conf, true, one->context, &n->keeper);
    if (rc < 0) return rc;
    sherd_service_life(one->service, &life);
    return sherd_background_start(&one->conf, one->context, &life, &one->progress,
                                  &one->background);
}

int nodes_start(struct nodes *n, unsigned node)
{
    struct nodes_one *one = &n->one[node];
    int rc;

    memset(one, 0, sizeof(*one));
    one->conf = n->conf;
    one->conf.self = (int)node;
    rc = open_all(n, node);
    if (rc == 0) rc = -pthread_create(&one->thread, NULL, serve, one);
    if (rc < 0)
        close_all(n, node);
    else
        one->up = true;
    return rc;
}

int nodes_stop(struct nodes *n, unsigned node)
{
    struct nodes_one *one = &n->one[node];

    if (!one->up) return 0;
    one->up = false;
    atomic_store(&one->stop, true);
    pthread_join(one->thread, NULL);
    close_all(n, node);
    return one->served;
}

int nodes_fini(struct nodes *n)
{
    int rc = 0;

    for (unsigned i = NODES; i-- > 0;) {
        int ended = nodes_stop(n, i);
        if (ended < 0) rc = ended;
    }
    sherd_conf_fini(&n->conf);
    return rc;
}

void nodes_seed(const struct nodes *n, char *out, size_t size)
{
    snprintf(out, size, "ipc://%s/1", n->dir);
}
