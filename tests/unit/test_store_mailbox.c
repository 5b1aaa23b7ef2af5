/* store/: folders, pictures and views of them, saving and copying, with others at work on the maildir. */
#include "store/deliver.h"
#include "store/mailbox_private.h"
#include "base/clock.h"
#include "tests/unit/store_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void say(const struct err *e)
{
    printf("# %s\n", e->log);
    fflush(stdout);
}

#define GOOD(call)                                                                                 \
    do {                                                                                           \
        int got = (call);                                                                          \
        if (got != 0)                                                                              \
            say(&e);                                                                               \
        CU_ASSERT_FATAL(got == 0);                                                                 \
    } while (0)

/* Appends one message; its UID. */
static uint32_t add(int root, const char *folder, uint8_t flags, const char *keyword, const char *text)
{
    struct store_folder *f;
    struct err e;
    struct str kw = str_from(keyword);
    uint32_t validity, *uids, uid;
    size_t n;
    if (store_folder_open(root, str_from(folder), &f, &e) != 0)
        abort();
    struct store_save *s = store_save_new(f);
    if (store_save_begin(s, flags, &kw, keyword ? 1 : 0, 1000000000, 0, &e) != 0 ||
        store_save_write(s, str_from(text), &e) != 0 || store_save_end(s, &e) != 0 ||
        store_save_commit(s, &validity, &uids, &n, &e) != 0)
        abort();
    uid = uids[0];
    free(uids);
    store_folder_close(f);
    return uid;
}

static struct store_mailbox *box(int root, const char *folder, bool read_only)
{
    struct store_mailbox *mb;
    struct err e;
    if (store_mailbox_open(root, str_from(folder), read_only, NULL, &mb, &e) != 0) {
        say(&e);
        abort();
    }
    return mb;
}

/* The view as text: "uid:flags" with R for recent, ! for gone. */
static const char *view(struct store_mailbox *mb, struct buf *b)
{
    buf_clear(b);
    for (size_t i = 0; i < store_mailbox_count(mb); i++) {
        const struct store_msg *m = store_mailbox_at(mb, i);
        buf_printf(b, "%s%u:%x%s%s", i ? " " : "", m->uid, m->flags, m->recent ? "R" : "",
                   m->gone ? "!" : "");
    }
    return buf_z(b);
}

#define VIEW(mb, want) UNIT_STR(str_from(view((mb), &b)), want)

static void opening(void)
{
    FIXTURE f = fixture_new();
    AUTO_BUF b = {0};
    struct err e;
    bool exact;
    AUTO_FD root = fixture_maildir(&f);
    add(root, "INBOX", STORE_SEEN, NULL, "a\r\n");
    add(root, "INBOX", STORE_SEEN | STORE_FLAGGED, "Work", "b\r\nc\r\n");
    add(root, "INBOX", 0, NULL, "");
    struct store_mailbox *mb = box(root, "inbox", false);
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
    CU_ASSERT(store_mailbox_open(root, STR("../x"), false, NULL, &mb, &e) == -1 && e.kind == ERR_PERMANENT);
}

