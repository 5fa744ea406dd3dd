/* .connect: how libSQL's clients reach the database that the shell is in. The README shows the same
 * lines; tests/client/test_clients_shown.py runs them. */
#include "src/rook/commands.h"
#include "src/rook/shell.h"

struct snippet {
    const char *name;
    const char *title;
    const char *lines; /* $HTTP and $WS stand for the database's URL */
};

/* clang-format off */
static const struct snippet snippets[] = {
    {"js", "JavaScript, @libsql/client (also ws:)",
        "import { createClient } from \"@libsql/client\";\n"
        "const db = createClient({ url: \"$HTTP\", authToken: process.env.TOKEN });\n"
        "const { rows } = await db.execute({ sql: \"SELECT ? AS answer\", args: [42] });\n"
        "console.log(rows[0].answer);\n"},
    {"drizzle", "JavaScript, Drizzle (drizzle-kit: dialect \"sqlite\")",
        "import { sql } from \"drizzle-orm\";\n"
        "import { drizzle } from \"drizzle-orm/libsql\";\n"
        "const db = drizzle({ connection: { url: \"$HTTP\", authToken: process.env.TOKEN } });\n"
        "console.log((await db.get(sql`SELECT ${42} AS answer`)).answer);\n"},
    {"prisma", "JavaScript, Prisma (after prisma generate)",
        "import { PrismaLibSQL } from \"@prisma/adapter-libsql\";\n"
        "import { PrismaClient } from \"./generated/index.js\";\n"
        "const adapter = new PrismaLibSQL({ url: \"$HTTP\", authToken: process.env.TOKEN });\n"
        "const [row] = await new PrismaClient({ adapter }).$queryRaw`SELECT ${42} AS answer`;\n"
        "console.log(Number(row.answer));\n"},
    {"python", "Python, libsql-client (also http:, which has no transactions)",
        "import os, libsql_client\n"
        "db = libsql_client.create_client_sync(\"$WS\", auth_token=os.environ[\"TOKEN\"])\n"
        "print(db.execute(\"SELECT ? AS answer\", [42])[0][\"answer\"])\n"
        "db.close()\n"},
    {"libsql", "Python, libsql (the Rust client's core)",
        "import os, libsql\n"
        "db = libsql.connect(\"$HTTP\", auth_token=os.environ[\"TOKEN\"])\n"
        "print(db.execute(\"SELECT ? AS answer\", (42,)).fetchone()[0])\n"},
    {"go", "Go, libsql-client-go (also ws:)",
        "connector, err := libsql.NewConnector(\"$HTTP\", libsql.WithAuthToken(os.Getenv(\"TOKEN\")))\n"
        "db, answer := sql.OpenDB(connector), 0\n"
        "err = db.QueryRow(\"SELECT ? AS answer\", 42).Scan(&answer)\n"
        "fmt.Println(answer, err)\n"},
};
/* clang-format on */

static void print_url(const struct shell *shell, bool websocket)
{
    const char *base = shell->client->opened_url;
    size_t len = strlen(base);

    while (len > 0 && base[len - 1] == '/')
        len--;
    /* http becomes ws, https wss. */
    (void)fprintf(shell->client->show.out, "%s%.*s/%s/%s/", websocket ? "ws" : "",
        (int)(len - (websocket ? 4 : 0)), base + (websocket ? 4 : 0), shell->target.tenant,
        shell->target.database);
}

static void print_snippet(const struct shell *shell, const struct snippet *snippet)
{
    FILE *out = shell->client->show.out;
    const char *at = snippet->lines;

    while (*at != '\0') {
        if (strncmp(at, "$HTTP", 5) == 0 || strncmp(at, "$WS", 3) == 0) {
            print_url(shell, at[1] == 'W');
            at += at[1] == 'W' ? 3 : 5;
        } else {
            (void)fputc(*at++, out);
        }
    }
}

int shell_connect(struct shell *shell, const char *name)
{
    FILE *out = shell->client->show.out;
    struct answer answer = {0};
    int status = 0;

    if (shell->client->opened_url == NULL) /* a script's first line */
        status = shell_ask(shell, "SELECT 1", &answer, NULL);
    answer_fini(&answer);
    if (status != 0)
        return status;
    if (strncmp(shell->client->opened_url, "http", 4) != 0)
        return report(EXIT_USAGE, "libSQL's clients need a server at http: or https:");
    for (size_t i = 0; i < ARRAY_LEN(snippets); i++) {
        if (name != NULL && strcmp(name, snippets[i].name) == 0) {
            print_snippet(shell, &snippets[i]);
            return 0;
        }
    }
    if (name != NULL)
        return report(EXIT_USAGE, "no client '%s'; .connect lists them", name);
    (void)fputs("The URL for libSQL's clients is ", out);
    print_url(shell, false);
    (void)fputs(" or ", out);
    print_url(shell, true);
    (void)fputs(
        "\nand the token is yours, here from the environment as TOKEN. In lines of code:\n", out);
    for (size_t i = 0; i < ARRAY_LEN(snippets); i++)
        (void)fprintf(out, ".connect %-10s %s\n", snippets[i].name, snippets[i].title);
    return 0;
}
