/* Page checksums of a frozen layer, in a file beside it: `L<id>.sum` (docs/formats/layer.md).
 *
 * Made in the background once a layer is frozen, for doctor and backup; nothing waits for it. */
#ifndef TENANTS_LAYERS_SUMS_H
#define TENANTS_LAYERS_SUMS_H

#include "tenants/layers/layer.h"

/* Reads every slot and writes the file, durable when this returns. Again is fine. Thread: worker,
 * slow. Errors: ERR_IO. */
int sums_write(const struct layer *layer, struct err *ret_err) MUST_CHECK;
/* Reads every slot and compares. Errors: ERR_NOT_FOUND no file (yet); ERR_CORRUPT, naming the
 * first page that differs, or the file itself is damaged; ERR_IO. Thread: worker, slow. */
int sums_check(const struct layer *layer, struct err *ret_err) MUST_CHECK;

#endif
