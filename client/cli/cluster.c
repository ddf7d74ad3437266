/* cluster.c - local clusters: up, down, list, kill, start, wipe. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/bar.h"
#include "client/cli/commands.h"
#include "client/cli/health.h"
#include "client/cli/layout.h"
#include "client/cli/local.h"
#include "client/cli/registry.h"

enum { START_MS_MAX = 30000, ASK_MS = 500, PAUSE_MS = 20, DRAIN_MS = 5000, KILL_MS = 5000 };

/* A local cluster that is there. */
struct local {
    struct cli_place place;
    struct sherd_conf conf;
};

static int open_local(const struct cli *cli, struct local *out)
{
    int code = cli_place_find_local(cli, &out->place);
    return code != 0 ? code : cli_place_load(cli, &out->place, &out->conf);
}

static unsigned count_running(const struct local *local)
{
    unsigned running = 0;

    for (unsigned i = 0; i < local->conf.node_count; i++)
        if (cli_local_pid(local->place.dir, i) != 0) running++;
    return running;
}

/* Ends all servers, politely first if `drain_ms` is not 0. False: some would not go. */
static bool stop_all(const char *dir, unsigned count, unsigned drain_ms)
{
    if (drain_ms > 0) {
        for (unsigned i = 0; i < count; i++)
            cli_local_signal(dir, i, SIGTERM);
        for (unsigned i = 0; i < count; i++)
            cli_local_signal(dir, i, SIGCONT); /* one that is stopped could not hear it */
        if (cli_local_wait_gone(dir, count, drain_ms)) return true;
    }
    for (unsigned i = 0; i < count; i++)
        cli_local_signal(dir, i, SIGKILL);
    return cli_local_wait_gone(dir, count, KILL_MS);
}

/* ---- Waiting for servers ---- */

static int died(const struct cli *cli, const char *dir, unsigned node)
{
    char line[CLI_LOG_LINE_SIZE];

    cli_local_last_log(dir, node, line);
    return cli_fail(cli, CLI_ENVIRONMENT, "node %u ended at once: %s (%s/node-%u.log)", node,
                    line[0] != '\0' ? line : "it said nothing", dir, node);
}

/* The first of the nodes that ended, or `last` + 1. While one is missing the others wait, too. */
static unsigned find_dead(const char *dir, unsigned first, unsigned last)
{
    while (first <= last && cli_local_pid(dir, first) != 0)
        first++;
    return first;
}

/* Until nodes first..last answer; with `live`, under a live map. 0, or an exit code. */
static int wait_for(const struct cli *cli, struct cli_session *s, unsigned first, unsigned last,
                    bool live)
{
    uint64_t limit_ms = cli->options.timeout_ms > 0 ? cli->options.timeout_ms : START_MS_MAX;
    uint64_t began_ms = cli_now_ms();
    struct cli_bar bar;
    unsigned node = first;
    int code = 0;

    cli_bar_init(&bar, cli, "starting", 0);
    while (node <= last && code == 0) {
        struct cli_node stats;
        cli_node_read(s, (uint16_t)node, &stats);
        bool is_ready = stats.stats != NULL && (!live || stats.live > 0);
        cli_node_fini(&stats);
        cli_bar_set(&bar, node - first, last - first + 1, 0);
        if (is_ready) {
            node++;
            continue;
        }
        unsigned dead = find_dead(s->place.dir, node, last);
        if (dead <= last)
            code = died(cli, s->place.dir, dead);
        else if (cli_now_ms() - began_ms > limit_ms)
            code = cli_fail(cli, CLI_ENVIRONMENT,
                            "node %u is not ready after %.1f s; see %s/node-%u.log", node,
                            (double)limit_ms / 1000, s->place.dir, node);
        else
            cli_sleep_ms(PAUSE_MS);
    }
    cli_bar_clear(&bar);
    return code;
}

static int wait_ready(struct cli *cli, const struct cli_place *place, unsigned first, unsigned last,
                      bool live)
{
    uint64_t given_ms = cli->options.timeout_ms;
    struct cli_session session;
    int code;

    cli->options.timeout_ms = 0; /* --timeout is for the whole start, not for each question */
    code = cli_session_open_at(cli, place, ASK_MS, &session);
    cli->options.timeout_ms = given_ms;
    if (code != 0) return code;
    code = wait_for(cli, &session, first, last, live);
    cli_session_close(&session);
    return code;
}

/* ---- up ---- */