static void recent(void)
{
    FIXTURE f = fixture_new();
    AUTO_BUF b = {0};
    AUTO_FD root = fixture_maildir(&f);
    add(root, "INBOX", 0, NULL, "x\r\n");
    struct store_mailbox *examine = box(root, "INBOX", true);
    VIEW(examine, "1:0R");
    CU_ASSERT(fixture_count(root, "new") == 1);
    struct store_mailbox *first = box(root, "INBOX", false), *second = box(root, "INBOX", false);
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
        add(root, "INBOX", STORE_SEEN, NULL, "x\r\n");
    struct store_mailbox *one = box(root, "INBOX", false), *two = box(root, "INBOX", false);
    GOOD(store_mailbox_sync(one, true, &c, &e));
    CU_ASSERT(!c->expunged && !c->flag_count && !c->exists_grew && c->exists == 5 && !c->keywords_changed);
    unsigned bit;
    GOOD(store_mailbox_keyword_add(two, STR("todo"), &bit, &e));
    GOOD(store_mailbox_store(two, 4, STORE_OP_ADD, STORE_FLAGGED, 1u << bit, &e));
    GOOD(store_mailbox_store(two, 2, STORE_OP_REMOVE, STORE_SEEN, 0, &e));
    GOOD(store_mailbox_expunge(two, 0, &e));
    GOOD(store_mailbox_expunge(two, 3, &e));
    add(root, "INBOX", STORE_ANSWERED, NULL, "new\r\n");
    GOOD(store_mailbox_sync(one, false, &c, &e));
    VIEW(one, "1:10! 2:10 3:0 4:10! 5:18 6:1");
    CU_ASSERT(c->expunged == 0 && c->flag_count == 2 && c->flagged[0] == 3 && c->flagged[1] == 5 &&
              c->exists_grew && c->exists == 6 && c->keywords_changed);
    int fd;
    CU_ASSERT(store_mailbox_read(one, 0, &fd, NULL, &e) == 1 && fd == -1);
    GOOD(store_mailbox_sync(one, true, &c, &e));
    VIEW(one, "2:10 3:0 5:18 6:1");
    CU_ASSERT(c->expunged == 2 && c->expunged_seq[0] == 4 && c->expunged_uid[0] == 4 &&
              c->expunged_seq[1] == 1 && c->expunged_uid[1] == 1 && !c->flag_count && !c->exists_grew);
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
    add(root, "INBOX", STORE_SEEN, NULL, "x\r\n");
    struct store_mailbox *mb = box(root, "INBOX", false), *other;
    add(root, "INBOX", STORE_SEEN, NULL, "y\r\n");
    add(root, "INBOX", STORE_SEEN, NULL, "z\r\n");
    int fd;
    GOOD(store_mailbox_read(mb, 0, &fd, NULL, &e));
    close(fd);
    other = box(root, "INBOX", false);
    GOOD(store_mailbox_expunge(other, 0, &e));
    CU_ASSERT(store_mailbox_read(mb, 0, &fd, NULL, &e) == 1); /* looks, and sees 2 and 3 too */
    VIEW(mb, "1:10! 2:10 3:10");
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
    snprintf(to, sizeof to, "%.*s:2,FXT,more", (int)(colon < 0 ? (ptrdiff_t)name.n : colon), name.p);
    return renameat(dir, name.p, dir, to);
}

static void renamed_behind(void)
{
    FIXTURE f = fixture_new();
    AUTO_BUF b = {0};
    struct err e;
    AUTO_FD root = fixture_maildir(&f);
    AUTO_FD cur = store_dir_open(root, "cur");
    add(root, "INBOX", STORE_SEEN, NULL, "text\r\n");
    struct store_mailbox *mb = box(root, "INBOX", false);
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
    snprintf(want, sizeof want, "cur/%.*s:2,SXa,more", STR_FMT(name)); /* what others wrote is kept */
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
    add(root, "INBOX", STORE_SEEN, NULL, "a\r\n");
    add(root, "INBOX", STORE_SEEN, NULL, "b\r\n");
    struct store_mailbox *mb = box(root, "INBOX", false);
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
    mb = box(root, "INBOX", false);
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
    struct store_mailbox *mb = box(root, "INBOX", false);
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
                    mkfifoat(root, "cur/2.fifo:2,S", 0600) == 0 && mkdirat(root, "cur/3.dir", 0700) == 0);
    CU_ASSERT_FATAL(symlinkat("/etc/passwd", root, "new/4.link") == 0);
    fixture_put(root, "cur/.hidden", "x");
    fixture_put(root, "cur/5.real:2,", "x");
    struct store_mailbox *mb = box(root, "INBOX", false);
    VIEW(mb, "1:0");
    store_mailbox_close(mb);
    /* a message that turns into something else while it is open */
    mb = box(root, "INBOX", false);
    unlinkat(root, "cur/5.real:2,", 0);
    CU_ASSERT_FATAL(mkfifoat(root, "cur/5.real:2,", 0600) == 0);
    struct err e;
    int fd;
    CU_ASSERT(store_mailbox_read(mb, 0, &fd, NULL, &e) == -1 && e.kind == ERR_TEMPORARY && fd == -1);
    store_mailbox_close(mb);
}

