#include "client/cli/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PATIENCE_MS = 500 }; /* for each node, when the deadline may have been too short */

int cli_session_open_at(const struct cli *cli, const struct cli_place *place, uint32_t timeout_ms,
                        struct cli_session *out)
{
    struct cli_session s = {.place = *place, .timeout_ms = timeout_ms};
    struct sherd_options options = {.conf = s.place.conf};
    char error[1024] = "";
    int code, rc;

    if (cli->options.timeout_ms > 0) s.timeout_ms = (uint32_t)cli->options.timeout_ms;
    options.timeout_ms = s.timeout_ms;
    code = cli_place_load(cli, &s.place, &s.conf);
    if (code != 0) return code;
    rc = sherd_open(&options, &s.client, error, sizeof(error));
    if (rc != 0) {
        sherd_conf_fini(&s.conf);
        return error[0] != '\0' ? cli_fail(cli, CLI_ENVIRONMENT, "%s", error)
                                : cli_fail_errno(cli, rc);
    }
    s.deadline_ms = cli_now_ms() + s.timeout_ms;
    *out = s;
    return 0;
}

int cli_session_open(const struct cli *cli, uint32_t timeout_ms, struct cli_session *out)
{
    struct cli_place place;
    int code = cli_place_find(cli, &place);

    return code != 0 ? code : cli_session_open_at(cli, &place, timeout_ms, out);
}

void cli_session_close(struct cli_session *s)
{
    sherd_close(s->client);
    s->client = NULL;
    sherd_conf_fini(&s->conf);
}

int cli_session_run(const struct cli *cli, struct cli_session *s, struct sherd_op *op, bool again)
{
    for (;;) {
        uint64_t now_ms = cli_now_ms();
        uint64_t left_ms = s->deadline_ms > now_ms ? s->deadline_ms - now_ms : 1;
        int rc;

        op->timeout_ms = (uint32_t)left_ms;
        rc = sherd_run(s->client, op);
        if (rc != 0) return cli_fail_errno(cli, rc);
        if (op->outcome != SHERD_UNCERTAIN || !again || cli_now_ms() >= s->deadline_ms) return 0;
        sherd_value_fini(&op->result);
    }
}

/* Whether every node answers when it is given time. Ends at the first one that does not. */
static bool all_answer(const struct cli *cli, const struct cli_session *s)
{
    struct cli patient = *cli;
    struct cli_session other = {0};
    bool answers = true;

    patient.options.timeout_ms = 0;
    if (cli_session_open_at(&patient, &s->place, PATIENCE_MS, &other) != 0) return false;
    for (size_t i = 0; i < s->conf.node_count && answers; i++) {
        enum sherd_outcome outcome = SHERD_NO_QUORUM;
        char *text = NULL;
        int rc = sherd_node_stats(other.client, (uint16_t)i, &outcome, &text);
        answers = rc == 0 && outcome == SHERD_OK;
        free(text);
    }
    cli_session_close(&other);
    return answers;
}

int cli_session_fail(const struct cli *cli, const struct cli_session *s, const struct sherd_op *op)
{
    enum sherd_outcome outcome = op->outcome;
    char shown[CLI_SHOWN_SIZE], text[CLI_LINE_SIZE];
    bool is_silence =
        outcome == SHERD_NO_QUORUM || outcome == SHERD_TIMEOUT || outcome == SHERD_NO_CLUSTER;

    if (!is_silence || !all_answer(cli, s)) return cli_fail_outcome(cli, op->key, outcome);
    snprintf(text, sizeof(text),
             "%s: too few answers within %u ms, though all nodes can be reached%s; raise --timeout",
             cli_show(shown, op->key, SHERD_KEY_MAX), s->timeout_ms,
             cli->command->only_reads ? "" : "; nothing changed");
    return cli_report(cli, outcome == SHERD_NO_QUORUM ? outcome : SHERD_TIMEOUT, NULL, text);
}

int cli_key(const struct cli *cli, const char *word, struct sherd_bytes *out)
{
    size_t size = strlen(word);

    if (size == 0)
        return cli_fail(cli, CLI_USAGE, "the key is empty: a key has 1 to %d bytes", SHERD_KEY_MAX);
    if (size > SHERD_KEY_MAX)
        return cli_fail(cli, CLI_USAGE, "the key has %zu bytes, the limit is %d", size,
                        SHERD_KEY_MAX);
    *out = (struct sherd_bytes){word, size};
    return 0;
}

static int too_big(const struct cli *cli, const char *what)
{
    return cli_fail_outcome(cli, (struct sherd_bytes){what, strlen(what)}, SHERD_TOO_BIG);
}

/* Into a buffer of SHERD_VALUE_MAX + 1 bytes. */
static int fill(const struct cli *cli, const char *path, FILE *file, char *buffer, size_t *size)
{
    *size = fread(buffer, 1, SHERD_VALUE_MAX + 1, file);
    if (ferror(file))
        return cli_fail(cli, CLI_ENVIRONMENT, "cannot read %s: %s", path, strerror(errno));
    return *size > SHERD_VALUE_MAX ? too_big(cli, file == stdin ? "standard input" : path) : 0;
}

int cli_read_file(const struct cli *cli, const char *path, struct sherd_bytes *out, void **memory)
{
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(path, "re");
    char *buffer, *smaller;
    size_t size = 0;
    int code;

    if (file == NULL)
        return cli_fail(cli, CLI_ENVIRONMENT, "cannot read %s: %s", path, strerror(errno));
    buffer = malloc(SHERD_VALUE_MAX + 1);
    code = buffer != NULL ? fill(cli, path, file, buffer, &size) : cli_fail_errno(cli, -ENOMEM);
    if (!is_stdin) fclose(file);
    if (code != 0) {
        free(buffer);
        return code;
    }
    smaller = realloc(buffer, size + 1); /* several of these may wait at a time */
    *memory = smaller != NULL ? smaller : buffer;
    *out = (struct sherd_bytes){*memory, size};
    return 0;
}

int cli_value(const struct cli *cli, int index, struct sherd_bytes *out, void **memory)
{
    const char *file = cli->options.file;
    const char *word = index < cli->count ? cli->words[index] : NULL;

    *memory = NULL;
    if (file != NULL && word != NULL)
        return cli_fail(cli, CLI_USAGE, "a value and --file: give only one");
    if (file == NULL && word == NULL)
        return cli_fail(cli, CLI_USAGE,
                        "VALUE is missing: give one, or --file FILE, or - for standard input");
    if (file != NULL || strcmp(word, "-") == 0)
        return cli_read_file(cli, file != NULL ? file : "-", out, memory);
    *out = (struct sherd_bytes){word, strlen(word)};
    return out->size > SHERD_VALUE_MAX ? too_big(cli, "VALUE") : 0;
}
