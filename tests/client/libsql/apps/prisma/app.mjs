// Prisma on its libSQL adapter: migrations written by `prisma migrate diff`, applied by `prisma migrate deploy`, then
// the shop's day. No binary engine anywhere.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { PrismaLibSQL } from "@prisma/adapter-libsql";
import { createClient } from "@libsql/client";
import { check, rejects, run, target } from "./checks.mjs";

const prisma = (...words) => execFileSync(process.execPath, ["node_modules/prisma/build/index.js", ...words], {
    encoding: "utf8", stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, CHECKPOINT_DISABLE: "1", PRISMA_HIDE_UPDATE_MESSAGE: "1" } });

function release(name, from) {
    const sql = prisma("migrate", "diff", ...from, "--to-schema-datamodel", name === "1_first" ? "schema-1.prisma" : "schema.prisma", "--script");
    mkdirSync(`migrations/${name}`, { recursive: true });
    writeFileSync(`migrations/${name}/migration.sql`, sql.slice(sql.indexOf("--")));
    return prisma("migrate", "deploy");
}

let PrismaClient;
const raw = () => createClient({ url: target.url, authToken: target.token });
// One client per check, closed when it ends.
const open = () => {
    const adapter = new PrismaLibSQL({ url: target.url, authToken: target.token });
    const db = PrismaClient === undefined ? undefined : new PrismaClient({ adapter });
    return { db, close: () => db?.$disconnect() };
};

check("the first release's migration is applied", async () => {
    const client = raw();
    rmSync("migrations", { recursive: true, force: true });
    mkdirSync("migrations");
    writeFileSync("migrations/migration_lock.toml", 'provider = "sqlite"\n');
    assert.match(release("1_first", ["--from-empty"]), /1_first/);
    await client.execute("INSERT INTO Customer(email) VALUES('old@example.com')");
    await client.execute('INSERT INTO "Order"(customerId, item) VALUES(1, \'moss\')');
    client.close();
});

check("the second release's migration keeps the rows", async () => {
    assert.match(release("2_second", ["--from-schema-datamodel", "schema-1.prisma"]), /2_second/);
    const client = raw();
    const { rows } = await client.execute('SELECT email, active, item FROM Customer JOIN "Order" ON customerId = Customer.id');
    assert.deepEqual([rows.length, rows[0].email, rows[0].active, rows[0].item], [1, "old@example.com", 1, "moss"]);
    client.close();
});

check("there is nothing left to apply", async () => {
    assert.match(prisma("migrate", "deploy"), /No pending migrations/);
    assert.match(prisma("migrate", "status"), /up to date/);
});

check("the client is generated", async () => {
    prisma("generate");
    ({ PrismaClient } = (await import("./generated/index.js")).default);
});

check("rows are written and read in their types", async ({ db }) => {
    const made = await db.customer.create({ data: { email: "a@example.com", visits: 9007199254740991n, created: new Date(1700000000123),
        orders: { create: [{ item: "twig", price: 1.5, label: Buffer.from([0, 255]) }, { item: "seed" }] } }, include: { orders: true } });
    assert.deepEqual([made.visits, made.active, made.created], [9007199254740991n, true, new Date(1700000000123)]);
    assert.deepEqual([made.orders.length, Buffer.from(made.orders[0].label), made.orders[1].price], [2, Buffer.from([0, 255]), null]);
    await db.order.updateMany({ where: { item: "twig" }, data: { price: { multiply: 2 } } });
    assert.equal((await db.order.findFirst({ where: { price: { gt: 2 } } })).price, 3);
    await db.customer.upsert({ where: { email: "a@example.com" }, create: { email: "a@example.com" }, update: { active: false } });
    assert.equal((await db.customer.findUnique({ where: { email: "a@example.com" } })).active, false);
});

check("relations", async ({ db }) => {
    const customers = await db.customer.findMany({ orderBy: { id: "asc" }, include: { _count: { select: { orders: true } } } });
    assert.deepEqual(customers.map((row) => row._count.orders), [1, 2]);
    const orders = await db.order.findMany({ where: { customer: { email: { startsWith: "a@" } } }, orderBy: { id: "asc" } });
    assert.deepEqual(orders.map((row) => row.item), ["twig", "seed"]);
    const sums = await db.order.groupBy({ by: ["customerId"], _sum: { price: true }, orderBy: { customerId: "asc" } });
    assert.deepEqual(sums.map((row) => row._sum.price), [null, 3]);
});

check("what is not unique or refers to nothing is refused", async ({ db }) => {
    // P2002 and P2003 need SQLite's extended code, which @libsql/client has of local files alone.
    await rejects(db.customer.create({ data: { email: "a@example.com" } }), undefined, /UNIQUE constraint failed: Customer.email/);
    await rejects(db.order.create({ data: { customerId: 999, item: "x" } }), undefined, /FOREIGN KEY constraint failed/);
    await rejects(db.customer.update({ where: { id: 999 }, data: { email: "x" } }), "P2025");
});

check("transactions, as lists and as functions", async ({ db }) => {
    await db.$transaction([db.customer.create({ data: { email: "l@example.com" } }), db.order.create({ data: { customerId: 1, item: "list" } })]);
    await rejects(db.$transaction([db.order.deleteMany(), db.customer.create({ data: { email: "l@example.com" } })]), undefined, /UNIQUE/);
    await db.$transaction(async (tx) => {
        const { id } = await tx.customer.create({ data: { email: "t@example.com" } });
        await tx.order.create({ data: { customerId: id, item: "kept" } });
    });
    await rejects(db.$transaction(async (tx) => {
        await tx.order.deleteMany();
        throw new Error("changed my mind");
    }), undefined, /changed my mind/);
    assert.equal(await db.order.count(), 5);
});

check("raw SQL, and a cascade", async ({ db }) => {
    const [row] = await db.$queryRaw`SELECT count(*) AS n, ${"x"} AS x FROM Customer`;
    assert.deepEqual([Number(row.n), row.x], [4, "x"]);
    await db.customer.delete({ where: { email: "a@example.com" } });
    assert.equal(await db.order.count(), 3);
    assert.equal(await db.$executeRaw`UPDATE "Order" SET price = 1`, 3);
});

await run(open);
