/* Tokens: minting, parsing, hashing, comparing; the file of one. */
#include "tenants/token.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tenants/token_file.h"
#include "tests/lib/tap.h"

#define TAIL "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG" /* 43 */

static void test_sha256(void)
{
    static const unsigned char abc[SHA256_BYTES] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea,
        0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a,
        0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
    unsigned char hash[SHA256_BYTES];

    sha256(STR_LITERAL("abc"), hash);
    ok(memcmp(hash, abc, sizeof(abc)) == 0, "sha256 of 'abc' is the standard's");
    sha256(STR_LITERAL(""), hash);
    ok(hash[0] == 0xe3 && hash[31] == 0x55, "sha256 of nothing is the standard's");
}

static void test_mint(void)
{
    static const char *const bad[] = {
        "", "1a", "_a", "a_", "a-b", "A", "abcdefghijklmnopqrstuvwxyzabcdefg"};
    char one[TOKEN_TEXT_BYTES];
    char other[TOKEN_TEXT_BYTES];
    struct err err = ERR_INIT;
    struct str prefix;
    struct str tail;

    ok(token_mint(STR_LITERAL("psql_live"), one, &err) == 0 &&
            token_mint(STR_LITERAL("psql_live"), other, &err) == 0,
        "tokens are minted");
    is_int(strlen(one), 9 + 1 + TOKEN_TAIL_LEN, "a token is prefix, '_', 43 characters");
    ok(strcmp(one, other) != 0, "no two are the same");
    ok(token_parse(str_from(one), &prefix, &tail, &err) == 0 && str_is(prefix, "psql_live") &&
            tail.len == TOKEN_TAIL_LEN,
        "what was minted parses");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ok(token_mint(str_from(bad[i]), one, &err) < 0 && err.code == ERR_BAD_REQUEST,
            "prefix '%s' is refused", bad[i]);
}

static void test_parse(void)
{
    static const struct {
        const char *text;
        const char *prefix; /* NULL: refused */
    } cases[] = {
        {"psql_live_" TAIL, "psql_live"},
        {"psql_live_s0_" TAIL, "psql_live_s0"},
        {"x_" TAIL, "x"},
        {"_" TAIL, NULL},
        {TAIL, NULL},
        {"psql_live-" TAIL, NULL},
        {"psql_live_" TAIL "x", NULL},
        {"psql_live_short", NULL},
        {"psql_live_0123456789abcdefghijklmnopqrstuvwxyzABCDEF-", NULL},
        {"abcdefghijklmnopqrstuvwxyzabcdefgh_" TAIL, NULL},
        {"", NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = ERR_INIT;
        struct str prefix = STR_LITERAL("");
        struct str tail;
        int rc = token_parse(str_from(cases[i].text), &prefix, &tail, &err);

        if (cases[i].prefix == NULL)
            ok(rc < 0 && err.code == ERR_UNAUTHORIZED &&
                    strcmp(err.msg, "Invalid token format") == 0,
                "'%s' is refused", cases[i].text);
        else
            ok(rc == 0 && str_is(prefix, cases[i].prefix) && str_is(tail, TAIL), "'%s' parses",
                cases[i].text);
    }
}

static void test_equal(void)
{
    ok(token_equal("abc", "abc", 3), "the same bytes are equal");
    ok(!token_equal("abc", "abd", 3) && !token_equal("xbc", "abc", 3), "others are not");
}

static void test_file(void)
{
    char folder[] = "/tmp/rookery-token-XXXXXX";
    char path[64];
    char text[TOKEN_TEXT_BYTES];
    struct err err = ERR_INIT;
    struct stat status;
    mode_t old = umask(0);
    int fd;

    if (mkdtemp(folder) == NULL)
        abort();
    (void)snprintf(path, sizeof(path), "%s/operator.token", folder);
    ok(token_file_read(path, text, &err) < 0 && err.code == ERR_NOT_FOUND, "no file is said so");
    ok(token_file_write(path, "op_" TAIL, &err) == 0, "a token is written");
    ok(stat(path, &status) == 0 && (status.st_mode & 0777) == 0600, "with mode 0600");
    ok(token_file_read(path, text, &err) == 0 && strcmp(text, "op_" TAIL) == 0, "and read");
    ok(token_file_write(path, "op2_" TAIL, &err) == 0 && token_file_read(path, text, &err) == 0 &&
            strcmp(text, "op2_" TAIL) == 0,
        "and replaced");
    fd = open(path, O_WRONLY | O_TRUNC);
    ok(fd >= 0 && close(fd) == 0 && token_file_read(path, text, &err) < 0 &&
            err.code == ERR_BAD_REQUEST,
        "an empty file is not a token");
    (void)unlink(path);
    ok(rmdir(folder) == 0, "no temporary file is left behind");
    ok(token_file_write(path, "op_" TAIL, &err) < 0 && err.code == ERR_IO,
        "a missing folder is an I/O error");
    (void)umask(old);
}

static void test_ids(void)
{
    char one[PUBLIC_ID_BYTES];
    char other[PUBLIC_ID_BYTES];

    public_id_new("tok", one);
    public_id_new("tok", other);
    ok(strncmp(one, "tok_", 4) == 0 && strlen(one) == 21 && strcmp(one, other) != 0,
        "public ids have a kind and 17 characters: %s", one);
}

int main(void)
{
    test_sha256();
    test_mint();
    test_parse();
    test_equal();
    test_file();
    test_ids();
    return done_testing();
}
