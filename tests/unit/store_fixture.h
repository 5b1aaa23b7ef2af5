/* A private directory for tests of the store room, and files in it. As root the tests work as a plain
 * user, so that modes mean something. */
#ifndef FACTEUR_TESTS_STORE_FIXTURE_H
#define FACTEUR_TESTS_STORE_FIXTURE_H

#include "store/fs.h"
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

#endif
