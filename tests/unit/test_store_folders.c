/* store/folders.h: folders made, renamed and removed, and STATUS. */
#include "store/folders.h"
#include "tests/unit/store_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

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
    CU_ASSERT(store_folder_rename(root, STR("none"), STR("other"), &existing, &e) == 1 &&
              !existing);
    CU_ASSERT(store_folder_rename(root, STR("X.Y.B"), STR("X.Y.B.D"), &existing, &e) == -1);
    CU_ASSERT(store_folder_rename(root, STR("AB"), STR("INBOX"), &existing, &e) == 1 && existing);
    CU_ASSERT(store_folder_rename(root, STR("AB"), STR("../AB"), &existing, &e) == -1);
    GOOD(store_folder_create(root, STR("Z.C"), &e));
    CU_ASSERT(store_folder_rename(root, STR("X.Y.B"), STR("Z"), &existing, &e) == 1 &&
              existing); /* child */
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
        struct store_mailbox *mb = fixture_box(root, "again", false);
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
    fixture_add(root, "INBOX", STORE_SEEN, "kept", "a\r\n");
    fixture_add(root, "INBOX", 0, NULL, "b\r\n");
    CU_ASSERT(store_folder_rename(root, STR("INBOX"), STR("Sent"), &existing, &e) == 1 && existing);
    GOOD(store_folder_rename(root, STR("inbox"), STR("Old.2024"), &existing, &e));
    struct store_mailbox *mb = fixture_box(root, "Old.2024", false);
    VIEW(mb, "1:10 2:0R");
    CU_ASSERT(store_mailbox_at(mb, 0)->keywords == 1 &&
              store_mailbox_keyword_find(mb, STR("kept")) == 0);
    store_mailbox_close(mb);
    mb = fixture_box(root, "INBOX", false);
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
    fixture_add(root, "INBOX", STORE_SEEN | STORE_DELETED, NULL, "a\r\n");
    fixture_add(root, "INBOX", 0, NULL, "b\r\nc\r\n");
    fixture_put(root, "cur/5.by-hand:2,F", "x\ny\n");
    GOOD(store_status(root, STR("INBOX"), NULL, NULL, STORE_STATUS_SIZE, &s, &e));
    CU_ASSERT(s.messages == 3 && s.recent == 1 && s.unseen == 2 && s.deleted == 1 &&
              s.uidnext == 4 && s.size == 3 + 6 + 6);
    CU_ASSERT(fixture_count(root, "new") == 1); /* STATUS takes \Recent from nobody */
    GOOD(store_status(root, STR("INBOX"), NULL, NULL, 0, &s, &e));
    CU_ASSERT(s.size == STORE_SIZE_UNKNOWN && s.highest == 0);
    CU_ASSERT(store_status(root, STR("none"), NULL, NULL, 0, &s, &e) == 1);
}

/* ---- what STATUS keeps ---- */

/* Some change, by this session or another one, or by a program that knows no sessions. */
static void change_something(int root, struct store_mailbox *other, unsigned *seed)
{
    const struct store_changes *c;
    struct err e;
    size_t n = store_mailbox_count(other), at = n ? (size_t)rand_r(seed) % n : 0;
    uint8_t flags = (uint8_t)(rand_r(seed) & 31);
    char name[40];
    switch (rand_r(seed) % 6) {
    case 0:
    case 1:
        fixture_add(root, "Sent", rand_r(seed) % 3 ? flags | STORE_SEEN : 0, NULL, "some text\r\n");
        break;
    case 2:
        snprintf(name, sizeof name, ".Sent/%s/%d.by-hand%s", flags & 1 ? "cur" : "new", rand_r(seed),
                 flags & 1 ? ":2,D" : "");
        fixture_put(root, name, "x\ny\n");
        break;
    case 3:
        if (n)
            CU_ASSERT(store_mailbox_store(other, at, STORE_OP_SET, flags, 0, &e) >= 0);
        break;
    case 4:
        if (n > 10)
            CU_ASSERT(store_mailbox_expunge(other, at, &e) >= 0);
        break;
    default: /* new/ is emptied, and the index written */
        CU_ASSERT(store_mailbox_sync(other, true, &c, &e) == 0);
    }
}

