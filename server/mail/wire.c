/* Line ends on the wire. */
#include "mail/wire.h"

struct mail_wire mail_wire_open(struct str raw)
{
    return (struct mail_wire){.raw = raw};
}

static bool bare_lf(struct str raw, size_t at)
{
    return raw.p[at] == '\n' && (at == 0 || raw.p[at - 1] != '\r');
}

/* Bytes from at that go out as they are: up to the next bare LF or max. */
static size_t plain_run(struct str raw, size_t at, size_t max)
{
    size_t end = raw.n - at < max ? raw.n : at + max;
    for (size_t i = at; i < end;) {
        const char *lf = memchr(raw.p + i, '\n', end - i);
        if (!lf)
            break;
        size_t k = (size_t)(lf - raw.p);
        if (bare_lf(raw, k))
            return k - at;
        i = k + 1;
    }
    return end - at;
}

/* Gives up to n wire bytes, to p when it is not NULL. */
static size_t take(struct mail_wire *w, char *p, size_t n)
{
    size_t done = 0;
    while (done < n && (w->at < w->raw.n || w->lf_due)) {
        bool bare = !w->lf_due && bare_lf(w->raw, w->at);
        if (bare && n - done >= 2) {
            if (p)
                memcpy(p + done, "\r\n", 2);
            w->at++;
            done += 2;
            continue;
        }
        if (bare || w->lf_due) { /* half of it fits */
            if (p)
                p[done] = w->lf_due ? '\n' : '\r';
            w->at += w->lf_due;
            w->lf_due = !w->lf_due;
            done++;
            continue;
        }
        size_t run = plain_run(w->raw, w->at, n - done);
        if (p)
            memcpy(p + done, w->raw.p + w->at, run);
        w->at += run;
        done += run;
    }
    return done;
}

uint64_t mail_wire_skip(struct mail_wire *w, uint64_t n)
{
    uint64_t done = 0;
    while (done < n) {
        uint64_t left = n - done;
        size_t got = take(w, NULL, left > SIZE_MAX ? SIZE_MAX : (size_t)left);
        if (got == 0)
            break;
        done += got;
    }
    return done;
}

size_t mail_wire_read(struct mail_wire *w, char *p, size_t n)
{
    return take(w, p, n);
}

uint64_t mail_wire_size(struct str raw, uint32_t *lines)
{
    uint64_t size = raw.n;
    uint32_t count = 0;
    for (size_t i = 0; i < raw.n; count++) {
        const char *lf = memchr(raw.p + i, '\n', raw.n - i);
        if (!lf)
            break;
        size_t k = (size_t)(lf - raw.p);
        size += bare_lf(raw, k);
        i = k + 1;
    }
    if (lines)
        *lines = count;
    return size;
}

int mail_wire_add(struct buf *out, struct str raw)
{
    for (size_t at = 0; at < raw.n;) {
        size_t run = plain_run(raw, at, raw.n - at);
        if (buf_add(out, raw.p + at, run) != 0)
            return -1;
        at += run;
        if (at < raw.n && buf_add(out, "\r\n", 2) != 0)
            return -1;
        at += at < raw.n;
    }
    return 0;
}