/* Options of `up` that say what a new cluster is to be like. */
#define SHAPE                                                                                      \
    (CLI_TAKES(NODES) | CLI_TAKES(CODE) | CLI_TAKES(BASE_PORT) | CLI_TAKES(ZONES) |                \
     CLI_TAKES(MAX_MEMORY) | CLI_TAKES(RECOVERY_RATE) | CLI_TAKES(SCRUB_RATE) | CLI_TAKES(STORE) | \
     CLI_TAKES(SYNC))

/* Whether there is anything on disk of nodes 0..count-1, whatever the configuration says now. */
static bool is_kept(const struct cli_place *place, unsigned count)
{
    char path[CLI_PATH_SIZE];

    for (unsigned i = 0; i < count; i++) {
        cli_place_file(place->dir, i, "state", path);
        if (access(path, F_OK) == 0) return true;
    }
    return false;
}

/* Looks at the cluster that was in the folder before. What it kept in memory only is gone with its
 * servers: room is made. What it has on disk is taken up again, as it is: *nodes is set. */
static int look_at_old(const struct cli *cli, const struct cli_place *place, unsigned *nodes)
{
    struct local old = {.place = *place};
    unsigned running;
    int code;

    *nodes = 0;
    if (access(place->conf, F_OK) != 0) {
        if (!is_kept(place, (unsigned)cli->options.nodes)) return 0;
        return cli_fail(cli, CLI_ENVIRONMENT,
                        "%s has what nodes of an earlier cluster kept (node-N.state), and no "
                        "cluster.conf: choose another --dir, or remove it",
                        place->dir);
    }
    code = cli_place_load(cli, place, &old.conf);
    if (code != 0) return code;
    running = count_running(&old);
    if (running > 0)
        code = cli_fail(
            cli, CLI_ENVIRONMENT,
            "the cluster in %s is running already (%u of %zu nodes): 'sherd cluster start' "
            "starts the others, 'sherd cluster down' stops it; or choose another --dir or "
            "--name",
            place->dir, running, old.conf.node_count);
    else if (!is_kept(place, (unsigned)old.conf.node_count))
        cli_layout_remove(place, (unsigned)old.conf.node_count);
    else if ((cli->options.given & SHAPE) != 0)
        code = cli_fail(cli, CLI_USAGE,
                        "%s holds a stopped cluster: 'sherd cluster up' without further options "
                        "starts it again as it was, 'sherd cluster down --purge' removes it",
                        place->dir);
    else
        *nodes = (unsigned)old.conf.node_count;
    sherd_conf_fini(&old.conf);
    return code;
}

/* `init`: there is no cluster yet, and the keeper is to make the first map. */
static int start_all(struct cli *cli, const struct cli_place *place, unsigned count, bool init)
{
    int code = 0;

    for (unsigned i = 0; i < count && code == 0; i++)
        code = cli_local_spawn(cli, place->dir, i, init && i == 0);
    if (code == 0) code = wait_ready(cli, place, 0, count - 1, true);
    if (code != 0) stop_all(place->dir, count, 0);
    return code;
}

static int print_again(const struct cli *cli, const struct cli_place *place, unsigned count)
{
    char nodes[CLI_COUNT_TEXT];

    if (cli->options.json)
        return cli_print_json(json_pack("{s:s, s:o, s:o, s:i}", "outcome", "OK", "dir",
                                        cli_json_text(place->dir), "conf",
                                        cli_json_text(place->conf), "nodes", (int)count));
    printf("%s started again, with what they had; files and logs in %s\n",
           cli_show_count(nodes, count, "node"), place->dir);
    return CLI_OK;
}

static int print_up(const struct cli *cli, const struct cli_place *place)
{
    const struct cli_options *o = &cli->options;
    unsigned long long first = o->base_port, last = o->base_port + o->nodes - 1;
    char nodes[CLI_COUNT_TEXT];

    if (cli->options.json)
        return cli_print_json(json_pack("{s:s, s:o, s:o, s:i, s:s, s:i, s:i, s:i}", "outcome", "OK",
                                        "dir", cli_json_text(place->dir), "conf",
                                        cli_json_text(place->conf), "nodes", (int)o->nodes, "code",
                                        o->code, "base_port", (int)first, "keeper_node", 0,
                                        "keeper_port", (int)last + 1));
    printf("%s at %s on ports %llu to %llu; node 0 carries the keeper, on port %llu\n"
           "files and logs in %s\n",
           cli_show_count(nodes, o->nodes, "node"), o->code, first, last, last + 1, place->dir);
    return CLI_OK;
}

