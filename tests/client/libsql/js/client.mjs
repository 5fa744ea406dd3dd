// What applications do with @libsql/client, over http: or ws:.
import assert from "node:assert/strict";
import { createClient } from "@libsql/client";
import { check, rejects, run, skip, sleep, target } from "./checks.mjs";

const config = { url: target.url, authToken: target.token };
const open = (more) => createClient({ ...config, ...more });
const count = async (db, table) => (await db.execute(`SELECT count(*) AS n FROM ${table}`)).rows[0].n;

// -- values

check("every kind of value comes back exactly", async (_, t) => {
    const db = open({ intMode: "bigint" });
    await db.execute(`CREATE TABLE ${t}(id INTEGER PRIMARY KEY, v)`);
    const values = [
        null, 0n, 1n, -1n, 9223372036854775807n, -9223372036854775808n, 9007199254740993n,
        1.5, 5e-324, 1.7976931348623157e308, 0.1, 1e21,
        "", "a", "\u0000", "a\u0000b", "'\"\\/\n\r\t\u001f\u007f", "üñï \u{1F600} \u2028\ufeff\uffff",
        new Uint8Array([]), new Uint8Array([0]), new Uint8Array([0, 1, 2, 254, 255]),
    ];
    for (const [index, value] of values.entries()) {
        await db.execute({ sql: `INSERT INTO ${t} VALUES(?, ?)`, args: [index, value] });
    }
    const { rows } = await db.execute(`SELECT v FROM ${t} ORDER BY id`);
    const got = rows.map((row) => (row.v instanceof ArrayBuffer ? new Uint8Array(row.v) : row.v));
    assert.deepEqual(got, values);
    db.close();
});

check("infinities that SQL makes come back", async (db) => {
    const { rows } = await db.execute("SELECT 9e999 AS a, -9e999 AS b");
    assert.deepEqual([rows[0].a, rows[0].b], [Infinity, -Infinity]);
});

check("the client refuses NaN and infinities as arguments", async (db) => {
    for (const value of [NaN, Infinity, -Infinity]) {
        await assert.rejects(db.execute({ sql: "SELECT ?", args: [value] }), RangeError);
    }
});

check("booleans and dates become numbers, integers of 64 bits need a mode", async (db) => {
    const { rows } = await db.execute({ sql: "SELECT ? AS a, ? AS b", args: [true, new Date(1700000000000)] });
    assert.deepEqual([rows[0].a, rows[0].b], [1, 1700000000000]);
    await assert.rejects(db.execute("SELECT 9223372036854775807"), RangeError);
    const text = open({ intMode: "string" });
    assert.equal((await text.execute("SELECT 9223372036854775807 AS a")).rows[0].a, "9223372036854775807");
    text.close();
});

check("a megabyte of text and of blob", async (db, t) => {
    await db.execute(`CREATE TABLE ${t}(a, b)`);
    const text = "ä\u0001".repeat(350_000);
    const blob = new Uint8Array(1_000_003).map((_, i) => i * 31);
    await db.execute({ sql: `INSERT INTO ${t} VALUES(?, ?)`, args: [text, blob] });
    const { rows } = await db.execute(`SELECT a, b, length(a) AS n FROM ${t}`);
    assert.equal(rows[0].n, 700_000);
    assert.equal(rows[0].a, text);
    assert.deepEqual(Buffer.from(rows[0].b), Buffer.from(blob));
});

check("text that is not UTF-8 is an error of its statement alone", async (db, t) => {
    const error = await db.execute("SELECT CAST(x'ff' AS TEXT) AS v").catch((e) => e);
    assert.ok(error instanceof Error && !/HTTP status 5/.test(error.message), error.message ?? "no error");
    await db.execute(`CREATE TABLE ${t}(a)`);
});

// -- arguments

check("positional and named arguments", async (db) => {
    const named = await db.execute({ sql: "SELECT :a AS a, @b AS b, $c AS c, :a AS d", args: { a: 1, b: "x", c: null } });
    assert.deepEqual([named.rows[0].a, named.rows[0].b, named.rows[0].c, named.rows[0].d], [1, "x", null, 1]);
    const prefixed = await db.execute({ sql: "SELECT :a AS a, @b AS b", args: { ":a": 1, "@b": 2 } });
    assert.deepEqual([prefixed.rows[0].a, prefixed.rows[0].b], [1, 2]);
    const numbered = await db.execute({ sql: "SELECT ?2 AS a, ?1 AS b", args: ["x", "y"] });
    assert.deepEqual([numbered.rows[0].a, numbered.rows[0].b], ["y", "x"]);
    const byPosition = await db.execute("SELECT ? AS a", [7]);
    assert.equal(byPosition.rows[0].a, 7);
});

