/* Reading dovecot-uidlist, and finding base names in it. */
#include "store/uidlist.h"
#include "store/fs.h"
#include "base/map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

void store_uidlist_init(struct store_uidlist *u, int dir_fd, int root_fd)
{
    *u = (struct store_uidlist){.dir_fd = dir_fd, .root_fd = root_fd, .uidnext = 1,
                                .lock = STORE_DOTLOCK_NONE};
}

static void forget(struct store_uidlist *u)
{
    free(u->header_ext);
    u->header_ext = NULL;
    free(u->slots);
    u->slots = NULL;
    u->slot_cap = u->count = u->lines = u->saved = u->before = 0;
    u->tail = false;
    buf_clear(&u->names);
    buf_free(&u->window);
    u->uidvalidity = 0;
    u->uidnext = 1;
    u->have_guid = u->readable = u->damaged = u->torn = u->rewrite = false;
}

void store_uidlist_free(struct store_uidlist *u)
{
    store_dotlock_drop(&u->lock);
    forget(u);
    free(u->recs);
    u->recs = NULL;
    u->cap = 0;
    buf_free(&u->names);
}

struct str store_uidlist_base(const struct store_uidlist *u, const struct store_uidrec *r)
{
    return (struct str){u->names.p + r->off, r->len};
}

/* ---- hash of base names ---- */

static size_t *slot_of(const struct store_uidlist *u, struct str base, size_t *at)
{
    *at = map_hash(base) & (u->slot_cap - 1);
    while (u->slots[*at] &&
           !str_eq(store_uidlist_base(u, &u->recs[u->slots[*at] - 1]), base))
        *at = (*at + 1) & (u->slot_cap - 1);
    return at;
}

static void rehash(struct store_uidlist *u)
{
    size_t at, cap = 64;
    while (cap < u->count * 2 + 2)
        cap *= 2;
    free(u->slots);
    u->slots = mem_array(cap, sizeof *u->slots);
    u->slot_cap = cap;
    for (size_t i = 0; i < u->count; i++)
        u->slots[*slot_of(u, store_uidlist_base(u, &u->recs[i]), &at)] = (uint32_t)(i + 1);
}

static bool is_known(const struct store_uidlist *u, struct str base, size_t *index)
{
    size_t at;
    if (u->slot_cap == 0 || base.n == 0 || !u->slots[*slot_of(u, base, &at)])
        return false;
    *index = u->slots[at] - 1;
    return true;
}

const struct store_uidrec *store_uidlist_find(const struct store_uidlist *u, struct str base)
{
    size_t i;
    return is_known(u, base, &i) ? &u->recs[i] : NULL;
}

static int append(struct store_uidlist *u, uint32_t uid, struct str ext, struct str base)
{
    if (base.n > STORE_NAME_MAX || ext.n > UINT16_MAX ||
        u->names.n > UINT32_MAX - ext.n - base.n || u->count >= UINT32_MAX / 4)
        return -1;
    if (u->count == u->cap) {
        u->cap = u->cap ? u->cap * 2 : 64;
        u->recs = mem_grow(u->recs, u->cap, sizeof *u->recs);
    }
    buf_str(&u->names, ext);
    u->recs[u->count++] = (struct store_uidrec){
        .uid = uid, .off = (uint32_t)u->names.n, .len = (uint16_t)base.n, .ext_len = (uint16_t)ext.n};
    buf_str(&u->names, base);
    return 0;
}

/* Adds to the hash what append put at the end. */
static void hash_last(struct store_uidlist *u)
{
    size_t at;
    if ((u->count + 1) * 2 > u->slot_cap)
        rehash(u);
    else
        u->slots[*slot_of(u, store_uidlist_base(u, &u->recs[u->count - 1]), &at)] =
            (uint32_t)u->count;
}

/* ---- parsing ---- */

static int parse_guid(struct store_uidlist *u, struct str text)
{
    if (text.n != 32)
        return -1;
    for (size_t i = 0; i < 16; i++) {
        int octet = str_hex_octet(str_skip(text, 2 * i));
        if (octet < 0)
            return -1;
        u->guid[i] = (unsigned char)octet;
    }
    u->have_guid = true;
    return 0;
}

