// Drizzle on @libsql/client: migrations written by drizzle-kit, applied by its migrator, then the shop's day.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { createClient } from "@libsql/client";
import { count, eq, gt, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/libsql";
import { migrate } from "drizzle-orm/libsql/migrator";
import { check, run, target } from "../checks.mjs";
import * as schema from "./schema-3.mjs";

const { customers, orders } = schema;
const folder = `migrations-${process.pid}`;

function generate(release) {
    execFileSync(process.execPath, ["node_modules/drizzle-kit/bin.cjs", "generate", "--dialect", "sqlite", "--schema", `drizzle/schema-${release}.mjs`,
        "--out", folder, "--name", `release-${release}`], { stdio: ["ignore", "pipe", "pipe"] });
}

const open = () => createClient({ url: target.url, authToken: target.token });
const database = (client) => drizzle(client, { schema });
const tables = async (client) =>
    (await client.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name IN ('customers', 'orders', '__drizzle_migrations')")).rows.length;

check("the first release's migration is applied, once", async (client) => {
    await client.executeMultiple("DROP TABLE IF EXISTS orders; DROP TABLE IF EXISTS customers; DROP TABLE IF EXISTS __drizzle_migrations");
    generate(1);
    await migrate(database(client), { migrationsFolder: folder });
    assert.equal(await tables(client), 3);
    await client.execute("INSERT INTO customers(email) VALUES('old@example.com')");
    await client.execute("INSERT INTO orders(customer_id, item) VALUES(1, 'moss')");
    await migrate(database(client), { migrationsFolder: folder });
});

check("the next releases' migrations keep the rows", async (client) => {
    generate(2);
    generate(3);
    await migrate(database(client), { migrationsFolder: folder });
    rmSync(folder, { recursive: true });
    const db = database(client);
    assert.deepEqual(await db.select().from(customers), [{ id: 1, email: "old@example.com", settings: null, active: true, created: new Date(1700000000000) }]);
    assert.deepEqual(await db.select({ item: orders.item }).from(orders), [{ item: "moss" }]);
    assert.equal((await client.execute("PRAGMA foreign_keys")).rows[0].foreign_keys, 1);
    assert.equal((await client.execute("PRAGMA foreign_key_check")).rows.length, 0);
});

check("rows are written and read in their types", async (client) => {
    const db = database(client);
    const [made] = await db.insert(customers).values({ email: "a@example.com", settings: { theme: "dark", n: [1, 2] }, active: false }).returning();
    assert.deepEqual([made.settings, made.active, made.created], [{ theme: "dark", n: [1, 2] }, false, new Date(1700000000000)]);
    await db.insert(orders).values([{ customerId: made.id, item: "twig", price: 1.5, label: Buffer.from([0, 255]) }, { customerId: made.id }]);
    const rows = await db.select().from(orders).where(eq(orders.customerId, made.id)).orderBy(orders.id);
    assert.deepEqual([rows[0].price, rows[0].label, rows[1].item, rows[1].price], [1.5, Buffer.from([0, 255]), "seed", null]);
    await db.update(orders).set({ price: sql`${orders.price} * 2` }).where(eq(orders.id, rows[0].id));
    assert.equal((await db.select().from(orders).where(gt(orders.price, 2)))[0].price, 3);
    await db.insert(customers).values({ email: "a@example.com" }).onConflictDoUpdate({ target: customers.email, set: { active: true } });
    assert.equal((await db.select().from(customers).where(eq(customers.email, "a@example.com")))[0].active, true);
});

check("relations and joins", async (client) => {
    const db = database(client);
    const [customer] = await db.query.customers.findMany({ where: eq(customers.email, "a@example.com"), 
        with: { orders: { columns: { label: false } } } }); // JSON has no blobs
    assert.deepEqual(customer.orders.map((order) => order.item), ["twig", "seed"]);
    const joined = await db.select({ email: customers.email, n: count(orders.id) }).from(customers)
        .leftJoin(orders, eq(orders.customerId, customers.id)).groupBy(customers.id).orderBy(customers.id);
    assert.deepEqual(joined, [{ email: "old@example.com", n: 1 }, { email: "a@example.com", n: 2 }]);
});

check("transactions, nested ones, and batches", async (client) => {
    const db = database(client);
    await db.transaction(async (tx) => {
        const [one] = await tx.insert(customers).values({ email: "t@example.com" }).returning();
        await tx.insert(orders).values({ customerId: one.id, item: "kept" });
        await assert.rejects(tx.transaction(async (inner) => {
            await inner.insert(orders).values({ customerId: one.id, item: "dropped" });
            inner.rollback();
        }));
    });
    await assert.rejects(db.transaction(async (tx) => {
        await tx.delete(orders);
        await tx.insert(customers).values({ email: "t@example.com" }); // not unique
    }));
    const items = (await db.select({ item: orders.item }).from(orders).orderBy(orders.id)).map((row) => row.item);
    assert.deepEqual(items, ["moss", "twig", "seed", "kept"]);
    const [inserted, rows] = await db.batch([db.insert(customers).values({ email: "b@example.com" }).returning(), db.select().from(customers)]);
    assert.deepEqual([inserted[0].email, rows.length], ["b@example.com", 4]);
});

check("deleting a customer deletes the orders", async (client) => {
    const db = database(client);
    await db.delete(customers).where(eq(customers.email, "a@example.com"));
    assert.equal((await db.select({ n: count() }).from(orders))[0].n, 2);
});

await run(open);
