#include "client/cli/place.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_BYTES_MAX = 63 };

/* Room that the names of a cluster's files need after DIR. */
enum { FILE_NAME_ROOM = 32 };

bool cli_place_find_home(char out[CLI_PATH_SIZE])
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int size;

    if (state != NULL && state[0] == '/')
        size = snprintf(out, CLI_PATH_SIZE, "%s/sherd", state);
    else if (home != NULL && home[0] == '/')
        size = snprintf(out, CLI_PATH_SIZE, "%s/.local/state/sherd", home);
    else
        return false;
    return size < CLI_PATH_SIZE - NAME_BYTES_MAX - FILE_NAME_ROOM;
}

int cli_place_home(const struct cli *cli, char out[CLI_PATH_SIZE])
{
    if (cli_place_find_home(out)) return 0;
    return cli_fail(cli, CLI_ENVIRONMENT,
                    "XDG_STATE_HOME and HOME are not set, or too long: name the cluster with "
                    "--dir DIR");
}

static int find_named(const struct cli *cli, const char *name, struct cli_place *out)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    size_t size = strlen(name);
    char home[CLI_PATH_SIZE];
    int code;

    if (size == 0 || size > NAME_BYTES_MAX || strspn(name, allowed) != size)
        return cli_fail(cli, CLI_USAGE,
                        "--name must be 1 to 63 letters, digits, '_' or '-', not '%.70s'", name);
    code = cli_place_home(cli, home);
    if (code != 0) return code;
    snprintf(out->dir, sizeof(out->dir), "%.900s/%s", home, name);
    return 0;
}

/* Absolute, because servers and later commands may run elsewhere. */
static int find_dir(const struct cli *cli, const char *dir, struct cli_place *out)
{
    char here[CLI_PATH_SIZE] = "";
    int size;

    if (dir[0] == '\0') return cli_fail(cli, CLI_USAGE, "--dir must not be empty");
    if (dir[0] != '/' && getcwd(here, sizeof(here)) == NULL)
        return cli_fail(cli, CLI_ENVIRONMENT, "the current folder: %s", strerror(errno));
    size = snprintf(out->dir, sizeof(out->dir), "%s%s%s", here, here[0] != '\0' ? "/" : "", dir);
    if (size >= CLI_PATH_SIZE - FILE_NAME_ROOM)
        return cli_fail(cli, CLI_USAGE, "--dir is too long: %d bytes, the limit is %d", size,
                        CLI_PATH_SIZE - FILE_NAME_ROOM - 1);
    while (size > 1 && out->dir[size - 1] == '/')
        out->dir[--size] = '\0';
    return 0;
}

int cli_place_find(const struct cli *cli, struct cli_place *out)
{
    const struct cli_options *o = &cli->options;
    const char *conf = o->conf;
    int code;

    memset(out, 0, sizeof(*out));
    if (conf == NULL && o->dir == NULL && o->name == NULL) conf = getenv("SHERD_CONF");
    if (conf != NULL && conf[0] != '\0') {
        if (strlen(conf) >= CLI_PATH_SIZE)
            return cli_fail(cli, CLI_USAGE, "the path of the configuration is too long");
        snprintf(out->conf, sizeof(out->conf), "%s", conf);
        return 0;
    }
    if (o->dir != NULL)
        code = find_dir(cli, o->dir, out);
    else
        code = find_named(cli, o->name != NULL ? o->name : "default", out);
    if (code != 0) return code;
    snprintf(out->conf, sizeof(out->conf), "%.1000s/cluster.conf", out->dir);
    return 0;
}

int cli_place_find_local(const struct cli *cli, struct cli_place *out)
{
    int code = cli_place_find(cli, out);

    if (code != 0 || out->dir[0] != '\0') return code;
    return cli_fail(cli, CLI_USAGE,
                    "works on local clusters only: use --dir or --name, not --conf or SHERD_CONF");
}

int cli_place_load(const struct cli *cli, const struct cli_place *place, struct sherd_conf *out)
{
    char error[1024] = "";
    int rc;

    if (place->dir[0] != '\0' && access(place->conf, F_OK) != 0)
        return cli_fail(cli, CLI_ENVIRONMENT,
                        "no cluster in %s: start one with 'sherd cluster up', or name another with "
                        "--dir, --name, --conf or SHERD_CONF",
                        place->dir);
    rc = sherd_conf_load(place->conf, out, error, sizeof(error));
    if (rc == 0) return 0;
    if (rc == -ENOMEM) return cli_fail_errno(cli, rc);
    if (rc == -ENOENT)
        return cli_fail(cli, CLI_ENVIRONMENT, "no cluster: %s; give its configuration by --conf",
                        error);
    return cli_fail(cli, CLI_ENVIRONMENT, "%s", error);
}

int cli_place_node(const struct cli *cli, const struct sherd_conf *conf, const char *word,
                   uint16_t *out)
{
    int64_t last = (int64_t)conf->node_count - 1, number = 0;
    char what[64];
    int code;

    snprintf(what, sizeof(what), "unknown node: NODE");
    code = cli_number(cli, what, word, 0, last, &number);
    if (code == 0) *out = (uint16_t)number;
    return code;
}

void cli_place_file(const char *dir, unsigned node, const char *suffix, char out[CLI_PATH_SIZE])
{
    snprintf(out, CLI_PATH_SIZE, "%.1000s/node-%u.%s", dir, node, suffix);
}
