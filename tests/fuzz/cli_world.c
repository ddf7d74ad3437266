#include "tests/fuzz/cli_world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <ftw.h>
#include <sherd/sherd.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#define WORLD_PROTOTYPES_ONLY
#include "tests/fuzz/world_names.h"

enum { STEP_MS = 1000, SLEEP_FACTOR = 1000, QUEUE_MAX = 256, KEYS_MAX = 8 };

static const char conf_text[] = "cluster = \"c\" code = \"4+2\" keeper = \"tcp://h:7\"\n"
                                "node 0 { endpoint = \"tcp://h:1\" }\n"
                                "node 1 { endpoint = \"tcp://h:2\" zone = \"a\" }\n"
                                "node 2 { endpoint = \"tcp://h:3\" }\n"
                                "node 3 { endpoint = \"tcp://h:4\" }\n"
                                "node 4 { endpoint = \"tcp://h:5\" }\n"
                                "node 5 { endpoint = \"tcp://h:6\" }\n";

static struct sherd_bytes_reader script;
static struct sherd_bytes file_text;
static uint8_t bits;
static uint64_t now_ms;
static bool is_over; /* the script has ended */

static struct sherd_op *queue[QUEUE_MAX];
static size_t queued;

void cli_world_begin(struct sherd_bytes from, struct sherd_bytes file)
{
    script = sherd_bytes_read(from);
    file_text = file;
    bits = sherd_bytes_take_u8(&script);
    now_ms = 1700000000000;
    is_over = false;
    queued = 0;
}

static bool has(enum cli_world_bits bit) { return (bits & bit) != 0; }

static uint8_t next_byte(void)
{
    if (sherd_bytes_left(&script) == 0) is_over = true;
    return sherd_bytes_take_u8(&script);
}

static enum sherd_outcome next_outcome(void)
{
    uint8_t byte = next_byte();

    now_ms += STEP_MS;
    return is_over ? SHERD_NO_QUORUM : (enum sherd_outcome)(byte % SHERD_OUTCOME_COUNT);
}

static int fail(int why)
{
    errno = why;
    return -1;
}

/* ---- Files. A descriptor is one of memory, or none. ---- */