check("too few, too many and unknown arguments", async (db) => {
    await rejects(db.execute({ sql: "SELECT ?, ?", args: [1] }), "ARGS_INVALID");
    await rejects(db.execute({ sql: "SELECT ?", args: [1, 2] }), "ARGS_INVALID");
    await rejects(db.execute({ sql: "SELECT :a", args: { b: 2 } }), "ARGS_INVALID");
});

// -- results

check("columns, types and changes", async (db, t) => {
    await db.execute(`CREATE TABLE ${t}(id INTEGER PRIMARY KEY, name VARCHAR(10))`);
    const first = await db.execute(`INSERT INTO ${t}(name) VALUES('a'), ('b')`);
    assert.equal(first.rowsAffected, 2);
    assert.equal(first.lastInsertRowid, 2n);
    assert.deepEqual(first.columns, []);
    const select = await db.execute(`SELECT id, name, name AS name, 1 + 1 FROM ${t}`);
    assert.deepEqual(select.columns, ["id", "name", "name", "1 + 1"]);
    assert.deepEqual(select.columnTypes, ["INTEGER", "VARCHAR(10)", "VARCHAR(10)", ""]);
    assert.equal(select.rowsAffected, 0);
    assert.equal(select.rows.length, 2);
    assert.equal(select.rows[1][1], "b");
    const none = await db.execute(`SELECT id FROM ${t} WHERE id = 99`);
    assert.deepEqual([none.columns, none.rows.length], [["id"], 0]);
    const update = await db.execute(`UPDATE ${t} SET name = 'c'`);
    assert.equal(update.rowsAffected, 2);
    assert.equal((await db.execute(`DELETE FROM ${t} WHERE id = 1`)).rowsAffected, 1);
    assert.equal((await db.execute({ sql: `REPLACE INTO ${t} VALUES(40, 'x')` })).lastInsertRowid, 40n);
});

check("RETURNING", async (db, t) => {
    await db.execute(`CREATE TABLE ${t}(id INTEGER PRIMARY KEY, a)`);
    const inserted = await db.execute(`INSERT INTO ${t}(a) VALUES(1), (2) RETURNING id, a * 10 AS b`);
    assert.deepEqual(inserted.rows.map((row) => [row.id, row.b]), [[1, 10], [2, 20]]);
    assert.equal(inserted.lastInsertRowid, 2n);
    assert.equal(inserted.rowsAffected, 2);
    const deleted = await db.execute(`DELETE FROM ${t} WHERE id = 1 RETURNING a`);
    assert.deepEqual([deleted.rows[0].a, deleted.rowsAffected], [1, 1]);
});

check("20,000 rows in one answer", async (db) => {
    const { rows } = await db.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT i, 'row ' || i AS s FROM n");
    assert.equal(rows.length, 20000);
    assert.deepEqual([rows[0].i, rows[19999].i, rows[19999].s], [1, 20000, "row 20000"]);
});

