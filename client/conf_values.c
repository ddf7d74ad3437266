/* conf_values.c - what the values of a configuration may be. */
#include "client/conf_values.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

enum { SYNC_MS_MAX = 60000 };

/* Decimal digits, at least one; *text moves behind them. */
int sherd_conf_parse_digits(const char **text, uint64_t *out)
{
    const char *c = *text;
    uint64_t value = 0;

    if (*c < '0' || *c > '9') return -EINVAL;
    for (; *c >= '0' && *c <= '9'; c++) {
        if (__builtin_mul_overflow(value, 10, &value)) return -ERANGE;
        if (__builtin_add_overflow(value, (uint64_t)(*c - '0'), &value)) return -ERANGE;
    }
    *text = c;
    *out = value;
    return 0;
}

int sherd_parse_code(const char *text, unsigned *k, unsigned *m)
{
    uint64_t data = 0, parity = 0;

    if (sherd_conf_parse_digits(&text, &data) != 0 || *text++ != '+') return -EINVAL;
    if (sherd_conf_parse_digits(&text, &parity) != 0 || *text != '\0') return -EINVAL;
    if (data < 1 || data > SHERD_SLOTS_MAX || parity > SHERD_SLOTS_MAX - data) return -EINVAL;
    *k = (unsigned)data;
    *m = (unsigned)parity;
    return 0;
}

int sherd_parse_size(const char *text, uint64_t *bytes)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {
        {"",    1      },
        {"KiB", 1 << 10},
        {"MiB", 1 << 20},
        {"GiB", 1 << 30}
    };
    uint64_t value = 0;
    int rc = sherd_conf_parse_digits(&text, &value);

    if (rc != 0) return rc;
    for (size_t i = 0; i < LEN(units); i++) {
        if (strcmp(text, units[i].name) != 0) continue;
        if (__builtin_mul_overflow(value, units[i].bytes, &value)) return -ERANGE;
        *bytes = value;
        return 0;
    }
    return -EINVAL;
}

bool sherd_conf_is_code(const char *text)
{
    unsigned k, m;
    return sherd_parse_code(text, &k, &m) == 0;
}

bool sherd_conf_is_size(const char *text)
{
    uint64_t bytes;
    return sherd_parse_size(text, &bytes) == 0;
}

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS  "0123456789"

bool sherd_conf_is_name(const char *text)
{
    size_t size = strlen(text);
    return size > 0 && size < SHERD_CONF_CLUSTER_BYTES_MAX &&
           strspn(text, LETTERS DIGITS "._-") == size;
}

bool sherd_conf_is_zone(const char *text)
{
    size_t size = strlen(text);
    return size < SHERD_ZONE_BYTES_MAX && strspn(text, LETTERS DIGITS "._-/") == size;
}

bool sherd_conf_is_path(const char *text) { return strlen(text) < SHERD_CONF_PATH_BYTES_MAX; }

static bool is_port(const char *text)
{
    uint64_t port = 0;
    return sherd_conf_parse_digits(&text, &port) == 0 && *text == '\0' && port >= 1 &&
           port <= UINT16_MAX;
}

/* tcp://host:port; the host is a name, an IPv4 address, or an IPv6 address in brackets. */
bool sherd_conf_is_endpoint(const char *text)
{
    static const char scheme[] = "tcp://";
    size_t size;

    if (strlen(text) >= SHERD_ENDPOINT_BYTES_MAX) return false;
    if (strncmp(text, scheme, sizeof(scheme) - 1) != 0) return false;
    text += sizeof(scheme) - 1;
    if (*text == '[') {
        size = strspn(text + 1, DIGITS "abcdefABCDEF:.");
        if (size == 0 || text[1 + size] != ']') return false;
        text += size + 2;
    } else {
        size = strspn(text, LETTERS DIGITS ".-");
        if (size == 0) return false;
        text += size;
    }
    return *text == ':' && is_port(text + 1);
}

bool sherd_conf_is_keeper(const char *text)
{
    return *text == '\0' || sherd_conf_is_endpoint(text);
}

bool sherd_conf_is_store(const char *text)
{
    return strcmp(text, "memory") == 0 || strcmp(text, "lmdb") == 0;
}

/* "always": 0; "100ms": 100. */
int sherd_conf_parse_sync(const char *text, uint32_t *ms)
{
    uint64_t value = 0;

    *ms = 0;
    if (strcmp(text, "always") == 0) return 0;
    if (sherd_conf_parse_digits(&text, &value) != 0 || strcmp(text, "ms") != 0) return -EINVAL;
    if (value < 1 || value > SYNC_MS_MAX) return -EINVAL;
    *ms = (uint32_t)value;
    return 0;
}

bool sherd_conf_is_sync(const char *text)
{
    uint32_t ms;
    return sherd_conf_parse_sync(text, &ms) == 0;
}

static const char *const log_levels[] = {
    [SHERD_CONF_ERROR] = "error",
    [SHERD_CONF_WARN] = "warn",
    [SHERD_CONF_INFO] = "info",
    [SHERD_CONF_DEBUG] = "debug",
};

/* The level of that name, or LEN(log_levels). */
size_t sherd_conf_log_level_of(const char *text)
{
    size_t i = 0;
    while (i < LEN(log_levels) && strcmp(text, log_levels[i]) != 0)
        i++;
    return i;
}

bool sherd_conf_is_log_level(const char *text)
{
    return sherd_conf_log_level_of(text) < LEN(log_levels);
}
