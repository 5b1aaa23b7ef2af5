/* store/mailbox.h: views and what changes in them, saving and copying, with others at work. */
#include "store/deliver.h"
#include "tests/unit/store_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void opening(void)
{
    FIXTURE f = fixture_new();
    AUTO_BUF b = {0};
    struct err e;
    bool exact;
    AUTO_FD root = fixture_maildir(&f);
    fixture_add(root, "INBOX", STORE_SEEN, NULL, "a\r\n");
    fixture_add(root, "INBOX", STORE_SEEN | STORE_FLAGGED, "Work", "b\r\nc\r\n");
    fixture_add(root, "INBOX", 0, NULL, "");
    struct store_mailbox *mb = fixture_box(root, "inbox", false);
    VIEW(mb, "1:10 2:18 3:0R");
    CU_ASSERT(store_mailbox_recent(mb) == 1 && store_mailbox_first_unseen(mb) == 2);
    CU_ASSERT(store_mailbox_uidnext(mb) == 4 && store_mailbox_uidvalidity(mb) > 1000000000);
    CU_ASSERT(store_mailbox_find(mb, 2, &exact) == 1 && exact);
    CU_ASSERT(store_mailbox_find(mb, 9, &exact) == 3 && !exact);
    int bit = store_mailbox_keyword_find(mb, STR("work"));
    CU_ASSERT(bit >= 0 && store_mailbox_at(mb, 1)->keywords == 1u << bit);
    GOOD(store_mailbox_measure(mb, 1, &e));
    CU_ASSERT(store_mailbox_at(mb, 1)->vsize == 6 && store_mailbox_at(mb, 1)->size == 4 &&
              store_mailbox_at(mb, 1)->date == 1000000000);
    store_mailbox_close(mb);
    CU_ASSERT(store_mailbox_open(root, STR("none"), false, NULL, &mb, &e) == 1 && !mb);
    CU_ASSERT(store_mailbox_open(root, STR("../x"), false, NULL, &mb, &e) == -1 &&
              e.kind == ERR_PERMANENT);
}

static void recent(void)
{
    FIXTURE f = fixture_new();
    AUTO_BUF b = {0};
    AUTO_FD root = fixture_maildir(&f);
    fixture_add(root, "INBOX", 0, NULL, "x\r\n");
    struct store_mailbox *examine = fixture_box(root, "INBOX", true);
    VIEW(examine, "1:0R");
    CU_ASSERT(fixture_count(root, "new") == 1);
    struct store_mailbox *first = fixture_box(root, "INBOX", false),
                         *second = fixture_box(root, "INBOX", false);
    VIEW(first, "1:0R");
    VIEW(second, "1:0");
    CU_ASSERT(fixture_count(root, "new") == 0 && fixture_count(root, "cur") == 1);
    struct err e;
    CU_ASSERT(store_mailbox_store(examine, 0, STORE_OP_ADD, STORE_SEEN, 0, &e) == -1 &&
              e.kind == ERR_PERMANENT);
    CU_ASSERT(store_mailbox_expunge(examine, 0, &e) == -1 && fixture_count(root, "cur") == 1);
    store_mailbox_close(examine);
    store_mailbox_close(first);
    store_mailbox_close(second);
}

