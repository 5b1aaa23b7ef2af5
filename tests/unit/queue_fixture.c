#include "tests/unit/queue_fixture.h"

#include <stdio.h>
#include <stdlib.h>

struct place place_new(void)
{
    struct place p = {"/tmp/unit-queue.XXXXXX"};
    CU_ASSERT_FATAL(mkdtemp(p.dir) != NULL);
    return p;
}

void place_remove(const struct place *p)
{
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", p->dir);
    CU_ASSERT(system(command) == 0);
}

void place_path(char out[128], const struct place *p, const char *name)
{
    snprintf(out, 128, "%s/%s", p->dir, name);
}

struct queue_db *queue_open(const struct place *p)
{
    struct queue_db *db = NULL;
    struct err e = {0};
    int r = queue_db_open(p->dir, &db, &e);
    if (r != 0)
        printf("# %s\n", e.log);
    CU_ASSERT_FATAL(r == 0);
    return db;
}

void queue_add(struct queue_db *db, uint64_t id, int64_t next, struct str first, struct str second)
{
    struct err e = {0};
    struct queue_message m = {.id = id, .created_ms = (int64_t)id * 10, .size = 99, .flags = 1,
                              .session = STR("s"), .sender = STR("from@x")};
    struct queue_recipient r[2] = {
        {.address = first, .original = STR("o1"), .next_ms = next},
        {.address = second, .original = STR("o2"), .next_ms = next + 1},
    };
    CU_ASSERT(queue_db_begin(db, &e) == 0);
    CU_ASSERT(queue_db_add(db, &m, r, second.n ? 2 : 1, &e) == 0);
    CU_ASSERT(queue_db_commit(db, &e) == 0);
}

void queue_list(struct queue_db *db, queue_db_fn fn, void *ctx)
{
    struct err e = {0};
    CU_ASSERT(queue_db_page(db, 0, 0, STR(""), 1000, fn, ctx, &e) == 0);
}

static void see_lane(void *ctx, struct str lane, int64_t due_ms)
{
    buf_printf(ctx, "%.*s=%lld ", STR_FMT(lane), (long long)due_ms);
}

void queue_expect_lanes(struct queue_db *db, bool remote, const char *want)
{
    struct err e = {0};
    AUTO_BUF text = {0};
    CU_ASSERT(queue_db_lanes(db, remote, see_lane, &text, &e) == 0);
    UNIT_STR(buf_view(&text), want);
}
