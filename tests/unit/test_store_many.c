/* store/: views of many messages, listings that pass files by, and several sessions at once. */
#include "base/clock.h"
#include "store/mailbox_private.h"
#include "tests/unit/store_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Does the start of the file lie in memory? */
static bool is_cached(int dir, const char *name)
{
    unsigned char page = 0;
    AUTO_FD fd = openat(dir, name, O_RDONLY);
    void *p = mmap(NULL, 3, PROT_READ, MAP_SHARED, fd, 0);
    CU_ASSERT_FATAL(p != MAP_FAILED && mincore(p, 3, &page) == 0);
    munmap(p, 3);
    return page & 1;
}

static void forget_file(int dir, const char *name)
{
    AUTO_FD fd = openat(dir, name, O_RDONLY);
    CU_ASSERT(fsync(fd) == 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
}

/* Who reads messages from a disk in their order finds the next ones in memory. */
static void reading_ahead(void)
{
    enum { N = 60, READ = 36 };
    if (unit_not_under_valgrind("valgrind reads the start of each file that is mapped"))
        return;
    FIXTURE f = fixture_new();
    AUTO_FD root = fixture_maildir(&f);
    AUTO_FD cur = store_dir_open(root, "cur");
    char name[60], text[16];
    struct err e;
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "%d.M1P1.h,S=3,W=4:2,S", 1000 + i);
        fixture_put(cur, name, "ab\n");
    }
    struct store_mailbox *mb = fixture_box(root, "INBOX", false);
    CU_ASSERT_FATAL(store_mailbox_count(mb) == N);
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "%d.M1P1.h,S=3,W=4:2,S", 1000 + i);
        forget_file(cur, name);
    }
    for (size_t i = 0; i < READ; i++) {
        AUTO_FD fd = -1;
        CU_ASSERT(store_mailbox_read(mb, i, &fd, NULL, &e) == 0 &&
                  read(fd, text, sizeof text) == 3);
    }
    /* On a file system in memory there is no disk to wait for, and nothing to be seen. */
    if (mb->ahead.blocks > 0 && mb->ahead.cold) {
        snprintf(name, sizeof name, "%d.M1P1.h,S=3,W=4:2,S", 1000 + READ + 5);
        for (int tries = 0; tries < 3000 && !is_cached(cur, name); tries++)
            nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        CU_ASSERT(is_cached(cur, name) && mb->ahead.upto == READ + 16);
        snprintf(name, sizeof name, "%d.M1P1.h,S=3,W=4:2,S", 1000 + N - 1);
        CU_ASSERT(!is_cached(cur, name));
    }
    /* Not in their order: nothing is asked for. */
    AUTO_FD first = -1;
    CU_ASSERT(store_mailbox_read(mb, 0, &first, NULL, &e) == 0 && !mb->ahead.cold &&
              mb->ahead.run == 0);
    store_mailbox_close(mb);
}

/* Files in a maildir where nothing has happened for a while get their UIDs in the order of their
 * names, and the next look finds what was removed meanwhile. */