/* What one session does, another hears, each thing once and when it may. */
static void changes(void)
{
    FIXTURE f = fixture_new();
    AUTO_BUF b = {0};
    struct err e;
    const struct store_changes *c;
    AUTO_FD root = fixture_maildir(&f);
    for (int i = 0; i < 5; i++)
        fixture_add(root, "INBOX", STORE_SEEN, NULL, "x\r\n");
    struct store_mailbox *one = fixture_box(root, "INBOX", false),
                         *two = fixture_box(root, "INBOX", false);
    GOOD(store_mailbox_sync(one, true, &c, &e));
    CU_ASSERT(!c->expunged && !c->flag_count && !c->exists_grew && c->exists == 5 &&
              !c->keywords_changed);
    unsigned bit;
    GOOD(store_mailbox_keyword_add(two, STR("todo"), &bit, &e));
    GOOD(store_mailbox_store(two, 4, STORE_OP_ADD, STORE_FLAGGED, 1u << bit, &e));
    GOOD(store_mailbox_store(two, 2, STORE_OP_REMOVE, STORE_SEEN, 0, &e));
    GOOD(store_mailbox_expunge(two, 0, &e));
    GOOD(store_mailbox_expunge(two, 3, &e));
    fixture_add(root, "INBOX", STORE_ANSWERED, NULL, "new\r\n");
    GOOD(store_mailbox_sync(one, false, &c, &e));
    VIEW(one, "1:10! 2:10 3:0 4:10! 5:18 6:1");
    CU_ASSERT(c->expunged == 0 && c->flag_count == 2 && c->flagged[0] == 3 && c->flagged[1] == 5 &&
              c->exists_grew && c->exists == 6 && c->keywords_changed);
    int fd;
    CU_ASSERT(store_mailbox_read(one, 0, &fd, NULL, &e) == 1 && fd == -1);
    GOOD(store_mailbox_sync(one, true, &c, &e));
    VIEW(one, "2:10 3:0 5:18 6:1");
    CU_ASSERT(c->expunged == 2 && c->expunged_seq[0] == 4 && c->expunged_uid[0] == 4 &&
              c->expunged_seq[1] == 1 && c->expunged_uid[1] == 1 && !c->flag_count &&
              !c->exists_grew);
    GOOD(store_mailbox_sync(two, true, &c, &e));
    VIEW(two, "2:10 3:0 5:18 6:1"); /* its own changes are not news to it */
    CU_ASSERT(c->expunged == 2 && c->flag_count == 0 && c->exists_grew && c->exists == 4);
    GOOD(store_mailbox_sync(two, true, &c, &e));
    CU_ASSERT(!c->expunged && !c->exists_grew);
    store_mailbox_close(one);
    store_mailbox_close(two);
}

/* A message that came and went between two syncs is never told. */
static void untold(void)
{
    FIXTURE f = fixture_new();
    AUTO_BUF b = {0};
    struct err e;
    const struct store_changes *c;
    AUTO_FD root = fixture_maildir(&f);
    fixture_add(root, "INBOX", STORE_SEEN, NULL, "x\r\n");
    struct store_mailbox *mb = fixture_box(root, "INBOX", false), *other;
    fixture_add(root, "INBOX", STORE_SEEN, NULL, "y\r\n");
    fixture_add(root, "INBOX", STORE_SEEN, NULL, "z\r\n");
    int fd;
    GOOD(store_mailbox_read(mb, 0, &fd, NULL, &e));
    close(fd);
    other = fixture_box(root, "INBOX", false);
    GOOD(store_mailbox_expunge(other, 0, &e));
    CU_ASSERT(store_mailbox_read(mb, 0, &fd, NULL, &e) == 1); /* looks, and sees 2 and 3 too */
    VIEW(mb, "1:10!");
    GOOD(store_mailbox_expunge(other, 1, &e));
    CU_ASSERT(store_mailbox_read(mb, 1, &fd, NULL, &e) == 1);
    GOOD(store_mailbox_sync(mb, true, &c, &e));
    VIEW(mb, "3:10");
    CU_ASSERT(c->expunged == 1 && c->expunged_seq[0] == 1 && c->exists == 1 && c->exists_grew);
    store_mailbox_close(mb);
    store_mailbox_close(other);
}

static int rename_to(void *ctx, struct str name, unsigned char type)
{
    (void)type;
    char to[300];
    int dir = *(int *)ctx;
    ptrdiff_t colon = str_find(name, ':');
    snprintf(to, sizeof to, "%.*s:2,FXT,more", (int)(colon < 0 ? (ptrdiff_t)name.n : colon),
             name.p);
    return renameat(dir, name.p, dir, to);
}

