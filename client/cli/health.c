#include "client/cli/health.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* A number in nested objects; 0 when it is missing, as in a node of another version. */
static uint64_t number(const json_t *object, const char *outer, const char *name)
{
    const json_t *place = outer != NULL ? json_object_get(object, outer) : object;
    json_int_t value = json_integer_value(json_object_get(place, name));

    return value > 0 ? (uint64_t)value : 0;
}

static void read_progress(struct cli_node *node)
{
    const json_t *stats = node->stats;

    node->recover_asked = number(stats, "recovery", "recover_asked");
    node->recover_done = number(stats, "recovery", "recover_done");
    node->done_bytes = number(stats, "recovery", "bytes_done");
    node->total = number(stats, "recovery", "keys_total");
    node->done = number(stats, "recovery", "keys_done");
    if (node->total > 0) return;
    node->total = number(stats, "recovery", "partitions_total");
    node->done = number(stats, "recovery", "partitions_done");
}

static bool is_full(const struct cli_node *node)
{
    return node->bytes_max > 0 && node->bytes / 95 > node->bytes_max / 100;
}

static const char *state_of(const struct cli_node *node)
{
    const char *task;

    if (node->stats == NULL) return "down";
    if (node->live == 0) return "starting";
    task = json_string_value(json_object_get(json_object_get(node->stats, "recovery"), "task"));
    if (node->learning > 0) return task && !strcmp(task, "rebuild") ? "rebuilding" : "learning";
    if (node->sealing > 0) return "sealing";
    if (node->forgotten > 0) return node->voting + node->kept == 0 ? "empty" : "lost";
    if (node->kept > 0) return "waiting"; /* for the loss to be accepted */
    if (node->unclean > 0) return "unclean";
    if (node->fault != NULL) return "read-only";
    if (is_full(node)) return "full";
    return node->repairs + node->rescans > 0 ? "repairing" : "up";
}

void cli_node_read(struct cli_session *s, uint16_t node, struct cli_node *out)
{
    enum sherd_outcome outcome = SHERD_NO_QUORUM;
    char *text = NULL;
    json_t *stats;

    *out = (struct cli_node){.keeper_ms = -1};
    if (sherd_node_stats(s->client, node, &outcome, &text) == 0 && outcome == SHERD_OK && text)
        out->stats = json_loads(text, 0, NULL);
    free(text);
    stats = out->stats;
    out->voting = number(stats, "partitions", "voting");
    out->learning = number(stats, "partitions", "learning");
    out->sealing = number(stats, "partitions", "sealing");
    out->unclean = number(stats, "partitions", "unclean");
    out->kept = number(stats, "partitions", "lost");
    out->bytes = number(stats, "store", "bytes");
    out->bytes_max = number(stats, "store", "bytes_max");
    out->keys = number(stats, "store", "keys");
    out->undecided = number(stats, "store", "undecided");
    out->repairs = number(stats, NULL, "repair_list") + number(stats, "recovery", "backlog");
    out->rescans = number(stats, NULL, "rescan_partitions");
    out->disowned = number(json_object_get(stats, "store"), "damaged", "partitions");
    out->damaged = number(json_object_get(stats, "store"), "damaged", "shards");
    out->fault = json_string_value(json_object_get(json_object_get(stats, "store"), "fault"));
    out->live = number(stats, NULL, "live");
    if (json_object_get(stats, "keeper_heard_ms_ago") != NULL)
        out->keeper_ms = (int64_t)number(stats, NULL, "keeper_heard_ms_ago");
    read_progress(out);
    out->state = state_of(out);
}

void cli_node_fini(struct cli_node *node)
{
    json_decref(node->stats);
    node->stats = NULL;
}

static const json_t *keeper_node(const json_t *keeper, size_t id)
{
    return json_array_get(json_object_get(keeper, "nodes"), id);
}

