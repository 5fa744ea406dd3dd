// What an application does with @libsql/client, against the URL and token in LIBSQL_URL and
// LIBSQL_TOKEN. Prints a line per check; a failed one ends the program with status 1.
import assert from "node:assert/strict";
import { createClient } from "@libsql/client";

const config = { url: process.env.LIBSQL_URL, authToken: process.env.LIBSQL_TOKEN };
const checks = [];
const check = (name, run) => checks.push([name, run]);

check("execute, with every kind of value", async (db) => {
    await db.execute("CREATE TABLE v(a, b, c, d, e, f)");
    const blob = new Uint8Array([0, 1, 255]);
    const inserted = await db.execute({
        sql: "INSERT INTO v VALUES(?, ?, ?, ?, ?, ?)",
        args: [null, 1.5, 9007199254740993n, "text \u0000 😀", blob, true],
    });
    assert.equal(inserted.rowsAffected, 1);
    assert.equal(inserted.lastInsertRowid, 1n);
    const big = createClient({ ...config, intMode: "bigint" });
    const { rows, columns, columnTypes } = await big.execute("SELECT * FROM v");
    big.close();
    assert.deepEqual(columns, ["a", "b", "c", "d", "e", "f"]);
    assert.equal(columnTypes.length, 6);
    const [row] = rows;
    assert.deepEqual([row.a, row.b, row.c, row.d, row.f], [null, 1.5, 9007199254740993n, "text \u0000 😀", 1n]);
    assert.deepEqual(new Uint8Array(row.e), blob);
});

check("named arguments", async (db) => {
    const { rows } = await db.execute({ sql: "SELECT :a AS a, @b AS b, $c AS c", args: { a: 1, b: "x", c: null } });
    assert.deepEqual([rows[0].a, rows[0].b, rows[0].c], [1, "x", null]);
});

check("errors have SQLite's codes", async (db) => {
    await db.execute("CREATE TABLE u(id INTEGER PRIMARY KEY)");
    await db.execute("INSERT INTO u VALUES(1)");
    await assert.rejects(db.execute("INSERT INTO u VALUES(1)"), (e) => e.code === "SQLITE_CONSTRAINT");
    await assert.rejects(db.execute("SELECT * FROM missing"), /no such table/);
    await assert.rejects(db.execute("SELEC"), (e) => e.code === "SQL_PARSE_ERROR");
});

check("batch commits all or nothing", async (db) => {
    await db.execute("CREATE TABLE b(id INTEGER PRIMARY KEY, x)");
    const results = await db.batch(
        ["INSERT INTO b(x) VALUES('a')", { sql: "INSERT INTO b(x) VALUES(?)", args: ["b"] }, "SELECT count(*) AS n FROM b"],
        "write",
    );
    assert.equal(results.length, 3);
    assert.equal(results[2].rows[0].n, 2);
    await assert.rejects(db.batch(["INSERT INTO b VALUES(9, 'c')", "INSERT INTO b VALUES(1, 'd')"], "write"));
    assert.equal((await db.execute("SELECT count(*) AS n FROM b")).rows[0].n, 2);
    assert.equal((await db.batch(["SELECT count(*) AS n FROM b"], "read"))[0].rows[0].n, 2);
    await assert.rejects(db.batch(["INSERT INTO b VALUES(10, 'e')"], "read"), (e) => e.code === "SQLITE_READONLY");
    await db.batch(["INSERT INTO b VALUES(11, 'f')"], "deferred");
});

check("interactive transactions", async (db) => {
    await db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)");
    const one = await db.transaction("write");
    await one.execute("INSERT INTO t VALUES(1)");
    await one.batch(["INSERT INTO t VALUES(2)", "INSERT INTO t VALUES(3)"]);
    await one.executeMultiple("INSERT INTO t VALUES(4); INSERT INTO t VALUES(5)");
    assert.equal((await one.execute("SELECT count(*) AS n FROM t")).rows[0].n, 5);
    assert.equal((await db.execute("SELECT count(*) AS n FROM t")).rows[0].n, 0);
    await one.commit();
    assert.equal((await db.execute("SELECT count(*) AS n FROM t")).rows[0].n, 5);
    for (const end of ["rollback", "close"]) {
        const two = await db.transaction("deferred");
        await two.execute("DELETE FROM t");
        await two[end]();
        assert.equal((await db.execute("SELECT count(*) AS n FROM t")).rows[0].n, 5);
    }
    const read = await db.transaction("read");
    assert.equal((await read.execute("SELECT count(*) AS n FROM t")).rows[0].n, 5);
    await assert.rejects(read.execute("DELETE FROM t"), (e) => e.code === "SQLITE_READONLY");
    read.close();
});

check("executeMultiple", async (db) => {
    await db.executeMultiple(`
        CREATE TABLE m(id INTEGER PRIMARY KEY);
        CREATE TABLE log(id);
        CREATE TRIGGER tr AFTER INSERT ON m BEGIN INSERT INTO log VALUES(new.id); END;
        INSERT INTO m VALUES(1); INSERT INTO m VALUES(2)`);
    assert.equal((await db.execute("SELECT count(*) AS n FROM log")).rows[0].n, 2);
});

check("migrate turns foreign keys off meanwhile", async (db) => {
    await db.executeMultiple("CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(p REFERENCES p(id))");
    await db.migrate(["INSERT INTO c VALUES(77)", "INSERT INTO p VALUES(77)"]);
    await assert.rejects(db.execute("INSERT INTO c VALUES(78)"), (e) => e.code === "SQLITE_CONSTRAINT");
    assert.equal((await db.execute("SELECT count(*) AS n FROM c")).rows[0].n, 1);
});

check("many at once", async (db) => {
    await db.execute("CREATE TABLE k(id INTEGER PRIMARY KEY)");
    await Promise.all(Array.from({ length: 200 }, (_, i) => db.execute({ sql: "INSERT INTO k VALUES(?)", args: [i] })));
    assert.equal((await db.execute("SELECT count(*) AS n FROM k")).rows[0].n, 200);
});

let failed = 0;
const db = createClient(config);
for (const [name, run] of checks) {
    try {
        await run(db);
        console.log(`ok ${name}`);
    } catch (error) {
        failed++;
        console.log(`not ok ${name}: ${error.stack}`);
    }
}
db.close();
process.exitCode = failed ? 1 : 0;
