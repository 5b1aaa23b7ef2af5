/* Commands out of bytes; see reader.h. */
#include "protocol/imap/reader.h"

#include <assert.h>

enum { TEXT, LITERAL, MESSAGE, SKIP_TEXT, SKIP_LITERAL, DONE };

/* What SKIP_TEXT does at the end of the line: report, or nothing since it was answered already. */
static const char answered[] = "";

void imap_reader_init(struct imap_reader *r, const struct imap_limits *limits)
{
    *r = (struct imap_reader){.limits = limits};
    r->cmd.max = limits->line + limits->literals + 64;
    if (limits->fixed)
        buf_room(&r->cmd, r->cmd.max);
}

static void wipe(struct imap_reader *r)
{
    if (r->cmd.n)
        mem_wipe(r->cmd.p, r->cmd.n);
    buf_clear(&r->cmd);
}

void imap_reader_free(struct imap_reader *r)
{
    wipe(r);
    buf_free(&r->cmd);
}

void imap_reader_next(struct imap_reader *r)
{
    wipe(r);
    if (r->cmd.cap > 16384 && !r->limits->fixed)
        buf_free(&r->cmd);
    r->segment = r->text = r->tail_n = 0;
    r->literal = r->left = 0;
    r->sync = r->binary = r->plain = r->more = false;
    r->wrong = NULL;
    r->state = TEXT;
}

void imap_reader_plain(struct imap_reader *r)
{
    assert(imap_reader_idle(r));
    r->plain = true;
}

bool imap_reader_idle(const struct imap_reader *r)
{
    return r->state == TEXT && r->cmd.n == 0;
}

bool imap_reader_at_message(const struct imap_reader *r)
{
    return r->state == MESSAGE;
}

static void skip_line(struct imap_reader *r, const char *why)
{
    if (!r->wrong)
        r->wrong = why;
    r->state = SKIP_TEXT;
    r->tail_n = 0;
}

/* True when the text since the last literal leaves a quoted string open: its line end then is an
 * error, and what looks like a literal is not one. */
static bool quote_open(struct str s)
{
    bool open = false;
    for (size_t i = 0; i < s.n; i++) {
        if (open && s.p[i] == '\\')
            i++;
        else if (s.p[i] == '"')
            open = !open;
    }
    return open;
}

static struct str without_line_end(struct str s)
{
    if (s.n && s.p[s.n - 1] == '\n')
        s.n--;
    if (s.n && s.p[s.n - 1] == '\r')
        s.n--;
    return s;
}

/* Tag and name of the command collected so far (up to a literal, maybe). */
static int parse_head(struct imap_reader *r, struct imap_line *line)
{
    struct imap_cursor c = {r->cmd.p, r->cmd.p + r->cmd.n, r->limits, NULL};
    line->tag = line->name = (struct str){0};
    if (r->plain) {
        line->args = c;
        return 0;
    }
    struct str tag;
    if (imap_get_tag(&c, &tag) == 0 && imap_get_space(&c) == 0) {
        line->tag = tag;
        if (imap_get_atom(&c, &line->name) == 0) {
            if (r->more) { /* what follows a message never belongs to the name */
                c.p = r->cmd.p + r->head;
                line->name.n = (size_t)(c.p - line->name.p);
            }
            line->args = c;
            return 0;
        }
    }
    r->wrong = line->tag.n ? "Missing command name" : "Missing or invalid tag";
    return -1;
}

static const char *skip_spaces(const struct imap_line *line, const char *at)
{
    while (at < line->args.end && *at == ' ')
        at++;
    return at;
}

static const char *skip_word(const struct imap_line *line, const char *at)
{
    while (at < line->args.end && *at != ' ')
        at++;
    return at;
}

/* Where the mailbox name of "APPEND name", "REPLACE n name" or "UID REPLACE n name" begins; NULL: it is
 * another command. */
static const char *mailbox_name(const struct imap_line *line)
{
    const char *at = skip_spaces(line, line->args.p);
    struct str name = line->name;
    if (str_caseeq(name, STR("APPEND")))
        return at;
    if (str_caseeq(name, STR("UID"))) {
        name = (struct str){at, (size_t)(skip_word(line, at) - at)};
        at = skip_spaces(line, skip_word(line, at));
    }
    if (!str_caseeq(name, STR("REPLACE")))
        return NULL;
    return skip_spaces(line, skip_word(line, at));
}

/* A message is the literal that is not the mailbox name: something stands between the command and
 * it, or a message was taken already (RFC 3502). */
