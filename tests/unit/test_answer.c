/* Answers of people who are away: which mail has none, whose address it was written to, the text, and
 * who was told before. */
#include "queue/answer.h"
#include "queue/db.h"
#include "tests/unit/unit.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* RFC 3834 section 2. */
static void forbidden(void)
{
    static const struct {
        const char *sender, *header;
        bool forbidden;
    } t[] = {
        {"a@x.example", "Subject: x\n\n", false},
        {"", "Subject: x\n\n", true},
        {"owner-list@x.example", "\n", true},
        {"List-Request@x.example", "\n", true},
        {"list-bounces@x.example", "\n", true},
        {"MAILER-DAEMON@x.example", "\n", true},
        {"ownership@x.example", "\n", false},
        {"a@x.example", "Auto-Submitted: auto-generated\n\n", true},
        {"a@x.example", "auto-submitted: AUTO-REPLIED; owner-email=a\n\n", true},
        {"a@x.example", "Auto-Submitted: No (by hand)\n\n", false},
        {"a@x.example", "Auto-Submitted:\n no; x=y\n\n", false},
        {"a@x.example", "Precedence: Bulk\n\n", true},
        {"a@x.example", "Precedence: list\n\n", true},
        {"a@x.example", "Precedence: junk\n\n", true},
        {"a@x.example", "Precedence: first-class\n\n", false},
        {"a@x.example", "Subject: x\nlist-unsubscribe: <mailto:x>\n\n", true},
        {"a@x.example", "Subject: List-Id: x\n\nList-Id: <in.the.body>\n", false},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        AUTO_ARENA a = arena_new(256);
        const char *why = answer_forbidden(a, str_from(t[i].sender), str_from(t[i].header));
        CU_ASSERT((why != NULL) == t[i].forbidden);
    }
}

static void addressees(void)
{
    static const char addresses[] = "anna@mail.example\nAnna.B@Example.com\n*@x.example\n\"a b\"@c.example\n";
    static const struct {
        const char *header, *want;
    } t[] = {
        {"To: anna.b@example.COM\n\n", "Anna.B@Example.com"},
        {"To: Others <x@example.com>\nCc: \"B, Anna\" <ANNA@mail.example>, y@z.example\n\n",
         "anna@mail.example"},
        {"To: group: x@y.example,\n anna+news@mail.example;\n\n", "anna@mail.example"},
        {"Resent-To: anna@mail.example\nTo: x@y.example\n\n", "anna@mail.example"},
        {"To: \"a b\"@c.example\n\n", "\"a b\"@c.example"},
        {"To: undisclosed-recipients:;\n\n", NULL},
        {"Bcc: anna@mail.example\n\n", NULL},
        {"To: joanna@mail.example\nSubject: anna@mail.example\n\n", NULL},
        {"To: someone@x.example\n\n", NULL},
        {"\n", NULL},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        AUTO_ARENA a = arena_new(256);
        struct str own;
        bool found = answer_addressee(a, str_from(t[i].header), STR(addresses), STR("+"), &own);
        CU_ASSERT(found == (t[i].want != NULL));
        if (found && t[i].want)
            UNIT_STR(own, t[i].want);
    }
}

static void print(struct answer n, struct buf *out)
{
    AUTO_ARENA a = arena_new(256);
    n.from = STR("anna@example.com");
    n.to = STR("max@x.example");
    n.host = STR("mail.example");
    n.id = 255;
    n.now_ms = 1700000000000;
    answer_print(a, &n, out);
}

