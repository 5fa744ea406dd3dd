/* Changes of a MANIFEST in memory, for the next one. What comes out is checked by nobody here; a
 * wrong one would be refused when it is read, so manifest_check() before it is written. */
#ifndef TENANTS_MANIFEST_EDIT_H
#define TENANTS_MANIFEST_EDIT_H

#include "tenants/manifest.h"

/* The caller ends *ret_copy with manifest_fini(). */
void manifest_copy(const struct manifest *manifest, struct manifest *ret_copy);
void manifest_stack_copy(const struct manifest_stack *stack, struct manifest_stack *ret_copy);
void manifest_stack_fini(struct manifest_stack *stack);
void manifest_stack_push(struct manifest_stack *stack, const char *layer_id);

/* NULL when there is none. The pointers hold until the next change. */
struct manifest_layer *manifest_layer_of(struct manifest *manifest, const char *id);
struct manifest_head *manifest_head_of(struct manifest *manifest, const char *id);
const struct manifest_head *manifest_find_ref(const struct manifest *manifest, const char *ref);
const struct manifest_snapshot *manifest_find_snapshot(
    const struct manifest *manifest, const char *name);

void manifest_add_layer(struct manifest *manifest, const struct manifest_layer *layer);
/* Takes the stack over. */
void manifest_add_head(
    struct manifest *manifest, const char *id, const char *ref, struct manifest_stack *stack);
void manifest_add_snapshot(
    struct manifest *manifest, const char *name, struct manifest_stack *stack);
/* Its files are dropped. */
void manifest_remove_head(struct manifest *manifest, const char *id);
void manifest_remove_snapshot(struct manifest *manifest, const char *name);
void manifest_add_drop(struct manifest *manifest, const char *file);
/* Layers that are in no stack any more go, with drop lines for their files. */
void manifest_drop_unused(struct manifest *manifest);

/* Where `layers` are next to each other, in this order, in the stack; -1: nowhere. */
int manifest_stack_find(const struct manifest_stack *stack, const struct manifest_stack *layers);
/* How many stacks, of heads and of snapshots, have the layer. */
size_t manifest_users(const struct manifest *manifest, const char *layer_id);
/* Stacks of heads first, then those of snapshots; NULL at the end. */
struct manifest_stack *manifest_stack_at(struct manifest *manifest, size_t at);

/* Would it be read again as it is? Errors: ERR_BUG. */
int manifest_check(const struct manifest *manifest, struct err *ret_err) MUST_CHECK;

#endif