static int run_up(struct cli *cli)
{
    unsigned count = (unsigned)cli->options.nodes, kept = 0;
    struct cli_place place;
    int code = cli_layout_check(cli);

    if (code == 0) code = cli_place_find_local(cli, &place);
    if (code == 0) code = look_at_old(cli, &place, &kept);
    if (code == 0 && kept > 0) {
        code = start_all(cli, &place, kept, false);
        return code != 0 ? code : print_again(cli, &place, kept);
    }
    if (code == 0) code = cli_layout_check_ports(cli);
    if (code == 0) code = cli_layout_write(cli, &place);
    if (code != 0) return code;
    code = start_all(cli, &place, count, true);
    if (code == 0) return print_up(cli, &place);
    cli_layout_remove(&place, count);
    return code;
}

/* ---- down ---- */

static int run_down(struct cli *cli)
{
    struct local local;
    int code = open_local(cli, &local);
    char nodes[CLI_COUNT_TEXT];
    unsigned count, running;
    bool kept;

    if (code != 0) return code;
    count = (unsigned)local.conf.node_count;
    running = count_running(&local);
    kept = is_kept(&local.place, count) && !cli->options.purge;
    sherd_conf_fini(&local.conf);
    if (!stop_all(local.place.dir, count, DRAIN_MS))
        return cli_fail(cli, CLI_ENVIRONMENT, "some servers in %s do not end", local.place.dir);
    if (!kept) cli_layout_remove(&local.place, count);
    if (!kept && is_kept(&local.place, count))
        return cli_fail(cli, CLI_ENVIRONMENT, "what nodes kept in %s cannot be removed",
                        local.place.dir);
    if (cli->options.json)
        return cli_print_json(json_pack("{s:s, s:o, s:i, s:b}", "outcome", "OK", "dir",
                                        cli_json_text(local.place.dir), "stopped", (int)running,
                                        "kept", kept));
    cli_show_count(nodes, running, "node");
    if (kept)
        printf("%s stopped; the data stays in %s: 'sherd cluster up' starts again, 'sherd cluster "
               "down --purge' removes it\n",
               nodes, local.place.dir);
    else
        printf("%s stopped; the data is gone, the logs stay in %s\n", nodes, local.place.dir);
    return CLI_OK;
}

/* ---- kill, start, wipe ---- */

static int open_node(const struct cli *cli, struct local *local, uint16_t *node)
{
    int code = open_local(cli, local);

    if (code == 0)
        code = cli_place_node(cli, &local->conf, cli->words[0], node);
    else
        return code;
    if (code != 0) sherd_conf_fini(&local->conf);
    return code;
}

static int print_node(const struct cli *cli, uint16_t node, pid_t pid, const char *what)
{
    if (cli->options.json)
        return cli_print_json(json_pack("{s:s, s:i, s:i, s:s}", "outcome", "OK", "node", (int)node,
                                        "pid", (int)pid, "state", what));
    printf("node %u %s\n", node, what);
    return CLI_OK;
}

static int kill_node(const struct cli *cli, const struct local *local, uint16_t node)
{
    cli_local_signal(local->place.dir, node, SIGKILL);
    if (cli_local_wait_one_gone(local->place.dir, node, KILL_MS)) return 0;
    return cli_fail(cli, CLI_ENVIRONMENT, "node %u does not end", node);
}

static int run_kill(struct cli *cli)
{
    struct local local;
    uint16_t node = 0;
    int code = open_node(cli, &local, &node);
    pid_t pid;

    if (code != 0) return code;
    pid = cli_local_pid(local.place.dir, node);
    if (pid == 0)
        code = cli_fail(cli, CLI_ENVIRONMENT,
                        "node %u is not running: 'sherd cluster start %u' starts it", node, node);
    else
        code = kill_node(cli, &local, node);
    sherd_conf_fini(&local.conf);
    return code != 0 ? code : print_node(cli, node, pid, "killed");
}

