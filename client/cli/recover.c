/* recover.c - rebuilds a node's shards now, and shows how far it is. */
#include <string.h>

#include "client/cli/bar.h"
#include "client/cli/commands.h"
#include "client/cli/health.h"

enum {
    PAUSE_MS = 100,
    LINE_EVERY_MS = 2000,
    SILENCE_MS_MAX = 30000,
    ACCEPT_MS = 10000, /* until an accepted loss must show */
};

struct watch {
    uint16_t node;
    char incarnation[32];  /* of the node's memory when it was asked */
    uint64_t asked;        /* its count of requests, the one of this command included */
    uint64_t heard_ms;     /* monotonic, as the next */
    uint64_t lost_from_ms; /* before it, lost partitions may be about to begin anew */
    uint64_t rebuilt_keys, rebuilt_bytes;
    struct cli_bar bar;
    uint64_t lost;  /* partitions of the cluster */
    char label[48]; /* of the bar: the node and its task */
};

static uint64_t rebuilt(const struct cli_node *node, const char *what)
{
    json_t *recovery = json_object_get(node->stats, "recovery");
    return (uint64_t)json_integer_value(json_object_get(recovery, what));
}

static const char *incarnation_of(const struct cli_node *node)
{
    const char *text = json_string_value(json_object_get(node->stats, "incarnation"));
    return text != NULL ? text : "";
}

static int ask(const struct cli *cli, struct cli_session *s, struct watch *w)
{
    enum sherd_outcome outcome = SHERD_NO_QUORUM;
    struct cli_node node;
    int rc = sherd_node_recover(s->client, w->node, &outcome);

    if (rc != 0) return cli_fail_errno(cli, rc);
    cli_node_read(s, w->node, &node);
    if (outcome != SHERD_OK || node.stats == NULL) {
        cli_node_fini(&node);
        return cli_fail(cli, CLI_UNHEALTHY, "node %u (%s) does not answer; is it running?", w->node,
                        s->conf.nodes[w->node].endpoint);
    }
    snprintf(w->incarnation, sizeof(w->incarnation), "%s", incarnation_of(&node));
    w->asked = node.recover_asked;
    cli_node_fini(&node);
    return 0;
}

enum progress { GOES_ON, IS_WHOLE, IS_LOST };

/* A node without any slot is whole too: then nothing in the map is without a voter. */
static enum progress judge(struct cli_session *s, struct watch *w, struct cli_node *node)
{
    struct sherd_cluster_info info;
    enum sherd_outcome outcome;
    json_t *keeper;

    if (!cli_node_is_settled(node) || node->recover_done < w->asked) return GOES_ON;
    if (sherd_cluster_info(s->client, &outcome, &info) != 0 || outcome != SHERD_OK) return GOES_ON;
    keeper = cli_keeper_read(s);
    cli_node_judge(node, w->node, keeper);
    w->lost = cli_keeper_lost(keeper, &info);
    json_decref(keeper);
    if (w->lost > 0 && (node->kept + node->forgotten > 0 || node->voting == 0))
        return cli_now_ms() >= w->lost_from_ms ? IS_LOST : GOES_ON;
    if (!cli_node_is_whole(node)) return GOES_ON;
    return node->voting > 0 || (info.degraded == 0 && info.learning == 0) ? IS_WHOLE : GOES_ON;
}

/* Returns the exit code. */
static int report_lost(const struct cli *cli, const struct watch *w)
{
    char text[CLI_LINE_SIZE], lost[CLI_COUNT_TEXT];

    snprintf(text, sizeof(text),
             "node %u: %s lost, more nodes forgot their shards than the code can rebuild; 'sherd "
             "recover --accept-loss' lets them begin anew, and costs all keys in them",
             w->node, cli_show_count(lost, w->lost, "partition"));
    return cli_report(
        cli, SHERD_LOST,
        json_pack("{s:i, s:I}", "node", (int)w->node, "lost_partitions", (json_int_t)w->lost),
        text);
}

/* A task has its own count of what there is to do. */
static void show(struct watch *w, const struct cli_node *node)
{
    json_t *recovery = json_object_get(node->stats, "recovery");
    const char *task = json_string_value(json_object_get(recovery, "task"));
    bool is_idle = task == NULL || strcmp(task, "idle") == 0;
    char label[sizeof(w->label)];

    snprintf(label, sizeof(label), "node %u %-8.20s", w->node, is_idle ? "waits" : task);
    if (strcmp(label, w->label) != 0) {
        memcpy(w->label, label, sizeof(label));
        cli_bar_restart(&w->bar, w->label);
    }
    if (is_idle)
        cli_bar_set(&w->bar, 0, 0, 0); /* its numbers are those of its last task */
    else
        cli_bar_set(&w->bar, node->done, node->total, node->done_bytes);
}

