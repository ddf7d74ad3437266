/* conf.c - the only file that knows libconfuse.
 *
 * libconfuse has one lexer a process, and its error callback takes no argument of ours: so one load
 * runs at a time, and what it needs is in `current`. The lexer also calls exit() on a file that it
 * cannot read, and stays inside a string that never ends, into the next load: read_text() lets
 * through only what cannot make it do so. */
#include "client/conf.h"

#include <confuse.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/conf_values.h"

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

enum {
    FILE_BYTES_MAX = 1 << 20,
    INCLUDE_DEPTH_MAX = 8,
    PATH_BYTES_MAX = 4096,
};

struct load {
    char *error;
    size_t error_size;
    char folder[PATH_BYTES_MAX]; /* of the first file: includes are relative to it */
    unsigned depth;              /* files open */
    bool no_memory;              /* in an include: libconfuse knows only that it failed */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct load *current; /* under lock */

/* ---- Options: one row each, checked while their line is known ---- */

#define ENDPOINT "tcp://host:port, in quotes, with a port from 1 to 65535"
#define SIZE     "a number of bytes, or one with KiB, MiB or GiB"

/* Formatted by hand: clang-format would align the columns beyond 100. */
/* clang-format off */
static const struct rule {
    const char *path;
    bool (*is_good)(const char *text); /* NULL: a number, min..max */
    const char *must_be;
    long min, max;
} rules[] = {
    {"cluster", sherd_conf_is_name, "1 to 63 letters, digits, '.', '_' or '-'", 0, 0},
    {"code", sherd_conf_is_code, "\"K+M\", in quotes, with 1 <= K and K + M <= 32", 0, 0},
    {"keeper", sherd_conf_is_keeper, ENDPOINT ", or \"\" for none", 0, 0},
    {"partitions", NULL, NULL, 1, SHERD_PARTITIONS},
    {"straggler_ms", NULL, NULL, 0, 60000},
    {"self", NULL, NULL, 0, SHERD_NODES_MAX - 1},
    {"keeper_dir", sherd_conf_is_path, "shorter than 1024 bytes", 0, 0},
    {"state_dir", sherd_conf_is_path, "shorter than 1024 bytes", 0, 0},
    {"store", sherd_conf_is_store, "\"memory\" or \"lmdb\"", 0, 0},
    {"sync", sherd_conf_is_sync, "\"always\", or milliseconds from \"1ms\" to \"60000ms\"", 0, 0},
    {"max_memory", sherd_conf_is_size, SIZE, 0, 0},
    {"recovery_rate", sherd_conf_is_size, SIZE, 0, 0},
    {"scrub_rate", sherd_conf_is_size, SIZE, 0, 0},
    {"vacate_after_ms", NULL, NULL, 1000, 7L * 24 * 3600 * 1000},
    {"log_level", sherd_conf_is_log_level, "error, warn, info or debug", 0, 0},
    {"node|endpoint", sherd_conf_is_endpoint, ENDPOINT, 0, 0},
    {"node|zone", sherd_conf_is_zone, "at most 31 letters, digits, '.', '_', '-' or '/'", 0, 0},
    {"node|weight", NULL, NULL, 1, SHERD_CONF_WEIGHT_MAX},
};
/* clang-format on */

static const struct rule *rule_of(const char *option)
{
    for (size_t i = 0; i < LEN(rules); i++) {
        const char *bar = strchr(rules[i].path, '|');
        if (strcmp(option, bar != NULL ? bar + 1 : rules[i].path) == 0) return &rules[i];
    }
    return NULL; /* unreachable: only options with a rule are given this check */
}

static int check_option(cfg_t *cfg, cfg_opt_t *option)
{
    const char *name = cfg_opt_name(option);
    const struct rule *rule = rule_of(name);

    if (rule == NULL) return -1;
    if (rule->is_good == NULL) {
        long number = cfg_opt_getnint(option, 0);
        if (number >= rule->min && number <= rule->max) return 0;
        cfg_error(cfg, "%s = %ld: must be %ld to %ld", name, number, rule->min, rule->max);
    } else {
        const char *text = cfg_opt_getnstr(option, 0);
        if (text != NULL && rule->is_good(text)) return 0;
        cfg_error(cfg, "%s = \"%.80s\": must be %s", name, text ? text : "", rule->must_be);
    }
    return -1;
}

/* The title of a node section: its id, written in one way only, so that equal ids are equal titles
 * and libconfuse finds those that are there twice. */
static int node_id(cfg_t *node, uint16_t *id)
{
    const char *title = cfg_title(node);
    uint64_t value = 0;

    if (title == NULL || (title[0] == '0' && title[1] != '\0')) return -EINVAL;
    if (sherd_conf_parse_digits(&title, &value) != 0 || *title != '\0') return -EINVAL;
    if (value >= SHERD_NODES_MAX) return -EINVAL;
    *id = (uint16_t)value;
    return 0;
}

/* Called at the closing brace of a node. */
static int check_node(cfg_t *cfg, cfg_opt_t *option)
{
    unsigned last = cfg_opt_size(option) - 1;
    cfg_t *node = cfg_opt_getnsec(option, last);
    const char *endpoint = cfg_getstr(node, "endpoint");
    uint16_t id = 0;

    if (node_id(node, &id) != 0) {
        cfg_error(cfg, "node %.40s: the id must be 0 to %d", cfg_title(node), SHERD_NODES_MAX - 1);
        return -1;
    }
    if (*endpoint == '\0') {
        cfg_error(cfg, "node %u: endpoint is missing", (unsigned)id);
        return -1;
    }
    for (unsigned i = 0; i < last; i++) {
        cfg_t *other = cfg_opt_getnsec(option, i);
        if (strcmp(endpoint, cfg_getstr(other, "endpoint")) != 0) continue;
        cfg_error(cfg, "node %u: node %s has the same endpoint, %s", (unsigned)id, cfg_title(other),
                  endpoint);
        return -1;
    }
    return 0;
}

/* What concerns more than one option. */
static int check_whole(cfg_t *cfg)
{
    unsigned count = cfg_size(cfg, "node"), k = 0, m = 0;
    uint16_t id = 0;

    for (unsigned i = 0; i < count; i++) {
        if (node_id(cfg_getnsec(cfg, "node", i), &id) == 0 && id < count) continue;
        cfg_error(cfg, "node %u: the ids of %u nodes must be 0 to %u", (unsigned)id, count,
                  count - 1);
        return -EINVAL;
    }
    if (sherd_parse_code(cfg_getstr(cfg, "code"), &k, &m) != 0 || count < k + m) {
        cfg_error(cfg, "code %u+%u needs at least %u nodes, there are %u", k, m, k + m, count);
        return -EINVAL;
    }
    if (cfg_getint(cfg, "self") >= (long)count) {
        cfg_error(cfg, "self = %ld: there is no such node", cfg_getint(cfg, "self"));
        return -EINVAL;
    }
    if (*cfg_getstr(cfg, "keeper_dir") != '\0' && *cfg_getstr(cfg, "keeper") == '\0') {
        cfg_error(cfg, "keeper_dir is set, but there is no keeper");
        return -EINVAL;
    }
    return 0;
}

/* ---- Files ---- */

/* Keeps the first error, in one line without control characters. */
__attribute__((format(printf, 1, 0))) static void keep_error(const char *format, va_list args)
{
    if (current->error_size == 0 || current->error[0] != '\0') return;
    vsnprintf(current->error, current->error_size, format, args);
    for (char *c = current->error; *c != '\0'; c++)
        if (iscntrl((unsigned char)*c)) *c = '?';
}

__attribute__((format(printf, 1, 2))) static void fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    keep_error(format, args);
    va_end(args);
}