/* All that are not running. */
static int start_stopped(struct cli *cli)
{
    struct local local;
    int code = open_local(cli, &local);
    char nodes[CLI_COUNT_TEXT];
    unsigned started = 0;

    if (code != 0) return code;
    for (unsigned i = 0; i < local.conf.node_count && code == 0; i++) {
        if (cli_local_pid(local.place.dir, i) != 0) continue;
        code = cli_local_spawn(cli, local.place.dir, i, false);
        started++;
    }
    if (code == 0)
        code = wait_ready(cli, &local.place, 0, (unsigned)local.conf.node_count - 1, false);
    sherd_conf_fini(&local.conf);
    if (code != 0) return code;
    if (cli->options.json)
        return cli_print_json(json_pack("{s:s, s:i}", "outcome", "OK", "started", (int)started));
    printf("%s started\n", cli_show_count(nodes, started, "node"));
    return CLI_OK;
}

static int run_start(struct cli *cli)
{
    struct local local;
    uint16_t node = 0;
    int code = cli->count == 0 ? start_stopped(cli) : open_node(cli, &local, &node);

    if (code != 0 || cli->count == 0) return code;
    code = cli_local_spawn(cli, local.place.dir, node, false);
    if (code == 0) {
        code = wait_ready(cli, &local.place, node, node, false);
        if (code != 0) kill_node(cli, &local, node);
    }
    sherd_conf_fini(&local.conf);
    return code != 0 ? code
                     : print_node(cli, node, cli_local_pid(local.place.dir, node), "started");
}

static int run_wipe(struct cli *cli)
{
    char path[CLI_PATH_SIZE];
    struct local local;
    uint16_t node = 0;
    int code = open_node(cli, &local, &node);

    if (code != 0) return code;
    code = kill_node(cli, &local, node);
    if (code == 0) {
        cli_place_file(local.place.dir, node, "state", path);
        cli_local_remove(path);
        if (access(path, F_OK) == 0)
            code = cli_fail(cli, CLI_ENVIRONMENT, "%s cannot be removed", path);
    }
    sherd_conf_fini(&local.conf);
    return code != 0 ? code : print_node(cli, node, 0, "stopped, its state removed");
}

/* ---- list ---- */

static json_t *json_of_node(const struct local *local, unsigned node)
{
    pid_t pid = cli_local_pid(local->place.dir, node);
    const char *state =
        pid == 0 ? "stopped" : (cli_local_is_suspended(pid) ? "suspended" : "running");

    return json_pack("{s:i, s:o, s:i, s:s}", "id", (int)node, "pid",
                     pid == 0 ? json_null() : json_integer(pid), "port",
                     (int)cli_layout_port(local->conf.nodes[node].endpoint), "state", state);
}

static json_t *json_of_local(const struct local *local)
{
    json_t *nodes = json_array();
    char code[16];

    for (unsigned i = 0; i < local->conf.node_count; i++)
        json_array_append_new(nodes, json_of_node(local, i));
    snprintf(code, sizeof(code), "%u+%u", local->conf.k, local->conf.m);
    return json_pack("{s:o, s:s, s:o}", "dir", cli_json_text(local->place.dir), "code", code,
                     "nodes", nodes);
}

static void print_local(const json_t *cluster)
{
    const json_t *nodes = json_object_get(cluster, "nodes"), *node;
    size_t i;

    printf("%s  code %s\n", json_string_value(json_object_get(cluster, "dir")),
           json_string_value(json_object_get(cluster, "code")));
    json_array_foreach(nodes, i, node)
    {
        printf("  node %-3zu port %-5d %-9s", i,
               (int)json_integer_value(json_object_get(node, "port")),
               json_string_value(json_object_get(node, "state")));
        if (json_is_integer(json_object_get(node, "pid")))
            printf(" pid %d", (int)json_integer_value(json_object_get(node, "pid")));
        putchar('\n');
    }
}

/* Adds a cluster to the list; one whose configuration is broken is left out, with a report. */
static int add_local(const struct cli *cli, const struct cli_place *place, json_t *list)
{
    struct local local = {.place = *place};
    int code = cli_place_load(cli, place, &local.conf);

    if (code != 0) return code;
    json_array_append_new(list, json_of_local(&local));
    sherd_conf_fini(&local.conf);
    return 0;
}

struct list {
    const struct cli *cli;
    json_t *clusters;
};

static void add_dir(void *context, const char *dir)
{
    const struct list *list = context;
    struct cli_place place;

    snprintf(place.dir, sizeof(place.dir), "%.1000s", dir);
    snprintf(place.conf, sizeof(place.conf), "%.1000s/cluster.conf", dir);
    if (access(place.conf, F_OK) == 0) add_local(list->cli, &place, list->clusters);
}

