/* facteur conf -e: comments and order stay, the result must parse, and the file is replaced whole. */
#include "tools/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_LIMIT (1024 * 1024)

static bool is_comment_or_blank(struct str line)
{
    struct str t = str_trim(line);
    return t.n == 0 || t.p[0] == '#';
}

static bool is_continuation(struct str line)
{
    return !is_comment_or_blank(line) && (line.p[0] == ' ' || line.p[0] == '\t');
}

static bool sets(struct str line, struct str name)
{
    ptrdiff_t eq = str_find(line, '=');
    return !is_comment_or_blank(line) && !is_continuation(line) && eq > 0 &&
           str_eq(str_trim(str_head(line, (size_t)eq)), name);
}

static void put_setting(struct buf *out, struct str name, struct str value)
{
    buf_printf(out, "%.*s =%s%.*s\n", STR_FMT(name), value.n ? " " : "", STR_FMT(value));
}

/* The last setting of the name is the one in force, and the one that changes, together with its
 * continuation lines; comments between those stay. */
static void replace(struct str text, struct str name, struct str value, struct buf *out)
{
    struct str rest = text, line;
    size_t last = SIZE_MAX, number = 0;
    while (str_line(&rest, &line)) {
        last = sets(line, name) ? number : last;
        number++;
    }
    bool inside = false;
    number = 0;
    while (str_line(&text, &line)) {
        if (number == last)
            put_setting(out, name, value);
        inside = number == last || (inside && (is_continuation(line) || is_comment_or_blank(line)));
        if (number != last && !(inside && is_continuation(line))) {
            buf_str(out, line);
            buf_byte(out, '\n');
        }
        number++;
    }
    if (last == SIZE_MAX)
        put_setting(out, name, value);
}

static int apply(char *pair, struct buf *text)
{
    struct str p = str_from(pair);
    ptrdiff_t eq = str_find(p, '=');
    if (eq <= 0)
        return tool_fail("conf", "\"%s\" is not name=value", pair);
    struct str name = str_trim(str_head(p, (size_t)eq));
    struct str value = str_trim(str_skip(p, (size_t)eq + 1));
    if (!config_find(name))
        return tool_fail("conf", "unknown option \"%.*s\"; did you mean \"%s\"?", STR_FMT(name),
                         config_nearest(name)->name);
    if (str_find(value, '\n') >= 0 || str_find(value, '\r') >= 0)
        return tool_fail("conf", "%.*s: a value is one line", STR_FMT(name));
    struct buf next = {0};
    replace(buf_view(text), name, value, &next);
    buf_free(text);
    *text = next;
    return 0;
}

static int write_file(int fd, const struct buf *text, const struct stat *st)
{
    struct stat now;
    if (fstat(fd, &now) != 0 || fchmod(fd, st->st_mode & 07777) != 0)
        return -1;
    if ((now.st_uid != st->st_uid || now.st_gid != st->st_gid) &&
        fchown(fd, st->st_uid, st->st_gid) != 0)
        return -1;
    return fd_write_all(fd, text->p, text->n) == 0 ? fsync(fd) : -1;
}

/* dir ends up durable too, so that a power cut leaves the old file or the new one. */
static int replace_file(const char *path, const char *dir, const struct buf *text,
                        const struct stat *st)
{
    AUTO_BUF name = {0};
    buf_printf(&name, "%s.XXXXXX", path);
    AUTO_FD fd = mkostemp(buf_z(&name), O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (write_file(fd, text, st) != 0 || rename(name.p, path) != 0) {
        int why = errno;
        unlink(name.p);
        errno = why;
        return -1;
    }
    AUTO_FD d = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return d >= 0 ? fsync(d) : -1;
}

static int read_file(const char *path, struct buf *text, struct stat *st)
{
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && fstat(fd, st) == 0 ? fd_read_all(fd, text, FILE_LIMIT) : -1;
}

static int edit(const char *path, const char *dir, int count, char **pairs)
{
    AUTO_BUF text = {0};
    struct stat st;
    struct config *c;
    struct err e = {0};
    if (read_file(path, &text, &st) != 0)
        return tool_fail("conf", "%s: %s", path, strerror(errno));
    for (int i = 0; i < count; i++)
        if (apply(pairs[i], &text) != 0)
            return 1;
    if (config_parse(buf_view(&text), path, dir, &c, &e) != 0)
        return tool_fail("conf", "not changed: %s", e.log);
    config_free(c);
    if (replace_file(path, dir, &text, &st) != 0)
        return tool_fail("conf", "%s: %s", path, strerror(errno));
    return 0;
}

int conf_edit(const char *file, int count, char **pairs)
{
    if (count == 0)
        return tool_fail("conf", "-e needs name=value");
    AUTO_FREE char *path = realpath(file, NULL);
    if (!path)
        return tool_fail("conf", "%s: %s", file, strerror(errno));
    AUTO_FREE char *dir = mem_strdup(str_from(path));
    *strrchr(dir, '/') = '\0';
    return edit(path, dir, count, pairs);
}
