/* What Tab offers: the names of tables, views and columns, and SQL's words. */
#include <strings.h>

#include "src/rook/shell.h"

static const char *const keywords[] = {"ABORT", "ACTION", "ADD", "AFTER", "ALL", "ALTER", "ALWAYS",
    "ANALYZE", "AND", "ASC", "AUTOINCREMENT", "AVG", "BEFORE", "BEGIN", "BETWEEN", "CASCADE",
    "CASE", "CAST", "CHECK", "COALESCE", "COLLATE", "COLUMN", "COMMIT", "CONFLICT", "CONSTRAINT",
    "COUNT", "CREATE", "CROSS", "CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "DATETIME",
    "DEFAULT", "DEFERRED", "DELETE", "DESC", "DISTINCT", "DROP", "EACH", "ELSE", "END", "ESCAPE",
    "EXCEPT", "EXCLUDE", "EXISTS", "EXPLAIN", "FILTER", "FIRST", "FOLLOWING", "FOREIGN", "FROM",
    "FULL", "GENERATED", "GLOB", "GROUP", "GROUP_CONCAT", "HAVING", "IMMEDIATE", "INDEX", "INNER",
    "INSERT", "INSTEAD", "INTERSECT", "INTO", "JOIN", "JSON_EACH", "JSON_EXTRACT", "KEY", "LAST",
    "LEFT", "LENGTH", "LIKE", "LIMIT", "LOWER", "MATCH", "MATERIALIZED", "NATURAL", "NOTHING",
    "NULL", "NULLS", "OFFSET", "ORDER", "OTHERS", "OUTER", "OVER", "PARTITION", "PLAN", "PRAGMA",
    "PRECEDING", "PRIMARY", "QUERY", "RAISE", "RANGE", "RECURSIVE", "REFERENCES", "REINDEX",
    "RENAME", "REPLACE", "RESTRICT", "RETURNING", "RIGHT", "ROLLBACK", "ROWID", "ROWS", "SELECT",
    "STRICT", "SUBSTR", "SUM", "TABLE", "TEMP", "THEN", "TRANSACTION", "TRIGGER", "UNBOUNDED",
    "UNION", "UNIQUE", "UPDATE", "UPPER", "USING", "VALUES", "VIEW", "VIRTUAL", "WHEN", "WHERE",
    "WINDOW", "WITH", "WITHOUT"};

/* Asked once, and again after the schema changed. A failure leaves only the keywords. */
static void load_names(struct shell *shell)
{
    struct answer answer = {0};
    size_t i;
    json_t *row;
    int status;

    report_mute(true);
    status = shell_ask(shell,
        "SELECT m.name FROM sqlite_schema AS m WHERE m.type IN ('table', 'view') "
        "AND " SHELL_USERS_OWN
        " UNION SELECT c.name FROM sqlite_schema AS m, pragma_table_info(m.name) "
        "AS c WHERE m.type IN ('table', 'view') AND " SHELL_USERS_OWN " ORDER BY 1 LIMIT 5000",
        &answer, NULL);
    report_mute(false);
    if (status == 0)
        json_array_foreach(json_object_get(answer.data, "rows"), i, row) {
            struct str name = json_str(json_array_get(row, 0));
            if (name.len > 0 && memchr(name.ptr, '\0', name.len) == NULL)
                buf_append(&shell->names, name.ptr, name.len + 1);
        }
    answer_fini(&answer);
    if (shell->names.len == 0)
        buf_char(&shell->names, '\0'); /* asked, and there are none */
}

static bool begins_with(const char *name, struct str word)
{
    return strncasecmp(name, word.ptr, word.len) == 0;
}

/* A keyword is offered in the case that was begun. */
static void add_keyword(struct buf *names, const char *keyword, bool lower)
{
    for (; *keyword != '\0'; keyword++)
        buf_char(names,
            lower && *keyword >= 'A' && *keyword <= 'Z' ? (char)(*keyword | 0x20) : *keyword);
    buf_char(names, '\0');
}

void shell_complete(void *user, struct str word, struct buf *names)
{
    struct shell *shell = user;
    bool lower = word.ptr[word.len - 1] >= 'a' && word.ptr[word.len - 1] <= 'z';

    if (word.ptr[0] == '.') {
        shell_dot_names(word, names);
        return;
    }
    if (shell->names.len == 0)
        load_names(shell);
    for (size_t at = 0; at < shell->names.len; at += strlen(shell->names.bytes + at) + 1)
        if (shell->names.bytes[at] != '\0' && begins_with(shell->names.bytes + at, word))
            buf_append(names, shell->names.bytes + at, strlen(shell->names.bytes + at) + 1);
    for (size_t i = 0; i < ARRAY_LEN(keywords); i++)
        if (begins_with(keywords[i], word))
            add_keyword(names, keywords[i], lower);
}
