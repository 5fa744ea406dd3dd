// The worker of bench/compare: POST /v1/db/TENANT/DATABASE/query {"sql": …, "params": […]} goes to the
// Durable Object of that tenant, whose own SQLite answers. The output gate of Durable Objects holds the
// answer back until what was written is confirmed.

export class Database {
  constructor(state) {
    this.sql = state.storage.sql;
  }

  async fetch(request) {
    const { sql, params } = await request.json();
    try {
      const cursor = this.sql.exec(sql, ...(params ?? []));
      const rows = cursor.raw().toArray();
      return Response.json({
        success: true,
        data: {
          columns: cursor.columnNames,
          rows,
          rowsRead: cursor.rowsRead,
          rowsWritten: cursor.rowsWritten,
        },
      });
    } catch (error) {
      return Response.json({ success: false, error: String(error) }, { status: 400 });
    }
  }
}

export default {
  fetch(request, env) {
    const tenant = request.url.split("/", 6)[5];
    return env.DATABASES.get(env.DATABASES.idFromName(tenant)).fetch(request);
  },
};
