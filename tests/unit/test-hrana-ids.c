/* A table of ids against a plain array. */
#include "proto/hrana/ids.h"
#include "tests/lib/tap.h"

#define LINKS 500

int main(void)
{
    static struct id_link links[LINKS];
    static bool in[LINKS];
    struct id_table table = {0};
    uint32_t random = 1;
    unsigned count = 0;
    bool same = true;

    ok(id_table_find(&table, 0) == NULL, "an empty table has nothing");
    for (int i = 0; i < LINKS; i++)
        links[i].id = i % 2 == 0 ? i - LINKS / 2 : INT32_MAX - i;
    for (unsigned round = 0; round < 20000; round++) {
        unsigned at;

        random = random * 1664525U + 1013904223U;
        at = (random >> 8) % LINKS;
        same &= (id_table_find(&table, links[at].id) == (in[at] ? &links[at] : NULL));
        if (in[at])
            id_table_remove(&table, &links[at]);
        else
            id_table_add(&table, &links[at]);
        in[at] = !in[at];
        count += in[at] ? 1U : -1U;
        same &= table.count == count;
    }
    ok(same, "what was added and not removed is found, and nothing else");
    for (unsigned i = 0; i < LINKS; i++)
        same &= (id_table_find(&table, links[i].id) == (in[i] ? &links[i] : NULL));
    ok(same, "also in the end");
    id_table_fini(&table);
    id_table_fini(&table);
    return done_testing();
}