static void renamed_behind(void)
{
    FIXTURE f = fixture_new();
    AUTO_BUF b = {0};
    struct err e;
    AUTO_FD root = fixture_maildir(&f);
    AUTO_FD cur = store_dir_open(root, "cur");
    fixture_add(root, "INBOX", STORE_SEEN, NULL, "text\r\n");
    struct store_mailbox *mb = fixture_box(root, "INBOX", false);
    CU_ASSERT(store_dir_each(cur, rename_to, &cur, &e) == 0);
    GOOD(store_mailbox_store(mb, 0, STORE_OP_ADD, STORE_ANSWERED, 0, &e));
    VIEW(mb, "1:b");
    CU_ASSERT(store_dir_each(cur, rename_to, &cur, &e) == 0);
    int fd;
    GOOD(store_mailbox_read(mb, 0, &fd, NULL, &e));
    close(fd);
    GOOD(store_mailbox_store(mb, 0, STORE_OP_SET, STORE_SEEN, 1, &e));
    const struct store_changes *c;
    GOOD(store_mailbox_sync(mb, true, &c, &e));
    VIEW(mb, "1:10");
    struct str name = store_mailbox_base(mb, 0);
    char want[300];
    snprintf(want, sizeof want, "cur/%.*s:2,SXa,more",
             STR_FMT(name)); /* what others wrote is kept */
    CU_ASSERT(faccessat(root, want, F_OK, 0) == 0);
    store_mailbox_close(mb);
}

/* A file that was seen to vanish may not come back under its old UID. */
static void came_back(void)
{
    FIXTURE f = fixture_new();
    AUTO_BUF b = {0}, name = {0};
    struct err e;
    const struct store_changes *c;
    AUTO_FD root = fixture_maildir(&f);
    fixture_add(root, "INBOX", STORE_SEEN, NULL, "a\r\n");
    fixture_add(root, "INBOX", STORE_SEEN, NULL, "b\r\n");
    struct store_mailbox *mb = fixture_box(root, "INBOX", false);
    struct str base = store_mailbox_base(mb, 0);
    buf_printf(&name, "cur/%.*s:2,S", STR_FMT(base));
    CU_ASSERT_FATAL(renameat(root, buf_z(&name), root, "aside") == 0);
    GOOD(store_mailbox_sync(mb, true, &c, &e));
    VIEW(mb, "2:10");
    CU_ASSERT_FATAL(renameat(root, "aside", root, buf_z(&name)) == 0);
    GOOD(store_mailbox_sync(mb, true, &c, &e));
    VIEW(mb, "2:10 3:10");
    CU_ASSERT(c->exists_grew && c->exists == 2);
    store_mailbox_close(mb);
    mb = fixture_box(root, "INBOX", false);
    VIEW(mb, "2:10 3:10");
    store_mailbox_close(mb);
}

static void duplicates(void)
{
    FIXTURE f = fixture_new();
    AUTO_FD root = fixture_maildir(&f);
    /* two different messages, two links to one, the same in new/ and cur/ */
    fixture_put(root, "cur/1.a:2,S", "x");
    fixture_put(root, "cur/1.a:2,F", "other");
    fixture_put(root, "cur/2.b:2,S", "x");
    CU_ASSERT_FATAL(linkat(root, "cur/2.b:2,S", root, "cur/2.b:2,T", 0) == 0);
    fixture_put(root, "new/3.c", "x");
    fixture_put(root, "cur/3.c:2,", "different");
    struct store_mailbox *mb = fixture_box(root, "INBOX", false);
    CU_ASSERT(store_mailbox_count(mb) == 5);
    for (size_t i = 0; i < store_mailbox_count(mb); i++)
        for (size_t k = 0; k < i; k++)
            CU_ASSERT(!str_eq(store_mailbox_base(mb, i), store_mailbox_base(mb, k)));
    CU_ASSERT(fixture_count(root, "cur") + fixture_count(root, "new") == 5);
    store_mailbox_close(mb);
}

