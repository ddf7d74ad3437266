/* fuzz_conf - the configuration, whatever is in it: refused with one clean line, or within every
 * limit that conf.h promises, and written down again it reads the same.
 *
 * An input: the text of the file; after a byte 1, that of "other.conf", which it may include. No
 * other file is there: conf.c's open() is ours (world_names.h). */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/conf.h"
#include "tests/fuzz/fuzz.h"
#define WORLD_PROTOTYPES_ONLY
#include "tests/fuzz/world_names.h"

enum { OTHER = 1, TEXT_SIZE = 256 << 10 };

/* libconfuse 3.3 loses a few bytes of its own when it finds an error between the parentheses of a
 * function; what we lose is still seen, and unit.conf sees whether we free what is its. */
SHERD_API const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:libconfuse.so"; }
SHERD_API const char *__lsan_default_options(void);
const char *__lsan_default_options(void) { return "print_suppressions=0"; }

static struct sherd_bytes files[2]; /* the one that is loaded, and the one to include */

static int memory_file(struct sherd_bytes text)
{
    int fd = memfd_create("conf", MFD_CLOEXEC);

    SHERD_ASSERT(fd >= 0 &&
                 (text.size == 0 || write(fd, text.data, text.size) == (ssize_t)text.size));
    SHERD_ASSERT(lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

int world_open(const char *path, int flags, ...)
{
    SHERD_ASSERT((flags & (O_WRONLY | O_RDWR | O_CREAT)) == 0);
    if (strcmp(path, "dir/main.conf") == 0) return memory_file(files[0]);
    if (strcmp(path, "dir/other.conf") == 0) return memory_file(files[1]);
    errno = ENOENT;
    return -1;
}

static bool is_endpoint(const char *text)
{
    return strnlen(text, SHERD_ENDPOINT_BYTES_MAX) < SHERD_ENDPOINT_BYTES_MAX &&
           strncmp(text, "tcp://", 6) == 0 && strpbrk(text, "\" \n\\$'") == NULL;
}

static void check_nodes(const struct sherd_conf *c)
{
    SHERD_ASSERT(c->node_count >= c->k + c->m && c->node_count <= SHERD_NODES_MAX);
    for (size_t i = 0; i < c->node_count; i++) {
        const struct sherd_conf_node *n = &c->nodes[i];

        SHERD_ASSERT(n->id == i && n->weight >= 1 && n->weight <= SHERD_CONF_WEIGHT_MAX);
        SHERD_ASSERT(is_endpoint(n->endpoint));
        SHERD_ASSERT(strnlen(n->zone, sizeof(n->zone)) < sizeof(n->zone));
        for (size_t j = 0; j < i; j++)
            SHERD_ASSERT(strcmp(n->endpoint, c->nodes[j].endpoint) != 0);
    }
}

static void check_path(const char path[SHERD_CONF_PATH_BYTES_MAX])
{
    SHERD_ASSERT(strnlen(path, SHERD_CONF_PATH_BYTES_MAX) < SHERD_CONF_PATH_BYTES_MAX);
    for (; *path != '\0'; path++)
        SHERD_ASSERT(!iscntrl((unsigned char)*path) || *path == '\t' || *path == '\r');
}

static void check_conf(const struct sherd_conf *c)
{
    SHERD_ASSERT(c->k >= 1 && c->k + c->m <= SHERD_SLOTS_MAX);
    SHERD_ASSERT(c->partitions >= 1 && c->partitions <= SHERD_PARTITIONS);
    SHERD_ASSERT(c->self >= SHERD_CONF_NO_SELF && c->self < (int)c->node_count);
    SHERD_ASSERT(c->straggler_ms <= 60000 && c->vacate_after_ms >= 1000);
    SHERD_ASSERT(c->cluster[0] != '\0' &&
                 strnlen(c->cluster, sizeof(c->cluster)) < sizeof(c->cluster));
    SHERD_ASSERT(c->keeper[0] == '\0' || is_endpoint(c->keeper));
    SHERD_ASSERT(c->keeper_dir[0] == '\0' || c->keeper[0] != '\0');
    check_path(c->keeper_dir);
    check_path(c->state_dir);
    SHERD_ASSERT(strcmp(c->store, "memory") == 0);
    SHERD_ASSERT((unsigned)c->log_level <= SHERD_CONF_DEBUG);
    check_nodes(c);
}

/* A path may hold one kind of quotes, not both: it came from within the other kind. */
static void put_path(FILE *out, const char *name, const char *path)
{
    char quote = strchr(path, '"') != NULL ? '\'' : '"';

    fprintf(out, "%s = %c%s%c\n", name, quote, path, quote);
}

static struct sherd_bytes text_of(const struct sherd_conf *c, char out[TEXT_SIZE])
{
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    FILE *file = fmemopen(out, TEXT_SIZE, "w");

    SHERD_ASSERT(file != NULL);
    fprintf(file, "cluster = \"%s\" code = \"%u+%u\" keeper = \"%s\"\n", c->cluster, c->k, c->m,
            c->keeper);
    for (size_t i = 0; i < c->node_count; i++)
        fprintf(file, "node %u { endpoint = \"%s\" zone = \"%s\" weight = %u }\n", c->nodes[i].id,
                c->nodes[i].endpoint, c->nodes[i].zone, c->nodes[i].weight);
    put_path(file, "keeper_dir", c->keeper_dir);
    put_path(file, "state_dir", c->state_dir);
    fprintf(file, "max_memory = %llu recovery_rate = %llu log_level = %s\n",
            (unsigned long long)c->max_memory_bytes, (unsigned long long)c->recovery_rate_bytes,
            levels[c->log_level]);
    fprintf(file, "partitions = %u straggler_ms = %u vacate_after_ms = %u store = memory\n",
            c->partitions, c->straggler_ms, c->vacate_after_ms);
    if (c->self != SHERD_CONF_NO_SELF) fprintf(file, "self = %d\n", c->self);
    long size = ftell(file);
    SHERD_ASSERT(size > 0 && size < TEXT_SIZE - 1);
    fclose(file);
    return (struct sherd_bytes){out, (size_t)size};
}

static void check_same(const struct sherd_conf *a, const struct sherd_conf *b)
{
    SHERD_ASSERT(a->k == b->k && a->m == b->m && a->self == b->self);
    SHERD_ASSERT(a->partitions == b->partitions && a->straggler_ms == b->straggler_ms);
    SHERD_ASSERT(a->vacate_after_ms == b->vacate_after_ms && a->log_level == b->log_level);
    SHERD_ASSERT(a->max_memory_bytes == b->max_memory_bytes);
    SHERD_ASSERT(a->recovery_rate_bytes == b->recovery_rate_bytes);
    SHERD_ASSERT(strcmp(a->cluster, b->cluster) == 0 && strcmp(a->keeper, b->keeper) == 0);
    SHERD_ASSERT(strcmp(a->keeper_dir, b->keeper_dir) == 0);
    SHERD_ASSERT(strcmp(a->state_dir, b->state_dir) == 0 && a->node_count == b->node_count);
    for (size_t i = 0; i < a->node_count; i++) {
        SHERD_ASSERT(strcmp(a->nodes[i].endpoint, b->nodes[i].endpoint) == 0);
        SHERD_ASSERT(strcmp(a->nodes[i].zone, b->nodes[i].zone) == 0);
        SHERD_ASSERT(a->nodes[i].weight == b->nodes[i].weight);
    }
}

/* One line, not empty, without control characters. */
static void check_error(const char *error, size_t size_max)
{
    SHERD_ASSERT(error[0] != '\0' && strnlen(error, size_max) < size_max);
    for (; *error != '\0'; error++)
        SHERD_ASSERT(!iscntrl((unsigned char)*error));
}

/* 0, or what the load said. *out is for sherd_conf_fini if it is 0. */
static int load(struct sherd_conf *out)
{
    struct sherd_conf before;
    char error[256];

    memset(out, 0x5a, sizeof(*out));
    before = *out;
    int rc = sherd_conf_load("dir/main.conf", out, error, sizeof(error));
    SHERD_ASSERT(rc == 0 || rc == -EINVAL);
    if (rc == 0) return 0;
    check_error(error, sizeof(error));
    SHERD_ASSERT(memcmp(out, &before, sizeof(before)) == 0);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[TEXT_SIZE];
    const uint8_t *mark = size != 0 ? memchr(data, OTHER, size) : NULL;
    struct sherd_conf conf, again;

    files[0] = (struct sherd_bytes){data, mark != NULL ? (size_t)(mark - data) : size};
    files[1] = (struct sherd_bytes){NULL, 0};
    if (mark != NULL) files[1] = (struct sherd_bytes){mark + 1, size - (size_t)(mark + 1 - data)};
    if (load(&conf) != 0) return 0;
    check_conf(&conf);
    files[0] = text_of(&conf, text);
    SHERD_ASSERT(load(&again) == 0);
    check_same(&conf, &again);
    sherd_conf_fini(&again);
    sherd_conf_fini(&conf);
    return 0;
}