static int memory_file(struct sherd_bytes text)
{
    int fd = memfd_create("world", MFD_CLOEXEC);

    SHERD_ASSERT(fd >= 0);
    if (text.size != 0) SHERD_ASSERT(write(fd, text.data, text.size) == (ssize_t)text.size);
    SHERD_ASSERT(lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

int world_open(const char *path, int flags, ...)
{
    (void)path;
    if ((flags & O_ACCMODE) != O_RDONLY) return fail(flags & O_CREAT ? EACCES : ENOENT);
    if (!has(CLI_WORLD_CLUSTER)) return fail(ENOENT);
    return memory_file((struct sherd_bytes){conf_text, sizeof(conf_text) - 1});
}

FILE *world_fopen(const char *path, const char *mode)
{
    bool writes = mode[0] == 'w';

    SHERD_ASSERT(path != NULL && (writes || mode[0] == 'r'));
    if (!has(writes ? CLI_WORLD_WRITABLE : CLI_WORLD_FILES)) {
        errno = writes ? EACCES : ENOENT;
        return NULL;
    }
    return fdopen(memory_file(writes ? (struct sherd_bytes){NULL, 0} : file_text),
                  writes ? "w" : "r");
}

int world_access(const char *path, int mode)
{
    (void)path;
    return mode == F_OK && has(CLI_WORLD_CLUSTER) ? 0 : fail(ENOENT);
}

int world_stat(const char *path, struct stat *out)
{
    (void)path;
    if (!has(CLI_WORLD_FILES)) return fail(ENOENT);
    *out = (struct stat){.st_mode = S_IFREG | 0644, .st_size = (off_t)file_text.size};
    return 0;
}

int world_mkdir(const char *path, mode_t mode)
{
    (void)path, (void)mode;
    return has(CLI_WORLD_WRITABLE) ? 0 : fail(EACCES);
}

int world_remove(const char *path) { return path != NULL ? fail(ENOENT) : 0; }

int world_nftw(const char *path, __nftw_func_t each, int fds, int flags)
{
    (void)path, (void)each, (void)fds, (void)flags;
    return fail(ENOENT);
}

FTS *world_fts_open(char *const *paths, int options, int (*order)(const FTSENT **, const FTSENT **))
{
    (void)paths, (void)options, (void)order;
    errno = EACCES;
    return NULL;
}

DIR *world_opendir(const char *path)
{
    errno = path != NULL ? ENOENT : EFAULT;
    return NULL;
}

ssize_t world_readlink(const char *path, char *out, size_t size)
{
    (void)path, (void)out, (void)size;
    return fail(ENOENT);
}

char *world_getcwd(char *out, size_t size)
{
    snprintf(out, size, "/here");
    return out;
}

/* ---- Environment, clock, processes, ports ---- */

char *world_getenv(const char *name)
{
    static char home[] = "/home/user";

    return strcmp(name, "HOME") == 0 && has(CLI_WORLD_HOME) ? home : NULL;
}

int world_isatty(int fd) { return fd < 0; }

int world_clock_gettime(clockid_t clock, struct timespec *out)
{
    (void)clock;
    now_ms++;
    *out = (struct timespec){(time_t)(now_ms / 1000), (long)(now_ms % 1000) * 1000000};
    return 0;
}

/* Sleeping is far longer than was asked for: the longest wait ends soon. */
int world_nanosleep(const struct timespec *time, struct timespec *left)
{
    (void)left;
    now_ms += ((uint64_t)time->tv_sec * 1000 + (uint64_t)time->tv_nsec / 1000000) * SLEEP_FACTOR;
    return 0;
}

/* No pid file can be opened: nobody is there to be started or signalled. */
int world_posix_spawnp(pid_t *pid, const char *name, const posix_spawn_file_actions_t *files,
                       const posix_spawnattr_t *attributes, char *const argv[],
                       char *const environment[])
{
    (void)pid, (void)name, (void)files, (void)attributes, (void)argv, (void)environment;
    abort();
}

int world_kill(pid_t pid, int number)
{
    (void)pid, (void)number;
    abort();
}

int world_pidfd_open(pid_t pid, unsigned flags)
{
    (void)pid, (void)flags;
    abort();
}

int world_socket(int domain, int type, int protocol)
{
    (void)domain, (void)type, (void)protocol;
    return memory_file((struct sherd_bytes){NULL, 0});
}

int world_setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
    (void)fd, (void)level, (void)name, (void)value, (void)size;
    return 0;
}

int world_bind(int fd, const struct sockaddr *address, socklen_t size)
{
    (void)fd, (void)address, (void)size;
    return has(CLI_WORLD_PORTS) ? 0 : fail(EADDRINUSE);
}

int world_listen(int fd, int backlog)
{
    (void)fd, (void)backlog;
    return 0;
}

/* ---- The cluster: the library's functions that client/cli uses ---- */

struct sherd_client {
    int unused;
};

int sherd_open(const struct sherd_options *options, struct sherd_client **out, char *error,
               size_t error_size)
{
    SHERD_ASSERT(options->conf != NULL && options->timeout_ms > 0);
    if (has(CLI_WORLD_NO_CLIENT)) {
        snprintf(error, error_size, "%s", next_byte() & 1 ? "no client" : "");
        return -EINVAL;
    }
    *out = calloc(1, sizeof(**out));
    SHERD_ASSERT(*out != NULL);
    return 0;
}

void sherd_close(struct sherd_client *c)
{
    queued = 0;
    free(c);
}

void sherd_value_fini(struct sherd_value *v)
{
    free(v->data);
    *v = (struct sherd_value){0};
}

static int check_op(const struct sherd_op *op)
{
    if (op->key.size == 0 || op->key.size > SHERD_KEY_MAX) return -EINVAL;
    return op->value.size > SHERD_VALUE_MAX ? -EMSGSIZE : 0;
}

static void fill_slots(struct sherd_op *op)
{
    op->slot_count = (uint8_t)(1 + next_byte() % 32);
    op->k = (uint8_t)(1 + next_byte() % op->slot_count);
    for (uint8_t i = 0; i < op->slot_count; i++)
        op->slots[i] = (struct sherd_slot_info){.node = i,
                                                .slot = i,
                                                .state = next_byte() % (SHERD_SLOT_HELD + 1),
                                                .learner = next_byte() & 1};
}

static void answer(struct sherd_op *op)
{
    op->outcome = next_outcome();
    op->result = (struct sherd_value){0};
    op->shards_held = next_byte() % 33;
    op->shards_total = 32;
    if (op->outcome != SHERD_OK) return;
    op->result.version = (struct sherd_version){next_byte(), next_byte(), next_byte()};
    op->result.expires_ms = next_byte() & 1 ? now_ms + next_byte() * 100ULL : 0;
    op->size = file_text.size;
    op->number = next_byte() & 1 ? INT64_MIN : next_byte();
    if (op->kind == SHERD_OP_EXPLAIN) fill_slots(op);
    if (op->kind != SHERD_OP_GET || file_text.size == 0) return;
    op->result.data = fuzz_copy(file_text);
    op->result.size = file_text.size;
}

int sherd_run(struct sherd_client *c, struct sherd_op *op)
{
    int rc = check_op(op);

    SHERD_ASSERT(c != NULL && op->timeout_ms > 0);
    if (rc == 0) answer(op);
    return rc;
}

int sherd_submit(struct sherd_client *c, struct sherd_op *op)
{
    int rc = check_op(op);

    SHERD_ASSERT(c != NULL && op->done != NULL);
    if (rc == 0 && queued == QUEUE_MAX) rc = -ENOMEM;
    if (rc == 0) queue[queued++] = op;
    return rc;
}

int sherd_poll(struct sherd_client *c, int timeout_ms)
{
    struct sherd_op *batch[QUEUE_MAX];
    size_t count = queued;

    SHERD_ASSERT(c != NULL && timeout_ms >= 0);
    memcpy(batch, queue, count * sizeof(queue[0]));
    queued = 0;
    for (size_t i = 0; i < count; i++) {
        answer(batch[i]);
        batch[i]->done(batch[i]);
    }
    return (int)count;
}

int sherd_scan(struct sherd_client *c, struct sherd_bytes prefix,
               bool (*each)(void *context, struct sherd_bytes key, uint64_t size), void *context,
               enum sherd_outcome *outcome)
{
    size_t keys = next_byte() % KEYS_MAX, at = 0;

    SHERD_ASSERT(c != NULL && prefix.size <= SHERD_KEY_MAX);
    *outcome = next_outcome();
    for (size_t i = 0; i < keys && at < file_text.size; i++) {
        size_t size = 1 + next_byte();
        if (size > file_text.size - at) size = file_text.size - at;
        struct sherd_bytes key = {(const uint8_t *)file_text.data + at, size};
        at += size;
        if (!each(context, key, next_byte())) return 0;
    }
    return 0;
}

int sherd_node_stats(struct sherd_client *c, uint16_t node, enum sherd_outcome *outcome,
                     char **json)
{
    SHERD_ASSERT(c != NULL && (node < 6 || node == SHERD_KEEPER));
    *outcome = next_outcome();
    if (*outcome == SHERD_OK) *json = fuzz_text(file_text);
    return 0;
}

int sherd_node_recover(struct sherd_client *c, uint16_t node, enum sherd_outcome *outcome)
{
    SHERD_ASSERT(c != NULL && node < 6);
    *outcome = next_outcome();
    return 0;
}

int sherd_accept_loss(struct sherd_client *c, enum sherd_outcome *outcome)
{
    SHERD_ASSERT(c != NULL);
    *outcome = next_outcome();
    return 0;
}

int sherd_cluster_info(struct sherd_client *c, enum sherd_outcome *outcome,
                       struct sherd_cluster_info *out)
{
    SHERD_ASSERT(c != NULL);
    *outcome = next_outcome();
    *out = (struct sherd_cluster_info){.cluster = 1, .map_version = next_byte(), .k = 4, .m = 2};
    out->node_count = 6;
    out->partitions = 256;
    out->degraded = next_byte() % 3;
    out->learning = next_byte() % 3;
    out->lost = next_byte() % 3;
    out->unclean = next_byte() % 3;
    return 0;
}
