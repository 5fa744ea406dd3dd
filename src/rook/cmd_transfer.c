/* db import, db export. */
#include <errno.h>
#include <fcntl.h>
#include <strings.h>
#include <unistd.h>

#include "src/rook/commands.h"
#include "src/rook/transfer.h"

#define FILE_TYPE "application/vnd.sqlite3"
#define SQL_TYPE "application/sql"
#define MAGIC "SQLite format 3"

/* By what is in it, so that names do not matter; a pipe cannot be looked at twice, and is SQL
 * unless --format says otherwise. NULL: reported. */
static const char *type_of(const struct args *args, int fd)
{
    const char *format = args_get(args, "format");
    char start[sizeof(MAGIC)];

    if (format != NULL && strcmp(format, "sqlite") == 0)
        return FILE_TYPE;
    if (format != NULL && strcmp(format, "sql") == 0)
        return SQL_TYPE;
    if (format != NULL) {
        (void)report(EXIT_USAGE, "--format takes sqlite or sql");
        return NULL;
    }
    return pread(fd, start, sizeof(start), 0) == (ssize_t)sizeof(start) &&
                   memcmp(start, MAGIC, sizeof(start)) == 0
               ? FILE_TYPE
               : SQL_TYPE;
}

static void say_imported(struct client *client, const struct answer *answer, const char *name)
{
    const json_t *imported = json_object_get(answer->root, "imported");
    json_int_t tables = json_integer_value(json_object_get(imported, "tables"));
    json_int_t skipped = json_integer_value(json_object_get(imported, "skippedStatements"));

    if (!show_is_for_people(&client->show)) {
        show_object(&client->show, answer->data, NULL);
        return;
    }
    note(client->quiet,
        "imported %s: %" JSON_INTEGER_FORMAT " table%s, %" JSON_INTEGER_FORMAT " bytes", name,
        tables, tables == 1 ? "" : "s", json_integer_value(json_object_get(imported, "bytes")));
    if (skipped > 0)
        note(client->quiet,
            "%" JSON_INTEGER_FORMAT " settings of the dump (PRAGMA …) mean nothing here and were "
            "passed over",
            skipped);
}

int cmd_db_import(struct client *client, const struct args *args)
{
    const char *file = args_word(args, 0);
    bool is_stdin = strcmp(file, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
    struct answer answer = {0};
    struct target target;
    const char *type;
    struct buf path = {0};
    int status;

    if (fd < 0)
        return report(EXIT_LOCAL, "cannot open %s: %s", file, strerror(errno));
    type = type_of(args, fd);
    status = type == NULL ? EXIT_USAGE : client_use_target(client, args_word(args, 1), &target);
    if (status == 0) {
        buf_printf(&path, "%s?check=%s%s",
            client_path(client, "/v1/db", target.tenant, target.database, "import", NULL),
            args_get(args, "quick") != NULL ? "quick" : "full",
            args_get(args, "foreign-keys") != NULL ? "&foreignKeys=1" : "");
        buf_char(&path, '\0');
        status = transfer_upload(
            client, path.bytes, type, fd, is_stdin ? "standard input" : file, &answer);
    }
    if (status == 0)
        say_imported(client, &answer, args_word(args, 1));
    answer_fini(&answer);
    buf_fini(&path);
    if (!is_stdin)
        (void)close(fd);
    return status;
}

int cmd_db_export(struct client *client, const struct args *args)
{
    const char *format = args_get(args, "format");
    const char *file = args_get(args, "output");
    struct target target;
    struct buf path = {0};
    uint64_t bytes = 0;
    int status;

    if (format == NULL)
        format = "sqlite";
    if (strcmp(format, "sqlite") != 0 && strcmp(format, "sql") != 0)
        return report(EXIT_USAGE, "--format takes sqlite or sql");
    if (file == NULL)
        file = "-";
    if (strcmp(file, "-") == 0 && strcmp(format, "sqlite") == 0 && isatty(STDOUT_FILENO) != 0)
        return report(EXIT_USAGE,
            "a SQLite file is nothing for a terminal: say where to with -o FILE, or --format sql");
    status = client_use_target(client, args_word(args, 0), &target);
    if (status != 0)
        return status;
    buf_printf(&path, "%s?format=%s",
        client_path(client, "/v1/db", target.tenant, target.database, "export", NULL), format);
    buf_char(&path, '\0');
    status = transfer_download(client, path.bytes, file, &bytes);
    if (status == 0 && strcmp(file, "-") != 0)
        note(client->quiet, "exported %s to %s: %llu bytes", args_word(args, 0), file,
            (unsigned long long)bytes);
    buf_fini(&path);
    return status;
}
