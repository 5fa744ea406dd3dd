#include "tenants/base/check.h"

#include <stdio.h>
#include <stdlib.h>

static _Thread_local char context[96];

void check_context(const char *text)
{
    (void)snprintf(context, sizeof(context), "%s", text);
}

void check_failed(const char *file, int line, const char *function, const char *expression)
{
    (void)fprintf(stderr,
        "event=check.failed expression=\"%s\" at=%s:%d function=%s context=\"%s\"\n", expression,
        file, line, function, context);
    abort();
}