void cli_node_judge(struct cli_node *node, uint16_t id, const json_t *keeper)
{
    const json_t *seen = keeper_node(keeper, id);
    uint64_t slots = number(seen, NULL, "voter_of") + number(seen, NULL, "learner_of");
    uint64_t known = node->voting + node->learning + node->sealing + node->kept;

    /* What it has just begun to hold, or ceased to, is none of that: nothing else is lost then. */
    if (node->stats != NULL && node->live > 0 && number(keeper, "partitions", "lost") > 0 &&
        slots > known)
        node->forgotten = slots - known;
    node->state = state_of(node);
}

bool cli_node_is_settled(const struct cli_node *node)
{
    return node->stats != NULL && node->live > 0 && node->learning == 0 && node->sealing == 0 &&
           node->unclean <= node->kept && node->repairs == 0 && node->rescans == 0;
}

bool cli_node_is_whole(const struct cli_node *node)
{
    return cli_node_is_settled(node) && node->unclean == 0 && node->kept == 0 &&
           node->forgotten == 0;
}

__attribute__((format(printf, 2, 0))) static void add_problem(struct cli_health *h,
                                                              const char *format, va_list args)
{
    char text[256];

    vsnprintf(text, sizeof(text), format, args);
    json_array_append_new(h->problems, json_string(text));
}

__attribute__((format(printf, 2, 3))) static void complain(struct cli_health *h, const char *format,
                                                           ...)
{
    va_list args;

    va_start(args, format);
    add_problem(h, format, args);
    va_end(args);
}

static unsigned long long long_of(uint64_t n) { return n; }

/* "node 3: 2 partitions WHAT", if there are any. */
static void complain_count(struct cli_health *h, size_t node, uint64_t count, const char *noun,
                           const char *what)
{
    char text[CLI_COUNT_TEXT];

    if (count > 0) complain(h, "node %zu: %s %s", node, cli_show_count(text, count, noun), what);
}

static void judge_node(struct cli_health *h, const struct cli_session *s, size_t i)
{
    const struct cli_node *node = &h->nodes[i];
    char used[CLI_SIZE_TEXT], limit[CLI_SIZE_TEXT];

    if (node->stats == NULL)
        complain(h, "node %zu (%s) does not answer", i, s->conf.nodes[i].endpoint);
    else if (node->live < cli_health_live(h))
        complain(h, "node %zu works under map %llu, the newest is %llu", i, long_of(node->live),
                 long_of(cli_health_live(h)));
    complain_count(h, i, node->forgotten, "lost partition", "forgotten: it came back empty");
    complain_count(h, i, node->kept, "lost partition", "kept, but others forgot theirs");
    complain_count(h, i, node->learning, "partition", "to be rebuilt");
    complain_count(h, i, node->sealing, "partition", "to get a new epoch");
    if (node->learning == 0 && node->kept == 0)
        complain_count(h, i, node->unclean, "partition", "with an older epoch open");
    complain_count(h, i, node->repairs, "key", "to be repaired");
    complain_count(h, i, node->rescans, "partition", "to be looked through for repairs");
    if (node->fault != NULL)
        complain(h, "node %zu refuses writes: its store says '%s'; reads go on", i, node->fault);
    if (is_full(node))
        complain(h, "node %zu is full: %s of %s used; writes fail", i,
                 cli_show_size(used, node->bytes), cli_show_size(limit, node->bytes_max));
}

static void judge_degraded(struct cli_health *h)
{
    const char *why = h->silent > 0 ? "every partition with a slot on a silent node counts until "
                                      "the map changes"
                                    : "a slot has no voter";

    if (h->degraded > 0)
        complain(h, "%s%llu of %u partitions degraded: %s",
                 h->silent > 1 && h->degraded < h->info.partitions ? "at least " : "",
                 long_of(h->degraded), h->info.partitions, why);
}

