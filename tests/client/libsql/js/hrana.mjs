// The protocol itself through @libsql/hrana-client. LIBSQL_HRANA is the form of it: hrana1 (WebSocket
// only), hrana2, hrana3 or hrana3-protobuf.
import assert from "node:assert/strict";
import * as hrana from "@libsql/hrana-client";
import { check, rejects, run, target } from "./checks.mjs";

const form = process.env.LIBSQL_HRANA;
const version = Number(form[5]);

// The client takes the best form that the server has; here it is given one to take.
function open(token = target.token) {
    if (target.isWebSocket) {
        return new hrana.WsClient(new hrana.WebSocket(target.url, [form]), token);
    }
    const client = hrana.openHttp(target.url, token, undefined, undefined, form === "hrana3-protobuf" ? 3 : 2);
    if (form === "hrana3") {
        const endpoint = { pipelinePath: "v3/pipeline", cursorPath: "v3/cursor", version: 3, encoding: "json" };
        client._endpointPromise = client._endpointPromise.then(() => (client._endpoint = endpoint));
    }
    return client;
}

async function ready(client) {
    assert.equal(await client.getVersion(), version);
    client.intMode = "bigint";
    return client.openStream();
}

const values = [
    null, 0n, -1n, 9223372036854775807n, -9223372036854775808n, 1.5, 5e-324, -1.7976931348623157e308,
    "", "a\u0000b", "üñï \u{1F600}", new Uint8Array([]), new Uint8Array([0, 1, 255]),
];
const plain = (value) => (value instanceof ArrayBuffer ? new Uint8Array(value) : value);

check("the form is spoken", async (client) => {
    assert.equal(await (await ready(client)).queryValue("SELECT 1").then((r) => r.value), 1n);
});

check("every kind of value comes back exactly", async (client) => {
    const stream = await ready(client);
    const marks = values.map(() => "?").join(", ");
    const { row } = await stream.queryRow([`SELECT ${marks}`, values]);
    assert.deepEqual(values.map((_, i) => plain(row[i])), values);
});

check("infinities that SQL makes come back", async (client) => {
    const { row } = await (await ready(client)).queryRow("SELECT 9e999, -9e999");
    assert.deepEqual([row[0], row[1]], [Infinity, -Infinity]);
});

check("arguments by position, by name, and mixed wrongly", async (client) => {
    const stream = await ready(client);
    assert.equal((await stream.queryValue(["SELECT :a || @b || $c", { a: "x", "@b": "y", c: "z" }])).value, "xyz");
    assert.equal((await stream.queryValue(new hrana.Stmt("SELECT ?2").bindIndexes(["x", "y"]))).value, "y");
    const both = new hrana.Stmt("SELECT ?, :a").bindIndexes([1]).bindName("a", 2);
    await rejects(stream.query(both), "ARGS_BOTH_POSITIONAL_AND_NAMED");
    await rejects(stream.query(["SELECT ?", []]), "ARGS_INVALID");
});

check("results have columns, declared types, changes, row ids", async (client, t) => {
    const stream = await ready(client);
    await stream.run(`CREATE TABLE ${t}(id INTEGER PRIMARY KEY, name VARCHAR(10))`);
    const inserted = await stream.run(`INSERT INTO ${t} VALUES(5, 'a'), (7, 'b')`);
    assert.deepEqual([inserted.affectedRowCount, inserted.lastInsertRowid], [2, 7n]);
    const selected = await stream.query(`SELECT id, name, 1 AS one FROM ${t}`);
    assert.deepEqual(selected.columnNames, ["id", "name", "one"]);
    assert.deepEqual(selected.columnDecltypes, ["INTEGER", "VARCHAR(10)", undefined]);
    assert.deepEqual(selected.rows.map((row) => [row[0], row[1]]), [[5n, "a"], [7n, "b"]]);
    const returned = await stream.query(`INSERT INTO ${t} VALUES(9, 'c') RETURNING id, name`);
    assert.deepEqual([returned.rows[0].id, returned.rows[0].name, returned.lastInsertRowid], [9n, "c", 9n]);
});

check("errors have code and message", async (client, t) => {
    const stream = await ready(client);
    await stream.run(`CREATE TABLE ${t}(id INTEGER PRIMARY KEY)`);
    await stream.run(`INSERT INTO ${t} VALUES(1)`);
    await rejects(stream.run(`INSERT INTO ${t} VALUES(1)`), "SQLITE_CONSTRAINT", new RegExp(`^SQLite error: UNIQUE constraint failed: ${t}\\.id$`));
    await rejects(stream.run("SELECT * FROM missing"), "SQLITE_UNKNOWN");
    await rejects(stream.run("SELEC"), "SQL_PARSE_ERROR");
    await rejects(stream.run("SELECT 1; SELECT 2"), "SQL_MANY_STATEMENTS");
    assert.equal((await stream.queryValue("SELECT 1")).value, 1n);
});