/* One look. 0: go on; 1: done; negative: an exit code, reported. */
static int look(const struct cli *cli, struct cli_session *s, struct watch *w)
{
    enum progress progress;
    struct cli_node node;
    int result = 0;

    cli_node_read(s, w->node, &node);
    if (node.stats == NULL) {
        if (cli_now_ms() - w->heard_ms > SILENCE_MS_MAX) {
            cli_bar_clear(&w->bar);
            result =
                -cli_fail(cli, CLI_UNHEALTHY, "node %u has been silent for %d s; is it running?",
                          w->node, SILENCE_MS_MAX / 1000);
        }
        return result;
    }
    w->heard_ms = cli_now_ms();
    if (strcmp(w->incarnation, incarnation_of(&node)) != 0)
        result = -ask(cli, s, w); /* it restarted meanwhile, and forgot the request */
    else if ((progress = judge(s, w, &node)) == IS_WHOLE)
        result = 1;
    else if (progress == GOES_ON)
        show(w, &node);
    else {
        cli_bar_clear(&w->bar);
        result = -report_lost(cli, w);
    }
    w->rebuilt_keys = rebuilt(&node, "rebuilt_keys");
    w->rebuilt_bytes = rebuilt(&node, "rebuilt_bytes");
    cli_node_fini(&node);
    return result;
}

static int watch(const struct cli *cli, struct cli_session *s, struct watch *w)
{
    uint64_t began_ms = cli_now_ms();
    char size[CLI_SIZE_TEXT], shards[CLI_COUNT_TEXT];
    int result = 0;

    cli_bar_init(&w->bar, cli, w->label, LINE_EVERY_MS);
    w->heard_ms = began_ms;
    w->lost_from_ms = began_ms + (cli->options.accept_loss ? ACCEPT_MS : 0);
    while ((result = look(cli, s, w)) == 0)
        cli_sleep_ms(PAUSE_MS);
    cli_bar_clear(&w->bar);
    if (result < 0) return -result;
    w->bar.started_ms = began_ms;
    w->bar.label = "done";
    cli_bar_finish(&w->bar, w->rebuilt_keys, w->rebuilt_keys, w->rebuilt_bytes);
    if (cli->options.json)
        return cli_print_json(json_pack("{s:s, s:i, s:I, s:I, s:f}", "outcome", "OK", "node",
                                        (int)w->node, "rebuilt_keys", (json_int_t)w->rebuilt_keys,
                                        "rebuilt_bytes", (json_int_t)w->rebuilt_bytes, "seconds",
                                        (double)(cli_now_ms() - began_ms) / 1000));
    printf("node %u votes everywhere and its partitions are clean; %s (%s) rebuilt since it "
           "started\n",
           w->node, cli_show_count(shards, w->rebuilt_keys, "shard"),
           cli_show_size(size, w->rebuilt_bytes));
    return CLI_OK;
}

static int accept_loss(const struct cli *cli, struct cli_session *s)
{
    enum sherd_outcome outcome = SHERD_NO_QUORUM;
    int rc = sherd_accept_loss(s->client, &outcome);

    if (rc != 0) return cli_fail_errno(cli, rc);
    if (outcome != SHERD_OK)
        return cli_fail_outcome(cli, (struct sherd_bytes){"keeper", 6}, outcome);
    if (!cli->options.json) puts("lost partitions begin anew, empty: all keys in them are gone");
    return 0;
}

static int recover_node(const struct cli *cli, struct cli_session *s, uint16_t node)
{
    struct watch w = {.node = node};
    int code = ask(cli, s, &w);

    if (code != 0) return code;
    if (cli->options.watch) return watch(cli, s, &w);
    if (cli->options.json)
        return cli_print_json(json_pack("{s:s, s:i}", "outcome", "OK", "node", (int)w.node));
    printf("node %u looks through its partitions now; 'sherd status' shows how far it is\n",
           w.node);
    return CLI_OK;
}

static int run_recover(struct cli *cli)
{
    struct cli_session session;
    uint16_t node = 0;
    int code;

    if (cli->count == 0 && !cli->options.accept_loss)
        return cli_fail(cli, CLI_USAGE, "NODE is missing: give its number, or --accept-loss");
    code = cli_session_open(cli, 2 * CLI_HEALTH_TIMEOUT_MS, &session);
    if (code != 0) return code;
    if (cli->count > 0) code = cli_place_node(cli, &session.conf, cli->words[0], &node);
    if (code == 0 && cli->options.accept_loss) code = accept_loss(cli, &session);
    if (code == 0 && cli->count > 0)
        code = recover_node(cli, &session, node);
    else if (code == 0 && cli->options.json)
        code = cli_print_json(json_pack("{s:s}", "outcome", "OK"));
    cli_session_close(&session);
    return code;
}

const struct cli_command cli_recover = {
    .name = "recover",
    .arguments = "NODE | --accept-loss",
    .summary = "rebuilds what a node lacks, now",
    .help =
        "A node that comes back empty is rebuilt by itself; this looks through all of its\n"
        "partitions at once. With --watch it returns when the node votes everywhere and its\n"
        "partitions are clean; exit code 7: partitions are lost. --accept-loss: partitions that\n"
        "more nodes forgot than the code can rebuild begin anew, empty; all keys in them are\n"
        "gone for good, also if a node with their shards came back later.\n\n"
        "  sherd recover 3 --watch\n"
        "  sherd recover --accept-loss\n",
    .options = CLI_TAKES(WATCH) | CLI_TAKES(ACCEPT_LOSS),
    .words_max = 1,
    .run = run_recover,
};
