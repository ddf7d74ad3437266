/* layout.h - the files of a new local cluster, and whether its ports are free. */
#ifndef SHERD_CLI_LAYOUT_H
#define SHERD_CLI_LAYOUT_H

#include "client/cli/place.h"

/* Checks the options of `cluster up`: code, number of nodes, ports, zones. 0, or an exit code. */
int cli_layout_check(const struct cli *cli);

/* Whether all ports of the nodes and the keeper can be bound now. 0, or an exit code. */
int cli_layout_check_ports(const struct cli *cli);

/* Makes the folder and writes cluster.conf and node-N.conf. 0, or an exit code. */
int cli_layout_write(const struct cli *cli, const struct cli_place *place);

/* Removes what cli_layout_write and servers made, but the logs. */
void cli_layout_remove(const struct cli_place *place, unsigned node_count);

/* The part of an endpoint after the last colon. */
unsigned cli_layout_port(const char *endpoint);

#endif