static void copying(void)
{
    FIXTURE f = fixture_new();
    AUTO_BUF b = {0};
    struct err e;
    AUTO_FD root = fixture_maildir(&f);
    add(root, "Archive", STORE_SEEN, "zero", "x\r\n");
    add(root, "INBOX", STORE_SEEN, "one", "1\r\n");
    add(root, "INBOX", 0, NULL, "2\r\n");
    add(root, "INBOX", STORE_FLAGGED, "ZERO", "3\r\n");
    add(root, "INBOX", STORE_DRAFT, NULL, "4\r\n");
    struct store_mailbox *mb = box(root, "INBOX", false), *other = box(root, "INBOX", false);
    struct store_folder *to;
    uint32_t validity, *src, *dst;
    size_t n;
    GOOD(store_mailbox_expunge(other, 3, &e));
    GOOD(store_folder_open(root, STR("Archive"), &to, &e));
    GOOD(store_mailbox_copy(mb, (const size_t[]){0, 2, 3}, 3, to, false, &validity, &src, &dst, &n, &e));
    CU_ASSERT(n == 2 && src[0] == 1 && src[1] == 3 && dst[0] == 2 && dst[1] == 3);
    free(src);
    free(dst);
    GOOD(store_mailbox_copy(mb, (const size_t[]){1}, 1, to, true, &validity, &src, &dst, &n, &e));
    CU_ASSERT(n == 1 && src[0] == 2 && dst[0] == 4);
    free(src);
    free(dst);
    VIEW(mb, "1:10 2:0R! 3:8 4:4!");
    store_folder_close(to);
    struct store_mailbox *archive = box(root, "Archive", false);
    VIEW(archive, "1:10 2:10 3:8 4:0R");
    CU_ASSERT(store_mailbox_uidvalidity(archive) == validity);
    CU_ASSERT(store_mailbox_at(archive, 0)->keywords == store_mailbox_at(archive, 2)->keywords);
    CU_ASSERT(store_mailbox_at(archive, 1)->keywords == 1u << store_mailbox_keyword_find(archive, STR("one")));
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
    add(root, "INBOX", STORE_SEEN, NULL, "x\r\n");
    add(root, "INBOX", 0, NULL, "y\r\n");
    fixture_mode(root, "cur", 0500);
    fixture_mode(root, "new", 0500);
    fixture_mode(root, ".", 0500);
    mb = box(root, "INBOX", false);
    VIEW(mb, "1:10 2:0R");
    CU_ASSERT(store_mailbox_store(mb, 0, STORE_OP_ADD, STORE_DELETED, 0, &e) == -1 && e.kind == ERR_TEMPORARY);
    CU_ASSERT(store_mailbox_expunge(mb, 1, &e) == -1 && e.kind == ERR_TEMPORARY);
    store_mailbox_close(mb);
    fixture_mode(root, ".", 0700);
    fixture_mode(root, "cur", 0700);
    fixture_put(root, "cur/9.unknown:2,", "z");
    fixture_mode(root, ".", 0500);
    /* a UID that cannot be written down is not told */
    CU_ASSERT(store_mailbox_open(root, STR("INBOX"), false, NULL, &mb, &e) == -1 && e.kind == ERR_TEMPORARY);
    fixture_mode(root, ".", 0700);
    fixture_mode(root, "new", 0700);
}

static void identity_changes(void)
{
    FIXTURE f = fixture_new();
    struct err e;
    const struct store_changes *c;
    AUTO_FD root = fixture_maildir(&f);
    add(root, "Sent", STORE_SEEN, NULL, "x\r\n");
    struct store_mailbox *mb = box(root, "Sent", false);
    fixture_put(root, ".Sent/dovecot-uidlist", "3 V5 N9 G00112233445566778899aabbccddeeff\n");
    CU_ASSERT(store_mailbox_sync(mb, true, &c, &e) == -1 && e.kind == ERR_PERMANENT && e.client[0]);
    store_mailbox_close(mb);
    mb = box(root, "Sent", false);
    CU_ASSERT(store_mailbox_uidvalidity(mb) == 5 && store_mailbox_at(mb, 0)->uid == 9);
    GOOD(store_folder_delete(root, STR("Sent"), &e));
    CU_ASSERT(store_mailbox_sync(mb, true, &c, &e) == -1 && e.kind == ERR_PERMANENT && e.client[0]);
    store_mailbox_close(mb);
}

/* ---- folders ---- */

static void check_folders(int root, const char *want)
{
    AUTO_ARENA a = arena_new(1024);
    AUTO_BUF b = {0};
    struct store_names n;
    struct err e;
    GOOD(store_folder_list(root, a, &n, &e));
    for (size_t i = 0; i < n.count; i++)
        buf_printf(&b, "%s%.*s", i ? " " : "", STR_FMT(n.name[i]));
    UNIT_STR(buf_view(&b), want);
}