static void on_error(cfg_t *cfg, const char *format, va_list args)
{
    char what[512];

    vsnprintf(what, sizeof(what), format, args);
    fail("%s:%d: %s", cfg->filename ? cfg->filename : "?", cfg->line, what);
}

/* What is wrong with `c`, the character before `next`, in a line of which `quote` is open. */
static const char *fault_of(char c, char next, char quote)
{
    if (c == '\n' && quote) return "a string must end on the line on which it begins";
    if ((unsigned char)c < ' ' && !strchr("\t\r\n", c)) return "a control character";
    if (c == '\0' || c == 127) return "a control character";
    if (c == '\\') return "a backslash: there are no escape sequences";
    if (c == '$') return "a '$': there are no variables";
    if (c == '/' && (next == '/' || next == '*') && !quote)
        return "'//' outside of quotes: endpoints need quotes, comments begin with '#'";
    return NULL;
}

/* Names the first thing in `text` that would leave libconfuse's lexer in the middle of a token, and
 * blanks the comments: it counts their lines wrongly. */
static int prepare_text(const char *path, char *text, size_t size)
{
    char quote = '\0';
    unsigned line = 1;

    for (size_t i = 0; i < size; i++) {
        if (text[i] == '#' && !quote) {
            const char *newline = memchr(text + i, '\n', size - i);
            size_t end = newline != NULL ? (size_t)(newline - text) : size;
            memset(text + i, ' ', end - i);
            i = end;
            if (i == size) break;
        }
        char next = '\0';
        if (i + 1 < size) next = text[i + 1];
        const char *fault = fault_of(text[i], next, quote);
        if (fault != NULL) {
            fail("%s:%u: %s", path, line, fault);
            return -EINVAL;
        }
        if (text[i] == '\n') line++;
        if (quote && text[i] == quote)
            quote = '\0';
        else if (!quote && (text[i] == '"' || text[i] == '\''))
            quote = text[i];
    }
    if (quote == '\0') return 0;
    fail("%s:%u: a string must end on the line on which it begins", path, line);
    return -EINVAL;
}

