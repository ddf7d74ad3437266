/* conf_values.h - what the values of a configuration may be. The inside of conf.c; pure. */
#ifndef SHERD_CLIENT_CONF_VALUES_H
#define SHERD_CLIENT_CONF_VALUES_H

#include "client/conf.h"

/* Decimal digits, at least one; *text moves behind them. 0, -EINVAL, -ERANGE. */
int sherd_conf_parse_digits(const char **text, uint64_t *out);

/* "always": 0; "100ms": 100. 0 or -EINVAL. */
int sherd_conf_parse_sync(const char *text, uint32_t *ms);

bool sherd_conf_is_code(const char *text);
bool sherd_conf_is_size(const char *text);
bool sherd_conf_is_name(const char *text);
bool sherd_conf_is_zone(const char *text);
bool sherd_conf_is_path(const char *text);
bool sherd_conf_is_endpoint(const char *text); /* tcp://host:port */
bool sherd_conf_is_keeper(const char *text);   /* or "" */
bool sherd_conf_is_log_level(const char *text);

/* The level of that name; one behind the last: there is none. */
size_t sherd_conf_log_level_of(const char *text);

#endif
