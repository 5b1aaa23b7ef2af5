/* The clock of the day is another than that of the files, as with a file server, or steps while a mailbox is open:
 * nothing is taken for older than it is. */
#include "base/clock.h"
#include "store/copy.h"
#include "store/dotlock.h"
#include "store/folder.h"
#include "store/index.h"
#include "tests/unit/store_fixture.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DAY 86400
#define SECOND_NS INT64_C(1000000000)

static int64_t ahead_s; /* of the files' clock */

int clock_gettime(clockid_t id, struct timespec *t)
{
    int done = (int)syscall(SYS_clock_gettime, id, t);
    if (done == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        t->tv_sec += ahead_s;
    return done;
}

/* The files' own time, as nobody's clock can change it here. */
static int64_t true_now(void)
{
    return clock_real_us() * 1000 - ahead_s * SECOND_NS;
}

static const int64_t steps[] = {0, 2 * DAY, -2 * DAY, 3600, -1, 1};
#define STEPS (sizeof steps / sizeof *steps)

static void now_is_the_files(void)
{
    FIXTURE f = fixture_new();
    AUTO_FD root = fixture_maildir(&f);
    struct store_folder *folder;
    struct err e;
    ahead_s = 0;
    GOOD(store_folder_open(root, STR("INBOX"), &folder, &e));
    for (size_t i = 0; i < STEPS; i++) {
        ahead_s = steps[i];
        for (int again = 0; again < 2; again++) {
            int64_t now = store_folder_now(folder), exact = true_now();
            CU_ASSERT(now <= exact && now > exact - SECOND_NS / 2);
        }
    }
    store_folder_close(folder);
    ahead_s = 0;
}

/* A tmp/ that cannot be touched: our own clock. */
static void now_without_tmp(void)
{
    FIXTURE f = fixture_new();
    ahead_s = DAY;
    int64_t off = store_maildir_now(f.fd) - true_now() - DAY * SECOND_NS;
    CU_ASSERT(off <= 0 && off > -SECOND_NS);
    ahead_s = 0;
}

static void lock_is_kept(void)
{
    FIXTURE f = fixture_new();
    AUTO_FD root = fixture_maildir(&f);
    struct store_dotlock ours, theirs;
    struct err e;
    int status;
    GOOD(store_dotlock_take(&ours, root, "x", 1, true, &e));
    for (size_t i = 0; i < STEPS; i++)
        if (fork() == 0) {
            ahead_s = steps[i];
            _exit(store_dotlock_take(&theirs, root, "x", 1, true, &e) == 0);
        }
    for (size_t i = 0; i < STEPS; i++)
        CU_ASSERT(wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CU_ASSERT(store_dotlock_held(&ours));
    store_dotlock_drop(&ours);
}

static void writers_are_left_alone(void)
{
    FIXTURE f = fixture_new();
    AUTO_FD root = fixture_maildir(&f);
    fixture_put(root, "tmp/being-written", "x");
    ahead_s = 2 * DAY;
    store_mailbox_close(fixture_box(root, "INBOX", false));
    CU_ASSERT(fixture_count(root, "tmp") == 1);
    ahead_s = 0;
}

/* Its content may not be on disk yet: it is synced. */
static void young_copy(void)
{
    FIXTURE f = fixture_new();
    AUTO_FD root = fixture_maildir(&f);
    AUTO_FD cur = store_dir_open(root, "cur");
    struct store_copies c;
    struct store_writer w;
    struct err e;
    fixture_put(cur, "1.a.h,S=3,W=4:2,S", "ab\n");
    ahead_s = 2 * DAY;
    store_copies_begin(&c);
    GOOD(store_copies_add(&c, &w, root, cur, "1.a.h,S=3,W=4:2,S", &e));
    CU_ASSERT(c.young == 1);
    ahead_s = 0;
}

/* What lies in the index is believed when the directories were quiet for a tick of their own clock. */
static void young_stamp(void)
{
    FIXTURE f = fixture_new();
    AUTO_FD root = fixture_maildir(&f);
    struct store_index_folder row = {.id = 1};
    struct store_folder *folder;
    struct err e;
    GOOD(store_folder_open(root, STR("INBOX"), &folder, &e));
    for (size_t i = 0; i < STEPS; i++) {
        ahead_s = steps[i];
        fixture_put(root, "new/1.a.h", "x\n");
        unlinkat(root, "new/1.a.h", 0);
        GOOD(store_folder_stamp(folder, &row.stamp, &e));
        row.taken_ns = store_folder_now(folder);
        CU_ASSERT(!store_index_believable(&row));
        usleep(50000);
        row.taken_ns = store_folder_now(folder);
        CU_ASSERT(store_index_believable(&row));
    }
    store_folder_close(folder);
    ahead_s = 0;
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"the time is the files'", now_is_the_files},
        {"the time where tmp/ is missing", now_without_tmp},
        {"a lock is not taken over", lock_is_kept},
        {"what is being written is left alone", writers_are_left_alone},
        {"a copy of what was just written is synced", young_copy},
        {"a young stamp is not believed, an old one is", young_stamp},
        {NULL, NULL},
    };
    return unit_main("store-clock", tests);
}
