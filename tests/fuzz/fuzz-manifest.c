/* MANIFESTs: what is accepted prints as the same bytes. The checksum is computed here, so that the
 * fuzzer gets past it: each input is the text without its last line. */
#include "tenants/base/check.h"
#include "tenants/base/hash.h"
#include "tenants/manifest.h"
#include "tenants/manifest_edit.h"
#include "tests/fuzz/target.h"

/* Changes that leave a MANIFEST one that is read again. */
static void edit(const struct manifest *manifest)
{
    struct err err = ERR_INIT;
    struct manifest copy;
    struct buf one, two;

    buf_init(&one, 0);
    buf_init(&two, 0);
    manifest_copy(manifest, &copy);
    manifest_print(manifest, &one);
    manifest_print(&copy, &two);
    CHECK(str_equal(buf_view(&one), buf_view(&two)));
    buf_fini(&one);
    buf_fini(&two);
    while (copy.snapshot_count > 1)
        manifest_remove_snapshot(&copy, copy.snapshots[0].name);
    if (copy.head_count > 1)
        manifest_remove_head(&copy, copy.heads[0].id);
    manifest_drop_unused(&copy);
    CHECK(copy.drop_count > manifest->drop_count || copy.layer_count == manifest->layer_count);
    for (size_t i = 0; i < copy.layer_count; i++)
        CHECK(manifest_users(&copy, copy.layers[i].id) > 0);
    copy.drop_count = 0; /* as many lines as there were, at most */
    CHECK(manifest_check(&copy, &err) == 0);
    manifest_fini(&copy);
}

static void check(struct str text)
{
    struct manifest manifest;
    struct err err = ERR_INIT;
    struct buf again;

    if (manifest_parse(text, &manifest, &err) < 0) {
        CHECK(err.code == ERR_CORRUPT);
        return;
    }
    buf_init(&again, 0);
    manifest_print(&manifest, &again);
    CHECK(str_equal(text, buf_view(&again)));
    for (size_t i = 0; i < manifest.head_count; i++)
        CHECK(manifest_find_head(&manifest, manifest.heads[i].id) == &manifest.heads[i]);
    buf_fini(&again);
    edit(&manifest);
    manifest_fini(&manifest);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct buf text;

    check(str_make((const char *)bytes, len));
    buf_init(&text, 0);
    buf_append(&text, bytes, len);
    buf_printf(&text, "crc32c %08x\n", crc32c(0, bytes, len));
    check(buf_view(&text));
    buf_fini(&text);
    return 0;
}