static bool is_message(struct imap_reader *r, size_t literal_start, struct imap_line *line)
{
    const char *why = r->wrong;
    bool known = !r->plain && parse_head(r, line) == 0;
    r->wrong = why;
    if (!known || r->more)
        return known && r->more;
    const char *at = mailbox_name(line);
    return at && at < r->cmd.p + literal_start;
}

static enum imap_event report(struct imap_reader *r, struct imap_line *line)
{
    const char *why = r->wrong;
    if (parse_head(r, line) != 0 && line->tag.n == 0)
        line->args = (struct imap_cursor){0};
    r->wrong = why;
    r->state = DONE;
    return IMAP_WRONG;
}

/* A literal that is not wanted: a client that waits for leave is told at once, one that does not
 * has its command skipped first. */
static enum imap_event literal_unwanted(struct imap_reader *r, const char *why,
                                        const struct imap_literal *lit, struct imap_line *line,
                                        bool *said)
{
    r->wrong = why;
    *said = lit->sync;
    if (lit->sync)
        return report(r, line);
    r->left = lit->size;
    r->tail_n = 0;
    r->state = lit->size ? SKIP_LITERAL : SKIP_TEXT;
    return IMAP_MORE;
}

/* The end of a line that announces a literal without a possible size. Where the client waits for leave
 * nothing is lost. */
static enum imap_event literal_absurd(struct imap_reader *r, const struct imap_literal *lit,
                                      struct imap_line *line, bool *said)
{
    r->wrong = "Literal too large";
    r->lost |= !lit->sync;
    *said = true;
    return report(r, line);
}

static enum imap_event literal_begins(struct imap_reader *r, const struct imap_literal *lit,
                                      struct imap_line *line, bool *said)
{
    r->literal = r->left = lit->size;
    r->sync = lit->sync;
    r->binary = lit->binary;
    if (is_message(r, r->segment + lit->start, line)) {
        /* The arguments end before the literal. */
        line->args.end = r->cmd.p + r->segment + lit->start;
        r->head = (size_t)(line->args.p - r->cmd.p);
        r->state = MESSAGE;
        *said = true;
        return IMAP_MESSAGE;
    }
    size_t kept = r->cmd.n - r->text;
    if (lit->size > r->limits->literal || lit->size > r->limits->literals - kept)
        return literal_unwanted(r, "Literal too large", lit, line, said);
    r->state = LITERAL;
    *said = r->sync;
    return r->sync ? IMAP_LITERAL : IMAP_MORE;
}

static enum imap_event line_ends(struct imap_reader *r, struct imap_line *line, bool *said)
{
    struct str seg = {r->cmd.p + r->segment, r->cmd.n - r->segment};
    struct imap_literal lit;
    struct str bare = without_line_end(seg);
    bool dirty = str_find(bare, '\0') >= 0 || str_find(bare, '\r') >= 0;
    if (!r->plain && imap_literal_at_end(bare, &lit) && !quote_open(str_head(bare, lit.start)))
        return lit.absurd ? literal_absurd(r, &lit, line, said)
             : dirty ? literal_unwanted(r, "NUL or bare CR in command", &lit, line, said)
                     : literal_begins(r, &lit, line, said);
    r->cmd.n = r->segment + bare.n;
    r->state = DONE;
    *said = true;
    if (dirty || r->wrong) {
        r->wrong = dirty ? "NUL or bare CR in command" : r->wrong;
        return report(r, line);
    }
    return parse_head(r, line) == 0 ? IMAP_COMMAND : IMAP_WRONG;
}

/* Takes text up to and including the next LF. */
static enum imap_event feed_text(struct imap_reader *r, struct str *in, struct imap_line *line,
                                 bool *said)
{
    ptrdiff_t lf = str_find(*in, '\n');
    size_t n = lf >= 0 ? (size_t)lf + 1 : in->n;
    if (r->text + n > r->limits->line) {
        /* Keep the start, so that the refusal can name its tag. */
        if (r->cmd.n == 0)
            buf_add(&r->cmd, in->p, n < 256 ? n : 256);
        skip_line(r, "Command line too long");
        return IMAP_MORE;
    }
    buf_add(&r->cmd, in->p, n);
    r->text += n;
    *in = str_skip(*in, n);
    return lf >= 0 ? line_ends(r, line, said) : IMAP_MORE;
}

