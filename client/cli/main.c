/* main.c - the command line of sherd: a table of commands. Each group of commands has its file. */
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/commands.h"

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

static void print_overview(const char *group)
{
    char left[64];

    for (size_t i = 0; i < LEN(commands); i++) {
        if (strncmp(commands[i]->name, group, strlen(group)) != 0) continue;
        snprintf(left, sizeof(left), "%s %s", commands[i]->name, commands[i]->arguments);
        if (strlen(left) <= 28)
            printf("  %-28s %s\n", left, commands[i]->summary);
        else
            printf("  %s\n  %-28s %s\n", left, "", commands[i]->summary);
    }
}

static void print_general(const char *group)
{
    puts("usage: sherd COMMAND [WORD...] [OPTION...]\n");
    print_overview(group);
    puts("\nOptions of every command, before or after it:");
    cli_options_print(0);
    puts("\nExit codes: 0 ok, 1 not found, 2 usage, 3 not committed, 4 uncertain, 5 no quorum or "
         "not\n"
         "healthy, 6 environment (no cluster, port in use, files), 7 lost.\n"
         "'sherd COMMAND --help' has examples.");
}

static void print_help(const struct cli_command *command)
{
    printf("usage: sherd %s%s%s\n%s\n", command->name, command->arguments[0] != '\0' ? " " : "",
           command->arguments, command->summary);
    if (command->options != 0) {
        puts("\nOptions, besides those of every command ('sherd help'):");
        cli_options_print(command->options);
    }
    printf("\n%s", command->help);
}

static bool is_group(char **words, int count) { return count == 1 && !strcmp(words[0], "cluster"); }

static int run_help(struct cli *cli)
{
    int used = 0;
    const struct cli_command *command = find(cli->words, cli->count, &used);

    if (command != NULL)
        print_help(command);
    else if (cli->count == 0 || is_group(cli->words, cli->count))
        print_general(cli->count > 0 ? cli->words[0] : "");
    else
        return cli_fail(cli, CLI_USAGE, "no command '%.60s'; 'sherd help' lists them",
                        cli->words[0]);
    return CLI_OK;
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
    if (!strcmp(cli->words[0], "cluster"))
        return cli_fail(cli, CLI_USAGE,
                        "no command 'cluster%s%.60s'; 'sherd help cluster' lists them",
                        cli->count > 1 ? " " : "", cli->count > 1 ? cli->words[1] : "");
    return cli_fail(cli, CLI_USAGE, "unknown command '%.60s'; 'sherd help' lists them",
                    cli->words[0]);
}

/* Names the first word that is missing, or the first that is too many. */
static int check_words(const struct cli *cli)
{
    const struct cli_command *command = cli->command;
    const char *name = command->arguments;

    if (cli->count > command->words_max)
        return cli_fail(cli, CLI_USAGE, "'%.60s' is one word too many; usage: sherd %s %s",
                        cli->words[command->words_max], command->name, command->arguments);
    if (cli->count >= command->words_min) return 0;
    for (int i = 0; i < cli->count && strchr(name, ' ') != NULL; i++)
        name = strchr(name, ' ') + 1;
    return cli_fail(cli, CLI_USAGE, "%.*s is missing; usage: sherd %s %s", (int)strcspn(name, " "),
                    name, command->name, command->arguments);
}

static int run(struct cli *cli, int argc, char **argv)
{
    uint64_t given = 0;
    int used = 0;
    int code = cli_options_parse(cli, argc, argv, &given);

    if (code != 0) return code;
    cli->command = find(cli->words, cli->count, &used);
    if (cli->command == NULL) return no_command(cli);
    cli->words += used;
    cli->count -= used;
    if (cli->options.help && cli->command != &help_command) {
        print_help(cli->command);
        return CLI_OK;
    }
    code = cli_options_check(cli, given);
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
