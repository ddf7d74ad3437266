#include "tests/allocations/sites.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COMMAND_SIZE = PATH_MAX + 100, LINE_SIZE = 1024 };

static void executable(char out[PATH_MAX])
{
    ssize_t size = readlink("/proc/self/exe", out, PATH_MAX - 1);

    out[size > 0 ? size : 0] = '\0';
}

static FILE *ask(const char *format, unsigned long at)
{
    char command[COMMAND_SIZE], path[PATH_MAX];

    executable(path);
    snprintf(command, sizeof(command), format, path, at);
    return popen(command, "r"); // NOLINT(cert-env33-c): the command is ours
}

/* The last two parts of a path are enough: "server/keeper.c:56". */
static const char *short_path(const char *path)
{
    const char *at = path + strlen(path);
    int slashes = 0;

    while (at > path && slashes < 2)
        if (*--at == '/') slashes++;
    return *at == '/' ? at + 1 : at;
}

static void cut(char *line) { line[strcspn(line, " \n")] = '\0'; }

void sites_name(uintptr_t at, char out[SITE_NAME_SIZE])
{
    /* The address is of what follows the call. */
    FILE *pipe = ask("addr2line -f -e '%s' %lx", at - 1);
    char function[LINE_SIZE] = "?\n", place[LINE_SIZE] = "?\n";

    if (pipe && fgets(function, sizeof(function), pipe) && !fgets(place, sizeof(place), pipe))
        place[0] = '\0';
    if (pipe) pclose(pipe);
    cut(function);
    cut(place);
    snprintf(out, SITE_NAME_SIZE, "%.120s %.60s", short_path(place), function);
}

/* xxhash comes as a header: without optimization its functions for streams stay in the objects,
 * where nothing calls them. */
static bool is_of_others(uintptr_t at)
{
    char name[SITE_NAME_SIZE];

    sites_name(at, name);
    return strncmp(name, "allocations/", 12) == 0 || strncmp(name, "support/", 8) == 0 ||
           strstr(name, " XXH_malloc");
}

size_t sites_list(uintptr_t *out, size_t max)
{
    FILE *pipe = ask("objdump -d -j .text --no-show-raw-insn '%s'", 0);
    char line[LINE_SIZE];
    bool follows_call = false;
    size_t count = 0;

    while (pipe && fgets(line, sizeof(line), pipe)) {
        if (follows_call) {
            uintptr_t at = strtoull(line, NULL, 16);
            if (count < max && !is_of_others(at)) out[count++] = at;
        }
        follows_call =
            strstr(line, "call") && strstr(line, "<__wrap_") && !strstr(line, "<__wrap_free>");
    }
    if (pipe) pclose(pipe);
    return count;
}
