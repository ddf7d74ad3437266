/* main.c - the command line of sherd: a table of commands. Each group of commands has its file. */
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/commands.h"

enum { USAGE_SIZE = 160 };

static int run_help(struct cli *cli);
static int run_version(struct cli *cli);

static const struct cli_command help_command = {
    .name = "help",
    .arguments = "[COMMAND]",
    .summary = "this list, or how a command is used",
    .help = "  sherd help set\n  sherd help cluster up\n",
    .words_max = 2,
    .run = run_help,
};

static const struct cli_command version_command = {
    .name = "version",
    .arguments = "",
    .summary = "the version of this program",
    .help = "  sherd version\n",
    .run = run_version,
};

static const struct cli_command *const commands[] = {
    &cli_cluster_up,   &cli_cluster_down, &cli_cluster_list, &cli_cluster_kill, &cli_cluster_start,
    &cli_cluster_wipe, &cli_set,          &cli_get,          &cli_del,          &cli_cas,
    &cli_incr,         &cli_append,       &cli_exists,       &cli_ttl,          &cli_scan,
    &cli_import,       &cli_verify,       &cli_status,       &cli_recover,      &cli_explain,
    &help_command,     &version_command,
};

/* How many of the words name the command: 0, 1 or 2. */
static int words_of(const struct cli_command *command, char **words, int count)
{
    const char *blank = strchr(command->name, ' ');
    size_t size = blank != NULL ? (size_t)(blank - command->name) : strlen(command->name);

    if (count < 1 || strlen(words[0]) != size || memcmp(words[0], command->name, size) != 0)
        return 0;
    if (blank == NULL) return 1;
    return count > 1 && strcmp(words[1], blank + 1) == 0 ? 2 : 0;
}

static const struct cli_command *find(char **words, int count, int *used)
{
    for (size_t i = 0; i < LEN(commands); i++) {
        *used = words_of(commands[i], words, count);
        if (*used > 0) return commands[i];
    }
    return NULL;
}

static void print_overview(FILE *out, const char *group)
{
    char left[64];

    for (size_t i = 0; i < LEN(commands); i++) {
        if (strncmp(commands[i]->name, group, strlen(group)) != 0) continue;
        snprintf(left, sizeof(left), "%s %s", commands[i]->name, commands[i]->arguments);
        if (strlen(left) <= 28)
            fprintf(out, "  %-28s %s\n", left, commands[i]->summary);
        else
            fprintf(out, "  %s\n  %-28s %s\n", left, "", commands[i]->summary);
    }
}

static void print_general(FILE *out, const char *group)
{
    fprintf(out, "usage: sherd %sCOMMAND [WORD...] [OPTION...]\n\n",
            group[0] != '\0' ? "cluster " : "");
    print_overview(out, group);
    fputs("\nOptions of every command, before or after it:\n", out);
    cli_options_print(out, 0);
    fputs(
        "\nExit codes: 0 ok, 1 not found, 2 usage, 3 not committed, 4 uncertain, 5 no quorum or "
        "not\n"
        "healthy, 6 environment (no cluster, port in use, files), 7 lost.\n"
        "--json: every line is one object with 'outcome' and 'exit_code', failures with 'error'.\n"
        "'sherd COMMAND --help' has examples.\n",
        out);
}

/* "sherd set KEY VALUE"; `out` is returned. */
static const char *usage_of(const struct cli_command *command, char out[USAGE_SIZE])
{
    snprintf(out, USAGE_SIZE, "sherd %s%s%s", command->name,
             command->arguments[0] != '\0' ? " " : "", command->arguments);
    return out;
}

static void print_help(FILE *out, const struct cli_command *command)
{
    char usage[USAGE_SIZE];

    fprintf(out, "usage: %s\n%s\n", usage_of(command, usage), command->summary);
    if (command->options != 0) {
        fputs("\nOptions, besides those of every command ('sherd help'):\n", out);
        cli_options_print(out, command->options);
    }
    fprintf(out, "\n%s", command->help);
}

