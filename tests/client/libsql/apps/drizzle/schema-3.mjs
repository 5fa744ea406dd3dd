// The third release: new columns and an index.
import { relations, sql } from "drizzle-orm";
import { blob, index, integer, real, sqliteTable, text } from "drizzle-orm/sqlite-core";

export const customers = sqliteTable("customers", {
    id: integer("id").primaryKey({ autoIncrement: true }),
    email: text("email").notNull().unique(),
    settings: text("settings", { mode: "json" }),
    active: integer("active", { mode: "boolean" }).notNull().default(true),
    created: integer("created", { mode: "timestamp_ms" }).notNull().default(sql`(1700000000000)`),
});

export const orders = sqliteTable("orders", {
    id: integer("id").primaryKey({ autoIncrement: true }),
    customerId: integer("customer_id").notNull().references(() => customers.id, { onDelete: "cascade" }),
    item: text("item").notNull().default("seed"),
    price: real("price"),
    label: blob("label", { mode: "buffer" }),
}, (table) => [index("orders_by_customer").on(table.customerId)]);

export const customerRelations = relations(customers, ({ many }) => ({ orders: many(orders) }));
export const orderRelations = relations(orders, ({ one }) => ({
    customer: one(customers, { fields: [orders.customerId], references: [customers.id] }),
}));
