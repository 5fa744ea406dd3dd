/* The routes of the process itself: health, readiness, metrics, version, the OpenAPI document; and
 * what CORS and OPTIONS ask. No token, except for /metrics from elsewhere. */
#ifndef SRC_PROCESS_ROUTES_H
#define SRC_PROCESS_ROUTES_H

#include "src/turn.h"

extern const struct route process_route_table[];
extern const unsigned process_route_count;

/* True: it was ours and is answered (or will be). False: the dialects may have it. */
bool process_routes_serve(struct turn *turn) ON(loop_thread);

/* services.process_stats: members of a JSON object, without braces: uptime, connections, memory. */
void process_stats(struct buf *json_members);
/* Which server process_stats() tells of. Main thread, before loops start. */
void process_routes_init(struct server *server);
/* "rookeryd 0.1.0 (SQLite 3.53.2)" and what is known to be wrong with that SQLite. */
void process_version_text(struct buf *out);

#endif
