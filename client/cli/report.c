#include <bsd/libutil.h>
#include <bsd/string.h>
#define LIBBSD_NETBSD_VIS /* of two functions with one name; we use strnvisx alone */
#include <bsd/vis.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/cli/cli.h"

enum { SUBJECT_SHOWN_MAX = 64, LINE_SIZE = 2048 };

const char *cli_show(char out[CLI_SHOWN_SIZE], struct sherd_bytes bytes, size_t bytes_max)
{
    size_t shown = bytes.size;

    if (shown > bytes_max) shown = bytes_max;
    if (shown > SHERD_KEY_MAX) shown = SHERD_KEY_MAX;
    out[0] = '\0';
    if (shown > 0)
        strnvisx(out, CLI_SHOWN_SIZE, bytes.data, shown,
                 VIS_CSTYLE | VIS_NL | VIS_TAB | VIS_NOSLASH);
    if (shown < bytes.size) strlcat(out, "...", CLI_SHOWN_SIZE);
    return out;
}

const char *cli_show_size(char out[CLI_SIZE_TEXT], uint64_t bytes)
{
    int64_t number = bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes;

    if (humanize_number(out, 9, number, "B", HN_AUTOSCALE, HN_DECIMAL | HN_IEC_PREFIXES) < 0)
        strlcpy(out, "?", CLI_SIZE_TEXT);
    return out;
}

static int report(const struct cli *cli, int code, const char *outcome, const char *text)
{
    char line[4 * LINE_SIZE];

    strnvisx(line, sizeof(line), text, strlen(text),
             VIS_CSTYLE | VIS_NL | VIS_TAB | VIS_NOSLASH); /* one line, whatever was typed */
    if (cli->command != NULL)
        fprintf(stderr, "sherd %s: %s\n", cli->command->name, line);
    else
        fprintf(stderr, "sherd: %s\n", line);
    if (cli->options.json)
        cli_print_json(
            json_pack("{s:s?, s:s, s:i}", "outcome", outcome, "error", line, "exit_code", code));
    return code;
}

__attribute__((format(printf, 3, 0))) static int report_args(const struct cli *cli, int code,
                                                             const char *format, va_list args)
{
    char text[LINE_SIZE];

    vsnprintf(text, sizeof(text), format, args);
    return report(cli, code, NULL, text);
}

int cli_fail(const struct cli *cli, int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    report_args(cli, code, format, args);
    va_end(args);
    return code;
}

/* What the caller can do about an outcome, where that is not plain. */
static const char *remedy_of(enum sherd_outcome outcome)
{
    switch (outcome) {
    case SHERD_NO_QUORUM:
    case SHERD_TIMEOUT: return "; 'sherd status' says which nodes are missing";
    case SHERD_NO_CLUSTER: return ": is it running? 'sherd cluster list' shows local clusters";
    case SHERD_LOST: return "; 'sherd explain KEY' shows its shards";
    case SHERD_UNCERTAIN: return "; read the key to see";
    case SHERD_CONFLICT: return "; 'sherd explain KEY' shows its version";
    case SHERD_FULL: return "; delete something, or add memory";
    default: return "";
    }
}

int cli_fail_outcome(const struct cli *cli, struct sherd_bytes subject, enum sherd_outcome outcome)
{
    char shown[CLI_SHOWN_SIZE], text[LINE_SIZE];
    int code = sherd_outcome_exit_code(outcome);

    snprintf(text, sizeof(text), "%s%s%s%s", cli_show(shown, subject, SUBJECT_SHOWN_MAX),
             subject.size > 0 ? ": " : "", sherd_outcome_text(outcome), remedy_of(outcome));
    return report(cli, code, sherd_outcome_name(outcome), text);
}

int cli_fail_errno(const struct cli *cli, int rc)
{
    return cli_fail(cli, CLI_ENVIRONMENT, "this process failed: %s", strerror(-rc));
}

int cli_print_json(json_t *object)
{
    json_dumpf(object, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(object);
    return CLI_OK;
}

/* malloc'ed, or NULL. */
static char *base64_of(struct sherd_bytes bytes)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    enum { PADDING = 64 };
    const unsigned char *in = bytes.data;
    char *text = malloc((bytes.size + 2) / 3 * 4 + 1), *out = text;

    if (text == NULL) return NULL;
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t left = bytes.size - i;
        uint32_t group = (uint32_t)in[i] << 16;
        if (left > 1) group |= (uint32_t)in[i + 1] << 8;
        if (left > 2) group |= in[i + 2];
        *out++ = letters[group >> 18];
        *out++ = letters[group >> 12 & 63];
        *out++ = letters[left > 1 ? group >> 6 & 63 : PADDING];
        *out++ = letters[left > 2 ? group & 63 : PADDING];
    }
    *out = '\0';
    return text;
}

void cli_json_bytes(json_t *object, const char *name, struct sherd_bytes bytes)
{
    char other[64];
    char *text = NULL;

    if (json_object_set_new(object, name,
                            json_stringn(bytes.size > 0 ? bytes.data : "", bytes.size)) == 0)
        return;
    text = base64_of(bytes);
    snprintf(other, sizeof(other), "%s_base64", name);
    json_object_set_new(object, other, text != NULL ? json_string(text) : json_null());
    free(text);
}

static uint64_t ms_of(clockid_t clock)
{
    struct timespec now = {0};

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t cli_now_ms(void) { return ms_of(CLOCK_MONOTONIC); }

uint64_t cli_wall_ms(void) { return ms_of(CLOCK_REALTIME); }

void cli_sleep_ms(unsigned ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    while (nanosleep(&pause, &pause) != 0 && errno == EINTR)
        continue;
}