static void quiet_maildir(void)
{
    enum { N = 300 };
    FIXTURE f = fixture_new();
    AUTO_FD root = fixture_maildir(&f);
    AUTO_FD cur = store_dir_open(root, "cur");
    const struct timespec old[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    char name[60];
    for (unsigned i = N; i-- > 0;) {
        snprintf(name, sizeof name, "%u.M%uP1.h,S=3,W=4:2,S", 1000000 + i * 7919u % N, i);
        fixture_put(cur, name, "ab\n");
    }
    CU_ASSERT_FATAL(utimensat(root, "cur", old, 0) == 0 && utimensat(root, "new", old, 0) == 0);
    struct store_mailbox *mb = fixture_box(root, "INBOX", false);
    CU_ASSERT_FATAL(store_mailbox_count(mb) == N);
    for (size_t i = 0; i < N; i++) {
        uint64_t second = 0;
        CU_ASSERT(store_mailbox_at(mb, i)->uid == i + 1);
        CU_ASSERT(str_u64(str_head(store_mailbox_base(mb, i), 7), &second) == 0 &&
                  second == 1000000 + i);
    }
    store_mailbox_close(mb);
    snprintf(name, sizeof name, "%u.M%uP1.h,S=3,W=4:2,S", 1000000u, 0u);
    CU_ASSERT_FATAL(unlinkat(cur, name, 0) == 0 && utimensat(root, "cur", old, 0) == 0);
    mb = fixture_box(root, "INBOX", false);
    CU_ASSERT(store_mailbox_count(mb) == N - 1 && store_mailbox_at(mb, 0)->uid == 2);
    store_mailbox_close(mb);
}

static void ten_thousand(void)
{
    enum { N = 10000 };
    FIXTURE f = fixture_new();
    AUTO_BUF b = {0};
    struct err e;
    const struct store_changes *c;
    char name[100];
    AUTO_FD root = fixture_maildir(&f);
    AUTO_FD cur = store_dir_open(root, "cur");
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "%d.M%dP1.h,S=2,W=3:2,S", 1000000 + i / 100, i % 100);
        fixture_put(cur, name, "x\n");
    }
    int64_t start = clock_mono_ms();
    struct store_mailbox *mb = fixture_box(root, "INBOX", false);
    CU_ASSERT_FATAL(store_mailbox_count(mb) == N && store_mailbox_uidnext(mb) == N + 1);
    for (size_t i = 0; i < N; i++) { /* numbered in the order of arrival */
        snprintf(name, sizeof name, "%zu.M%zuP1.h,S=2,W=3", 1000000 + i / 100, i % 100);
        CU_ASSERT_FATAL(store_mailbox_at(mb, i)->uid == i + 1 &&
                        str_eq(store_mailbox_base(mb, i), str_from(name)));
    }
    for (size_t i = 0; i < N; i += 10)
        GOOD(store_mailbox_store(mb, i, STORE_OP_ADD, STORE_FLAGGED, 0, &e));
    for (size_t i = 0; i < N; i += 2)
        GOOD(store_mailbox_expunge(mb, i, &e));
    GOOD(store_mailbox_sync(mb, true, &c, &e));
    CU_ASSERT(c->expunged == N / 2 && c->exists == N / 2 && c->expunged_seq[0] == N - 1);
    store_mailbox_close(mb);
    usleep(30000);
    mb = fixture_box(root, "INBOX", false);
    CU_ASSERT(store_mailbox_count(mb) == N / 2 && store_mailbox_uidnext(mb) == N + 1);
    CU_ASSERT(store_mailbox_at(mb, 0)->uid == 2);
    store_mailbox_close(mb);
    struct str list = fixture_get(root, "dovecot-uidlist", &b), line;
    size_t lines = 0;
    while (str_line(&list, &line))
        lines++;
    CU_ASSERT(lines == N / 2 + 1); /* dead records are forgotten when they are many */
    CU_ASSERT(clock_mono_ms() - start < 20000);
    printf("# 10,000 messages: %lld ms\n", (long long)(clock_mono_ms() - start));
}

/* A view with an index of its own, as each session has. */
static struct store_mailbox *open_with(int root, struct store_index *x)
{
    struct store_mailbox *mb = NULL;
    struct err e;
    GOOD(store_mailbox_open(root, STR("INBOX"), false, x, &mb, &e));
    return mb;
}

static bool all_flagged_after(struct store_mailbox *mb, uint64_t modseq)
{
    bool all = true;
    for (size_t i = 0; i < store_mailbox_count(mb); i++) {
        const struct store_msg *m = store_mailbox_at(mb, i);
        all &= (m->flags & STORE_FLAGGED) && m->modseq > modseq;
    }
    return all;
}

