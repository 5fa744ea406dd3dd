/* What happened, for metrics and the access log: requests by dialect, route and status. */
#ifndef SRC_TRAFFIC_H
#define SRC_TRAFFIC_H

#include "src/turn.h"

/* The answer is complete: counts it, times it, logs it (all at debug; slow ones and 5xx louder).
 * Never with a query string or a body. */
void traffic_count(const struct turn *turn) ON(loop_thread);
/* A refusal that no route saw. */
void traffic_count_refusal(int status) ON(loop_thread);

#endif
