#include "coord/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void sherd_assert_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: %s\n", file, line, what);
    abort();
}