/* Reads the file into *text, the caller's to free. */
static int read_text(const char *path, char **text, size_t *size)
{
    struct stat status;
    /* Without O_NONBLOCK a FIFO is waited for, perhaps for ever, before it can be refused. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = -EINVAL;
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    char *buffer = NULL;

    if (file == NULL) {
        rc = errno == ENOMEM ? -ENOMEM : -ENOENT;
        fail("%s: %s", path, strerror(errno));
        if (fd >= 0) close(fd);
        goto done;
    }
    if (fstat(fileno(file), &status) != 0 || !S_ISREG(status.st_mode)) {
        fail("%s: not a regular file", path);
        goto done;
    }
    buffer = malloc(FILE_BYTES_MAX + 1);
    if (buffer == NULL) {
        rc = -ENOMEM;
        goto done;
    }
    *size = fread(buffer, 1, FILE_BYTES_MAX + 1, file);
    if (ferror(file) || *size > FILE_BYTES_MAX) {
        fail("%s: %s", path, ferror(file) ? "cannot be read" : "larger than 1 MiB");
        goto done;
    }
    rc = prepare_text(path, buffer, *size);
    if (rc != 0) goto done;
    *text = buffer;
    buffer = NULL;
done:
    free(buffer);
    if (file != NULL) fclose(file);
    return rc;
}

/* Lets libconfuse read `text` as the file `path`, then puts it back where it was: in an include,
 * behind the line that asked for it. */
static int parse_text(cfg_t *cfg, const char *path, char *text, size_t size)
{
    char *outer = cfg->filename, *inner = strdup(path);
    int line = cfg->line, rc = -ENOMEM;
    /* fmemopen takes no empty text: a space is as empty. */
    FILE *file = fmemopen(size ? text : (char[]){" "}, size ? size : 1, "r");

    if (inner != NULL && file != NULL) {
        cfg->filename = inner;
        if (cfg_parse_fp(cfg, file) == CFG_SUCCESS)
            rc = 0;
        else
            rc = current->no_memory ? -ENOMEM : -EINVAL;
        if (rc == 0 && current->depth == 1) rc = check_whole(cfg);
        cfg->filename = outer;
        cfg->line = line;
    }
    free(inner);
    if (file != NULL) fclose(file);
    return rc;
}

static int load_file(cfg_t *cfg, const char *path)
{
    char *text = NULL;
    size_t size = 0;
    int rc = read_text(path, &text, &size);

    if (rc == 0) {
        current->depth++;
        rc = parse_text(cfg, path, text, size);
        current->depth--;
    }
    free(text);
    return rc;
}

/* include("file"): libconfuse's own leaves its lexer inside the file when that has an error. */
static int on_include(cfg_t *cfg, cfg_opt_t *option, int argc, const char **argv)
{
    char path[PATH_BYTES_MAX];
    int size, rc;

    (void)option;
    if (argc != 1) {
        cfg_error(cfg, "include takes one file name");
        return -1;
    }
    if (current->depth >= INCLUDE_DEPTH_MAX) {
        cfg_error(cfg, "includes are nested too deeply");
        return -1;
    }
    size = snprintf(path, sizeof(path), "%s%s", argv[0][0] == '/' ? "" : current->folder, argv[0]);
    if (size < 0 || (size_t)size >= sizeof(path)) {
        cfg_error(cfg, "the name of the included file is too long");
        return -1;
    }
    rc = load_file(cfg, path);
    if (rc == -ENOMEM) current->no_memory = true;
    return rc;
}

/* ---- The whole ---- */

static void copy(char *to, size_t size, const char *from) { snprintf(to, size, "%s", from); }

static void fill_nodes(cfg_t *cfg, struct sherd_conf_node *nodes, size_t count)
{
    for (unsigned i = 0; i < count; i++) {
        cfg_t *section = cfg_getnsec(cfg, "node", i);
        uint16_t id = 0;
        if (node_id(section, &id) != 0 || id >= count) continue; /* check_whole let none through */
        nodes[id].id = id;
        nodes[id].weight = (uint16_t)cfg_getint(section, "weight");
        copy(nodes[id].endpoint, sizeof(nodes[id].endpoint), cfg_getstr(section, "endpoint"));
        copy(nodes[id].zone, sizeof(nodes[id].zone), cfg_getstr(section, "zone"));
    }
}

static int fill(cfg_t *cfg, struct sherd_conf *out)
{
    struct sherd_conf conf = {.node_count = cfg_size(cfg, "node")};

    conf.nodes = calloc(conf.node_count, sizeof(conf.nodes[0]));
    if (conf.nodes == NULL) return -ENOMEM;
    fill_nodes(cfg, conf.nodes, conf.node_count);
    copy(conf.cluster, sizeof(conf.cluster), cfg_getstr(cfg, "cluster"));
    copy(conf.keeper, sizeof(conf.keeper), cfg_getstr(cfg, "keeper"));
    copy(conf.keeper_dir, sizeof(conf.keeper_dir), cfg_getstr(cfg, "keeper_dir"));
    copy(conf.state_dir, sizeof(conf.state_dir), cfg_getstr(cfg, "state_dir"));
    copy(conf.store, sizeof(conf.store), cfg_getstr(cfg, "store"));
    sherd_conf_parse_sync(cfg_getstr(cfg, "sync"), &conf.sync_ms);
    sherd_parse_code(cfg_getstr(cfg, "code"), &conf.k, &conf.m); /* all of them checked before */
    sherd_parse_size(cfg_getstr(cfg, "max_memory"), &conf.max_memory_bytes);
    sherd_parse_size(cfg_getstr(cfg, "recovery_rate"), &conf.recovery_rate_bytes);
    sherd_parse_size(cfg_getstr(cfg, "scrub_rate"), &conf.scrub_rate_bytes);
    conf.partitions = (uint32_t)cfg_getint(cfg, "partitions");
    conf.straggler_ms = (uint32_t)cfg_getint(cfg, "straggler_ms");
    conf.vacate_after_ms = (uint32_t)cfg_getint(cfg, "vacate_after_ms");
    conf.self = (int)cfg_getint(cfg, "self");
    conf.log_level = (enum sherd_conf_log)sherd_conf_log_level_of(cfg_getstr(cfg, "log_level"));
    *out = conf;
    return 0;
}

/* The options and their defaults; NULL: no memory. */
static cfg_t *new_cfg(void)
{
    cfg_opt_t node[] = {CFG_STR("endpoint", "", CFGF_NONE), CFG_STR("zone", "", CFGF_NONE),
                        CFG_INT("weight", 1, CFGF_NONE), CFG_END()};
    cfg_opt_t options[] = {
        CFG_STR("cluster", "sherd", CFGF_NONE),
        CFG_STR("code", "4+2", CFGF_NONE),
        CFG_STR("keeper", "", CFGF_NONE),
        CFG_INT("partitions", SHERD_PARTITIONS, CFGF_NONE),
        CFG_INT("straggler_ms", 20, CFGF_NONE),
        CFG_INT("self", SHERD_CONF_NO_SELF, CFGF_NONE),
        CFG_STR("keeper_dir", "", CFGF_NONE),
        CFG_STR("state_dir", "/var/lib/sherd", CFGF_NONE),
        CFG_STR("store", "memory", CFGF_NONE),
        CFG_STR("sync", "always", CFGF_NONE),
        CFG_STR("max_memory", "0", CFGF_NONE),
        CFG_STR("recovery_rate", "64MiB", CFGF_NONE),
        CFG_STR("scrub_rate", "8MiB", CFGF_NONE),
        CFG_INT("vacate_after_ms", 30000, CFGF_NONE),
        CFG_STR("log_level", "info", CFGF_NONE),
        CFG_SEC("node", node, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
        CFG_FUNC("include", on_include),
        CFG_END(),
    };
    cfg_t *cfg = cfg_init(options, CFGF_NONE);

    if (cfg == NULL) return NULL;
    cfg_set_error_function(cfg, on_error);
    cfg_set_validate_func(cfg, "node", check_node);
    for (size_t i = 0; i < LEN(rules); i++)
        cfg_set_validate_func(cfg, rules[i].path, check_option);
    return cfg;
}

static int load_locked(const char *path, struct sherd_conf *out)
{
    const char *slash = strrchr(path, '/');
    cfg_t *cfg = NULL;
    int rc = 0;

    if (strlen(path) >= sizeof(current->folder)) {
        fail("the name of the file is too long");
        return -EINVAL;
    }
    if (slash != NULL) memcpy(current->folder, path, (size_t)(slash + 1 - path));
    cfg = new_cfg();
    if (cfg == NULL) return -ENOMEM;
    rc = load_file(cfg, path);
    if (rc == 0) rc = fill(cfg, out);
    cfg_free(cfg);
    return rc;
}

int sherd_conf_load(const char *path, struct sherd_conf *out, char *error, size_t error_size)
{
    struct load load = {.error = error, .error_size = error_size};
    int rc = 0;

    if (error_size > 0) error[0] = '\0';
    pthread_mutex_lock(&lock);
    current = &load;
    rc = load_locked(path, out);
    if (rc == -ENOMEM) fail("%s: no memory left", path);
    if (rc != 0) fail("%s: cannot be understood", path); /* if libconfuse gave no reason */
    current = NULL;
    pthread_mutex_unlock(&lock);
    return rc;
}

void sherd_conf_fini(struct sherd_conf *conf)
{
    if (conf == NULL) return;
    free(conf->nodes);
    *conf = (struct sherd_conf){0};
}
