/* status.c - healthy or not, and why. */
#include <string.h>

#include "client/cli/bar.h"
#include "client/cli/commands.h"
#include "client/cli/health.h"
#include "coord/limits.h"

enum { PAUSE_MS = 200, LINE_EVERY_MS = 2000, KEY_SHOWN_MAX = 80 };

static json_t *json_of_nodes(const struct cli_health *h, const struct cli_session *s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < h->count; i++)
        json_array_append_new(
            list, json_pack("{s:i, s:s, s:s, s:s, s:I, s:I, s:O?}", "id", (int)i, "endpoint",
                            s->conf.nodes[i].endpoint, "zone", s->conf.nodes[i].zone, "state",
                            h->nodes[i].state, "lost_forgotten", (json_int_t)h->nodes[i].forgotten,
                            "lost_kept", (json_int_t)h->nodes[i].kept, "stats", h->nodes[i].stats));
    return list;
}

/* Where the cluster is described: the folder of a local one. */
static const char *place_of(const struct cli_session *s)
{
    return s->place.dir[0] != '\0' ? s->place.dir : s->place.conf;
}

static json_t *json_of_info(const struct cli_health *h, const struct cli_session *s)
{
    const struct sherd_cluster_info *info = &h->info;
    char cluster[20];
    json_t *out;

    snprintf(cluster, sizeof(cluster), "%016llx", (unsigned long long)info->cluster);
    out = json_pack("{s:s, s:s, s:o, s:i, s:i}", "id", cluster, "name", s->conf.cluster, "place",
                    cli_json_text(place_of(s)), "k", (int)s->conf.k, "m", (int)s->conf.m);
    json_object_update_new(out, json_pack("{s:I, s:I, s:i, s:I, s:i, s:i, s:i, s:i}", "map_version",
                                          (json_int_t)info->map_version, "live_version",
                                          (json_int_t)cli_health_live(h), "partitions",
                                          (int)info->partitions, "degraded",
                                          (json_int_t)h->degraded, "degraded_in_map",
                                          (int)info->degraded, "learning", (int)info->learning,
                                          "unclean", (int)info->unclean, "lost", (int)info->lost));
    return out;
}

static void print_json(const struct cli_health *h, const struct cli_session *s)
{
    bool is_good = cli_health_is_good(h);
    const char *error = is_good ? NULL : "the cluster is not healthy; 'problems' says why";

    cli_print_json(json_pack(
        "{s:s, s:i, s:s*, s:b, s:O, s:o, s:I, s:O?, s:o}", "outcome", is_good ? "OK" : "UNHEALTHY",
        "exit_code", is_good ? CLI_OK : CLI_UNHEALTHY, "error", error, "healthy", (int)is_good,
        "problems", h->problems, "cluster", json_of_info(h, s), "bytes_held", (json_int_t)h->bytes,
        "keeper", h->keeper, "nodes", json_of_nodes(h, s)));
}

static void print_node(const struct cli_node *node, size_t id, const char *endpoint)
{
    char size[CLI_SIZE_TEXT], limit[CLI_SIZE_TEXT], heard[16] = "-";

    if (node->stats == NULL) {
        printf("%4zu  %-26s %s\n", id, endpoint, node->state);
        return;
    }
    if (node->keeper_ms >= 0)
        snprintf(heard, sizeof(heard), "%.1f s", (double)node->keeper_ms / 1000);
    printf("%4zu  %-26s %-11s %9llu %9s of %-9s %4llu %10s", id, endpoint, node->state,
           (unsigned long long)node->keys, cli_show_size(size, node->bytes),
           cli_show_size(limit, node->bytes_max), (unsigned long long)node->live, heard);
    if (strcmp(node->state, "up") != 0 && node->total > 0)
        printf("  %llu of %llu", (unsigned long long)node->done, (unsigned long long)node->total);
    putchar('\n');
}

/* Damage is no problem once it is repaired; but somebody should look at that disk. */
static void print_damage(const struct cli_node *node, size_t id)
{
    const json_t *keys =
        json_object_get(json_object_get(json_object_get(node->stats, "store"), "damaged"), "keys");
    char text[CLI_COUNT_TEXT], shown[CLI_SHOWN_SIZE];
    const json_t *key;
    size_t i;

    if (node->disowned > 0)
        printf("node %zu lost %s to damage since it started, and rebuilds or has rebuilt them\n",
               id, cli_show_count(text, node->disowned, "partition"));
    if (node->damaged == 0) return;
    printf("node %zu found %s since it started, last of:", id,
           cli_show_count(text, node->damaged, "damaged shard"));
    json_array_foreach(keys, i, key)
    {
        struct sherd_bytes bytes = {json_string_value(key), json_string_length(key)};
        printf("%s %s", i > 0 ? "," : "", cli_show(shown, bytes, KEY_SHOWN_MAX));
    }
    putchar('\n');
}