static void feed_literal(struct imap_reader *r, struct str *in)
{
    size_t n = in->n < r->left ? in->n : (size_t)r->left;
    if (r->state == LITERAL) {
        if (!r->binary && memchr(in->p, '\0', n))
            r->wrong = "NUL in literal"; /* RFC 3501 9: CHAR8 */
        buf_add(&r->cmd, in->p, n);
    }
    *in = str_skip(*in, n);
    r->left -= n;
    if (r->left == 0)
        r->state = r->state == LITERAL ? TEXT : SKIP_TEXT;
    if (r->left == 0) {
        r->segment = r->cmd.n;
        r->tail_n = 0;
    }
}

static void keep_tail(struct imap_reader *r, struct str s)
{
    if (s.n > sizeof r->tail)
        s = str_skip(s, s.n - sizeof r->tail);
    size_t drop = r->tail_n + s.n > sizeof r->tail ? r->tail_n + s.n - sizeof r->tail : 0;
    memmove(r->tail, r->tail + drop, r->tail_n - drop);
    r->tail_n -= drop;
    memcpy(r->tail + r->tail_n, s.p, s.n);
    r->tail_n += s.n;
}

/* True when a line that is not kept ends in an unasked literal of absurd size; its brace may be out of
 * sight. */
static bool is_absurd_tail(struct str tail)
{
    struct imap_literal lit;
    if (imap_literal_at_end(tail, &lit))
        return lit.absurd && !lit.sync;
    if (!str_ends(tail, STR("+}")) || tail.n < 22)
        return false;
    for (size_t i = 0; i < tail.n - 2; i++)
        if (tail.p[i] < '0' || tail.p[i] > '9')
            return false;
    return true;
}

/* Goes over a line that is not kept. A literal that the client sends unasked belongs to it. */
static enum imap_event feed_skip(struct imap_reader *r, struct str *in, struct imap_line *line,
                                 bool *said)
{
    ptrdiff_t lf = str_find(*in, '\n');
    size_t n = lf >= 0 ? (size_t)lf + 1 : in->n;
    keep_tail(r, str_head(*in, n));
    *in = str_skip(*in, n);
    if (lf < 0)
        return IMAP_MORE;
    struct imap_literal lit;
    struct str tail = without_line_end((struct str){r->tail, r->tail_n});
    if (!r->plain && is_absurd_tail(tail)) {
        lit = (struct imap_literal){.sync = false};
        return literal_absurd(r, &lit, line, said);
    }
    if (imap_literal_at_end(tail, &lit) && !lit.sync && !r->plain) {
        r->left = lit.size;
        r->state = lit.size ? SKIP_LITERAL : SKIP_TEXT;
        r->tail_n = 0;
        return IMAP_MORE;
    }
    if (r->wrong == answered) {
        imap_reader_next(r);
        return IMAP_MORE;
    }
    *said = true;
    return report(r, line);
}

enum imap_event imap_reader_feed(struct imap_reader *r, struct str *in, struct imap_line *line)
{
    bool said = false;
    enum imap_event event = IMAP_MORE;
    assert(r->state != MESSAGE && r->state != DONE);
    if (r->lost) {
        *in = (struct str){in->p + in->n, 0};
        return IMAP_MORE;
    }
    for (;;) {
        if (r->state == LITERAL && r->left == 0) {
            r->state = TEXT;
            r->segment = r->cmd.n;
        }
        if (in->n == 0)
            return IMAP_MORE;
        if (r->state == TEXT)
            event = feed_text(r, in, line, &said);
        else if (r->state == SKIP_TEXT)
            event = feed_skip(r, in, line, &said);
        else
            feed_literal(r, in);
        if (said)
            return event;
    }
}

bool imap_reader_message(struct imap_reader *r, struct str *in, struct str *piece)
{
    assert(r->state == MESSAGE);
    *piece = str_head(*in, r->left < SIZE_MAX ? (size_t)r->left : SIZE_MAX);
    *in = str_skip(*in, piece->n);
    r->left -= piece->n;
    if (r->left > 0)
        return true;
    /* What follows the message takes the place of what stood before it. */
    r->state = TEXT;
    r->more = true;
    r->cmd.n = r->segment = r->text = r->head;
    return false;
}

void imap_reader_refuse(struct imap_reader *r)
{
    assert(r->state == MESSAGE || r->state == LITERAL);
    uint64_t left = r->left;
    bool sync = r->sync;
    imap_reader_next(r);
    if (sync)
        return;
    r->wrong = answered;
    r->left = left;
    r->state = left ? SKIP_LITERAL : SKIP_TEXT;
}
