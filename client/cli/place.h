/* place.h - which cluster a command means, and where its files are.
 *
 * --dir DIR and --name NAME (under $XDG_STATE_HOME/sherd) are local clusters, made by
 * `cluster up`: DIR/cluster.conf, and for each node N DIR/node-N.conf, .log, .pid and .state.
 * --conf FILE or $SHERD_CONF is any cluster. Nothing given: the local cluster "default". */
#ifndef SHERD_CLI_PLACE_H
#define SHERD_CLI_PLACE_H

#include "client/cli/cli.h"
#include "client/conf.h"

enum { CLI_PATH_SIZE = SHERD_CONF_PATH_BYTES_MAX };

struct cli_place {
    char dir[CLI_PATH_SIZE];  /* "": not a local cluster */
    char conf[CLI_PATH_SIZE]; /* the configuration that a client reads */
};

/* Finds it from the options alone; it need not exist. 0, or an exit code. */
int cli_place_find(const struct cli *cli, struct cli_place *out);

/* As above; refuses what is no local cluster. 0, or an exit code. */
int cli_place_find_local(const struct cli *cli, struct cli_place *out);

/* The folder of all named clusters. False: the environment does not name one. */
bool cli_place_find_home(char out[CLI_PATH_SIZE]);

/* The same with a report. 0, or an exit code. */
int cli_place_home(const struct cli *cli, char out[CLI_PATH_SIZE]);

/* Reads and checks the configuration. On success *out is the caller's, for sherd_conf_fini. 0, or
 * an exit code; a cluster that is not there is named as such. */
int cli_place_load(const struct cli *cli, const struct cli_place *place, struct sherd_conf *out);

/* The number of a node in words[0]. 0, or an exit code. */
int cli_place_node(const struct cli *cli, const struct sherd_conf *conf, const char *word,
                   uint16_t *out);

/* DIR/node-N.SUFFIX */
void cli_place_file(const char *dir, unsigned node, const char *suffix, char out[CLI_PATH_SIZE]);

#endif
