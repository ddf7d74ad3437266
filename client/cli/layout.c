#include "client/cli/layout.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/local.h"
#include "client/cli/registry.h"

int cli_layout_check(const struct cli *cli)
{
    const struct cli_options *o = &cli->options;
    unsigned long long first = o->base_port, last = o->base_port + o->nodes; /* the keeper's */
    unsigned k = 0, m = 0;

    if (sherd_parse_code(o->code, &k, &m) != 0)
        return cli_fail(cli, CLI_USAGE,
                        "--code must be K+M with K at least 1 and K+M at most %d, such as 4+2, not "
                        "'%.60s'",
                        SHERD_SLOTS_MAX, o->code);
    if (o->nodes < k + m)
        return cli_fail(cli, CLI_USAGE,
                        "code %u+%u needs at least %u nodes, not %llu: use --nodes %u or a smaller "
                        "code",
                        k, m, k + m, (unsigned long long)o->nodes, k + m);
    if (!sherd_conf_is_store(o->store))
        return cli_fail(cli, CLI_USAGE, "--store must be memory or lmdb, not '%.60s'", o->store);
    if (!sherd_conf_is_sync(o->sync))
        return cli_fail(cli, CLI_USAGE,
                        "--sync must be always, or milliseconds such as 100ms, not '%.60s'",
                        o->sync);
    if ((o->given & CLI_TAKES(SYNC)) != 0 && strcmp(o->store, "lmdb") != 0)
        return cli_fail(cli, CLI_USAGE, "--sync is for --store lmdb: memory is never on the disk");
    if (last > UINT16_MAX)
        return cli_fail(cli, CLI_USAGE,
                        "ports %llu to %llu end beyond 65535: use a lower --base-port", first,
                        last);
    if (o->zones > o->nodes)
        return cli_fail(cli, CLI_USAGE, "%llu zones need at least as many nodes",
                        (unsigned long long)o->zones);
    return 0;
}

static int try_port(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int on = 1, rc = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) return -errno;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    /* As the servers bind: what lingers from closed connections is no obstacle. */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 1) != 0)
        rc = -errno;
    close(fd);
    return rc;
}

int cli_layout_check_ports(const struct cli *cli)
{
    unsigned long long first = cli->options.base_port, last = first + cli->options.nodes;

    for (unsigned long long port = first; port <= last; port++) { /* the last one is the keeper's */
        int rc = try_port((uint16_t)port);
        if (rc == -EADDRINUSE)
            return cli_fail(cli, CLI_ENVIRONMENT,
                            "port %llu is in use, by a local cluster ('sherd cluster list' shows "
                            "yours) or another program: choose others with --base-port",
                            port);
        if (rc != 0)
            return cli_fail(cli, CLI_ENVIRONMENT, "port %llu: %s; choose others with --base-port",
                            port, strerror(-rc));
    }
    return 0;
}

/* 0 or negative errno. */
static int finish(FILE *file)
{
    int failed = ferror(file) ? EIO : 0;
    return fclose(file) != 0 ? -errno : -failed;
}

/* The cluster is called as its folder is, as far as names may. */
static void name_of(const char *dir, char out[SHERD_CONF_CLUSTER_BYTES_MAX])
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const char *slash = strrchr(dir, '/');

    snprintf(out, SHERD_CONF_CLUSTER_BYTES_MAX, "%.63s", slash != NULL ? slash + 1 : dir);
    for (char *c = out; *c != '\0'; c++)
        if (strchr(allowed, *c) == NULL) *c = '-';
    if (out[0] == '\0') snprintf(out, SHERD_CONF_CLUSTER_BYTES_MAX, "local");
}

static int write_cluster(const struct cli_options *o, const struct cli_place *place)
{
    FILE *file = fopen(place->conf, "we");
    unsigned long long port = o->base_port;
    char name[SHERD_CONF_CLUSTER_BYTES_MAX];

    if (file == NULL) return -errno;
    name_of(place->dir, name);
    fprintf(file, "# Written by 'sherd cluster up'; for servers and clients.\ncluster = \"%s\"\n",
            name);
    fprintf(file, "code = \"%s\"\nstore = \"%s\"\nsync = \"%s\"\n", o->code, o->store, o->sync);
    fprintf(file, "keeper = \"tcp://127.0.0.1:%llu\"\n", port + o->nodes);
    for (uint64_t i = 0; i < o->nodes; i++) {
        fprintf(file, "node %llu { endpoint = \"tcp://127.0.0.1:%llu\"", (unsigned long long)i,
                port + i);
        if (o->zones > 0)
            fprintf(file, " zone = \"zone-%llu\"", (unsigned long long)(i % o->zones));
        fprintf(file, " }\n");
    }
    return finish(file);
}

static int write_node(const struct cli_options *o, const char *dir, unsigned node)
{
    char path[CLI_PATH_SIZE];
    FILE *file;

    cli_place_file(dir, node, "conf", path);
    file = fopen(path, "we");
    if (file == NULL) return -errno;
    fprintf(file, "include(\"cluster.conf\")\nself = %u\n", node);
    fprintf(file, "state_dir = \"%s/node-%u.state\"\n", dir, node);
    if (node == 0) fprintf(file, "keeper_dir = \"%s/keeper\"\n", dir);
    fprintf(file, "max_memory = \"%llu\"\n", (unsigned long long)o->max_memory_bytes);
    fprintf(file, "recovery_rate = \"%llu\"\n", (unsigned long long)o->recovery_rate_bytes);
    fprintf(file, "scrub_rate = \"%llu\"\n", (unsigned long long)o->scrub_rate_bytes);
    return finish(file);
}

int cli_layout_write(const struct cli *cli, const struct cli_place *place)
{
    int rc;

    if (strpbrk(place->dir, "\"\\$\n\r") != NULL)
        return cli_fail(cli, CLI_USAGE,
                        "the folder's name has a quote, a backslash or a '$', which configuration "
                        "files cannot hold: choose another --dir");
    rc = cli_local_make_folder(place->dir);
    if (rc == 0) rc = write_cluster(&cli->options, place);
    for (unsigned i = 0; i < cli->options.nodes && rc == 0; i++)
        rc = write_node(&cli->options, place->dir, i);
    if (rc == 0) {
        cli_registry_add(place->dir);
        return 0;
    }
    unlink(place->conf); /* half a file would be in the way of everything */
    return cli_fail(cli, CLI_ENVIRONMENT, "cannot write in %s: %s; choose another --dir",
                    place->dir, strerror(-rc));
}

void cli_layout_remove(const struct cli_place *place, unsigned node_count)
{
    static const char *const suffixes[] = {"conf", "pid", "state"};
    char path[CLI_PATH_SIZE];

    for (unsigned i = 0; i < node_count; i++)
        for (size_t j = 0; j < LEN(suffixes); j++) {
            cli_place_file(place->dir, i, suffixes[j], path);
            cli_local_remove(path);
        }
    snprintf(path, sizeof(path), "%.1000s/keeper", place->dir);
    cli_local_remove(path);
    cli_local_remove(place->conf);
}

unsigned cli_layout_port(const char *endpoint)
{
    const char *colon = strrchr(endpoint, ':');
    return colon != NULL ? (unsigned)strtoul(colon + 1, NULL, 10) : 0;
}
