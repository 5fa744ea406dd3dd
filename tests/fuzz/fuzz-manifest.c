/* MANIFESTs: what is accepted prints as the same bytes. The checksum is computed here, so that the
 * fuzzer gets past it: each input is the text without its last line. */
#include "tenants/base/check.h"
#include "tenants/base/hash.h"
#include "tenants/manifest.h"
#include "tests/fuzz/target.h"

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
