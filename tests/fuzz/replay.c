/*
 * Runs a fuzzer's function without libFuzzer: over every file of the corpora that are named, then over
 * changed ones until the seconds are up. What is under way lies in "crash-PROGRAM.PID", so that
 * it is there after a crash.
 *   fuzz_X [-seconds=N] [-seed=N] FILE|DIRECTORY ...
 */
#include "base/clock.h"
#include "base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 20000, CORPUS_MAX = 4000, FILE_MAX = 1 << 20 };

struct corpus {
    struct str *v; /* CORPUS_MAX */
    size_t n;
    struct arena *arena;
};

struct current { /* a shared mapping: the kernel keeps it when we crash */
    char *p;
    int fd;
};

static void run(const struct current *c, struct str in)
{
    if (ftruncate(c->fd, (off_t)in.n) != 0)
        abort();
    if (in.n)
        memcpy(c->p, in.p, in.n);
    /* A copy of exact size, so that a read past the end is seen. */
    uint8_t *copy = malloc(in.n ? in.n : 1);
    if (!copy)
        abort();
    if (in.n)
        memcpy(copy, in.p, in.n);
    LLVMFuzzerTestOneInput(copy, in.n);
    free(copy);
}

static void load_file(struct corpus *c, const char *path)
{
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    AUTO_BUF b = {0};
    if (fd < 0 || fd_read_all(fd, &b, FILE_MAX) != 0) {
        perror(path);
        exit(2);
    }
    if (c->n < CORPUS_MAX)
        c->v[c->n++] = arena_str(c->arena, buf_view(&b));
}

static void load(struct corpus *c, const char *path)
{
    DIR *dir = opendir(path);
    if (!dir) {
        load_file(c, path);
        return;
    }
    for (const struct dirent *d; (d = readdir(dir));)
        if (d->d_name[0] != '.')
            load_file(c, arena_printf(c->arena, "%s/%s", path, d->d_name).p);
    closedir(dir);
}

static uint64_t next_random(uint64_t *state) /* xorshift64* */
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dU;
}

/* Pieces that mean something somewhere. */
static struct str some_bytes(uint64_t r)
{
    static const char *const words[] = {"\r\n", "\n", "\r", "\n.\n", "\r\n.\r\n", "\"", "\\", "(", ")",
        "{", "}", "{5}\r\n", "*", "%", "=", "=?", "?=", "<", ">", "@", ",", ";", ":", "\xff", "\xc3\xa9",
        "\x80", "..", "/", "&", "&AOk-", "4294967296", "-1", "0", "18446744073709551616", " ", "\t", "\x01"};
    return str_from(words[r % (sizeof words / sizeof *words)]);
}

/* One change to b. */
static void change(struct buf *b, const struct corpus *c, uint64_t *state)
{
    uint64_t r = next_random(state);
    size_t at = b->n ? next_random(state) % b->n : 0, n = next_random(state) % 16;
    struct str other = c->n ? c->v[next_random(state) % c->n] : (struct str){0};
    AUTO_BUF tail = {0};
    buf_str(&tail, str_skip(buf_view(b), at));
    b->n = at;
    switch (r % 6) {
    case 0:
        buf_byte(b, (char)(r >> 8));
        buf_str(b, str_skip(buf_view(&tail), 1));
        break;
    case 1:
        buf_str(b, str_skip(buf_view(&tail), n));
        break;
    case 2:
        buf_str(b, some_bytes(r >> 8));
        buf_str(b, buf_view(&tail));
        break;
    case 3:
        buf_str(b, str_head(buf_view(&tail), n * 4));
        buf_str(b, buf_view(&tail));
        break;
    case 4:
        buf_str(b, str_skip(other, other.n ? (r >> 8) % other.n : 0));
        break;
    default:
        buf_str(b, str_head(str_skip(other, other.n ? (r >> 8) % other.n : 0), n * 4));
        buf_str(b, str_skip(buf_view(&tail), n));
    }
    if (b->n > INPUT_MAX)
        b->n = INPUT_MAX;
}

static uint64_t run_changed(const struct current *now, const struct corpus *c, uint64_t seconds,
                            uint64_t seed)
{
    uint64_t count = 0, state = seed * 2 + 1;
    AUTO_BUF b = {0};
    for (int64_t end = clock_mono_ms() + (int64_t)seconds * 1000; clock_mono_ms() < end; count++) {
        buf_clear(&b);
        if (c->n)
            buf_str(&b, str_head(c->v[next_random(&state) % c->n], INPUT_MAX));
        for (uint64_t i = 1 + next_random(&state) % 8; i; i--)
            change(&b, c, &state);
        run(now, buf_view(&b));
    }
    return count;
}

static struct current open_current(const char *path)
{
    struct current c = {.fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
    c.p = c.fd < 0 ? MAP_FAILED
                   : mmap(NULL, FILE_MAX + 1, PROT_READ | PROT_WRITE, MAP_SHARED, c.fd, 0);
    if (c.p == MAP_FAILED) {
        perror(path);
        exit(2);
    }
    return c;
}

int main(int argc, char **argv)
{
    struct corpus c = {.v = mem_array(CORPUS_MAX, sizeof *c.v), .arena = arena_new(1 << 16)};
    uint64_t seconds = 0, seed = 1;
    for (int i = 1; i < argc; i++) {
        struct str arg = str_from(argv[i]);
        if (str_starts(arg, STR("-seconds=")) && str_u64(str_skip(arg, 9), &seconds) == 0)
            continue;
        if (str_starts(arg, STR("-seed=")) && str_u64(str_skip(arg, 6), &seed) == 0)
            continue;
        load(&c, argv[i]);
    }
    const char *slash = strrchr(argv[0], '/');
    const char *path = arena_printf(c.arena, "crash-%s.%ld", slash ? slash + 1 : argv[0],
                                    (long)getpid()).p;
    struct current now = open_current(path);
    for (size_t i = 0; i < c.n; i++)
        run(&now, c.v[i]);
    uint64_t changed = run_changed(&now, &c, seconds, seed);
    printf("%zu files, %llu changed\n", c.n, (unsigned long long)changed);
    unlink(path);
    free(c.v);
    arena_free(c.arena);
    return 0;
}