static void folders(void)
{
    FIXTURE f = fixture_new();
    struct err e;
    bool existing;
    AUTO_FD root = fixture_maildir(&f);
    mkdirat(root, ".notafolder", 0700);
    mkdirat(root, "..odd", 0700);
    CU_ASSERT_FATAL(symlinkat(".Sent", root, ".link") == 0);
    GOOD(store_folder_create(root, STR("A.B.C"), &e));
    GOOD(store_folder_create(root, STR("A.B"), &e));
    GOOD(store_folder_create(root, STR("AB"), &e));
    CU_ASSERT(store_folder_create(root, STR("A.B"), &e) == 1);
    CU_ASSERT(store_folder_create(root, STR("Inbox"), &e) == 1);
    CU_ASSERT(store_folder_create(root, STR("link"), &e) == 1);
    check_folders(root, "INBOX A.B A.B.C AB Archive Drafts Junk Sent Trash");
    GOOD(store_folder_rename(root, STR("A"), STR("X.Y"), &existing, &e)); /* only children */
    check_folders(root, "INBOX AB Archive Drafts Junk Sent Trash X.Y.B X.Y.B.C");
    CU_ASSERT(store_folder_rename(root, STR("X.Y.B"), STR("AB"), &existing, &e) == 1 && existing);
    CU_ASSERT(store_folder_rename(root, STR("none"), STR("other"), &existing, &e) == 1 && !existing);
    CU_ASSERT(store_folder_rename(root, STR("X.Y.B"), STR("X.Y.B.D"), &existing, &e) == -1);
    CU_ASSERT(store_folder_rename(root, STR("AB"), STR("INBOX"), &existing, &e) == 1 && existing);
    CU_ASSERT(store_folder_rename(root, STR("AB"), STR("../AB"), &existing, &e) == -1);
    GOOD(store_folder_create(root, STR("Z.C"), &e));
    CU_ASSERT(store_folder_rename(root, STR("X.Y.B"), STR("Z"), &existing, &e) == 1 && existing); /* child */
    check_folders(root, "INBOX AB Archive Drafts Junk Sent Trash X.Y.B X.Y.B.C Z.C");
    GOOD(store_folder_delete(root, STR("X.Y.B"), &e));
    CU_ASSERT(store_folder_delete(root, STR("X.Y.B"), &e) == 1);
    CU_ASSERT(store_folder_delete(root, STR("inbox"), &e) == -1 && e.kind == ERR_PERMANENT);
    CU_ASSERT(store_folder_delete(root, STR("link"), &e) == -1); /* a link is not followed */
    check_folders(root, "INBOX AB Archive Drafts Junk Sent Trash X.Y.B.C Z.C");
    CU_ASSERT(fixture_count(root, "tmp") == 0);
}

static void recreated(void)
{
    FIXTURE f = fixture_new();
    struct err e;
    uint32_t last = 0;
    AUTO_FD root = fixture_maildir(&f);
    for (int i = 0; i < 3; i++) {
        GOOD(store_folder_create(root, STR("again"), &e));
        struct store_mailbox *mb = box(root, "again", false);
        CU_ASSERT(store_mailbox_uidvalidity(mb) > last);
        last = store_mailbox_uidvalidity(mb);
        store_mailbox_close(mb);
        GOOD(store_folder_delete(root, STR("again"), &e));
    }
}

static void inbox_moves(void)
{
    FIXTURE f = fixture_new();
    AUTO_BUF b = {0};
    struct err e;
    bool existing;
    AUTO_FD root = fixture_maildir(&f);
    add(root, "INBOX", STORE_SEEN, "kept", "a\r\n");
    add(root, "INBOX", 0, NULL, "b\r\n");
    CU_ASSERT(store_folder_rename(root, STR("INBOX"), STR("Sent"), &existing, &e) == 1 && existing);
    GOOD(store_folder_rename(root, STR("inbox"), STR("Old.2024"), &existing, &e));
    struct store_mailbox *mb = box(root, "Old.2024", false);
    VIEW(mb, "1:10 2:0R");
    CU_ASSERT(store_mailbox_at(mb, 0)->keywords == 1 && store_mailbox_keyword_find(mb, STR("kept")) == 0);
    store_mailbox_close(mb);
    mb = box(root, "INBOX", false);
    VIEW(mb, "");
    CU_ASSERT(store_mailbox_uidnext(mb) == 3);
    store_mailbox_close(mb);
}

