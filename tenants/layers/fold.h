/* Folding: keeping stacks shallow, in the background, in bounded steps.
 *
 * Neighbouring frozen layers that the same stacks use are merged into one new layer, the topmost
 * page winning. Where one stack alone uses a base, the frozen layers next to it are written into
 * the base in place: what is above still has those pages until the MANIFEST leaves it out, so a
 * crash just means starting again. A crash of a merge leaves a file that nobody names, swept at the
 * next open.
 *
 * Steps take no lock but in the last one, where the MANIFEST is replaced; requests go on beside
 * them (branches too: the last step looks whether what it merged is still there). The caller paces
 * the steps. One fold of a family at a time. Threads: a worker, one at a time. */
#ifndef TENANTS_LAYERS_FOLD_H
#define TENANTS_LAYERS_FOLD_H

#include "tenants/layers/heads.h"

#define FOLD_DEPTH 8 /* stacks deeper than this are worth folding */

struct fold;

/* Looks for the longest run that can be folded in a stack of more than `depth` layers. *ret_fold is
 * NULL when there is none. Errors: ERR_BUSY a fold of the family runs; ERR_IO, ERR_CORRUPT. */
int fold_begin(struct family *family, unsigned depth, struct fold **ret_fold, struct err *ret_err)
    MUST_CHECK;
/* Copies at most `pages` pages; with the last of them the fold is finished (*ret_done). Errors:
 * ERR_IO; ERR_CONFLICT the layers were changed meanwhile. The fold is then over: fold_end(). */
int fold_step(struct fold *fold, unsigned pages, bool *ret_done, struct err *ret_err) MUST_CHECK;
/* Ends it, done or not; what an unfinished one wrote is removed. NULL is fine. */
void fold_end(struct fold *fold);

#endif