static void judge_cluster(struct cli_health *h, const struct cli_session *s)
{
    const struct sherd_cluster_info *info = &h->info;

    if (!h->has_info) {
        complain(h, "no node knows a cluster map");
        return;
    }
    if (s->conf.keeper[0] != '\0' && h->keeper == NULL)
        complain(h, "the keeper (%s) does not answer: epochs do not move", s->conf.keeper);
    if (info->lost > 0)
        complain(h,
                 "%u of %u partitions lost: too few nodes kept their shards; 'sherd recover "
                 "--accept-loss' gives up all keys in them",
                 info->lost, info->partitions);
    judge_degraded(h);
    if (info->learning > 0)
        complain(h, "%u of %u partitions with a learner", info->learning, info->partitions);
    if (info->unclean > 0)
        complain(h, "%u of %u partitions unclean", info->unclean, info->partitions);
    if (cli_health_live(h) < info->map_version)
        complain(h, "map %llu is not live yet", long_of(info->map_version));
}

static void judge_undecided(struct cli_health *h)
{
    h->only_undecided = json_array_size(h->problems) == 0;
    for (size_t i = 0; i < h->count; i++)
        complain_count(h, i, h->nodes[i].undecided, "write", "undecided");
    if (json_array_size(h->problems) == 0) h->only_undecided = false;
}

json_t *cli_keeper_read(struct cli_session *s)
{
    enum sherd_outcome outcome = SHERD_NO_QUORUM;
    char *text = NULL;
    json_t *keeper = NULL;

    if (s->conf.keeper[0] == '\0') return NULL;
    if (sherd_node_stats(s->client, SHERD_KEEPER, &outcome, &text) == 0 && outcome == SHERD_OK &&
        text != NULL)
        keeper = json_loads(text, 0, NULL);
    free(text);
    return keeper;
}

uint64_t cli_keeper_lost(const json_t *keeper, const struct sherd_cluster_info *info)
{
    return keeper != NULL ? number(keeper, "partitions", "lost") : info->lost;
}

/* The map still counts nodes that fell silent a moment ago. The keeper knows how much each has; if
 * several are silent, their partitions overlap. */
static void count_degraded(struct cli_health *h, const struct cli_session *s)
{
    h->degraded = h->info.degraded;
    for (size_t i = 0; i < h->count; i++) {
        uint64_t slots = number(keeper_node(h->keeper, i), NULL, "voter_of");
        if (h->nodes[i].stats != NULL) continue;
        h->silent++;
        if (h->keeper == NULL && s->conf.node_count == s->conf.k + s->conf.m)
            slots = h->info.partitions; /* all have a slot on every node */
        if (slots > h->degraded) h->degraded = slots;
    }
}

int cli_health_read(const struct cli *cli, struct cli_session *s, struct cli_health *out)
{
    struct cli_health h = {.count = s->conf.node_count};
    enum sherd_outcome outcome = SHERD_NO_QUORUM;

    h.problems = json_array();
    h.nodes = calloc(h.count, sizeof(*h.nodes));
    if (h.problems == NULL || h.nodes == NULL) {
        h.count = 0;
        cli_health_fini(&h);
        return cli_fail_errno(cli, -ENOMEM);
    }
    for (size_t i = 0; i < h.count; i++) {
        cli_node_read(s, (uint16_t)i, &h.nodes[i]);
        h.bytes += h.nodes[i].bytes;
    }
    h.keeper = cli_keeper_read(s);
    for (size_t i = 0; i < h.count; i++)
        cli_node_judge(&h.nodes[i], (uint16_t)i, h.keeper);
    h.has_info = sherd_cluster_info(s->client, &outcome, &h.info) == 0 && outcome == SHERD_OK;
    count_degraded(&h, s);
    judge_cluster(&h, s);
    for (size_t i = 0; i < h.count; i++)
        judge_node(&h, s, i);
    judge_undecided(&h);
    *out = h;
    return 0;
}

void cli_health_fini(struct cli_health *h)
{
    for (size_t i = 0; i < h->count; i++)
        cli_node_fini(&h->nodes[i]);
    free(h->nodes);
    json_decref(h->keeper);
    json_decref(h->problems);
    *h = (struct cli_health){0};
}

uint64_t cli_health_live(const struct cli_health *h)
{
    uint64_t live = 0;

    for (size_t i = 0; i < h->count; i++)
        if (h->nodes[i].live > live) live = h->nodes[i].live;
    return live;
}

bool cli_health_is_good(const struct cli_health *h) { return json_array_size(h->problems) == 0; }
