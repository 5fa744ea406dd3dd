import { PrismaLibSQL } from "@prisma/adapter-libsql";
import { defineConfig } from "prisma/config";

export default defineConfig({
    schema: "schema.prisma",
    experimental: { adapter: true },
    engine: "js",
    adapter: async () => new PrismaLibSQL({ url: process.env.LIBSQL_URL!, authToken: process.env.LIBSQL_TOKEN }),
});
