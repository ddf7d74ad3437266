#include "client/cli/registry.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "client/cli/local.h"

/* Named clusters are found without it. */
static bool is_named(const char *home, const char *dir)
{
    size_t size = strlen(home);

    return strncmp(dir, home, size) == 0 && dir[size] == '/' && strchr(dir + size + 1, '/') == NULL;
}

static bool is_there(const char *dir)
{
    char conf[CLI_PATH_SIZE];

    snprintf(conf, sizeof(conf), "%.1000s/cluster.conf", dir);
    return access(conf, F_OK) == 0;
}

/* The file, open and locked until it is closed; NULL: there is none. */
static FILE *open_file(const char *home, int flags)
{
    char path[CLI_PATH_SIZE];
    FILE *file = NULL;
    int fd;

    snprintf(path, sizeof(path), "%.1000s/.dirs", home);
    fd = open(path, O_RDWR | O_CLOEXEC | flags, 0644);
    if (fd < 0) return NULL;
    if (flock(fd, LOCK_EX) == 0) file = fdopen(fd, "r+");
    if (file == NULL) close(fd);
    return file;
}

/* Calls `each` for the folders that are still there, and writes them to `kept`. */
static void read_all(FILE *file, FILE *kept, cli_registry_each_fn *each, void *context)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;

    while ((size = getline(&line, &capacity, file)) > 0) {
        if (line[size - 1] == '\n') line[size - 1] = '\0';
        if (line[0] != '/' || !is_there(line)) continue;
        fprintf(kept, "%s\n", line);
        each(context, line);
    }
    free(line);
}

static void update(FILE *file, const char *added, cli_registry_each_fn *each, void *context)
{
    char *text = NULL;
    size_t size = 0;
    FILE *kept = open_memstream(&text, &size);

    if (kept == NULL) return;
    read_all(file, kept, each, context);
    if (added != NULL) fprintf(kept, "%s\n", added);
    if (fclose(kept) == 0) {
        rewind(file);
        if (ftruncate(fileno(file), 0) == 0) fwrite(text, 1, size, file);
    }
    free(text);
}

static void ignore(void *context, const char *dir)
{
    (void)context;
    (void)dir;
}

void cli_registry_add(const char *dir)
{
    char home[CLI_PATH_SIZE];
    FILE *file;

    if (!cli_place_find_home(home) || is_named(home, dir)) return;
    file = cli_local_make_folder(home) == 0 ? open_file(home, O_CREAT) : NULL;
    if (file == NULL) return;
    update(file, dir, ignore, NULL);
    fclose(file);
}

void cli_registry_each(cli_registry_each_fn *each, void *context)
{
    char home[CLI_PATH_SIZE];
    FILE *file = cli_place_find_home(home) ? open_file(home, 0) : NULL;

    if (file == NULL) return;
    update(file, NULL, each, context);
    fclose(file);
}