static void texts(void)
{
    AUTO_BUF plain = {0}, other = {0}, none = {0};
    print((struct answer){.header = STR("Subject: =?utf-8?q?G=C3=A4nse?=\n for sale\n"
                                        "Message-ID: <2@x>\nReferences: <0@x>\n <1@x>\n\n"),
                          .text = STR("I am away.\r\n.\n")}, &plain);
    UNIT_STR(buf_view(&plain),
             "Date: Tue, 14 Nov 2023 22:13:20 +0000\nFrom: <anna@example.com>\nTo: <max@x.example>\n"
             "Subject: Auto: =?utf-8?q?G=C3=A4nse?= for sale\nMessage-ID: <ff.away@mail.example>\n"
             "In-Reply-To: <2@x>\nReferences: <0@x>\n <1@x>\n <2@x>\nAuto-Submitted: auto-replied\n"
             "MIME-Version: 1.0\nContent-Type: text/plain; charset=us-ascii\n"
             "Content-Transfer-Encoding: 7bit\n\nI am away.\n.\n");
    print((struct answer){.header = STR("Message-ID: <2@x>\nIn-Reply-To: <1@x>\n\n"),
                          .subject = STR("Weg f\xc3\xbcr immer"), .text = STR("f\xc3\xbcr\nimmer")},
          &other);
    CU_ASSERT(strstr(buf_z(&other), "Subject: =?utf-8?B?V2VnIGbDvHIgaW1tZXI=?=\n") != NULL);
    CU_ASSERT(strstr(buf_z(&other), "References: <1@x>\n <2@x>\n") != NULL);
    CU_ASSERT(strstr(buf_z(&other), "base64\n\nZsO8cg0KaW1tZXINCg==\n") != NULL);
    print((struct answer){.header = STR("\n"), .text = STR("x")}, &none);
    CU_ASSERT(strstr(buf_z(&none), "Subject: Auto: your message\n") != NULL);
    CU_ASSERT(strstr(buf_z(&none), "References") == NULL);
}

/* The first and the newest stay. */
static void long_threads(void)
{
    AUTO_BUF header = {0}, out = {0};
    buf_str(&header, STR("Message-ID: <own@x>\nReferences:"));
    for (int i = 0; i < 100; i++)
        buf_printf(&header, " <%d@x>", i);
    buf_str(&header, STR("\n\n"));
    print((struct answer){.header = buf_view(&header), .text = STR("x")}, &out);
    CU_ASSERT(strstr(buf_z(&out), "References: <0@x>\n <81@x>\n <82@x>\n") != NULL);
    CU_ASSERT(strstr(buf_z(&out), " <99@x>\n <own@x>\n") != NULL);
}

static void told(void)
{
    char dir[] = "/tmp/unit-answer.XXXXXX", command[100];
    struct queue_db *db;
    struct err e = {0};
    struct queue_told t = {STR("anna@x"), STR("max@y"), 7, 5000}, other = t, ahead = t;
    bool was;
    uint64_t others;
    CU_ASSERT_FATAL(mkdtemp(dir) != NULL);
    for (int again = 0; again < 2; again++) { /* it is there when the queue starts anew */
        CU_ASSERT_FATAL(queue_db_open(dir, &db, &e) == 0);
        CU_ASSERT(queue_db_told(db, &t, 4000, &was, &others, &e) == 0);
        CU_ASSERT(was == (again == 1) && others == (uint64_t)again);
        CU_ASSERT(queue_db_tell(db, &t, 0, &e) == 0);
        CU_ASSERT(queue_db_told(db, &t, 5000, &was, &others, &e) == 0 && !was && others == 0);
        other.text = 8;
        CU_ASSERT(queue_db_told(db, &other, 0, &was, &others, &e) == 0 && !was && others == 1);
        ahead.at_ms = 4000; /* the clock stands before what was written */
        CU_ASSERT(queue_db_told(db, &ahead, 0, &was, &others, &e) == 0 && !was);
        queue_db_close(db);
    }
    CU_ASSERT_FATAL(queue_db_open(dir, &db, &e) == 0);
    other.at_ms = 6000;
    CU_ASSERT(queue_db_tell(db, &other, 4999, &e) == 0);
    CU_ASSERT(queue_db_told(db, &t, 0, &was, &others, &e) == 0 && was && others == 2);
    CU_ASSERT(queue_db_tell(db, &other, 5000, &e) == 0); /* the first was too long ago */
    CU_ASSERT(queue_db_told(db, &t, 0, &was, &others, &e) == 0 && !was && others == 1);
    CU_ASSERT(queue_db_tell(db, &ahead, 0, &e) == 0); /* the other is of the future now */
    CU_ASSERT(queue_db_told(db, &ahead, 0, &was, &others, &e) == 0 && was && others == 1);
    queue_db_close(db);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    CU_ASSERT(system(command) == 0);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"mail that nobody answers", forbidden},
        {"whose address stands in To and Cc", addressees},
        {"the text", texts},
        {"long threads", long_threads},
        {"who was told", told},
        {NULL, NULL},
    };
    return sodium_init() < 0 ? 99 : unit_main("answer", tests);
}
