/* version.c - a version's text form: "epoch-clock-client", in hex. */
#include <errno.h>
#include <inttypes.h>
#include <sherd/sherd.h>
#include <stdio.h>

void sherd_version_format(struct sherd_version v, char out[SHERD_VERSION_TEXT_SIZE])
{
    snprintf(out, SHERD_VERSION_TEXT_SIZE, "%" PRIx32 "-%" PRIx64 "-%" PRIx64, v.epoch, v.clock,
             v.client);
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* One to `digits_max` hex digits, up to `end`. */
static int parse_hex(const char **text, unsigned digits_max, char end, uint64_t *out)
{
    const char *at = *text;
    unsigned digits = 0;

    *out = 0;
    for (int digit; (digit = digit_of(*at)) >= 0; at++, digits++) {
        if (digits == digits_max) return -EINVAL;
        *out = *out << 4 | (uint64_t)digit;
    }
    if (digits == 0 || *at != end) return -EINVAL;
    *text = at + (end != '\0');
    return 0;
}

int sherd_version_parse(const char *text, struct sherd_version *out)
{
    uint64_t epoch, clock, client;
    int rc = parse_hex(&text, 8, '-', &epoch);

    if (rc == 0) rc = parse_hex(&text, 16, '-', &clock);
    if (rc == 0) rc = parse_hex(&text, 16, '\0', &client);
    if (rc < 0) return rc;
    *out = (struct sherd_version){.clock = clock, .client = client, .epoch = (uint32_t)epoch};
    return 0;
}