static void print_text(const struct cli_health *h, const struct cli_session *s)
{
    const struct sherd_cluster_info *info = &h->info;
    char size[CLI_SIZE_TEXT];
    const json_t *problem;
    size_t i;

    puts(cli_health_is_good(h) ? "healthy" : "NOT healthy:");
    json_array_foreach(h->problems, i, problem) printf("  %s\n", json_string_value(problem));
    printf("\ncluster %s (%s)\ncode %u+%u, keeper %s; %s held by all nodes\n", s->conf.cluster,
           place_of(s), s->conf.k, s->conf.m,
           s->conf.keeper[0] == '\0' ? "none" : (h->keeper != NULL ? "answers" : "does not answer"),
           cli_show_size(size, h->bytes));
    if (h->has_info)
        printf(
            "partitions %u: %llu degraded, %u learning, %u unclean, %u lost; map %llu, live %llu\n",
            info->partitions, (unsigned long long)h->degraded, info->learning, info->unclean,
            info->lost, (unsigned long long)info->map_version,
            (unsigned long long)cli_health_live(h));
    puts("\nnode  endpoint                   state            keys      used of room       map"
         "  heartbeat");
    for (i = 0; i < h->count; i++)
        print_node(&h->nodes[i], i, s->conf.nodes[i].endpoint);
    for (i = 0; i < h->count; i++)
        print_damage(&h->nodes[i], i);
}

static void show_progress(struct cli_bar *bar, const struct cli_health *h)
{
    uint64_t done = 0, total = 0, bytes = 0;

    for (size_t i = 0; i < h->count; i++) {
        if (strcmp(h->nodes[i].state, "up") == 0) continue;
        done += h->nodes[i].done;
        total += h->nodes[i].total;
        bytes += h->nodes[i].done_bytes;
    }
    cli_bar_set(bar, done, total, bytes);
}

/* Asks until the cluster is healthy or time is over. Undecided writes of this moment are no fault
 * until the sweep has had its time to finish them. */
static int read_patiently(const struct cli *cli, struct cli_session *s, struct cli_health *h)
{
    uint64_t began_ms = cli_now_ms(), wait_ms = cli->options.wait_s * 1000;
    uint64_t sweep_ms =
        SHERD_SWEEP_AFTER_MS + (uint64_t)(s->conf.k + s->conf.m + 1) * SHERD_SWEEP_PER_SLOT_MS;
    struct cli_bar bar;
    int code;

    cli_bar_init(&bar, cli, "waiting", wait_ms > 0 ? LINE_EVERY_MS : 0);
    for (;;) {
        uint64_t passed_ms = cli_now_ms() - began_ms;
        code = cli_health_read(cli, s, h);
        if (code != 0 || cli_health_is_good(h)) break;
        if (passed_ms >= wait_ms && !(h->only_undecided && passed_ms < sweep_ms)) break;
        show_progress(&bar, h);
        cli_health_fini(h);
        cli_sleep_ms(PAUSE_MS);
    }
    cli_bar_clear(&bar);
    return code;
}

static int run_status(struct cli *cli)
{
    struct cli_session session;
    struct cli_health health;
    int code = cli_session_open(cli, CLI_HEALTH_TIMEOUT_MS, &session);

    if (code != 0) return code;
    code = read_patiently(cli, &session, &health);
    if (code == 0) {
        if (cli->options.json)
            print_json(&health, &session);
        else
            print_text(&health, &session);
        code = cli_health_is_good(&health) ? CLI_OK : CLI_UNHEALTHY;
        cli_health_fini(&health);
    }
    cli_session_close(&session);
    return code;
}

const struct cli_command cli_status = {
    .name = "status",
    .arguments = "",
    .summary = "nodes, partitions, what is degraded or being rebuilt, and why",
    .only_reads = true,
    .help =
        "Exit code 0: every node answers, every slot votes, nothing waits to be repaired; else "
        "5.\n"
        "States: down; starting; learning, rebuilding; sealing (waits for a new epoch); unclean\n"
        "(an older epoch is open); repairing; full (more than 95 % of the room used); read-only\n"
        "(its disk is full or fails); and of\n"
        "lost partitions: empty, lost (forgot all it had, or a part), waiting (kept its shards,\n"
        "which alone are too few).\n\n"
        "  sherd status\n"
        "  sherd status --wait 60\n"
        "  sherd status --json | jq '.nodes[].stats.counters.refused'\n",
    .options = CLI_TAKES(WAIT),
    .run = run_status,
};
