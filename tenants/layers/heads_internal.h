/* What heads.c, branches.c and fold.c share. */
#ifndef TENANTS_LAYERS_HEADS_INTERNAL_H
#define TENANTS_LAYERS_HEADS_INTERNAL_H

#include "tenants/family_internal.h"
#include "tenants/layers/heads.h"

struct family {
    struct list link;    /* in the registry, under its lock */
    unsigned references; /* under the registry's lock */
    char *data_dir;      /* owned */
    char family_id[ID_HEX_BYTES];
    struct family_place place;
    struct mutex lock; /* of what follows */
    bool loaded, broken, folding;
    struct manifest manifest;
    struct list layers; /* open ones, each with a reference of the list */
    struct list heads;
};

struct family_head {
    struct list link;
    struct family *family; /* owned reference; NULL for one that a change opened for itself */
    char id[ID_HEX_BYTES];
    struct layer_stack *stack; /* owned */
    struct family_paths paths;
};

/* All with the family's lock held. */
struct family_head *family_find_open_head(struct family *family, const char *head_id);
int family_head_open_locked(struct family *family, const char *head_id,
    struct family_head **ret_head, struct err *ret_err) MUST_CHECK;
void family_head_close_locked(struct family *family, struct family_head *head);
/* The open one with a new reference, or opened. */
int family_get_layer(struct family *family, const char *layer_id, struct layer **ret_layer,
    struct err *ret_err) MUST_CHECK;
/* A new layer joins the open ones; returned with a reference for the caller. */
struct layer *family_add_layer(struct family *family, struct layer *layer);
/* Closes layers that nobody uses. */
void family_reap_layers(struct family *family);
/* Replaces the MANIFEST. On success `next` is the family's, its drop lines are unlinked, and `next`
 * is zeroed. *ret_unknown: it failed and nobody knows how; the family is broken. */
int family_replace_manifest(struct family *family, struct manifest *next, bool *ret_unknown,
    struct err *ret_err) MUST_CHECK;

#endif
