/* registry.h - where this user's local clusters are that have no name: those of --dir.
 *
 * A file, $XDG_STATE_HOME/sherd/.dirs, with one folder a line. It only helps `cluster list`: what
 * cannot be written or read is left out in silence. A folder whose cluster is gone is forgotten at
 * the next change or look. */
#ifndef SHERD_CLI_REGISTRY_H
#define SHERD_CLI_REGISTRY_H

/* `dir` is absolute, and has no newline. */
void cli_registry_add(const char *dir);

typedef void cli_registry_each_fn(void *context, const char *dir);
void cli_registry_each(cli_registry_each_fn *each, void *context);

#endif