/* Of many changes the index hears later; others find them in the names, and all come to one order of changes. */
static void flags_of_many(void)
{
    enum { N = 2100 };
    FIXTURE f = fixture_new();
    AUTO_FD root = fixture_maildir(&f);
    AUTO_FD cur = store_dir_open(root, "cur");
    const struct store_changes *c;
    char name[60];
    struct err e;
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "%d.M1P1.h,S=3,W=4:2,S", 1000 + i);
        fixture_put(cur, name, "ab\n");
    }
    struct store_index *x = store_index_new(root), *y = store_index_new(root);
    struct store_mailbox *one = open_with(root, x);
    store_mailbox_settle(one, true);
    struct store_mailbox *two = open_with(root, y);
    uint64_t before = store_mailbox_highest(one);
    CU_ASSERT_FATAL(before && store_mailbox_highest(two) == before && !store_mailbox_unsettled(one));
    for (size_t i = 0; i < N; i++)
        GOOD(store_mailbox_store(one, i, STORE_OP_ADD, STORE_FLAGGED, 0, &e));
    store_mailbox_settle_later(one);
    CU_ASSERT(store_mailbox_unsettled(one) && all_flagged_after(one, before));
    GOOD(store_mailbox_sync(one, false, &c, &e));
    CU_ASSERT(store_mailbox_unsettled(one) && c->flag_count == 0);
    GOOD(store_mailbox_sync(two, false, &c, &e));
    CU_ASSERT(c->flag_count == N && all_flagged_after(two, before));
    store_mailbox_settle(one, true);
    CU_ASSERT(!store_mailbox_unsettled(one) && all_flagged_after(one, before));
    CU_ASSERT(store_mailbox_highest(one) >= store_mailbox_highest(two));
    GOOD(store_mailbox_store(one, 0, STORE_OP_REMOVE, STORE_FLAGGED, 0, &e));
    store_mailbox_settle_later(one);
    CU_ASSERT(store_mailbox_unsettled(one));
    store_mailbox_close(two);
    store_mailbox_close(one);
    store_index_free(y);
    store_index_free(x);
}

/* What was left is not written over what another session did later. */
static void later_flags_count(void)
{
    FIXTURE f = fixture_new();
    AUTO_FD root = fixture_maildir(&f);
    const struct store_changes *c;
    struct err e;
    fixture_add(root, "INBOX", STORE_SEEN, NULL, "x\r\n");
    struct store_index *x = store_index_new(root), *y = store_index_new(root), *z = store_index_new(root);
    struct store_mailbox *one = open_with(root, x), *two = open_with(root, y);
    GOOD(store_mailbox_store(one, 0, STORE_OP_SET, STORE_FLAGGED, 0, &e));
    store_mailbox_settle_later(one);
    GOOD(store_mailbox_sync(two, true, &c, &e));
    CU_ASSERT(c->flag_count == 1 && store_mailbox_at(two, 0)->flags == STORE_FLAGGED);
    GOOD(store_mailbox_store(two, 0, STORE_OP_SET, STORE_ANSWERED, 0, &e));
    store_mailbox_settle(two, false);
    store_mailbox_settle(one, true);
    CU_ASSERT(!store_mailbox_unsettled(one));
    CU_ASSERT(store_mailbox_guard(two) == 0); /* hears of what was written */
    store_mailbox_settle(two, false);
    GOOD(store_mailbox_sync(two, true, &c, &e));
    CU_ASSERT(c->flag_count == 0 && store_mailbox_at(two, 0)->flags == STORE_ANSWERED);
    GOOD(store_mailbox_sync(one, true, &c, &e));
    CU_ASSERT(c->flag_count == 1 && store_mailbox_at(one, 0)->flags == STORE_ANSWERED);
    struct store_mailbox *three = open_with(root, z);
    CU_ASSERT(store_mailbox_at(three, 0)->flags == STORE_ANSWERED);
    CU_ASSERT(store_mailbox_highest(three) == store_mailbox_highest(two));
    store_mailbox_close(one);
    store_mailbox_close(two);
    store_mailbox_close(three);
    store_index_free(x);
    store_index_free(y);
    store_index_free(z);
}

/* The view that closes writes what was left. */
static void left_until_the_end(void)
{
    enum { N = 2100 };
    FIXTURE f = fixture_new();
    AUTO_FD root = fixture_maildir(&f);
    AUTO_FD cur = store_dir_open(root, "cur");
    char name[60];
    struct err e;
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "%d.M1P1.h,S=3,W=4:2,S", 1000 + i);
        fixture_put(cur, name, "ab\n");
    }
    struct store_index *x = store_index_new(root);
    struct store_mailbox *mb = open_with(root, x);
    store_mailbox_settle(mb, true);
    uint64_t before = store_mailbox_highest(mb);
    for (size_t i = 0; i < N; i++)
        GOOD(store_mailbox_store(mb, i, STORE_OP_ADD, STORE_FLAGGED, 0, &e));
    store_mailbox_settle_later(mb);
    uint64_t told = store_mailbox_highest(mb);
    store_mailbox_close(mb);
    mb = open_with(root, x);
    CU_ASSERT(all_flagged_after(mb, before) && store_mailbox_highest(mb) >= told);
    store_mailbox_close(mb);
    store_index_free(x);
}