check("an answer of 7 MB, and the refusal of one of 12 MB", async (db) => {
    const ask = (n) => db.execute({ args: [n], sql:
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT i, hex(zeroblob(500000)) AS s FROM n" });
    const { rows } = await ask(7);
    assert.equal(rows.length, 7);
    assert.ok(rows.every((row) => row.s.length === 1_000_000));
    await rejects(ask(12), "RESPONSE_TOO_LARGE");
});

// -- errors

check("errors have code and message", async (db, t) => {
    await db.execute(`CREATE TABLE ${t}(id INTEGER PRIMARY KEY, n NOT NULL, c CHECK(c > 0), u UNIQUE)`);
    await db.execute(`INSERT INTO ${t} VALUES(1, 1, 1, 1)`);
    const insert = (values) => db.execute(`INSERT INTO ${t} VALUES${values}`);
    await rejects(insert("(1, 1, 1, 2)"), "SQLITE_CONSTRAINT", new RegExp(`^SQLITE_CONSTRAINT: SQLite error: UNIQUE constraint failed: ${t}\\.id$`));
    await rejects(insert("(2, NULL, 1, 2)"), "SQLITE_CONSTRAINT", /NOT NULL constraint failed/);
    await rejects(insert("(2, 1, 0, 2)"), "SQLITE_CONSTRAINT", /CHECK constraint failed: c > 0/);
    await rejects(db.execute("SELECT * FROM missing"), "SQLITE_UNKNOWN", /^SQLITE_UNKNOWN: SQLite error: no such table: missing$/);
    await rejects(db.execute(`SELECT missing FROM ${t}`), "SQL_INPUT_ERROR", /no such column: missing/);
    await rejects(db.execute("SELEC 1"), "SQL_PARSE_ERROR");
    await rejects(db.execute("SELECT 'open"), "SQL_PARSE_ERROR");
    await rejects(db.execute("SELECT 1; SELECT 2"), "SQL_MANY_STATEMENTS");
    await rejects(db.execute(""), "SQL_NO_STATEMENT");
    await rejects(db.execute("-- nothing"), "SQL_NO_STATEMENT");
    await rejects(db.execute("COMMIT"), "SQLITE_UNKNOWN", /no transaction is active/);
    await rejects(db.execute(`INSERT INTO ${t}(id, n) VALUES('text', 1)`), "SQLITE_MISMATCH");
});

check("what a database may not do", async (db) => {
    for (const sql of ["ATTACH 'other.db' AS other", "PRAGMA journal_mode = DELETE", "PRAGMA writable_schema = 1"]) {
        const error = await rejects(db.execute(sql));
        assert.ok(["SQL_PARSE_ERROR", "SQLITE_AUTH"].includes(error.code), `${sql}: ${error.message}`);
    }
    await rejects(db.execute("SELECT load_extension('x')"));
});

check("SQL that is libSQL's own is refused", async (db, t) => {
    await db.execute(`CREATE TABLE ${t}(a)`);
    for (const sql of ["SELECT vector('[1,2]')", `CREATE TABLE ${t}r(a) RANDOM ROWID`, `ALTER TABLE ${t} ALTER COLUMN a TO a TEXT`,
        "SELECT regexp('a', 'a')"]) {
        await rejects(db.execute(sql));
    }
});

check("temporary tables, ANALYZE and harmless pragmas are taken", async (db, t) => {
    const tx = await db.transaction("write");
    await tx.execute(`CREATE TEMP TABLE ${t}(a)`);
    await tx.execute(`INSERT INTO ${t} VALUES(1)`);
    assert.equal(await count(tx, t), 1);
    await tx.rollback();
    for (const sql of ["ANALYZE", "PRAGMA optimize", "PRAGMA journal_mode = WAL", "PRAGMA recursive_triggers = ON", "PRAGMA application_id = 5"]) {
        await db.execute(sql);
    }
});

check("comments and a last semicolon are part of a statement", async (db) => {
    assert.equal((await db.execute("/* a */ SELECT 1 AS v -- b\n ; -- c")).rows[0].v, 1);
});

// -- batches

check("a batch of each mode", async (db, t) => {
    await db.execute(`CREATE TABLE ${t}(id INTEGER PRIMARY KEY, x)`);
    const results = await db.batch(
        [`INSERT INTO ${t}(x) VALUES('a')`, { sql: `INSERT INTO ${t}(x) VALUES(?)`, args: ["b"] },
            [`INSERT INTO ${t}(x) VALUES(:x)`, { x: "c" }], `SELECT x FROM ${t} ORDER BY id`], "write");
    assert.deepEqual(results.map((result) => result.rowsAffected), [1, 1, 1, 0]);
    assert.deepEqual(results[3].rows.map((row) => row.x), ["a", "b", "c"]);
    assert.equal((await db.batch([`SELECT count(*) AS n FROM ${t}`], "read"))[0].rows[0].n, 3);
    await db.batch([`INSERT INTO ${t} VALUES(11, 'f')`]);
    assert.equal(await count(db, t), 4);
    assert.deepEqual(await db.batch([], "write"), []);
});

check("a batch that fails leaves nothing", async (db, t) => {
    await db.execute(`CREATE TABLE ${t}(id INTEGER PRIMARY KEY)`);
    for (const mode of ["write", "deferred"]) {
        await rejects(db.batch([`INSERT INTO ${t} VALUES(1)`, `INSERT INTO ${t} VALUES(1)`], mode), "SQLITE_CONSTRAINT");
        await rejects(db.batch([`INSERT INTO ${t} VALUES(1)`, "SELEC"], mode), "SQL_PARSE_ERROR");
        await rejects(db.batch([`INSERT INTO ${t} VALUES(1)`, "SELECT * FROM missing"], mode), "SQLITE_UNKNOWN");
        assert.equal(await count(db, t), 0);
    }
});

check("a batch of mode read refuses a write", async (db, t) => {
    await db.execute(`CREATE TABLE ${t}(id)`);
    await rejects(db.batch([`INSERT INTO ${t} VALUES(1)`], "read"), "SQLITE_READONLY");
    await rejects(db.batch([`DROP TABLE ${t}`], "read"), "SQLITE_READONLY");
    assert.equal(await count(db, t), 0);
    await db.execute(`INSERT INTO ${t} VALUES(1)`);
});

check("a batch of 1,000 statements", async (db, t) => {
    await db.execute(`CREATE TABLE ${t}(id INTEGER PRIMARY KEY)`);
    const statements = Array.from({ length: 1000 }, (_, i) => ({ sql: `INSERT INTO ${t} VALUES(?)`, args: [i] }));
    assert.equal((await db.batch(statements, "write")).length, 1000);
    assert.equal(await count(db, t), 1000);
});

// -- transactions

check("transactions commit, roll back, and roll back when closed", async (db, t) => {
    await db.execute(`CREATE TABLE ${t}(id INTEGER PRIMARY KEY)`);
    const one = await db.transaction("write");
    await one.execute(`INSERT INTO ${t} VALUES(1)`);
    await one.batch([`INSERT INTO ${t} VALUES(2)`, { sql: `INSERT INTO ${t} VALUES(?)`, args: [3] }]);
    await one.executeMultiple(`INSERT INTO ${t} VALUES(4); INSERT INTO ${t} VALUES(5)`);
    assert.equal(await count(one, t), 5);
    assert.equal(await count(db, t), 0);
    await one.commit();
    assert.equal(one.closed, true);
    assert.equal(await count(db, t), 5);
    for (const end of ["rollback", "close"]) {
        const two = await db.transaction("deferred");
        await two.execute(`DELETE FROM ${t}`);
        assert.equal(await count(two, t), 0);
        await two[end]();
        assert.equal(await count(db, t), 5);
    }
    await rejects(one.execute("SELECT 1"), "TRANSACTION_CLOSED");
});

check("a transaction of mode read sees one state and refuses writes", async (db, t) => {
    await db.execute(`CREATE TABLE ${t}(id)`);
    const read = await db.transaction("read");
    assert.equal(await count(read, t), 0);
    await db.execute(`INSERT INTO ${t} VALUES(1)`);
    assert.equal(await count(read, t), 0);
    await rejects(read.execute(`DELETE FROM ${t}`), "SQLITE_READONLY");
    read.close();
    assert.equal(await count(db, t), 1);
});

check("an error within a transaction leaves it usable", async (db, t) => {
    await db.execute(`CREATE TABLE ${t}(id INTEGER PRIMARY KEY)`);
    const tx = await db.transaction("write");
    await tx.execute(`INSERT INTO ${t} VALUES(1)`);
    await rejects(tx.execute(`INSERT INTO ${t} VALUES(1)`), "SQLITE_CONSTRAINT");
    await rejects(tx.execute("SELECT * FROM missing"), "SQLITE_UNKNOWN");
    await tx.execute(`INSERT INTO ${t} VALUES(2)`);
    await tx.commit();
    assert.equal(await count(db, t), 2);
});

check("of two transactions at once the second writer waits for the first", async (db, t) => {
    await db.execute(`CREATE TABLE ${t}(id INTEGER PRIMARY KEY)`);
    const other = open();
    const one = await db.transaction("write");
    await one.execute(`INSERT INTO ${t} VALUES(1)`);
    const two = await other.transaction("write");
    const begun = two.execute(`INSERT INTO ${t} SELECT max(id) + 1 FROM ${t}`);
    await one.execute(`INSERT INTO ${t} VALUES(2)`);
    await one.commit();
    await begun;
    await two.commit();
    assert.equal((await db.execute(`SELECT max(id) AS n FROM ${t}`)).rows[0].n, 3);
    other.close();
});

check("a transaction that idles too long is gone, and says so", async (db, t) => {
    if (!target.idleMs) {
        skip("LIBSQL_IDLE_MS is not set");
    }
    await db.execute(`CREATE TABLE ${t}(id)`);
    const tx = await db.transaction("write");
    await tx.execute(`INSERT INTO ${t} VALUES(1)`);
    await sleep(target.idleMs);
    const other = open();
    await other.execute(`INSERT INTO ${t} VALUES(2)`); // waits until the lock is free
    await sleep(target.idleMs / 2);
    const error = await rejects(tx.execute(`INSERT INTO ${t} VALUES(3)`));
    // The second: it had the write lock for long, and another wanted it.
    assert.ok(["STREAM_EXPIRED", "TRANSACTION_TIMEOUT"].includes(error.code), error.message);
    await rejects(tx.commit());
    const { rows } = await other.execute(`SELECT id FROM ${t}`);
    assert.deepEqual(rows.map((row) => row.id), [2]);
    other.close();
});

check("32 clients' transactions come out as if one after the other", async (db, t) => {
    // Each reads the sum, adds a number of its own and writes down what it saw. Run again in the
    // order of the log, every transaction must have seen just what the ones before it left.
    await db.executeMultiple(`CREATE TABLE ${t}(id INTEGER PRIMARY KEY, v); INSERT INTO ${t} VALUES(1, 0), (2, 0);
        CREATE TABLE ${t}log(n INTEGER PRIMARY KEY AUTOINCREMENT, client, account, saw, added)`);
    const seed = Number(process.env.ROOKERY_SEED ?? Math.floor(Math.random() * 2 ** 31));
    let state = seed;
    const random = (n) => {
        state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
        return (state >> 8) % n;
    };
    let committed = 0;
    await Promise.all(Array.from({ length: 32 }, async (_, client) => {
        const own = open();
        for (let i = 0; i < 5; i++) {
            const [account, added, kept] = [1 + random(2), 1 + random(100), random(4) !== 0];
            const tx = await own.transaction("write");
            const saw = (await tx.execute(`SELECT v FROM ${t} WHERE id = ${account}`)).rows[0].v;
            await tx.execute({ sql: `UPDATE ${t} SET v = ? WHERE id = ?`, args: [saw + added, account] });
            await tx.execute({ sql: `INSERT INTO ${t}log(client, account, saw, added) VALUES(?, ?, ?, ?)`, args: [client, account, saw, added] });
            if (kept) {
                await tx.commit();
                committed++;
            } else if (random(2)) {
                await tx.rollback();
            } else {
                tx.close();
            }
        }
        own.close();
    }));
    const model = { 1: 0, 2: 0 };
    const log = (await db.execute(`SELECT * FROM ${t}log ORDER BY n`)).rows;
    assert.equal(log.length, committed, `seed ${seed}`);
    for (const row of log) {
        assert.equal(row.saw, model[row.account], `seed ${seed}: transaction ${row.n}`);
        model[row.account] += row.added;
    }
    const { rows } = await db.execute(`SELECT v FROM ${t} ORDER BY id`);
    assert.deepEqual(rows.map((row) => row.v), [model[1], model[2]], `seed ${seed}`);
});

check("200 inserts at once, none is refused", async (db, t) => {
    await db.execute(`CREATE TABLE ${t}(id INTEGER PRIMARY KEY)`);
    const clients = Array.from({ length: 32 }, () => open());
    await Promise.all(Array.from({ length: 200 }, (_, i) =>
        clients[i % 32].execute({ sql: `INSERT INTO ${t} VALUES(?)`, args: [i] })));
    assert.equal(await count(db, t), 200);
    clients.forEach((client) => client.close());
});

// -- scripts and migrations

check("executeMultiple runs a script, with triggers, up to its first error", async (db, t) => {
    await db.executeMultiple(`
        -- a comment; with a semicolon
        CREATE TABLE ${t}(id INTEGER PRIMARY KEY, s);
        CREATE TABLE ${t}log(id);
        CREATE TRIGGER ${t}tr AFTER INSERT ON ${t} BEGIN INSERT INTO ${t}log VALUES(new.id); SELECT 1; END;
        INSERT INTO ${t} VALUES(1, ';'); INSERT INTO ${t} VALUES(2, '''');`);
    assert.equal(await count(db, `${t}log`), 2);
    await rejects(db.executeMultiple(`INSERT INTO ${t} VALUES(3, 0); INSERT INTO ${t} VALUES(1, 0); INSERT INTO ${t} VALUES(4, 0)`),
        "SQLITE_CONSTRAINT");
    assert.equal(await count(db, t), 3);
    await db.executeMultiple("");
    await db.executeMultiple(`BEGIN; INSERT INTO ${t} VALUES(5, 0); COMMIT; BEGIN; INSERT INTO ${t} VALUES(6, 0); ROLLBACK`);
    assert.equal(await count(db, t), 4);
});

check("a script's open transaction does not outlive it", async (db, t) => {
    await db.execute(`CREATE TABLE ${t}(id)`);
    await db.executeMultiple(`BEGIN; INSERT INTO ${t} VALUES(1)`);
    assert.equal(await count(db, t), 0);
    await db.execute(`INSERT INTO ${t} VALUES(2)`);
});

check("foreign keys are kept, migrate turns them off meanwhile", async (db, t) => {
    await db.executeMultiple(`CREATE TABLE ${t}p(id INTEGER PRIMARY KEY); CREATE TABLE ${t}c(p REFERENCES ${t}p(id))`);
    await rejects(db.execute(`INSERT INTO ${t}c VALUES(78)`), "SQLITE_CONSTRAINT", /FOREIGN KEY constraint failed/);
    await db.migrate([`INSERT INTO ${t}c VALUES(77)`, { sql: `INSERT INTO ${t}p VALUES(?)`, args: [77] }]);
    await rejects(db.execute(`INSERT INTO ${t}c VALUES(78)`), "SQLITE_CONSTRAINT");
    assert.equal(await count(db, `${t}c`), 1);
    await rejects(db.migrate([`INSERT INTO ${t}c VALUES(79)`, "SELECT * FROM missing"]), "SQLITE_UNKNOWN");
    assert.equal(await count(db, `${t}c`), 1);
});

check("a table is rebuilt as migrations do it", async (db, t) => {
    await db.executeMultiple(`CREATE TABLE ${t}(id INTEGER PRIMARY KEY, a); INSERT INTO ${t} VALUES(1, 'x');
        CREATE TABLE ${t}c(id REFERENCES ${t}(id) ON DELETE CASCADE); INSERT INTO ${t}c VALUES(1)`);
    await db.migrate([
        `CREATE TABLE __new_${t}(id INTEGER PRIMARY KEY, a TEXT NOT NULL DEFAULT '')`,
        `INSERT INTO __new_${t} SELECT id, a FROM ${t}`,
        `DROP TABLE ${t}`,
        `ALTER TABLE __new_${t} RENAME TO ${t}`,
        `CREATE INDEX ${t}_a ON ${t}(a)`,
        `ALTER TABLE ${t} ADD COLUMN b INTEGER`,
    ]);
    assert.equal(await count(db, `${t}c`), 1);
    await db.executeMultiple(`PRAGMA foreign_keys=OFF; PRAGMA defer_foreign_keys=ON; CREATE TABLE ${t}2(a); PRAGMA foreign_keys=ON;`);
});

check("the pragmas that tools read and set", async (db, t) => {
    await db.execute(`CREATE TABLE ${t}(id INTEGER PRIMARY KEY, a TEXT NOT NULL DEFAULT 'x')`);
    await db.execute(`CREATE INDEX ${t}_a ON ${t}(a)`);
    const columns = (await db.execute(`PRAGMA table_info(${t})`)).rows;
    assert.deepEqual(columns.map((row) => [row.name, row.type, row.notnull]), [["id", "INTEGER", 0], ["a", "TEXT", 1]]);
    assert.equal((await db.execute(`PRAGMA index_list("${t}")`)).rows[0].name, `${t}_a`);
    assert.equal((await db.execute(`PRAGMA index_info(${t}_a)`)).rows[0].name, "a");
    assert.equal((await db.execute(`PRAGMA foreign_key_list(${t})`)).rows.length, 0);
    assert.equal((await db.execute(`SELECT count(*) AS n FROM pragma_table_info('${t}')`)).rows[0].n, 2);
    assert.ok((await db.execute(`SELECT sql FROM sqlite_schema WHERE name = '${t}'`)).rows[0].sql.startsWith("CREATE TABLE"));
    await db.execute("PRAGMA user_version = 7");
    assert.equal((await db.execute("PRAGMA user_version")).rows[0].user_version, 7);
    assert.equal((await db.execute("PRAGMA foreign_keys")).rows[0].foreign_keys, 1);
    assert.equal((await db.execute("PRAGMA foreign_key_check")).rows.length, 0);
});

// -- tokens and addresses

check("a read-only token reads, and is refused a write", async (db, t) => {
    await db.execute(`CREATE TABLE ${t}(id)`);
    const reader = open({ authToken: target.readToken });
    assert.equal(await count(reader, t), 0);
    for (const sql of [`INSERT INTO ${t} VALUES(1)`, `DROP TABLE ${t}`]) {
        await rejects(reader.execute(sql));
        await rejects(reader.batch([sql], "write"));
    }
    reader.close();
    assert.equal(await count(db, t), 0);
});

check("the refusal of a write names a code, and the connection goes on", async (db, t) => {
    await db.execute(`CREATE TABLE ${t}(id)`);
    const reader = open({ authToken: target.readToken });
    const error = await rejects(reader.execute(`INSERT INTO ${t} VALUES(1)`));
    assert.ok(!["SERVER_ERROR", "UNKNOWN", "HRANA_WEBSOCKET_ERROR"].includes(error.code), `${error.code}: ${error.message}`);
    assert.equal(await count(reader, t), 0);
    reader.close();
});

check("no token, or a wrong one, is refused", async () => {
    for (const authToken of [undefined, "wrong", "psql_live_0123456789abcdefghijklmnopqrstuv", "a.b.c"]) {
        const db = open({ authToken });
        await rejects(db.execute("SELECT 1"));
        db.close();
    }
});

check("the refusal of a token names a code", async () => {
    for (const authToken of [undefined, "wrong"]) {
        const db = open({ authToken });
        const error = await rejects(db.execute("SELECT 1"));
        assert.ok(/^[A-Z][A-Z0-9_]+$/.test(error.code) && !["SERVER_ERROR", "UNKNOWN", "HRANA_WEBSOCKET_ERROR"].includes(error.code),
            `${error.code}: ${error.message}`);
        db.close();
    }
});

check("a database that does not exist is refused", async () => {
    const db = open({ url: target.wrongUrl });
    await rejects(db.execute("SELECT 1"));
    db.close();
});

check("the refusal of a database says that it does not exist", async () => {
    const db = open({ url: target.wrongUrl });
    await rejects(db.execute("SELECT 1"), undefined, /not exist|not found|no such|No database|unknown/i);
    db.close();
});

check("the token in the URL, and the scheme libsql without TLS", async () => {
    const url = `${target.url}?authToken=${target.token}`;
    const forms = [url];
    if (!target.isWebSocket) {
        forms.push(url.replace("http:", "libsql:") + "&tls=0");
    }
    for (const form of forms) {
        const db = createClient({ url: form });
        assert.equal((await db.execute("SELECT 1 AS v")).rows[0].v, 1);
        db.close();
    }
});

check("the URL without its last slash", async () => {
    const db = open({ url: target.url.replace(/\/$/, "") });
    const { pathname } = new URL(target.url);
    if (target.isWebSocket || pathname === "/") {
        assert.equal((await db.execute("SELECT 1 AS v")).rows[0].v, 1);
    } else {
        // The client asks the folder above: the answer says what is missing.
        await rejects(db.execute("SELECT 1"), undefined, /slash/);
    }
    db.close();
});

check("a client connects anew", async (db) => {
    await db.execute("SELECT 1");
    if (!target.isWebSocket) {
        db.close();
        await rejects(db.execute("SELECT 1"), undefined, /closed/);
    }
    db.reconnect();
    assert.equal((await db.execute("SELECT 1 AS v")).rows[0].v, 1);
});

await run(open);
