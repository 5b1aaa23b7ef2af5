/* Base subjects; see subject.h. */
#include "mail/subject.h"

static bool white(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Step 1: tabs and continuations are spaces, several spaces are one. */
static void squeeze(struct buf *b)
{
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++) {
        char c = white(b->p[i]) ? ' ' : b->p[i];
        if (c != ' ' || n == 0 || b->p[n - 1] != ' ')
            b->p[n++] = c;
    }
    b->n = n;
}

static struct str skip_white(struct str s)
{
    while (s.n && s.p[0] == ' ')
        s = str_skip(s, 1);
    return s;
}

/* subj-blob = "[" *BLOBCHAR "]" *WSP: its size, 0 when there is none at the front. */
static size_t blob_size(struct str s)
{
    size_t i = 1;
    if (s.n == 0 || s.p[0] != '[')
        return 0;
    while (i < s.n && s.p[i] != '[' && s.p[i] != ']')
        i++;
    if (i == s.n || s.p[i] == '[')
        return 0;
    return s.n - skip_white(str_skip(s, i + 1)).n;
}

/* subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":" */
static size_t refwd_size(struct str s)
{
    struct str rest;
    if (str_casestarts(s, STR("fwd")))
        rest = str_skip(s, 3);
    else if (str_casestarts(s, STR("fw")) || str_casestarts(s, STR("re")))
        rest = str_skip(s, 2);
    else
        return 0;
    rest = skip_white(rest);
    rest = str_skip(rest, blob_size(rest));
    return rest.n && rest.p[0] == ':' ? s.n - rest.n + 1 : 0;
}

/* Step 2: trailers, "(fwd)" and white space. */
static struct str without_trailers(struct str s, bool *reply)
{
    for (;;) {
        if (s.n && s.p[s.n - 1] == ' ') {
            s.n--;
        } else if (s.n >= 5 && str_caseeq(str_skip(s, s.n - 5), STR("(fwd)"))) {
            s.n -= 5;
            *reply = true;
        } else {
            return s;
        }
    }
}

/* Steps 3 to 5: leaders, and blobs that leave something. When no refwd follows a run of blobs, none
 * follows a shorter run either, so the whole run is dealt with at once. */
static struct str without_leaders(struct str s, bool *reply)
{
    for (;;) {
        struct str rest = s = skip_white(s), last = s;
        for (size_t n; (n = blob_size(rest)) > 0;) {
            last = rest;
            rest = str_skip(rest, n);
        }
        size_t refwd = refwd_size(rest);
        if (!refwd)
            return rest.n ? rest : last;
        *reply = true;
        s = str_skip(rest, refwd);
    }
}

static struct str base_of(struct str s, bool *reply)
{
    for (;;) {
        s = without_leaders(without_trailers(s, reply), reply);
        /* Step 6: "[fwd:" and "]". */
        if (s.n < 6 || !str_casestarts(s, STR("[fwd:")) || s.p[s.n - 1] != ']')
            return s;
        *reply = true;
        s = str_head(str_skip(s, 5), s.n - 6);
    }
}

int mail_subject_base(struct mail_conv *c, struct str value, struct buf *out, bool *reply)
{
    AUTO_BUF text = BUF_MAX(MAIL_SUBJECT_MAX);
    bool found = false;
    (void)mail_words_decode(c, str_head(value, MAIL_SUBJECT_MAX), &text);
    squeeze(&text);
    struct str base = base_of(buf_view(&text), &found);
    if (reply)
        *reply = found;
    return buf_str(out, base);
}
