#include <sherd/base.h>

static const struct {
    const char *name, *text;
    int exit_code;
} outcomes[] = {
#define X(label, code, sentence) [SHERD_##label] = {#label, sentence, code},
    SHERD_OUTCOME_MAP(X)
#undef X
};

const char *sherd_outcome_name(enum sherd_outcome o) { return outcomes[o].name; }

const char *sherd_outcome_text(enum sherd_outcome o) { return outcomes[o].text; }

int sherd_outcome_exit_code(enum sherd_outcome o) { return outcomes[o].exit_code; }
