#include "client/cli/files.h"

#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int add(const struct cli *cli, struct cli_files *files, const char *name, const char *sum)
{
    struct cli_file *item;

    if (files->count == files->capacity) {
        size_t capacity = files->capacity > 0 ? 2 * files->capacity : 256;
        struct cli_file *items = reallocarray(files->items, capacity, sizeof(*items));
        if (items == NULL) return cli_fail_errno(cli, -ENOMEM);
        files->items = items;
        files->capacity = capacity;
    }
    item = &files->items[files->count];
    snprintf(item->sum, sizeof(item->sum), "%s", sum);
    item->name = strdup(name);
    if (item->name == NULL) return cli_fail_errno(cli, -ENOMEM);
    files->count++;
    return 0;
}

void cli_files_fini(struct cli_files *files)
{
    for (size_t i = 0; i < files->count; i++)
        free(files->items[i].name);
    free(files->items);
    *files = (struct cli_files){0};
}

static int by_name(const FTSENT **left, const FTSENT **right)
{
    return strcmp((*left)->fts_name, (*right)->fts_name);
}

static int add_entry(const struct cli *cli, struct cli_files *files, const FTSENT *entry)
{
    switch (entry->fts_info) {
    case FTS_F: return add(cli, files, entry->fts_path, "");
    case FTS_SL:
    case FTS_SLNONE:
    case FTS_DEFAULT: files->skipped++; return 0;
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        return cli_fail(cli, CLI_ENVIRONMENT, "cannot read %s: %s", entry->fts_path,
                        strerror(entry->fts_errno));
    default: return 0; /* folders */
    }
}

static int add_tree(const struct cli *cli, struct cli_files *files, char *folder)
{
    char *roots[] = {folder, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    FTSENT *entry;
    int code = 0;

    if (tree == NULL)
        return cli_fail(cli, CLI_ENVIRONMENT, "cannot read %s: %s", folder, strerror(errno));
    while (code == 0 && (entry = fts_read(tree)) != NULL)
        code = add_entry(cli, files, entry);
    fts_close(tree);
    return code;
}

static int add_word(const struct cli *cli, struct cli_files *files, char *word)
{
    struct stat status;

    if (stat(word, &status) != 0)
        return cli_fail(cli, CLI_ENVIRONMENT, "cannot read %s: %s", word, strerror(errno));
    return S_ISDIR(status.st_mode) ? add_tree(cli, files, word) : add(cli, files, word, "");
}

/* "64 hex digits, a blank, a blank or '*', name": what sha256sum prints. */
static int add_sum(const struct cli *cli, struct cli_files *files, char *line, size_t number)
{
    enum { DIGITS = CLI_SUM_SIZE - 1 };

    if (strspn(line, "0123456789abcdef") != DIGITS || line[DIGITS] != ' ' ||
        (line[DIGITS + 1] != ' ' && line[DIGITS + 1] != '*') || line[DIGITS + 2] == '\0')
        return cli_fail(cli, CLI_USAGE, "%s:%zu: not a line as sha256sum prints it",
                        cli->options.sums, number);
    line[DIGITS] = '\0';
    return add(cli, files, line + DIGITS + 2, line);
}

static int add_lines(const struct cli *cli, struct cli_files *files, const char *path, bool sums)
{
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(path, "re");
    char *line = NULL;
    size_t capacity = 0, number = 0;
    ssize_t size;
    int code = 0;

    if (file == NULL)
        return cli_fail(cli, CLI_ENVIRONMENT, "cannot read %s: %s", path, strerror(errno));
    while (code == 0 && (size = getline(&line, &capacity, file)) > 0) {
        number++;
        if (line[size - 1] == '\n') line[size - 1] = '\0';
        if (line[0] == '\0') continue;
        code = sums ? add_sum(cli, files, line, number) : add(cli, files, line, "");
    }
    if (code == 0 && ferror(file))
        code = cli_fail(cli, CLI_ENVIRONMENT, "cannot read %s: %s", path, strerror(errno));
    free(line);
    if (!is_stdin) fclose(file);
    return code;
}

int cli_files_collect(const struct cli *cli, struct cli_files *out)
{
    const struct cli_options *o = &cli->options;
    struct cli_files files = {0};
    int code = 0;

    if (cli->count == 0 && o->list == NULL && o->sums == NULL)
        return cli_fail(cli, CLI_USAGE,
                        "no files: name files or folders, or a list of them; see --help");
    for (int i = 0; i < cli->count && code == 0; i++)
        code = add_word(cli, &files, cli->words[i]);
    if (code == 0 && o->list != NULL) code = add_lines(cli, &files, o->list, false);
    if (code == 0 && o->sums != NULL) code = add_lines(cli, &files, o->sums, true);
    if (code != 0)
        cli_files_fini(&files);
    else
        *out = files;
    return code;
}