check("a batch runs its steps by their conditions", async (client, t) => {
    const stream = await ready(client);
    await stream.run(`CREATE TABLE ${t}(id INTEGER PRIMARY KEY)`);
    const batch = stream.batch(false);
    const { BatchCond } = hrana;
    const good = batch.step();
    const goodDone = good.run(`INSERT INTO ${t} VALUES(1)`);
    const bad = batch.step();
    const badDone = rejects(bad.run(`INSERT INTO ${t} VALUES(1)`), "SQLITE_CONSTRAINT");
    const conditions = [
        [BatchCond.ok(good), true], [BatchCond.ok(bad), false], [BatchCond.error(bad), true], [BatchCond.error(good), false],
        [BatchCond.not(BatchCond.ok(bad)), true],
        [BatchCond.and(batch, [BatchCond.ok(good), BatchCond.error(bad)]), true],
        [BatchCond.and(batch, [BatchCond.ok(good), BatchCond.ok(bad)]), false],
        [BatchCond.or(batch, [BatchCond.ok(good), BatchCond.ok(bad)]), true],
        [BatchCond.and(batch, []), true], [BatchCond.or(batch, []), false],
    ];
    const done = conditions.map(([condition], i) => batch.step().condition(condition).queryValue(`SELECT ${i}`));
    await batch.execute();
    assert.equal((await goodDone).affectedRowCount, 1);
    await badDone;
    for (const [i, [, runs]] of conditions.entries()) {
        assert.equal((await done[i])?.value, runs ? BigInt(i) : undefined, `condition ${i}`);
    }
});

check("a transaction belongs to its stream", async (client, t) => {
    const one = await ready(client);
    const two = client.openStream();
    await one.run(`CREATE TABLE ${t}(id)`);
    await one.run("BEGIN");
    await one.run(`INSERT INTO ${t} VALUES(1)`);
    assert.equal((await two.queryValue(`SELECT count(*) FROM ${t}`)).value, 0n);
    assert.equal((await one.queryValue(`SELECT count(*) FROM ${t}`)).value, 1n);
    one.close();
    await two.run(`INSERT INTO ${t} VALUES(2)`); // the close gave the lock back
    assert.equal((await two.queryValue(`SELECT group_concat(id) FROM ${t}`)).value, "2");
});

check("temporary state lives as long as its stream", async (client, t) => {
    const one = await ready(client);
    await one.run(`CREATE TABLE ${t}(id INTEGER PRIMARY KEY)`);
    await one.run(`INSERT INTO ${t} VALUES(41)`);
    assert.equal((await one.queryValue("SELECT last_insert_rowid()")).value, 41n);
    assert.equal((await client.openStream().queryValue("SELECT last_insert_rowid()")).value, 0n);
});

check("requests sent at once are answered in order", async (client, t) => {
    const stream = await ready(client);
    const first = stream.run(`CREATE TABLE ${t}(id INTEGER PRIMARY KEY)`);
    const all = Array.from({ length: 50 }, (_, i) => stream.queryValue([`INSERT INTO ${t} VALUES(?) RETURNING id`, [i]]));
    stream.closeGracefully();
    await first;
    assert.deepEqual((await Promise.all(all)).map((r) => Number(r.value)), Array.from({ length: 50 }, (_, i) => i));
});

