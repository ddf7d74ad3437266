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

enum { SUBJECT_SHOWN_MAX = 256, TEXT_SIZE = CLI_LINE_SIZE / 4 };

/* What is no UTF-8 as \xNN, control characters escaped. */
static void clean(char *out, size_t size, struct sherd_bytes bytes, size_t bytes_max)
{
    char valid[CLI_LINE_SIZE];
    size_t count = cli_make_valid(valid, sizeof(valid), bytes, bytes_max);

    out[0] = '\0';
    if (count > 0) strnvisx(out, size, valid, count, VIS_CSTYLE | VIS_NL | VIS_TAB | VIS_NOSLASH);
}

const char *cli_show(char out[CLI_SHOWN_SIZE], struct sherd_bytes bytes, size_t bytes_max)
{
    size_t shown = bytes.size;

    if (shown > bytes_max) shown = bytes_max;
    if (shown > SHERD_KEY_MAX) shown = SHERD_KEY_MAX;
    clean(out, CLI_SHOWN_SIZE, bytes, shown);
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

const char *cli_show_count(char out[CLI_COUNT_TEXT], uint64_t count, const char *noun)
{
    snprintf(out, CLI_COUNT_TEXT, "%llu %s%s", (unsigned long long)count, noun,
             count == 1 ? "" : "s");
    return out;
}

const char *cli_complain(const struct cli *cli, const char *text, char line[CLI_LINE_SIZE])
{
    clean(line, CLI_LINE_SIZE, (struct sherd_bytes){text, strlen(text)}, TEXT_SIZE);
    if (cli->command != NULL)
        fprintf(stderr, "sherd %s: %s\n", cli->command->name, line);
    else
        fprintf(stderr, "sherd: %s\n", line);
    return line;
}

static int report(const struct cli *cli, int code, const char *outcome, json_t *more,
                  const char *text)
{
    char line[CLI_LINE_SIZE];

    cli_complain(cli, text, line);
    if (cli->options.json) {
        json_t *out =
            json_pack("{s:s?, s:s, s:i}", "outcome", outcome, "error", line, "exit_code", code);
        if (more != NULL) json_object_update(out, more);
        cli_print_json(out);
    }
    json_decref(more);
    return code;
}

__attribute__((format(printf, 3, 0))) static int report_args(const struct cli *cli, int code,
                                                             const char *format, va_list args)
{
    char text[TEXT_SIZE];

    vsnprintf(text, sizeof(text), format, args);
    return report(cli, code, NULL, NULL, text);
}

int cli_fail(const struct cli *cli, int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    report_args(cli, code, format, args);
    va_end(args);
    return code;
}

int cli_report(const struct cli *cli, enum sherd_outcome outcome, json_t *more, const char *text)
{
    return report(cli, sherd_outcome_exit_code(outcome), sherd_outcome_name(outcome), more, text);
}

/* That a read changes nothing need not be said. */
static const char *text_of(const struct cli *cli, enum sherd_outcome outcome)
{
    if (cli->command == NULL || !cli->command->only_reads) return sherd_outcome_text(outcome);
    switch (outcome) {
    case SHERD_NO_QUORUM: return "too few nodes answer";
    case SHERD_TIMEOUT: return "no answer within the deadline";
    default: return sherd_outcome_text(outcome);
    }
}

/* What the caller can do about an outcome, where that is not plain. */
static const char *remedy_of(enum sherd_outcome outcome)
{
    switch (outcome) {
    case SHERD_NO_QUORUM:
    case SHERD_TIMEOUT: return "; 'sherd status' says which nodes are missing";
    case SHERD_NO_CLUSTER: return ": is it running? 'sherd cluster list' shows local clusters";
    case SHERD_LOST:
        return "; 'sherd status' shows what is lost, 'sherd recover --accept-loss' gives it up";
    case SHERD_TOO_BIG: return " of 4 MiB (4194304 bytes)";
    case SHERD_UNCERTAIN: return "; read the key to see";
    case SHERD_CONFLICT: return "; 'sherd explain KEY' shows its version";
    case SHERD_FULL: return "; delete something, or add memory";
    default: return "";
    }
}

const char *cli_outcome_text(const struct cli *cli, struct sherd_bytes subject,
                             enum sherd_outcome outcome, char out[CLI_LINE_SIZE])
{
    char shown[CLI_SHOWN_SIZE];

    snprintf(out, CLI_LINE_SIZE, "%s%s%s%s", cli_show(shown, subject, SUBJECT_SHOWN_MAX),
             subject.size > 0 ? ": " : "", text_of(cli, outcome), remedy_of(outcome));
    return out;
}

int cli_fail_outcome(const struct cli *cli, struct sherd_bytes subject, enum sherd_outcome outcome)
{
    char text[CLI_LINE_SIZE];

    return cli_report(cli, outcome, NULL, cli_outcome_text(cli, subject, outcome, text));
}

int cli_fail_errno(const struct cli *cli, int rc)
{
    return cli_fail(cli, CLI_ENVIRONMENT, "this process failed: %s", strerror(-rc));
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