static void not_messages(void)
{
    FIXTURE f = fixture_new();
    AUTO_BUF b = {0};
    AUTO_FD root = fixture_maildir(&f);
    CU_ASSERT_FATAL(symlinkat("/etc/passwd", root, "cur/1.link:2,S") == 0 &&
                    mkfifoat(root, "cur/2.fifo:2,S", 0600) == 0 &&
                    mkdirat(root, "cur/3.dir", 0700) == 0);
    CU_ASSERT_FATAL(symlinkat("/etc/passwd", root, "new/4.link") == 0);
    fixture_put(root, "cur/.hidden", "x");
    fixture_put(root, "cur/5.real:2,", "x");
    struct store_mailbox *mb = fixture_box(root, "INBOX", false);
    VIEW(mb, "1:0");
    store_mailbox_close(mb);
    /* a message that turns into something else while it is open */
    mb = fixture_box(root, "INBOX", false);
    unlinkat(root, "cur/5.real:2,", 0);
    CU_ASSERT_FATAL(mkfifoat(root, "cur/5.real:2,", 0600) == 0);
    struct err e;
    int fd;
    CU_ASSERT(store_mailbox_read(mb, 0, &fd, NULL, &e) == -1 && e.kind == ERR_TEMPORARY &&
              fd == -1);
    store_mailbox_close(mb);
}

static void copying(void)
{
    FIXTURE f = fixture_new();
    AUTO_BUF b = {0};
    struct err e;
    AUTO_FD root = fixture_maildir(&f);
    fixture_add(root, "Archive", STORE_SEEN, "zero", "x\r\n");
    fixture_add(root, "INBOX", STORE_SEEN, "one", "1\r\n");
    fixture_add(root, "INBOX", 0, NULL, "2\r\n");
    fixture_add(root, "INBOX", STORE_FLAGGED, "ZERO", "3\r\n");
    fixture_add(root, "INBOX", STORE_DRAFT, NULL, "4\r\n");
    struct store_mailbox *mb = fixture_box(root, "INBOX", false),
                         *other = fixture_box(root, "INBOX", false);
    struct store_folder *to;
    uint32_t validity, *src, *dst;
    size_t n;
    GOOD(store_mailbox_expunge(other, 3, &e));
    GOOD(store_folder_open(root, STR("Archive"), &to, &e));
    GOOD(store_mailbox_copy(mb, (const size_t[]){0, 2, 3}, 3, to, false, &validity, &src, &dst, &n,
                            &e));
    CU_ASSERT(n == 2 && src[0] == 1 && src[1] == 3 && dst[0] == 2 && dst[1] == 3);
    free(src);
    free(dst);
    GOOD(store_mailbox_copy(mb, (const size_t[]){1}, 1, to, true, &validity, &src, &dst, &n, &e));
    CU_ASSERT(n == 1 && src[0] == 2 && dst[0] == 4);
    free(src);
    free(dst);
    VIEW(mb, "1:10 2:0R! 3:8 4:4!");
    store_folder_close(to);
    struct store_mailbox *archive = fixture_box(root, "Archive", false);
    VIEW(archive, "1:10 2:10 3:8 4:0R");
    CU_ASSERT(store_mailbox_uidvalidity(archive) == validity);
    CU_ASSERT(store_mailbox_at(archive, 0)->keywords == store_mailbox_at(archive, 2)->keywords);
    CU_ASSERT(store_mailbox_at(archive, 1)->keywords ==
              1u << store_mailbox_keyword_find(archive, STR("one")));
    GOOD(store_mailbox_measure(archive, 2, &e));
    CU_ASSERT(store_mailbox_at(archive, 2)->date == 1000000000);
    CU_ASSERT(fixture_count(root, ".Archive/tmp") == 0);
    store_mailbox_close(archive);
    store_mailbox_close(mb);
    store_mailbox_close(other);
}