static int parse_header_v3(struct store_uidlist *u, struct str line)
{
    struct str field;
    AUTO_BUF ext = BUF_MAX(4096);
    int r = 0;
    while (str_token(&line, " ", &field)) {
        struct str value = str_skip(field, 1);
        if (field.p[0] == 'V')
            r |= str_u32(value, &u->uidvalidity);
        else if (field.p[0] == 'N')
            r |= str_u32(value, &u->uidnext);
        else if (field.p[0] == 'G')
            r |= parse_guid(u, value);
        else
            r |= buf_byte(&ext, ' ') | buf_str(&ext, field);
    }
    if (ext.n)
        u->header_ext = mem_strdup(buf_view(&ext));
    return r;
}

/* Version 1 is what Courier and old Dovecots wrote: "1 <uidvalidity> <uidnext>". */
static int parse_header(struct store_uidlist *u, struct str line, unsigned *version)
{
    struct str word;
    if (line.n < 2 || line.p[1] != ' ' || (line.p[0] != '1' && line.p[0] != '3'))
        return -1;
    *version = (unsigned)(line.p[0] - '0');
    line = str_skip(line, 2);
    u->uidvalidity = u->uidnext = 0;
    if (*version == 3) {
        if (parse_header_v3(u, line) != 0)
            return -1;
    } else if (!str_token(&line, " ", &word) || str_u32(word, &u->uidvalidity) < 0 ||
               !str_token(&line, " ", &word) || str_u32(word, &u->uidnext) < 0) {
        return -1;
    }
    return u->uidvalidity && u->uidnext ? 0 : -1;
}

/* "<uid> <ext> <ext> :base" (version 3) or "<uid> base" (version 1). */
int store_uidlist_split(unsigned version, struct str line, uint32_t *uid, struct str *ext, struct str *base)
{
    ptrdiff_t blank = str_find(line, ' ');
    if (blank < 0 || str_u32(str_head(line, (size_t)blank), uid) < 0)
        return -1;
    struct str rest = str_skip(line, (size_t)blank);
    while (rest.n && rest.p[0] == ' ')
        rest = str_skip(rest, 1);
    *ext = (struct str){0};
    *base = rest;
    if (version == 3) {
        size_t at = 0;
        while (at < rest.n && rest.p[at] != ':') {
            while (at < rest.n && rest.p[at] != ' ')
                at++;
            while (at < rest.n && rest.p[at] == ' ')
                at++;
        }
        *ext = str_head(rest, at);
        *base = str_skip(rest, at + 1);
    }
    /* A flag suffix does not belong here, but Dovecot passes over one. */
    ptrdiff_t colon = str_find(*base, ':');
    if (colon >= 0)
        *base = str_head(*base, (size_t)colon);
    return base->n && str_find(*base, '/') < 0 && str_find(*base, '\0') < 0 ? 0 : -1;
}

static int parse_record(struct store_uidlist *u, unsigned version, struct str line)
{
    struct str ext, base;
    uint32_t uid, last = u->count ? u->recs[u->count - 1].uid : 0;
    if (store_uidlist_split(version, line, &uid, &ext, &base) != 0 || uid <= last || uid == UINT32_MAX)
        return -1;
    size_t i;
    bool again = is_known(u, base, &i);
    if (append(u, uid, ext, base) != 0)
        return -1;
    if (again) {
        /* A file that was expunged and came back: its later UID counts, as in Dovecot. The old record
         * keeps its place with an empty name until all is read. */
        size_t at;
        u->slots[*slot_of(u, base, &at)] = (uint32_t)u->count;
        u->recs[i].len = 0;
        u->rewrite = true;
    }
    if (!again || (u->count + 1) * 2 > u->slot_cap)
        hash_last(u);
    return 0;
}

static void drop_nameless(struct store_uidlist *u)
{
    size_t n = 0;
    for (size_t i = 0; i < u->count; i++)
        if (u->recs[i].len)
            u->recs[n++] = u->recs[i];
    if (n != u->count) {
        u->count = n;
        rehash(u);
    }
}

