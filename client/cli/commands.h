/* commands.h - every command there is; the file of its group defines it. */
#ifndef SHERD_CLI_COMMANDS_H
#define SHERD_CLI_COMMANDS_H

#include "client/cli/cli.h"

/* cluster.c */
extern const struct cli_command cli_cluster_up, cli_cluster_down, cli_cluster_list;
extern const struct cli_command cli_cluster_kill, cli_cluster_start, cli_cluster_wipe;
/* writes.c */
extern const struct cli_command cli_set, cli_cas, cli_incr, cli_append, cli_del;
/* reads.c */
extern const struct cli_command cli_get, cli_exists, cli_ttl, cli_explain;
/* scan.c, import.c */
extern const struct cli_command cli_scan, cli_import, cli_verify;
/* status.c, recover.c */
extern const struct cli_command cli_status, cli_recover;

#endif