static void all_or_none(void)
{
    FIXTURE f = fixture_new();
    struct err e;
    struct store_folder *to;
    uint32_t validity, *uids = NULL;
    size_t n;
    AUTO_FD root = fixture_maildir(&f);
    for (int fault = 0; fault < 3; fault++) {
        GOOD(store_folder_open(root, STR("Sent"), &to, &e));
        struct store_save *s = store_save_new(to);
        for (int i = 0; i < 3; i++) {
            GOOD(store_save_begin(s, i == 1 ? STORE_SEEN : 0, NULL, 0, INT64_MIN, 0, &e));
            GOOD(store_save_write(s, STR("x\r\n"), &e));
            GOOD(store_save_end(s, &e));
        }
        CU_ASSERT(fixture_count(root, ".Sent/tmp") == 3);
        if (fault == 0)
            fixture_mode(root, ".Sent", 0500); /* no lock, no new uidlist */
        else if (fault == 1)
            fixture_mode(root, ".Sent/cur", 0500); /* the second message cannot be placed */
        int r = store_save_commit(s, &validity, &uids, &n, &e);
        if (fault < 2)
            CU_ASSERT(r == -1 && e.kind == ERR_TEMPORARY && uids == NULL);
        fixture_mode(root, ".Sent", 0700);
        fixture_mode(root, ".Sent/cur", 0700);
        size_t want = fault == 2 ? 3 : 0;
        CU_ASSERT(fixture_count(root, ".Sent/tmp") == 0);
        CU_ASSERT(fixture_count(root, ".Sent/new") + fixture_count(root, ".Sent/cur") == want);
        store_folder_close(to);
    }
    CU_ASSERT(n == 3 && uids[0] == 1 && uids[1] == 2 && uids[2] == 3);
    free(uids);
}

static void read_only_disk(void)
{
    FIXTURE f = fixture_new();
    AUTO_BUF b = {0};
    struct err e;
    struct store_mailbox *mb;
    AUTO_FD root = fixture_maildir(&f);
    fixture_add(root, "INBOX", STORE_SEEN, NULL, "x\r\n");
    fixture_add(root, "INBOX", 0, NULL, "y\r\n");
    fixture_mode(root, "cur", 0500);
    fixture_mode(root, "new", 0500);
    fixture_mode(root, ".", 0500);
    mb = fixture_box(root, "INBOX", false);
    VIEW(mb, "1:10 2:0R");
    CU_ASSERT(store_mailbox_store(mb, 0, STORE_OP_ADD, STORE_DELETED, 0, &e) == -1 &&
              e.kind == ERR_TEMPORARY);
    CU_ASSERT(store_mailbox_expunge(mb, 1, &e) == -1 && e.kind == ERR_TEMPORARY);
    store_mailbox_close(mb);
    fixture_mode(root, ".", 0700);
    fixture_mode(root, "cur", 0700);
    fixture_put(root, "cur/9.unknown:2,", "z");
    fixture_mode(root, ".", 0500);
    /* a UID that cannot be written down is not told */
    CU_ASSERT(store_mailbox_open(root, STR("INBOX"), false, NULL, &mb, &e) == -1 &&
              e.kind == ERR_TEMPORARY);
    fixture_mode(root, ".", 0700);
    fixture_mode(root, "new", 0700);
}

static void identity_changes(void)
{
    FIXTURE f = fixture_new();
    struct err e;
    const struct store_changes *c;
    AUTO_FD root = fixture_maildir(&f);
    fixture_add(root, "Sent", STORE_SEEN, NULL, "x\r\n");
    struct store_mailbox *mb = fixture_box(root, "Sent", false);
    fixture_put(root, ".Sent/dovecot-uidlist", "3 V5 N9 G00112233445566778899aabbccddeeff\n");
    CU_ASSERT(store_mailbox_sync(mb, true, &c, &e) == -1 && e.kind == ERR_PERMANENT && e.client[0]);
    store_mailbox_close(mb);
    mb = fixture_box(root, "Sent", false);
    CU_ASSERT(store_mailbox_uidvalidity(mb) == 5 && store_mailbox_at(mb, 0)->uid == 9);
    GOOD(store_folder_delete(root, STR("Sent"), &e));
    CU_ASSERT(store_mailbox_sync(mb, true, &c, &e) == -1 && e.kind == ERR_PERMANENT && e.client[0]);
    store_mailbox_close(mb);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"a view is opened", opening},
        {"\\Recent goes to one session", recent},
        {"changes are told once and in time", changes},
        {"what came and went is not told", untold},
        {"files renamed by others are found", renamed_behind},
        {"a file that came back has a new UID", came_back},
        {"duplicates are kept apart", duplicates},
        {"only regular files are messages", not_messages},
        {"copy and move", copying},
        {"all messages are saved or none", all_or_none},
        {"a maildir that cannot be written", read_only_disk},
        {"a changed UIDVALIDITY ends the view", identity_changes},
        {NULL, NULL},
    };
    return unit_main("store-mailbox", tests);
}
