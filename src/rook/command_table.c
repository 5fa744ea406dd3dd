#include "src/rook/commands.h"

const struct option_spec global_options[] = {
    {"url", "URL", "the server: http://…, https://… or unix:/path"},
    {"profile", "NAME", "a profile that rook login made"},
    {"tenant", "TENANT", "the tenant that is meant (needed with an operator's token)"},
    {"token-file", "FILE", "read the token from FILE (mode 0600), - for standard input"},
    {"operator-file", "FILE", "the same, for an operator's token"},
    {"json", NULL, "print the server's data as JSON, and errors as a line of JSON"},
    {"jsonl", NULL, "print one JSON object per row and line, errors likewise"},
    {"csv", NULL, "print CSV"},
    {"format", "FORMAT", "auto, table, line, csv, json or jsonl (auto: table, line if too wide)"},
    {"no-headers", NULL, "leave out the line of column names"},
    {"null", "TEXT", "how tables show NULL"},
    {"timeout", "SECONDS", "give up when nothing arrives for so long (120; 0: never)"},
    {"quiet", NULL, "print no remarks, only data and errors"},
    {"help", NULL, "this text, or a command's"},
    {"version", NULL, "the version of rook"},
    {0},
};

static const struct option_spec login_options[] = {
    {"no-check", NULL, "save without asking the server whether the token is good"},
    {0},
};

static const struct option_spec db_list_options[] = {
    {"deleted", NULL, "those that can still be restored, instead"},
    {"limit", "N", "at most so many"},
    {0},
};

static const struct option_spec db_create_options[] = {
    {"name", "TEXT", "a name for people (one database only)"},
    {"set", "KEY=VALUE", "a setting, as in rook db set (repeatable)"},
    {"if-missing", NULL, "no error when it is there already (one database only)"},
    {0},
};

static const struct option_spec import_options[] = {
    {"format", "FORMAT", "sqlite or sql; without it, what the file looks like"},
    {"quick", NULL, "check pages only, not that indexes agree with their tables"},
    {"foreign-keys", NULL, "refuse rows whose foreign keys lead nowhere"},
    {0},
};

static const struct option_spec export_options[] = {
    {"output", "FILE", "where to (-o FILE too); without it, or -, standard output"},
    {"format", "FORMAT", "sqlite (default) or sql"},
    {0},
};

static const struct option_spec branch_options[] = {
    {"ttl", "TIME", "it deletes itself then: 12h, 7d; up to 30d"},
    {"snapshot", "ID", "what that snapshot has, instead of what the database has now"},
    {"schema-only", NULL, "tables without their rows"},
    {"protect", NULL, "it is not deleted, reset or replaced until that is taken back"},
    {0},
};

static const struct option_spec yes_options[] = {
    {"yes", NULL, "do not ask"},
    {0},
};

static const struct option_spec query_options[] = {
    {"file", "FILE", "read the statement from FILE"},
    {"params-json", "JSON", "all parameters: an array, or an object of named ones; @FILE reads it"},
    {0},
};

static const struct option_spec shell_options[] = {
    {"keep-going", NULL, "in a script: go on after an error (the exit status is still 1)"},
    {"timer", NULL, "say how long each statement took"},
    {0},
};

static const struct option_spec token_create_options[] = {
    {"role", "ROLE", "owner, readwrite (default) or readonly"},
    {"database", "GLOB", "only databases of such a name (repeatable)"},
    {"branch", "GLOB", "only branches of such a name (repeatable)"},
    {"table", "NAME", "only these tables (repeatable)"},
    {"claim", "KEY=VALUE", "a claim for row rules (repeatable)"},
    {"expires-in", "TIME", "seconds, or 15m, 12h, 30d; without it the token lasts"},
    {"rate", "N", "at most so many requests per second"},
    {"burst", "N", "so many at once before the rate counts"},
    {"prefix", "TEXT", "how the token begins, e.g. psql_test"},
    {0},
};

static const struct option_spec tenant_create_options[] = {
    {"name", "TEXT", "a name for people"},
    {"external-id", "TEXT", "its id elsewhere"},
    {"set", "KEY=VALUE", "a setting, e.g. maxDatabases=1000 (repeatable)"},
    {"if-missing", NULL, "no error when it is there already"},
    {0},
};