/* ---- listings that pass files by ---- */

/* A disturbed picture of these UIDs of the view, which are 1 to 3. */
static bool look(struct store_mailbox *mb, const uint32_t *uids, size_t n)
{
    struct store_entry entry[3] = {0};
    for (size_t i = 0; i < n; i++)
        entry[i].uid = uids[i];
    const struct store_picture p = {.entry = entry, .count = n, .uneasy = true};
    return mailbox_weigh(mb, &p);
}

/* A file that is renamed during a listing may be missing in it: that alone makes nothing gone. */
static void passed_by(void)
{
    static const uint32_t all[] = {1, 2, 3}, without_2[] = {1, 3}, without_1[] = {2, 3};
    FIXTURE f = fixture_new();
    AUTO_FD root = fixture_maildir(&f);
    for (int i = 0; i < 3; i++)
        fixture_add(root, "INBOX", STORE_SEEN, NULL, "text\r\n");
    struct store_mailbox *mb = fixture_box(root, "INBOX", false);
    CU_ASSERT(!look(mb, without_2, 2) && mailbox_doubts(mb, 2) && !mailbox_doubts(mb, 1));
    CU_ASSERT(!look(mb, without_2, 2) && mailbox_doubts(mb, 2));
    CU_ASSERT(look(mb, all, 3) && !mailbox_doubts(mb, 2)); /* it was only renamed */
    CU_ASSERT(!look(mb, without_2, 2));
    CU_ASSERT(!look(mb, without_1, 2)); /* another one each time */
    CU_ASSERT(!look(mb, without_2, 2));
    CU_ASSERT(!look(mb, without_2, 2));
    CU_ASSERT(look(mb, without_2, 2) && !mailbox_doubts(mb, 2)); /* three in a row */
    CU_ASSERT(mailbox_hold_from(mb) == UINT32_MAX);
    store_mailbox_close(mb);
}

/* What is newer than a file that was passed by waits for it: UIDs come to a view in their order. */
static void newer_waits(void)
{
    FIXTURE f = fixture_new();
    AUTO_FD root = fixture_maildir(&f);
    struct err e;
    struct mailbox_merge m;
    struct store_entry entry[] = {{.uid = 1}, {.uid = 3}};
    struct store_picture p = {.entry = entry, .count = 2, .uneasy = true};
    struct str late[2];
    fixture_add(root, "INBOX", STORE_SEEN, NULL, "text\r\n");
    struct store_mailbox *mb = fixture_box(root, "INBOX", false);
    fixture_add(root, "INBOX", STORE_SEEN, NULL, "text\r\n");
    fixture_add(root, "INBOX", STORE_SEEN, NULL, "text\r\n");
    GOOD(store_uidlist_refresh(&mb->folder->uids, &e));
    CU_ASSERT(mailbox_passed_by(mb, &p));
    CU_ASSERT(!mailbox_weigh(mb, &p) && mailbox_hold_from(mb) == 2);
    buf_add(&p.names, "a", 2);
    entry[0].name_len = entry[0].base_len = entry[1].name_len = entry[1].base_len = 1;
    m.late = late;
    mailbox_merge(mb, &p, false, &m);
    CU_ASSERT(m.held && m.late_count == 0 && mb->count == 1 && !mb->msg[0].gone);
    CU_ASSERT(!mailbox_weigh(mb, &p) && mailbox_weigh(mb, &p));
    mailbox_merge(mb, &p, false, &m);
    CU_ASSERT(!m.held && m.late_count == 0 && mb->count == 2 && mb->msg[1].uid == 3);
    buf_free(&p.names);
    mailbox_believe(mb);
    store_mailbox_close(mb);
}