static bool same_status(const struct store_status *a, const struct store_status *b)
{
    return a->uidvalidity == b->uidvalidity && a->uidnext == b->uidnext && a->messages == b->messages &&
           a->recent == b->recent && a->unseen == b->unseen && a->deleted == b->deleted &&
           a->size == b->size && a->deleted_size == b->deleted_size;
}

static void status_kept(void)
{
    FIXTURE f = fixture_new();
    struct err e;
    struct store_status kept, fresh;
    struct store_mailbox *view = NULL, *other;
    unsigned want = STORE_STATUS_SIZE | STORE_STATUS_DELETED_SIZE, seed = (unsigned)time(NULL);
    AUTO_FD root = fixture_maildir(&f);
    struct store_index *x = store_index_new(root), *y = store_index_new(root);
    printf("# seed %u\n", seed);
    GOOD(store_mailbox_open(root, STR("Sent"), false, y, &other, &e));
    bool good = true, was_kept = false;
    for (int i = 0; i < 300 && good; i++) {
        for (int n = rand_r(&seed) % 3; n >= 0; n--)
            change_something(root, other, &seed);
        GOOD(store_status(root, STR("Sent"), x, &view, want, &kept, &e));
        GOOD(store_status(root, STR("Sent"), NULL, NULL, want, &fresh, &e));
        good = same_status(&kept, &fresh);
        was_kept |= view != NULL;
    }
    CU_ASSERT(good);
    CU_ASSERT(was_kept || !store_watch_tells_all(root));
    store_mailbox_close(other);
    store_mailbox_close(view);
    store_index_free(x);
    store_index_free(y);
}

/* The name leads to another folder, or to none. */
static void status_kept_of_another(void)
{
    FIXTURE f = fixture_new();
    struct err e;
    struct store_status s;
    struct store_mailbox *view = NULL;
    bool existing;
    AUTO_FD root = fixture_maildir(&f);
    struct store_index *x = store_index_new(root);
    for (uint32_t i = 1; i < 4; i++) {
        fixture_add(root, "Sent", STORE_SEEN, NULL, "a\r\n");
        GOOD(store_status(root, STR("Sent"), x, &view, 0, &s, &e));
        CU_ASSERT(s.messages == i);
    }
    GOOD(store_folder_rename(root, STR("Sent"), STR("Old"), &existing, &e));
    CU_ASSERT(store_status(root, STR("Sent"), x, &view, 0, &s, &e) == 1);
    GOOD(store_status(root, STR("Old"), x, &view, 0, &s, &e));
    CU_ASSERT(s.messages == 3);
    GOOD(store_folder_create(root, STR("Sent"), &e));
    GOOD(store_status(root, STR("Sent"), x, &view, 0, &s, &e));
    CU_ASSERT(s.messages == 0);
    fixture_add(root, "Old", 0, NULL, "b\r\n");
    GOOD(store_status(root, STR("Old"), x, &view, 0, &s, &e));
    CU_ASSERT(s.messages == 4 && s.recent == 1 && s.uidnext == 5);
    GOOD(store_folder_delete(root, STR("Old"), &e));
    CU_ASSERT(store_status(root, STR("Old"), x, &view, 0, &s, &e) == 1);
    store_mailbox_close(view);
    store_index_free(x);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"folders", folders},
        {"a folder made again", recreated},
        {"INBOX renamed", inbox_moves},
        {"status", status},
        {"status of a folder that changes", status_kept},
        {"status of a folder under another name", status_kept_of_another},
        {NULL, NULL},
    };
    return unit_main("store-folders", tests);
}