static int add_all(const struct cli *cli, json_t *clusters)
{
    struct list list = {cli, clusters};
    char home[CLI_PATH_SIZE];
    int code = cli_place_home(cli, home);
    DIR *folder = code == 0 ? opendir(home) : NULL;
    const struct dirent *entry;

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        char dir[CLI_PATH_SIZE];
        snprintf(dir, sizeof(dir), "%.700s/%s", home, entry->d_name);
        if (entry->d_name[0] != '.') add_dir(&list, dir);
    }
    if (folder != NULL) closedir(folder);
    cli_registry_each(add_dir, &list);
    return code;
}

static int run_list(struct cli *cli)
{
    bool is_named =
        cli->options.dir != NULL || cli->options.name != NULL || cli->options.conf != NULL;
    json_t *list = json_array();
    struct cli_place place;
    const json_t *cluster;
    size_t i;
    int code;

    if (is_named) {
        code = cli_place_find_local(cli, &place);
        if (code == 0) code = add_local(cli, &place, list);
    } else {
        code = add_all(cli, list);
    }
    if (code == 0 && cli->options.json) return cli_print_json(json_pack("{s:o}", "clusters", list));
    if (code == 0 && json_array_size(list) == 0)
        puts("no local clusters; 'sherd cluster up' starts one");
    if (code == 0) json_array_foreach(list, i, cluster) print_local(cluster);
    json_decref(list);
    return code;
}

const struct cli_command cli_cluster_up = {
    .name = "cluster up",
    .arguments = "",
    .summary = "starts a local cluster in the background",
    .help =
        "Returns when every server answers; on failure nothing stays running. The servers keep\n"
        "everything in memory, or with --store lmdb on disk: then 'sherd cluster down' and 'up'\n"
        "stop it and start it again with all it had. --sync 100ms is faster, and what is not\n"
        "stopped in order counts as lost. Files and logs are in $XDG_STATE_HOME/sherd/NAME "
        "(without that\n"
        "variable: ~/.local/state/sherd/NAME), or --dir. Node 0 carries the keeper, on the port\n"
        "after the last node's; when node 0 is killed, epochs do not move until it is back.\n\n"
        "  sherd cluster up\n"
        "  sherd cluster up --store lmdb\n"
        "  sherd cluster up --nodes 11 --code 8+3 --dir /tmp/eleven --base-port 7600\n",
    .options = SHAPE,
    .run = run_up,
};

const struct cli_command cli_cluster_down = {
    .name = "cluster down",
    .arguments = "",
    .summary = "stops a local cluster; what it had in memory is gone",
    .help = "What a cluster with --store lmdb has stays on disk, unless --purge removes it.\n\n"
            "  sherd cluster down\n"
            "  sherd cluster down --purge\n"
            "  sherd cluster down --dir /tmp/eleven\n",
    .options = CLI_TAKES(PURGE),
    .run = run_down,
};

const struct cli_command cli_cluster_list = {
    .name = "cluster list",
    .arguments = "",
    .summary = "local clusters, their servers' processes and ports",
    .help = "All local clusters that this user started, or the one of --dir or --name.\n\n"
            "  sherd cluster list\n"
            "  sherd cluster list --dir /tmp/eleven --json\n",
    .run = run_list,
};

const struct cli_command cli_cluster_kill = {
    .name = "cluster kill",
    .arguments = "NODE",
    .summary = "kills a server (SIGKILL), to see what happens",
    .help = "With --store lmdb its disk keeps what it had.\n\n"
            "  sherd cluster kill 2\n",
    .words_min = 1,
    .words_max = 1,
    .run = run_kill,
};

const struct cli_command cli_cluster_start = {
    .name = "cluster start",
    .arguments = "[NODE]",
    .summary = "starts a server again, or all that are stopped",
    .help =
        "With --store lmdb it goes on with what it had and catches up; else it begins empty and\n"
        "is rebuilt. Returns when it answers; 'sherd recover NODE --watch' when it is whole.\n\n"
        "  sherd cluster start 2\n"
        "  sherd cluster start\n",
    .words_max = 1,
    .run = run_start,
};

const struct cli_command cli_cluster_wipe = {
    .name = "cluster wipe",
    .arguments = "NODE",
    .summary = "kills a server if it runs, and removes what it kept",
    .help = "  sherd cluster wipe 2 && sherd cluster start 2\n",
    .words_min = 1,
    .words_max = 1,
    .run = run_wipe,
};