static const char login_details[] =
    "The token is asked for without echo, or read from --token-file or standard input; it is\n"
    "never an argument. The server is asked whether it is good, then both are saved in\n"
    "~/.config/rookery/profiles (mode 0600) under --profile NAME (default), which becomes the\n"
    "current one. --tenant TENANT saves the tenant that an operator's commands mean.\n"
    "\n"
    "  rook login http://127.0.0.1:8080\n"
    "  rook login https://db.example.com --profile prod --token-file prod.token\n";

static const char query_details[] =
    "SQL is one statement; without it, or with -, it is read from standard input. Parameters\n"
    "replace ?, ?1 and :name, and are typed by how they look:\n"
    "\n"
    "  null                   NULL\n"
    "  42  -7                 integer (64 bits, no leading zero: 007 is text)\n"
    "  1.5  2e10              real\n"
    "  anything else          text\n"
    "  text:42 int:42 real:1  the type said before the value\n"
    "  blob:0aff  file:PATH   bytes in hexadecimal; the bytes of a file\n"
    "  textfile:PATH          the text of a file\n"
    "  json:VALUE             a JSON scalar, or {\"$blob\":\"<base64>\"}\n"
    "  :name=VALUE            a named parameter, VALUE as above\n"
    "\n"
    "  rook query acme/orders 'select * from orders where id = ?' 42\n"
    "  rook query acme/orders 'insert into people values (:id, :zip)' :id=1 :zip=text:10115\n"
    "  rook query acme/orders --csv < report.sql > report.csv\n"
    "\n"
    "--json prints {columns, rows, changes, lastInsertRowid, …} as the server sent it, --jsonl\n"
    "one object per row. Integers keep all their digits. Blobs are x'…' in tables, hexadecimal in\n"
    "CSV and {\"$blob\":\"<base64>\"} in JSON. Several statements: rook db shell DATABASE < "
    "file.\n";

static const char shell_details[] =
    "Statements end with a semicolon and may take several lines; lines that begin with a dot are\n"
    "the shell's own (.help lists them). Ctrl-C stops the running statement, Ctrl-D leaves.\n"
    "\n"
    "Each statement is a request of its own. From BEGIN to COMMIT they are collected and sent as\n"
    "one transaction, at most 100 of them; ROLLBACK drops them.\n"
    "\n"
    "When standard input is no terminal it is run as a script: the first error ends it with\n"
    "status 1, unless --keep-going is given.\n"
    "\n"
    "  rook db shell acme/orders\n"
    "  rook db shell acme/orders < schema.sql\n";

static const char token_create_details[] =
    "The token is printed once, alone on standard output; the server keeps only its hash. With an\n"
    "operator's token (--operator-file) it is made for --tenant TENANT.\n"
    "\n"
    "  rook token create ci --role readonly --database 'orders*' --expires-in 30d\n"
    "  rook token create setup --operator-file data/operator.token --tenant demo --role owner\n";

static const char import_details[] =
    "DATABASE must be new. FILE is a SQLite database or SQL text (a dump), - for standard input.\n"
    "The server checks all of it first: a damaged file, or one with names or functions that\n"
    "belong to the server, is refused, and nothing is left of it.\n"
    "\n"
    "  rook db import old.sqlite3 acme/orders\n"
    "  sqlite3 old.sqlite3 .dump | rook db import - acme/orders\n";

static const char export_details[] =
    "The file is of one moment; others write meanwhile. It is a plain SQLite database, which any\n"
    "sqlite3 opens, or SQL text. FILE is there whole or not at all.\n"
    "\n"
    "  rook db export acme/orders -o orders.sqlite3\n"
    "  rook db export acme/orders --format sql | gzip > orders.sql.gz\n";

static const char branch_details[] =
    "A branch is a database of its own, made at once whatever the size: it has what DATABASE has\n"
    "now, and neither sees what the other writes. With a REF that is there, that branch is reset\n"
    "to what DATABASE has now. It is reached as DATABASE@REF.\n"
    "\n"
    "  rook branch create acme/orders pr-42 --ttl 7d\n"
    "  rook db shell acme/orders@pr-42\n";

static const char set_details[] =
    "Settings are those that rook db show lists, and expiresAt. A value that is a number, true,\n"
    "false or null is sent as that, all else as text.\n"
    "\n"
    "  rook db set acme/orders durability=relaxed\n"
    "  rook db set acme/scratch expiresAt=2027-01-01T00:00:00Z\n"
    "  rook db set acme/orders blockWrites=true 'blockReason=not paid'   (operators)\n";

