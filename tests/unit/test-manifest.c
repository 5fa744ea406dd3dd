/* MANIFEST: what is written is read back the same; anything else is refused. */
#include "tenants/manifest.h"

#include <stdio.h>

#include "tenants/base/hash.h"
#include "tests/lib/tap.h"

#define A "00000000000000000000000000000001"
#define B "0000000000000000000000000000000b"
#define C "0000000000000000000000000000000c"
#define D "0000000000000000000000000000000d"
#define FIRST "rookery-family 1 gen=7\n"

static void seal(struct buf *out, const char *body)
{
    buf_reset(out, 4096);
    buf_cstr(out, body);
    buf_printf(out, "crc32c %08x\n", crc32c(0, body, strlen(body)));
}

static const char everything[] = FIRST "layer " A " base 4096 25 0 00000000\n"
                                       "layer " B " over 4096 12 3 deadbeef\n"
                                       "layer " C " over 4096 0\n"
                                       "layer " D " over 4096 0\n"
                                       "head " C " main " A " " B " " C "\n"
                                       "head " D " feature/x-1 " A " " D "\n"
                                       "snapshot v1.0 " A " " B "\n"
                                       "drop L" B ".map\n";

static void test_reading(void)
{
    struct manifest manifest;
    struct err err = ERR_INIT;
    struct buf text, again;

    buf_init(&text, 0);
    buf_init(&again, 0);
    seal(&text, everything);
    is_int(manifest_parse(buf_view(&text), &manifest, &err), 0, "a full manifest is read");
    is_int(manifest.generation, 7, "its generation");
    is_int(manifest.layer_count, 4, "its layers");
    ok(manifest.layers[1].frozen && manifest.layers[1].batches == 3 &&
            manifest.layers[1].map_checksum == 0xdeadbeef && manifest.layers[1].pages == 12,
        "a frozen layer has its counts");
    ok(!manifest.layers[2].frozen && manifest.layers[2].kind == MANIFEST_OVER,
        "a written one does not");
    is_int(manifest_find_head(&manifest, C)->stack.count, 3, "a stack");
    is_str(manifest_find_head(&manifest, D)->ref, "feature/x-1", "a ref");
    ok(manifest_find_head(&manifest, A) == NULL, "an id that is no head's");
    is_str(manifest_find_layer(&manifest, B)->id, B, "a layer is found");
    is_str(manifest.snapshots[0].name, "v1.0", "a snapshot");
    is_str(manifest.drops[0].file, "L" B ".map", "a file to drop");
    manifest_print(&manifest, &again);
    ok(str_equal(buf_view(&text), buf_view(&again)), "it prints as it was");
    manifest_fini(&manifest);
    manifest_fini(&manifest);
    buf_fini(&text);
    buf_fini(&again);
}

static void test_refusals(void)
{
    static const struct {
        const char *why, *body;
    } cases[] = {
        {"nothing", ""},
        {"only the first line missing", "layer " A " base 4096 0\n"},
        {"a newer format", "rookery-family 2 gen=1\n"},
        {"no generation", "rookery-family 1\n"},
        {"a generation with a sign", "rookery-family 1 gen=+1\n"},
        {"a leading zero", "rookery-family 1 gen=01\n"},
        {"a generation too large", "rookery-family 1 gen=18446744073709551616\n"},
        {"a word more", "rookery-family 1 gen=1 x\n"},
        {"two blanks", "rookery-family  1 gen=1\n"},
        {"a blank at the end", FIRST "layer " A " base 4096 0 \n"},
        {"an empty line", FIRST "\n"},
        {"CR", "rookery-family 1 gen=1\r\n"},
        {"an unknown line", FIRST "lair " A " base 4096 0\n"},
        {"lines out of order", FIRST "drop x\nlayer " A " base 4096 0\n"},
        {"an id in capitals", FIRST "layer 0000000000000000000000000000000A base 4096 0\n"},
        {"a short id", FIRST "layer 01 base 4096 0\n"},
        {"an odd page size", FIRST "layer " A " base 5000 0\n"},
        {"another kind of layer", FIRST "layer " A " under 4096 0\n"},
        {"a written layer with pages", FIRST "layer " A " base 4096 5\n"},
        {"a frozen layer without checksum", FIRST "layer " A " over 4096 5 1\n"},
        {"a checksum of 7 digits", FIRST "layer " A " over 4096 5 1 1234567\n"},
        {"a layer twice", FIRST "layer " A " base 4096 0\nlayer " A " base 4096 0\n"},
        {"two page sizes",
            FIRST "layer " A " base 4096 1 0 00000000\nlayer " B " over 1024 1 0 00000000\n"},
        {"a head without layers", FIRST "layer " A " base 4096 0\nhead " B " main\n"},
        {"a head over nothing", FIRST "head " B " main " A "\n"},
        {"a stack without base", FIRST "layer " A " over 4096 0\nhead " B " main " A "\n"},
        {"a base on top", FIRST "layer " A " base 4096 1 0 00000000\nlayer " B
                                " base 4096 0\nhead " C " main " A " " B "\n"},
        {"a written layer below", FIRST "layer " A " base 4096 0\nlayer " B " over 4096 0\nhead " C
                                        " main " A " " B "\n"},
        {"a head that writes nothing",
            FIRST "layer " A " base 4096 1 0 00000000\nhead " B " main " A "\n"},
        {"a layer written by no head", FIRST "layer " A " base 4096 0\n"},
        {"two heads on one layer",
            FIRST "layer " A " base 4096 0\nhead " B " main " A "\nhead " C " x " A "\n"},
        {"a ref twice", FIRST "layer " A " base 4096 0\nlayer " D " base 4096 0\nhead " B " main " A
                              "\nhead " C " main " D "\n"},
        {"a snapshot of a written layer",
            FIRST "layer " A " base 4096 0\nhead " B " main " A "\nsnapshot s " A "\n"},
        {"a ref with a quote", FIRST "layer " A " base 4096 0\nhead " B " ma'in " A "\n"},
        {"a drop with a folder", FIRST "drop a/b\n"},
        {"a drop of ..", FIRST "drop ..\n"},
        {"a drop of the MANIFEST", FIRST "drop MANIFEST\n"},
    };
    struct manifest manifest;
    struct buf text;

    buf_init(&text, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = ERR_INIT;

        seal(&text, cases[i].body);
        ok(manifest_parse(buf_view(&text), &manifest, &err) < 0 && err.code == ERR_CORRUPT,
            "refused: %s (%s)", cases[i].why, err.msg);
    }
    buf_fini(&text);
}

/* Every cut, and every changed bit. */
static void test_damage(void)
{
    struct manifest manifest;
    struct buf text;
    bool refused = true;

    buf_init(&text, 0);
    seal(&text, everything);
    for (size_t len = 0; len < text.len; len++)
        refused = refused && manifest_parse(str_make(text.bytes, len), &manifest, NULL) < 0;
    ok(refused, "cut off anywhere, it is refused");
    for (size_t i = 0; i < text.len * 8; i++) {
        text.bytes[i / 8] = (char)(text.bytes[i / 8] ^ (1 << i % 8));
        refused = refused && manifest_parse(buf_view(&text), &manifest, NULL) < 0;
        text.bytes[i / 8] = (char)(text.bytes[i / 8] ^ (1 << i % 8));
    }
    ok(refused, "with any bit changed, it is refused");
    buf_char(&text, '\n');
    ok(manifest_parse(buf_view(&text), &manifest, NULL) < 0, "with a byte more, it is refused");
    buf_fini(&text);
}

int main(void)
{
    test_reading();
    test_refusals();
    test_damage();
    return done_testing();
}
