/* directory/grants.h */
#include "directory/grants.h"
#include "tests/unit/test_directory.h"

#define MINUTE (60 * 1000)
#define HOUR (60 * MINUTE)

static struct grant_fields fields(enum grant_kind kind, enum service service)
{
    return (struct grant_fields){.kind = kind,
                                 .service = service,
                                 .uid = 20001,
                                 .gid = 20100,
                                 .home = STR("/var/vmail/a"),
                                 .maildir = STR("/var/vmail/a/mailbox/"),
                                 .address = STR("a@mail.example"),
                                 .login = STR("a"),
                                 .dn = STR("uid=a,dc=x")};
}

static struct grant issue(struct grants *g, enum grant_kind kind, enum service service,
                          uint64_t holder, int64_t now)
{
    struct grant id = {0};
    struct grant_fields f = fields(kind, service);
    CU_ASSERT(grants_issue(g, &f, holder, now, &id) == 0);
    CU_ASSERT(!grant_is_none(&id));
    return id;
}

static void lives(enum grant_kind kind, enum service service, int64_t ms)
{
    struct grants *g = grants_new(10);
    struct grant id = issue(g, kind, service, 1, 5000);
    CU_ASSERT(grants_find(g, &id, 5000 + ms - 1) != NULL);
    CU_ASSERT(grants_find(g, &id, 5000 + ms) == NULL);
    grants_sweep(g, 5000 + ms - 1);
    CU_ASSERT(grants_count(g) == 1);
    grants_sweep(g, 5000 + ms);
    CU_ASSERT(grants_count(g) == 0);
    grants_free(g);
}

void test_grant_lives(void)
{
    lives(GRANT_DELIVER, 0, 10 * MINUTE);
    lives(GRANT_LOGIN, SERVICE_SUBMISSION, 24 * HOUR);
    lives(GRANT_LOGIN, SERVICE_SUBMISSIONS, 24 * HOUR);
    lives(GRANT_LOGIN, SERVICE_SMTP, 24 * HOUR);
    lives(GRANT_LOGIN, SERVICE_IMAPS, MINUTE);
    lives(GRANT_LOGIN, SERVICE_POP3, MINUTE);
}

static unsigned redeemers(struct grants *g, const struct grant *id)
{
    unsigned all = 0;
    for (unsigned p = MASTER; p <= SESSION; p <<= 1)
        if (grants_may_redeem(grants_find(g, id, 0), p))
            all |= p;
    return all;
}

void test_grant_redeemers(void)
{
    struct grants *g = grants_new(10);
    struct grant deliver = issue(g, GRANT_DELIVER, 0, 1, 0);
    struct grant imap = issue(g, GRANT_LOGIN, SERVICE_IMAP, 1, 0);
    struct grant submission = issue(g, GRANT_LOGIN, SERVICE_SUBMISSION, 1, 0);
    CU_ASSERT(redeemers(g, &deliver) == DELIVER);
    CU_ASSERT(redeemers(g, &imap) == MASTER);
    CU_ASSERT(redeemers(g, &submission) == QUEUE);
    CU_ASSERT(grants_is_single_use(grants_find(g, &deliver, 0)));
    CU_ASSERT(grants_is_single_use(grants_find(g, &imap, 0)));
    CU_ASSERT(!grants_is_single_use(grants_find(g, &submission, 0)));
    const struct grant_fields *f = grants_fields(grants_find(g, &imap, 0));
    UNIT_STR(f->home, "/var/vmail/a");
    UNIT_STR(f->maildir, "/var/vmail/a/mailbox/");
    UNIT_STR(f->address, "a@mail.example");
    UNIT_STR(f->login, "a");
    UNIT_STR(f->dn, "uid=a,dc=x");
    CU_ASSERT(f->uid == 20001 && f->gid == 20100);
    grants_remove(g, grants_find(g, &imap, 0));
    CU_ASSERT(grants_find(g, &imap, 0) == NULL);
    CU_ASSERT(grants_count(g) == 2);
    grants_free(g);
}

void test_grant_unknown(void)
{
    struct grants *g = grants_new(10);
    struct grant id = issue(g, GRANT_DELIVER, 0, 1, 0), none = {0};
    CU_ASSERT(grants_find(g, &none, 0) == NULL);
    for (int bit = 0; bit < GRANT_SIZE * 8; bit++) {
        struct grant other = id;
        other.b[bit / 8] ^= (unsigned char)(1 << bit % 8);
        CU_ASSERT(grants_find(g, &other, 0) == NULL);
    }
    CU_ASSERT(grants_find(g, &id, 0) != NULL);
    grants_free(g);
}

/* Each lifetime has its own bound, and room comes back with age. */
void test_grant_bounds(void)
{
    struct grants *g = grants_new(3);
    struct grant_fields f = fields(GRANT_DELIVER, 0);
    struct grant id;
    for (int i = 0; i < 3; i++)
        issue(g, GRANT_DELIVER, 0, 1, i * MINUTE);
    CU_ASSERT(grants_issue(g, &f, 1, 3 * MINUTE, &id) == -1);
    issue(g, GRANT_LOGIN, SERVICE_IMAP, 1, 3 * MINUTE);
    CU_ASSERT(grants_issue(g, &f, 1, 10 * MINUTE - 1, &id) == -1);
    CU_ASSERT(grants_issue(g, &f, 1, 10 * MINUTE, &id) == 0);
    CU_ASSERT(grants_issue(g, &f, 1, 10 * MINUTE, &id) == -1);
    grants_free(g);
}

void test_grant_holder_gone(void)
{
    struct grants *g = grants_new(10);
    struct grant mine = issue(g, GRANT_LOGIN, SERVICE_SUBMISSION, 1, 0);
    struct grant other = issue(g, GRANT_LOGIN, SERVICE_SUBMISSION, 2, 0);
    struct grant on_its_way = issue(g, GRANT_DELIVER, 0, 1, 0);
    issue(g, GRANT_LOGIN, SERVICE_SUBMISSIONS, 1, 0);
    CU_ASSERT(grants_holder(grants_find(g, &other, 0)) == 2);
    grants_drop_holder(g, 1);
    CU_ASSERT(grants_count(g) == 2);
    CU_ASSERT(grants_find(g, &mine, 0) == NULL);
    CU_ASSERT(grants_find(g, &other, 0) != NULL);
    CU_ASSERT(grants_find(g, &on_its_way, 0) != NULL);
    grants_free(g);
}