static const char stats_details[] =
    "With a DATABASE: its size, rows, requests. Without: the figures of the whole server, for\n"
    "which it takes an operator's token.\n";

const struct command command_table[] = {
    {"login", "[URL]", "save a server and a token as a profile", login_details, login_options,
        cmd_login},
    {"logout", "", "forget a profile and its token", NULL, NULL, cmd_logout},
    {"help", "[COMMAND...]", "explain a command", NULL, NULL, cmd_help},
    {"me", "", "show who the token is", NULL, NULL, cmd_me},
    {"query", "DATABASE [SQL] [PARAMETER...]", "run one statement", query_details, query_options,
        cmd_query},
    {"stats", "[DATABASE]", "show figures of the server, or of a database", stats_details, NULL,
        cmd_stats},
    {"profile list", "", "list the profiles", NULL, NULL, cmd_profile_list},
    {"profile use", "NAME", "make a profile the current one", NULL, NULL, cmd_profile_use},
    {"db shell", "DATABASE", "open an SQL shell", shell_details, shell_options, cmd_db_shell},
    {"db list", "", "list the databases of the tenant", NULL, db_list_options, cmd_db_list},
    {"db create", "DATABASE...", "create databases, all or none", NULL, db_create_options,
        cmd_db_create},
    {"db show", "DATABASE", "show a database, its settings and its size", NULL, NULL, cmd_db_show},
    {"db set", "DATABASE KEY=VALUE...", "change settings", set_details, NULL, cmd_db_set},
    {"db rename", "DATABASE NEW-NAME", "rename a database", NULL, NULL, cmd_db_rename},
    {"db delete", "DATABASE", "delete a database (it can be restored for a while)", NULL,
        yes_options, cmd_db_delete},
    {"db restore", "DATABASE", "bring a deleted database back", NULL, NULL, cmd_db_restore},
    {"db import", "FILE DATABASE", "make a database from a SQLite file or from SQL", import_details,
        import_options, cmd_db_import},
    {"db export", "DATABASE", "write a database into a SQLite file, or as SQL", export_details,
        export_options, cmd_db_export},
    {"branch list", "DATABASE", "list the branches of a database", NULL, NULL, cmd_branch_list},
    {"branch create", "DATABASE REF", "make a branch, or reset one", branch_details, branch_options,
        cmd_branch_create},
    {"branch promote", "DATABASE REF", "give the branch's content to its parent", NULL, yes_options,
        cmd_branch_promote},
    {"branch delete", "DATABASE REF", "delete a branch", NULL, yes_options, cmd_branch_delete},
    {"snapshot list", "DATABASE", "list the snapshots of a database", NULL, NULL,
        cmd_snapshot_list},
    {"snapshot create", "DATABASE [LABEL]", "keep what a database has now", NULL, NULL,
        cmd_snapshot_create},
    {"snapshot restore", "DATABASE ID", "give a database what a snapshot has", NULL, yes_options,
        cmd_snapshot_restore},
    {"snapshot delete", "DATABASE ID", "delete a snapshot", NULL, yes_options, cmd_snapshot_delete},
    {"token list", "", "list the tokens of the tenant", NULL, NULL, cmd_token_list},
    {"token create", "[NAME]", "make a token and print it", token_create_details,
        token_create_options, cmd_token_create},
    {"token revoke", "ID...", "end tokens at once", NULL, NULL, cmd_token_revoke},
    {"tenant list", "", "list the tenants (operator)", NULL, NULL, cmd_tenant_list},
    {"tenant create", "TENANT", "create a tenant (operator)", NULL, tenant_create_options,
        cmd_tenant_create},
    {"tenant show", "TENANT", "show a tenant (operator)", NULL, NULL, cmd_tenant_show},
    {"tenant set", "TENANT KEY=VALUE...", "change a tenant's settings (operator)", NULL, NULL,
        cmd_tenant_set},
    {"tenant delete", "TENANT", "delete a tenant and its databases (operator)", NULL, yes_options,
        cmd_tenant_delete},
    {"tenant restore", "TENANT", "bring a deleted tenant back (operator)", NULL, NULL,
        cmd_tenant_restore},
    {0},
};