if (version >= 2) {
    check("describe", async (client, t) => {
        const stream = await ready(client);
        await stream.run(`CREATE TABLE ${t}(id INTEGER PRIMARY KEY, a TEXT)`);
        const select = await stream.describe(`SELECT id, a, 1 FROM ${t} WHERE id = :id AND a = ?3`);
        assert.deepEqual(select.paramNames, [":id", undefined, "?3"]);
        assert.deepEqual(select.columns, [{ name: "id", decltype: "INTEGER" }, { name: "a", decltype: "TEXT" }, { name: "1", decltype: undefined }]);
        assert.deepEqual([select.isExplain, select.isReadonly], [false, true]);
        assert.equal((await stream.describe(`INSERT INTO ${t} VALUES(?, ?)`)).isReadonly, false);
        assert.equal((await stream.describe("EXPLAIN SELECT 1")).isExplain, true);
        await rejects(stream.describe("SELECT * FROM missing"));
    });

    check("describe names a syntax error as execute does", async (client) => {
        const stream = await ready(client);
        await rejects(stream.describe("SELEC"), "SQL_PARSE_ERROR");
    });

    check("sequence runs several statements and stops at the first error", async (client, t) => {
        const stream = await ready(client);
        await stream.sequence(`CREATE TABLE ${t}(id INTEGER PRIMARY KEY); INSERT INTO ${t} VALUES(1);`);
        await rejects(stream.sequence(`INSERT INTO ${t} VALUES(2); INSERT INTO ${t} VALUES(1); INSERT INTO ${t} VALUES(3)`), "SQLITE_CONSTRAINT");
        await stream.sequence("");
        assert.equal((await stream.queryValue(`SELECT count(*) FROM ${t}`)).value, 2n);
    });

    check("stored SQL", async (client) => {
        const stream = await ready(client);
        const owner = target.isWebSocket ? client : stream;
        const sql = owner.storeSql("SELECT ? + 1");
        assert.equal((await stream.queryValue([sql, [1n]])).value, 2n);
        const described = await stream.describe(sql);
        assert.equal(described.paramNames.length, 1);
        sql.close();
        const again = owner.storeSql("SELECT 'other'");
        assert.equal((await stream.queryValue(again)).value, "other");
    });
}

if (version >= 3) {
    check("autocommit can be asked for, and be a condition", async (client) => {
        const stream = await ready(client);
        assert.equal(await stream.getAutocommit(), true);
        const batch = stream.batch(false);
        const steps = [
            batch.step().condition(hrana.BatchCond.isAutocommit(batch)).queryValue("SELECT 1"),
            batch.step().run("BEGIN"),
            batch.step().condition(hrana.BatchCond.isAutocommit(batch)).queryValue("SELECT 2"),
        ];
        await batch.execute();
        assert.deepEqual([(await steps[0]).value, await steps[2]], [1n, undefined]);
        assert.equal(await stream.getAutocommit(), false);
    });

    check("a cursor's batch has rows, errors, skipped steps", async (client, t) => {
        const stream = await ready(client);
        await stream.run(`CREATE TABLE ${t}(id INTEGER PRIMARY KEY)`);
        const batch = stream.batch(true);
        const first = batch.step();
        const inserted = first.run(`INSERT INTO ${t} VALUES(7)`);
        const bad = batch.step();
        const refused = rejects(bad.run(`INSERT INTO ${t} VALUES(7)`), "SQLITE_CONSTRAINT");
        const skipped = batch.step().condition(hrana.BatchCond.ok(bad)).run("SELECT 1");
        const many = batch.step().query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT i, 'x' || i FROM n");
        const all = batch.step().queryRow([`SELECT ${values.map(() => "?").join(", ")}`, values]);
        await batch.execute();
        const result = await inserted;
        // The client reads this one number of protobuf, a sint64 by the protocol, without its zigzag.
        const shown = form === "hrana3-protobuf" ? 14n : 7n;
        assert.deepEqual([result.affectedRowCount, result.lastInsertRowid], [1, shown]);
        await refused;
        assert.equal(await skipped, undefined);
        const { rows } = await many;
        assert.deepEqual([rows.length, rows[4999][0], rows[4999][1]], [5000, 5000n, "x5000"]);
        const { row } = await all;
        assert.deepEqual(values.map((_, i) => plain(row[i])), values);
        assert.equal((await stream.queryValue("SELECT 1")).value, 1n);
    });

    check("a cursor's rows come while the statement runs", async (client) => {
        // 400 MB, of which the test takes ten rows: a server that gathers it all first would not answer in time.
        const stream = await ready(client);
        const cursor = await stream._openCursor({ steps: [{ stmt: { sql:
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000) SELECT hex(zeroblob(50000)) FROM n",
            args: [], namedArgs: [], wantRows: true } }] });
        assert.equal((await cursor.next()).type, "step_begin");
        for (let i = 0; i < 10; i++) {
            assert.equal((await cursor.next()).type, "row");
        }
        cursor.close();
        stream.close();
        assert.equal((await client.openStream().queryValue("SELECT 1")).value, 1n);
    });
}

check("a wrong token is refused with a code", async () => {
    const client = open("wrong");
    const error = await rejects(client.openStream().queryValue("SELECT 1"));
    const told = error.code ?? error.cause?.code;
    assert.ok(typeof told === "string" && told !== "UNKNOWN", `${error}`);
    client.close();
});

await run(open);