static void status(void)
{
    FIXTURE f = fixture_new();
    struct err e;
    struct store_status s;
    AUTO_FD root = fixture_maildir(&f);
    add(root, "INBOX", STORE_SEEN | STORE_DELETED, NULL, "a\r\n");
    add(root, "INBOX", 0, NULL, "b\r\nc\r\n");
    fixture_put(root, "cur/5.by-hand:2,F", "x\ny\n");
    GOOD(store_status(root, STR("INBOX"), NULL, STORE_STATUS_SIZE, &s, &e));
    CU_ASSERT(s.messages == 3 && s.recent == 1 && s.unseen == 2 && s.deleted == 1 && s.uidnext == 4 &&
              s.size == 3 + 6 + 6);
    CU_ASSERT(fixture_count(root, "new") == 1); /* STATUS takes \Recent from nobody */
    GOOD(store_status(root, STR("INBOX"), NULL, 0, &s, &e));
    CU_ASSERT(s.size == STORE_SIZE_UNKNOWN && s.highest == 0);
    CU_ASSERT(store_status(root, STR("none"), NULL, 0, &s, &e) == 1);
}

/* ---- many ---- */

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
    FIXTURE f = fixture_new();
    AUTO_FD root = fixture_maildir(&f);
    AUTO_FD cur = store_dir_open(root, "cur");
    char name[60], text[16];
    struct err e;
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "%d.M1P1.h,S=3,W=4:2,S", 1000 + i);
        fixture_put(cur, name, "ab\n");
    }
    struct store_mailbox *mb = box(root, "INBOX", false);
    CU_ASSERT_FATAL(store_mailbox_count(mb) == N);
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "%d.M1P1.h,S=3,W=4:2,S", 1000 + i);
        forget_file(cur, name);
    }
    for (size_t i = 0; i < READ; i++) {
        AUTO_FD fd = -1;
        CU_ASSERT(store_mailbox_read(mb, i, &fd, NULL, &e) == 0 && read(fd, text, sizeof text) == 3);
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
    CU_ASSERT(store_mailbox_read(mb, 0, &first, NULL, &e) == 0 && !mb->ahead.cold && mb->ahead.run == 0);
    store_mailbox_close(mb);
}

/* Files in a maildir where nothing has happened for a while get their UIDs in the order of their names, and the
 * next look finds what was removed meanwhile. */
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
    struct store_mailbox *mb = box(root, "INBOX", false);
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
    mb = box(root, "INBOX", false);
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
    struct store_mailbox *mb = box(root, "INBOX", false);
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
    mb = box(root, "INBOX", false);
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
        add(root, "INBOX", STORE_SEEN, NULL, "text\r\n");
    struct store_mailbox *mb = box(root, "INBOX", false);
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

/* What is newer than a file that was passed by waits for it: UIDs come into a view in their order. */
static void newer_waits(void)
{
    FIXTURE f = fixture_new();
    AUTO_FD root = fixture_maildir(&f);
    struct err e;
    struct mailbox_merge m;
    struct store_entry entry[] = {{.uid = 1}, {.uid = 3}};
    struct store_picture p = {.entry = entry, .count = 2, .uneasy = true};
    struct str late[2];
    add(root, "INBOX", STORE_SEEN, NULL, "text\r\n");
    struct store_mailbox *mb = box(root, "INBOX", false);
    add(root, "INBOX", STORE_SEEN, NULL, "text\r\n");
    add(root, "INBOX", STORE_SEEN, NULL, "text\r\n");
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

/* One of several processes that do what mail programs do, at once. */
static int crowd_member(int root, unsigned seed)
{
    struct err e;
    const struct store_changes *c;
    struct store_mailbox *mb = box(root, "INBOX", false);
    int bad = 0;
    for (int turn = 0; turn < 60 && !bad; turn++) {
        size_t n = store_mailbox_count(mb), at = n ? (size_t)rand_r(&seed) % n : 0;
        switch (rand_r(&seed) % 6) {
        case 0:
            add(root, "INBOX", seed & 1 ? STORE_SEEN : 0, NULL, "appended\r\n");
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
            say(&e);
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
        add(root, "INBOX", 0, NULL, "start\r\n");
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
    struct store_mailbox *one = box(root, "INBOX", false), *two = box(root, "INBOX", true);
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
        {"folders", folders},
        {"a folder made again", recreated},
        {"INBOX renamed", inbox_moves},
        {"status", status},
        {"a quiet maildir", quiet_maildir},
        {"reading ahead", reading_ahead},
        {"10,000 messages", ten_thousand},
        {"a listing that passes a file by", passed_by},
        {"newer messages wait for one that was passed by", newer_waits},
        {"four sessions at once", crowd},
        {NULL, NULL}};
    return unit_main("store-mailbox", tests);
}
