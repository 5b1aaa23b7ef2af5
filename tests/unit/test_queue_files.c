/* The files of the queue. */
#include "base/clock.h"
#include "base/mem.h"
#include "queue/spool.h"
#include "queue/syncer.h"
#include "tests/unit/queue_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int body_of(const char *text)
{
    int fd = memfd_create("unit-queue", MFD_CLOEXEC);
    CU_ASSERT(fd_write_all(fd, text, strlen(text)) == 0);
    return fd;
}

static void files(void)
{
    struct place p = place_new();
    struct queue_spool s;
    struct queue_copy why;
    struct err e = {0};
    struct stat st;
    bool missing, full;
    char text[16] = "";
    CU_ASSERT_FATAL(queue_spool_open(p.dir, &s, &e) == 0);
    AUTO_FD body = body_of("0123456789");
    CU_ASSERT(queue_spool_copy(&s, 0x1f, STR(""), body, 11, &why, &e) == -1); /* it is shorter */
    CU_ASSERT(!why.full && !why.taken);
    CU_ASSERT(queue_spool_read(&s, 0x1f, 11, &missing, &e) == -1 && missing);
    AUTO_FD file = queue_spool_copy(&s, 0x1f, STR(""), body, 8, &why, &e);
    CU_ASSERT(file >= 0);
    CU_ASSERT(queue_spool_copy(&s, 0x1f, STR(""), body, 8, &why, &e) == -1 && why.taken);
    CU_ASSERT(queue_spool_sync(&s, &file, 1, &full, &e) == 0);
    CU_ASSERT(pwrite(body, "XXXX", 4, 0) == 4); /* too late for our copy */
    AUTO_FD back = queue_spool_read(&s, 0x1f, 8, &missing, &e);
    CU_ASSERT(back >= 0 && fd_pread_all(back, text, 8, 0) == 0 && strcmp(text, "01234567") == 0);
    CU_ASSERT(fstat(back, &st) == 0 && (st.st_mode & 0777) == 0600);
    CU_ASSERT(queue_spool_read(&s, 0x1f, 9, &missing, &e) == -1 && !missing);
    queue_spool_remove(&s, 0x1f);
    CU_ASSERT(queue_spool_read(&s, 0x1f, 8, &missing, &e) == -1 && missing);
    int ends[2];
    CU_ASSERT_FATAL(pipe(ends) == 0);
    CU_ASSERT(queue_spool_copy(&s, 0x20, STR(""), ends[0], 1, &why, &e) == -1);
    close(ends[0]);
    close(ends[1]);
    AUTO_FD blank = queue_spool_blank(&s, &e);
    CU_ASSERT(blank >= 0 && fstat(blank, &st) == 0 && st.st_nlink == 0);
    queue_spool_close(&s);
    place_remove(&p);
}

static bool only_five(void *ctx, uint64_t id)
{
    (void)ctx;
    return id == 5;
}

static void put_file(const struct place *p, const char *name, int age)
{
    char path[128];
    place_path(path, p, name);
    AUTO_FD fd = open(path, O_WRONLY | O_CREAT, 0600);
    struct timespec then = {clock_real_us() / 1000000 - age, 0}, t[2] = {then, then};
    CU_ASSERT(futimens(fd, t) == 0);
}

static bool is_there(const struct place *p, const char *name)
{
    char path[128];
    place_path(path, p, name);
    return access(path, F_OK) == 0;
}

static void orphans(void)
{
    struct place p = place_new();
    struct queue_spool s;
    struct err e = {0};
    CU_ASSERT_FATAL(queue_spool_open(p.dir, &s, &e) == 0);
    put_file(&p, "messages/5", 90000);
    put_file(&p, "messages/6", 90000);
    put_file(&p, "messages/7", 60);
    put_file(&p, "messages/notes", 90000);
    put_file(&p, "spool/blank.0123", 1);
    queue_spool_clean(&s, only_five, NULL);
    CU_ASSERT(is_there(&p, "messages/5"));
    CU_ASSERT(!is_there(&p, "messages/6"));
    CU_ASSERT(is_there(&p, "messages/7"));
    CU_ASSERT(is_there(&p, "messages/notes"));
    CU_ASSERT(!is_there(&p, "spool/blank.0123"));
    queue_spool_close(&s);
    place_remove(&p);
}

/* More files than threads, again and again; one that cannot be synced is told of everywhere. */
static void files_at_once(void)
{
    struct place p = place_new();
    struct queue_syncer *s = queue_syncer_new();
    int fds[50];
    for (int i = 0; i < 50; i++) {
        char name[20], path[128];
        snprintf(name, sizeof name, "%d", i);
        place_path(path, &p, name);
        fds[i] = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        CU_ASSERT_FATAL(fds[i] >= 0);
    }
    for (size_t n = 0; n <= 50; n++) {
        CU_ASSERT(queue_syncer_run(s, fds, n) == 0);
        int kept = n ? fds[n / 2] : -1;
        if (n == 0)
            continue;
        fds[n / 2] = -1;
        CU_ASSERT(queue_syncer_run(s, fds, n) == -1 && errno == EBADF);
        fds[n / 2] = kept;
    }
    queue_syncer_free(s);
    for (int i = 0; i < 50; i++)
        close(fds[i]);
    place_remove(&p);
}

static void directories_that_are_refused(void)
{
    struct place p = place_new();
    struct queue_spool s, second;
    struct err e = {0};
    char path[128], link[128];
    CU_ASSERT(chmod(p.dir, 0750) == 0);
    CU_ASSERT(queue_spool_open(p.dir, &s, &e) == -1 && strstr(e.log, "chmod 700"));
    CU_ASSERT(chmod(p.dir, 0700) == 0);
    place_path(path, &p, "q");
    place_path(link, &p, "l");
    CU_ASSERT(symlink("q", link) == 0);
    CU_ASSERT(queue_spool_open(path, &s, &e) == 0);
    CU_ASSERT(queue_spool_open(link, &second, &e) == -1);
    CU_ASSERT(queue_spool_open(path, &second, &e) == -1 && strstr(e.log, "another queue"));
    queue_spool_close(&s);
    CU_ASSERT(queue_spool_open("/nowhere/at/all", &s, &e) == -1);
    place_remove(&p);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"files", files},
        {"orphans", orphans},
        {"files are synced at once", files_at_once},
        {"directories that are refused", directories_that_are_refused},
        {NULL, NULL},
    };
    return unit_main("queue-files", tests);
}