static int parse(struct store_uidlist *u, struct str text)
{
    struct str line;
    unsigned version = 0;
    if (text.n && text.p[text.n - 1] != '\n') {
        /* The end of an append that a power cut, or a writer at this moment, left half: no UID of it
         * was told to anybody. */
        ptrdiff_t lf = str_rfind(text, '\n');
        text = str_head(text, (size_t)(lf + 1));
        u->torn = true;
    }
    if (!str_line(&text, &line) || parse_header(u, line, &version) != 0)
        return -1;
    while (str_line(&text, &line)) {
        u->lines++;
        if (parse_record(u, version, line) != 0)
            return -1;
    }
    if (u->count && u->uidnext <= u->recs[u->count - 1].uid)
        u->uidnext = u->recs[u->count - 1].uid + 1;
    drop_nameless(u);
    u->rewrite |= version != 3 || !u->have_guid || u->torn;
    u->saved = u->count;
    return 0;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* The first line alone. */
static int read_header(struct store_uidlist *u, int fd)
{
    char text[1024];
    unsigned version;
    ssize_t n = pread(fd, text, sizeof text, 0);
    struct str rest = {text, n > 0 ? (size_t)n : 0}, line;
    return str_find(rest, '\n') > 0 && str_line(&rest, &line) && parse_header(u, line, &version) == 0 &&
           u->have_guid ? 0 : -1;
}

int store_uidlist_identity(int dir_fd, uint32_t *uidvalidity, unsigned char guid[16])
{
    struct store_uidlist u;
    AUTO_FD fd = store_file_open(dir_fd, "dovecot-uidlist", O_RDONLY, NULL);
    store_uidlist_init(&u, -1, -1);
    int r = fd < 0 ? -1 : read_header(&u, fd);
    *uidvalidity = u.uidvalidity;
    memcpy(guid, u.guid, sizeof u.guid);
    store_uidlist_free(&u);
    return r;
}

/* ---- reading on at the end ---- */

void store_uidlist_resume(struct store_uidlist *u, const struct store_uidlist_end *end)
{
    forget(u);
    memcpy(u->guid, end->guid, sizeof u->guid);
    u->have_guid = u->readable = u->tail = true;
    u->uidvalidity = end->uidvalidity;
    u->uidnext = end->uidnext;
    u->lines = end->lines;
    u->before = end->records;
    u->seen = (struct stat){.st_ino = end->ino, .st_size = (off_t)end->size};
}

void store_uidlist_forget(struct store_uidlist *u)
{
    u->tail = u->readable = false;
}

void store_uidlist_rest(struct store_uidlist *u)
{
    if (!u->readable || u->rewrite || u->damaged || u->torn || u->saved != u->count ||
        u->lock.fd >= 0)
        return;
    struct stat seen = u->seen;
    struct store_uidlist_end end = {.uidvalidity = u->uidvalidity, .uidnext = u->uidnext,
                                    .ino = seen.st_ino, .size = (uint64_t)seen.st_size,
                                    .lines = u->lines, .records = u->before + u->count};
    memcpy(end.guid, u->guid, sizeof end.guid);
    char *ext = u->header_ext;
    u->header_ext = NULL;
    store_uidlist_resume(u, &end);
    u->seen = seen;
    u->header_ext = ext;
    free(u->recs);
    u->recs = NULL;
    u->cap = 0;
    buf_free(&u->names);
}

/* Dovecot and this room replace the file or add to it; nothing inside it ever changes. True when what
 * was added is read; else all has to be. */
static bool read_on(struct store_uidlist *u, int fd, const struct stat *st)
{
    AUTO_BUF text = {0};
    struct str rest, line;
    size_t from = (size_t)u->seen.st_size, size = (size_t)st->st_size;
    if (!u->tail || u->seen.st_ino != st->st_ino || size < from || from == 0 ||
        size > STORE_UIDLIST_MAX_BYTES)
        return false;
    size_t n = size - from + 1; /* with the line end before */
    if (fd_pread_all(fd, buf_room(&text, n), n, (off_t)from - 1) < 0 || text.p[0] != '\n' ||
        text.p[n - 1] != '\n')
        return false;
    rest = (struct str){text.p + 1, n - 1};
    while (str_line(&rest, &line)) {
        u->lines++;
        if (parse_record(u, 3, line) != 0 || u->rewrite || u->recs[u->count - 1].uid < u->uidnext)
            return false;
        u->uidnext = u->recs[u->count - 1].uid + 1;
    }
    u->saved = u->count;
    u->seen = *st;
    return true;
}

int store_uidlist_refresh(struct store_uidlist *u, struct err *e)
{
    struct stat st;
    AUTO_BUF text = BUF_MAX(STORE_UIDLIST_MAX_BYTES + 32768);
    AUTO_FD fd = store_file_open(u->dir_fd, "dovecot-uidlist", O_RDONLY, &st);
    if (fd < 0 && errno != ENOENT)
        return store_errno(e, "open dovecot-uidlist");
    if (fd >= 0 && u->readable && u->saved == u->count &&
        (same_file(&st, &u->seen) || read_on(u, fd, &st)))
        return 0;
    uint32_t before = u->uidvalidity;
    if (fd >= 0 && fd_read_all(fd, &text, STORE_UIDLIST_MAX_BYTES) < 0)
        return store_errno(e, "read dovecot-uidlist");
    forget(u);
    if (fd < 0) {
        u->uidvalidity = before; /* a later one has to be larger */
        return 0;
    }
    u->seen = st;
    u->seen.st_size = (off_t)text.n; /* what was read, should it have grown meanwhile */
    if (parse(u, buf_view(&text)) == 0) {
        u->readable = true;
        return 0;
    }
    uint32_t old = u->uidvalidity > before ? u->uidvalidity : before;
    forget(u);
    u->uidvalidity = old;
    u->damaged = true;
    return 0;
}

/* Which UID the last line has; 0 where it is none that can be added to. */
static uint32_t last_uid(int fd, off_t size)
{
    char text[4096];
    struct str ext, base;
    uint32_t uid;
    off_t from = size > (off_t)sizeof text ? size - (off_t)sizeof text : 0;
    ssize_t n = pread(fd, text, sizeof text, from);
    if (n < 2 || from + n != size || text[n - 1] != '\n')
        return 0;
    struct str rest = {text, (size_t)n - 1};
    ptrdiff_t before = str_rfind(rest, '\n');
    struct str line = str_skip(rest, (size_t)(before + 1));
    bool good = before >= 0 && store_uidlist_split(3, line, &uid, &ext, &base) == 0 && uid < UINT32_MAX;
    return good ? uid : 0;
}

/* Knows of the list what its first and its last line say. False: it has to be read. */
static bool know_ends(struct store_uidlist *u)
{
    struct stat st;
    struct store_uidlist ends;
    AUTO_FD fd = store_file_open(u->dir_fd, "dovecot-uidlist", O_RDONLY, &st);
    store_uidlist_init(&ends, -1, -1);
    uint32_t last = fd < 0 || st.st_size > (off_t)STORE_UIDLIST_MAX_BYTES ? 0 : last_uid(fd, st.st_size);
    bool known = last && read_header(&ends, fd) == 0;
    if (known) {
        struct store_uidlist_end end = {
            .uidvalidity = ends.uidvalidity, .uidnext = ends.uidnext > last ? ends.uidnext : last + 1,
            .ino = st.st_ino, .size = (uint64_t)st.st_size};
        memcpy(end.guid, ends.guid, sizeof end.guid);
        store_uidlist_resume(u, &end);
    }
    store_uidlist_free(&ends);
    return known;
}

static int lock(struct store_uidlist *u, bool whole, struct err *e)
{
    if (store_dotlock_take(&u->lock, u->dir_fd, "dovecot-uidlist", STORE_LOCK_UIDLIST_STALE, true,
                           e) != 0)
        return -1;
    if ((!whole && !u->readable && !u->damaged && know_ends(u)) || store_uidlist_refresh(u, e) == 0)
        return 0;
    store_uidlist_unlock(u);
    return -1;
}

int store_uidlist_lock(struct store_uidlist *u, struct err *e)
{
    return lock(u, true, e);
}

int store_uidlist_lock_end(struct store_uidlist *u, struct err *e)
{
    return lock(u, false, e);
}

void store_uidlist_unlock(struct store_uidlist *u)
{
    store_dotlock_drop(&u->lock);
}

uint32_t store_uidlist_add(struct store_uidlist *u, struct str base)
{
    return store_uidlist_add_as(u, base, (struct str){0});
}

uint32_t store_uidlist_add_as(struct store_uidlist *u, struct str base, struct str guid)
{
    AUTO_BUF ext = BUF_MAX(1024);
    if (guid.n && (buf_byte(&ext, 'G') != 0 || buf_str(&ext, guid) != 0))
        buf_clear(&ext);
    if (u->uidnext >= UINT32_MAX - 1 || append(u, u->uidnext, buf_view(&ext), base) != 0)
        return 0;
    hash_last(u);
    return u->uidnext++;
}

struct str store_uidlist_ext_guid(struct str ext)
{
    struct str field;
    while (str_token(&ext, " ", &field))
        if (field.n > 1 && field.p[0] == 'G')
            return str_skip(field, 1);
    return (struct str){0};
}

struct str store_uidlist_guid(const struct store_uidlist *u, const struct store_uidrec *r)
{
    return store_uidlist_ext_guid((struct str){u->names.p + r->off - r->ext_len, r->ext_len});
}

void store_uidlist_keep(struct store_uidlist *u, const bool *keep)
{
    size_t n = 0;
    for (size_t i = 0; i < u->count; i++)
        if (keep[i])
            u->recs[n++] = u->recs[i];
    if (n == u->count)
        return;
    u->count = n;
    u->rewrite = true;
    rehash(u);
}
