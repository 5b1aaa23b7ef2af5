/* Reading and changing the subscriptions file. */
#include "store/subscriptions.h"
#include "store/dotlock.h"
#include "store/folders.h"
#include "store/fs.h"
#include "base/map.h"

#define FILE_NAME "subscriptions"
#define MAX_BYTES ((size_t)4 << 20)

static const char header[] = "V\t2\n\n";

/* A version 2 line: levels stand between tabs, and \001 starts an escape. False for what cannot be a
 * folder's name. */
static bool unescape(struct str line, struct buf *out)
{
    static const char from[] = "01tnr", to[] = {'\0', '\001', '\t', '\n', '\r'};
    buf_clear(out);
    for (size_t i = 0; i < line.n; i++) {
        char c = line.p[i];
        if (c == '\t') {
            c = STORE_FOLDER_SEP;
        } else if (c == '\001' && i + 1 < line.n) {
            const char *hit = strchr(from, line.p[++i]);
            c = hit && *hit ? to[hit - from] : line.p[i];
        }
        if (buf_byte(out, c) != 0)
            return false;
    }
    return true;
}

static void escape(struct str name, bool v2, struct buf *out)
{
    for (size_t i = 0; i < name.n; i++)
        buf_byte(out, v2 && name.p[i] == STORE_FOLDER_SEP ? '\t' : name.p[i]);
}

static struct str canonical(struct str name)
{
    return store_folder_is_inbox(name) ? STR("INBOX") : name;
}

/* Takes the header off; tells the version. An empty or missing file will be written in version 2. */
static bool take_header(struct str *text)
{
    struct str h = STR(header);
    if (str_starts(*text, h)) {
        *text = str_skip(*text, h.n);
        return true;
    }
    return text->n == 0;
}

int store_subscriptions_read(int root_fd, struct arena *a, struct store_names *out, struct err *e)
{
    AUTO_BUF text = BUF_MAX(MAX_BYTES + 32768), name = BUF_MAX(4096);
    struct map *seen;
    struct str rest, line;
    size_t cap = 0;
    *out = (struct store_names){0};
    if (store_file_read(root_fd, FILE_NAME, &text, MAX_BYTES, e) < 0)
        return -1;
    rest = buf_view(&text);
    bool v2 = take_header(&rest);
    for (size_t i = 0; i < rest.n; i++)
        cap += rest.p[i] == '\n';
    out->name = arena_array(a, cap + 1, sizeof *out->name);
    seen = map_new();
    while (str_line(&rest, &line)) {
        if (v2 && unescape(line, &name))
            line = buf_view(&name);
        if (store_folder_name_check(line, NULL) != 0 || map_put(seen, canonical(line), out))
            continue;
        out->name[out->count++] = arena_str(a, canonical(line));
    }
    map_free(seen, NULL);
    return 0;
}

/* Copies all lines but those equal to what, to out; true when there was one. */
static bool copy_without(struct str rest, struct str what, bool keep, struct buf *out)
{
    struct str line;
    bool found = false;
    while (str_line(&rest, &line)) {
        bool same = str_eq(line, what);
        if (same && (!keep || found)) {
            found = true;
            continue;
        }
        found |= same;
        buf_str(out, line);
        buf_byte(out, '\n');
    }
    return found;
}

int store_subscriptions_set(int root_fd, struct str name, bool on, struct err *e)
{
    AUTO_DOTLOCK lock = STORE_DOTLOCK_NONE;
    AUTO_BUF text = BUF_MAX(MAX_BYTES + 32768), out = BUF_MAX(MAX_BYTES), line = BUF_MAX(1024);
    if (store_folder_name_check(name, e) != 0 ||
        store_dotlock_take(&lock, root_fd, FILE_NAME, STORE_LOCK_SUBSCRIPTIONS_STALE, false, e) != 0 ||
        store_file_read(root_fd, FILE_NAME, &text, MAX_BYTES, e) < 0)
        return -1;
    struct str rest = buf_view(&text);
    bool v2 = take_header(&rest);
    if (v2)
        buf_str(&out, STR(header));
    escape(canonical(name), v2, &line);
    bool was = copy_without(rest, buf_view(&line), on, &out);
    if (was == on)
        return 0;
    if (on && (buf_str(&out, buf_view(&line)) != 0 || buf_byte(&out, '\n') != 0))
        return err_perm(e, "subscriptions: larger than %zu bytes", MAX_BYTES);
    return store_dotlock_replace(&lock, buf_view(&out), e);
}