/* How `command` is used, or without one all commands of a group. */
static int show_help(const struct cli *cli, const struct cli_command *command, const char *group)
{
    char *text = NULL;
    size_t size = 0;
    int code;
    FILE *out = cli->options.json ? open_memstream(&text, &size) : stdout;

    if (out == NULL) return cli_fail_errno(cli, -ENOMEM);
    if (command != NULL)
        print_help(out, command);
    else
        print_general(out, group);
    if (out == stdout) return CLI_OK;
    fclose(out);
    code = cli_print_json(json_pack("{s:s}", "help", text));
    free(text);
    return code;
}

static bool is_group(char **words, int count) { return count == 1 && !strcmp(words[0], "cluster"); }

static int run_help(struct cli *cli)
{
    int used = 0;
    const struct cli_command *command = find(cli->words, cli->count, &used);

    if (command == NULL && cli->count > 0 && !is_group(cli->words, cli->count))
        return cli_fail(cli, CLI_USAGE, "no command '%.60s'; 'sherd help' lists them",
                        cli->words[0]);
    return show_help(cli, command, cli->count > 0 ? cli->words[0] : "");
}

static int run_version(struct cli *cli)
{
    if (cli->options.json) return cli_print_json(json_pack("{s:s}", "version", SHERD_VERSION_TEXT));
    puts("sherd " SHERD_VERSION_TEXT);
    return CLI_OK;
}

static int no_command(struct cli *cli)
{
    if (cli->options.version) return run_version(cli);
    if (cli->options.help && (cli->count == 0 || is_group(cli->words, cli->count)))
        return run_help(cli);
    if (cli->count == 0) return cli_fail(cli, CLI_USAGE, "no command; 'sherd help' lists them");
    if (is_group(cli->words, cli->count))
        return cli_fail(cli, CLI_USAGE,
                        "what of the cluster: up, down, list, kill, start or wipe? 'sherd help "
                        "cluster' tells");
    if (!strcmp(cli->words[0], "cluster"))
        return cli_fail(cli, CLI_USAGE,
                        "no command 'cluster %.60s'; 'sherd help cluster' lists them",
                        cli->words[1]);
    return cli_fail(cli, CLI_USAGE, "unknown command '%.60s'; 'sherd help' lists them",
                    cli->words[0]);
}

/* Names the first word that is missing, or the first that is too many. */
static int check_words(const struct cli *cli)
{
    const struct cli_command *command = cli->command;
    const char *name = command->arguments;
    char usage[USAGE_SIZE];

    usage_of(command, usage);
    if (cli->count > command->words_max)
        return cli_fail(cli, CLI_USAGE, "'%.60s' is one word too many; usage: %s",
                        cli->words[command->words_max], usage);
    if (cli->count >= command->words_min) return 0;
    for (int i = 0; i < cli->count && strchr(name, ' ') != NULL; i++)
        name = strchr(name, ' ') + 1;
    return cli_fail(cli, CLI_USAGE, "%.*s is missing; usage: %s", (int)strcspn(name, " "), name,
                    usage);
}

static int run(struct cli *cli, int argc, char **argv)
{
    int used = 0;
    int code = cli_options_parse(cli, argc, argv);

    if (code != 0) return code;
    cli->command = find(cli->words, cli->count, &used);
    if (cli->command == NULL) return no_command(cli);
    cli->words += used;
    cli->count -= used;
    if (cli->options.help && cli->command != &help_command) return show_help(cli, cli->command, "");
    if (cli->options.version) return run_version(cli);
    code = cli_options_check(cli);
    if (code == 0) code = check_words(cli);
    return code != 0 ? code : cli->command->run(cli);
}

int main(int argc, char **argv)
{
    struct cli cli = {0};
    int code;

    setlocale(LC_CTYPE, ""); /* so that keys in other alphabets are shown as they are */
    code = run(&cli, argc, argv);
    free(cli.word_memory);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "sherd: cannot write the output: %s\n", strerror(errno));
        if (code == 0) code = CLI_ENVIRONMENT;
    }
    return code;
}