/* Nothing newer was seen than the files that were passed by: the uidlist has them, and they are waited for. */
static void newest_passed_by(void)
{
    FIXTURE f = fixture_new();
    AUTO_FD root = fixture_maildir(&f);
    struct err e;
    struct mailbox_merge m;
    struct store_entry entry = {.uid = 1, .name_len = 1, .base_len = 1};
    struct store_picture p = {.entry = &entry, .count = 1, .uneasy = true};
    fixture_add(root, "INBOX", STORE_SEEN, NULL, "text\r\n");
    struct store_mailbox *mb = fixture_box(root, "INBOX", false);
    fixture_add(root, "INBOX", STORE_SEEN, NULL, "text\r\n");
    GOOD(store_uidlist_refresh(&mb->folder->uids, &e));
    CU_ASSERT(!mailbox_weigh(mb, &p) && mailbox_hold_from(mb) == 2);
    buf_add(&p.names, "a", 2);
    mailbox_merge(mb, &p, false, &m);
    CU_ASSERT(m.held && mb->count == 1);
    buf_free(&p.names);
    mailbox_believe(mb);
    store_mailbox_close(mb);
}

/* Somebody gives the file in new/ a UID and moves it away before we look there; that it came to cur/ is told later. */
static void moved_while_looking(void)
{
    FIXTURE f = fixture_new();
    AUTO_FD root = fixture_maildir(&f);
    struct err e;
    const struct store_changes *c;
    fixture_add(root, "INBOX", STORE_SEEN, NULL, "text\r\n");
    struct store_mailbox *mb = fixture_box(root, "INBOX", false);
    struct store_uidlist other;
    store_uidlist_init(&other, mb->folder->dir_fd, root);
    GOOD(store_uidlist_lock(&other, &e));
    uint32_t uid = store_uidlist_add(&other, STR("2000.M1P1.h"));
    GOOD(store_uidlist_commit(&other, &e));
    store_uidlist_free(&other);
    usleep(100000); /* long ago for a clock of ticks */
    AUTO_BUF flagged = {0};
    store_name_format(&flagged, store_mailbox_base(mb, 0), STR(""), STORE_FLAGGED, 0);
    CU_ASSERT(renameat(mb->folder->cur_fd, mailbox_name(mb, &mb->msg[0]), mb->folder->cur_fd, buf_z(&flagged)) == 0);
    GOOD(store_mailbox_sync(mb, true, &c, &e));
    fixture_put(root, "cur/2000.M1P1.h:2,S", "text\n");
    GOOD(store_mailbox_sync(mb, true, &c, &e));
    CU_ASSERT(store_mailbox_count(mb) == 2 && store_mailbox_at(mb, 1)->uid == uid);
    store_mailbox_close(mb);
}

/* What a listing passed by is told by inotify: renamed, removed, or come to new/ when that had been listed. */
static void told_meanwhile(void)
{
    FIXTURE f = fixture_new();
    AUTO_FD root = fixture_maildir(&f);
    AUTO_BUF flagged = {0};
    struct err e;
    struct store_picture p = {.uneasy = true};
    for (int i = 0; i < 3; i++)
        fixture_add(root, "INBOX", STORE_SEEN, NULL, "text\r\n");
    struct store_mailbox *mb = fixture_box(root, "INBOX", false);
    int cur = mb->folder->cur_fd;
    store_picture_add(&p, 1, mailbox_name(mb, &mb->msg[0]), false);
    store_name_format(&flagged, store_mailbox_base(mb, 1), STR(""), STORE_FLAGGED, 0);
    CU_ASSERT(renameat(cur, mailbox_name(mb, &mb->msg[1]), cur, buf_z(&flagged)) == 0);
    CU_ASSERT(unlinkat(cur, mailbox_name(mb, &mb->msg[2]), 0) == 0);
    CU_ASSERT(fixture_add(root, "INBOX", 0, NULL, "text\r\n") == 4);
    store_uidlist_forget(&mb->folder->uids);
    GOOD(store_uidlist_refresh(&mb->folder->uids, &e));
    CU_ASSERT(mailbox_complete(mb, &p));
    CU_ASSERT_FATAL(p.count == 3 && p.entry[0].uid == 1 && p.entry[1].uid == 2 && p.entry[2].uid == 4);
    CU_ASSERT(p.entry[1].flags == STORE_FLAGGED && !p.entry[1].in_new && p.entry[2].in_new);
    UNIT_STR(str_from(p.names.p + p.entry[1].name), buf_z(&flagged));
    mb->watch.moving = 1; /* half of a rename was read */
    CU_ASSERT(!mailbox_complete(mb, &p));
    store_picture_free(&p);
    store_mailbox_close(mb);
}

