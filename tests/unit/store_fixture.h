/* A private directory for tests of the store room, files and views in it. As root the tests work as
 * a plain user, so that modes mean something. */
#ifndef FACTEUR_TESTS_STORE_FIXTURE_H
#define FACTEUR_TESTS_STORE_FIXTURE_H

#include "store/fs.h"
#include "store/mailbox.h"
#include "tests/unit/unit.h"

struct fixture {
    char path[64];
    int fd;   /* the directory */
    uid_t uid; /* whom the test works as */
};

struct fixture fixture_new(void);
void fixture_free(struct fixture *f);
#define FIXTURE CLEANUP(fixture_free) struct fixture

void fixture_put(int at, const char *name, const char *text);  /* writes a file anew */
struct str fixture_get(int at, const char *name, struct buf *b); /* "(none)" when missing */
size_t fixture_count(int at, const char *dir); /* entries, 0 when it is missing */
void fixture_mode(int at, const char *name, unsigned mode);
/* A maildir called "mailbox" in the fixture, made by the store. */
int fixture_maildir(struct fixture *f);

/* Appends one message; its UID. */
uint32_t fixture_add(int root, const char *folder, uint8_t flags, const char *keyword,
                     const char *text);
struct store_mailbox *fixture_box(int root, const char *folder, bool read_only);
/* The view as text: "uid:flags" with R for recent, ! for gone. */
const char *fixture_view(struct store_mailbox *mb, struct buf *b);
#define VIEW(mb, want) UNIT_STR(str_from(fixture_view((mb), &b)), want)

void fixture_say(const struct err *e); /* among the test's comments */
/* Ends the test where the call, which fills e, does not return 0. */
#define GOOD(call)                                                                                 \
    do {                                                                                           \
        int got = (call);                                                                          \
        if (got != 0)                                                                              \
            fixture_say(&e);                                                                       \
        CU_ASSERT_FATAL(got == 0);                                                                 \
    } while (0)

#endif