/* One of several processes that do what mail programs do, at once. */
static int crowd_member(int root, unsigned seed)
{
    struct err e;
    const struct store_changes *c;
    struct store_mailbox *mb = fixture_box(root, "INBOX", false);
    int bad = 0;
    for (int turn = 0; turn < 60 && !bad; turn++) {
        size_t n = store_mailbox_count(mb), at = n ? (size_t)rand_r(&seed) % n : 0;
        switch (rand_r(&seed) % 6) {
        case 0:
            fixture_add(root, "INBOX", seed & 1 ? STORE_SEEN : 0, NULL, "appended\r\n");
            break;
        case 1:
            if (n > 20)
                bad |= store_mailbox_expunge(mb, at, &e) < 0;
            break;
        case 2:
            fixture_put(root, "tmp/x", "");
            break;
        default:
            if (n)
                bad |= store_mailbox_store(mb, at, seed & 2 ? STORE_OP_ADD : STORE_OP_REMOVE,
                                           (uint8_t)(rand_r(&seed) & 31), 0, &e) < 0;
        }
        uint32_t before = n ? store_mailbox_at(mb, n - 1)->uid : 0;
        bad |= store_mailbox_sync(mb, true, &c, &e) != 0;
        if (bad)
            fixture_say(&e);
        for (size_t i = 1; i < store_mailbox_count(mb); i++)
            bad |= store_mailbox_at(mb, i - 1)->uid >= store_mailbox_at(mb, i)->uid;
        bad |= c->exists_grew && store_mailbox_at(mb, store_mailbox_count(mb) - 1)->uid <= before;
    }
    store_mailbox_close(mb);
    return bad;
}

static void crowd(void)
{
    FIXTURE f = fixture_new();
    AUTO_BUF b = {0}, again = {0};
    int status, good = 0;
    AUTO_FD root = fixture_maildir(&f);
    for (int i = 0; i < 30; i++)
        fixture_add(root, "INBOX", 0, NULL, "start\r\n");
    unsigned seed = (unsigned)time(NULL);
    printf("# seed %u\n", seed);
    fflush(stdout);
    for (unsigned i = 0; i < 4; i++)
        if (fork() == 0)
            _exit(crowd_member(root, seed + i));
    for (int i = 0; i < 4; i++)
        good += wait(&status) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    CU_ASSERT(good == 4);
    usleep(30000);
    struct store_mailbox *one = fixture_box(root, "INBOX", false),
                         *two = fixture_box(root, "INBOX", true);
    size_t files = fixture_count(root, "cur") + fixture_count(root, "new");
    CU_ASSERT(store_mailbox_count(one) == files && store_mailbox_count(two) == files);
    for (size_t i = 0; i < store_mailbox_count(one); i++)
        CU_ASSERT(store_mailbox_at(one, i)->uid == store_mailbox_at(two, i)->uid &&
                  store_mailbox_at(one, i)->flags == store_mailbox_at(two, i)->flags);
    store_mailbox_close(one);
    store_mailbox_close(two);
    CU_ASSERT(faccessat(root, "dovecot-uidlist.lock", F_OK, 0) != 0);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"a quiet maildir", quiet_maildir},
        {"reading ahead", reading_ahead},
        {"10,000 messages", ten_thousand},
        {"flags of many", flags_of_many},
        {"flags that another session set later", later_flags_count},
        {"what was left is written at the end", left_until_the_end},
        {"a listing that passes a file by", passed_by},
        {"a listing that passes the newest files by", newest_passed_by},
        {"what happens during a listing is told", told_meanwhile},
        {"a file that is moved while a part is looked at", moved_while_looking},
        {"newer messages wait for one that was passed by", newer_waits},
        {"four sessions at once", crowd},
        {NULL, NULL},
    };
    return unit_main("store-many", tests);
}
