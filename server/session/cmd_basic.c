/* CAPABILITY, NOOP, LOGOUT, ID, NAMESPACE, ENABLE, CHECK; and what belongs before login. */
#include "session/imap.h"

#include "base/log.h"

/*
 * One row a capability; enable: the bit that ENABLE sets for it (RFC 5161), 0 when it needs none.
 *
 * LITERAL+ and LITERAL- may not stand side by side (RFC 7888 5). LITERAL+ it is: it takes what LITERAL-
 * (and so IMAP4rev2) allows and more, messages go from the wire to their file without a round trip,
 * and one that is too large is passed over at no cost but its bytes. APPENDLIMIT spares clients those.
 */
static const struct {
    const char *name;
    unsigned enable;
} capabilities[] = {
    {"IMAP4rev1", 0}, {"IMAP4rev2", IMAP_ON_REV2},
    {"LITERAL+", 0},  {"ID", 0},       {"ENABLE", 0},  {"NAMESPACE", 0},
    {"IDLE", 0},      {"CHILDREN", 0}, {"UIDPLUS", 0},  {"MOVE", 0},    {"UNSELECT", 0},
    {"SPECIAL-USE", 0}, {"MULTIAPPEND", 0},
    {"ESEARCH", 0}, {"SEARCHRES", 0}, {"WITHIN", 0}, {"SORT", 0}, {"SORT=DISPLAY", 0}, {"ESORT", 0},
    {"PARTIAL", 0},
    {"THREAD=REFERENCES", 0}, {"THREAD=ORDEREDSUBJECT", 0}, {"I18NLEVEL=1", 0},
    {"STATUS=SIZE", 0},
    {"LIST-EXTENDED", 0},
    {"LIST-STATUS", 0},
    {"CREATE-SPECIAL-USE", 0},
    {"QUOTA", 0},
    {"QUOTA=RES-STORAGE", 0},
    {"PREVIEW", 0},
    {"BINARY", 0},
    {"COMPRESS=DEFLATE", 0},
    {"REPLACE", 0},
    {"UTF8=ACCEPT", IMAP_ON_UTF8},
    {"OBJECTID", 0},
    {"SAVEDATE", 0},
    {"CONDSTORE", IMAP_ON_CONDSTORE},
    {"QRESYNC", IMAP_ON_CONDSTORE | IMAP_ON_QRESYNC},
};

void imap_write_capabilities(struct imap_session *s, struct buf *b)
{
    for (size_t i = 0; i < sizeof capabilities / sizeof *capabilities; i++)
        buf_printf(b, "%s%s", i ? " " : "", capabilities[i].name);
    buf_str(b, STR(" APPENDLIMIT"));
    if (s->settings->message_size_limit) /* the same for all mailboxes (RFC 7889 2) */
        buf_printf(b, "=%llu", (unsigned long long)s->settings->message_size_limit);
}

/* True when the arguments are over; else sets BAD. */
static bool no_arguments(struct imap_session *s, struct imap_cursor *args)
{
    if (imap_get_end(args) == 0)
        return true;
    imap_reply_bad(s, args->wrong);
    return false;
}

void imap_cmd_capability(struct imap_session *s, struct imap_cursor *args)
{
    if (!no_arguments(s, args))
        return;
    output_z(&s->out, "* CAPABILITY ");
    imap_write_capabilities(s, output_buf(&s->out));
    output_z(&s->out, "\r\n");
    imap_reply_done(s);
}

/* NOOP and CHECK mean the look itself, so they fail when it fails. */
static void look(struct imap_session *s, struct imap_cursor *args)
{
    if (!no_arguments(s, args))
        return;
    if (imap_tell_changes(s, true) == 0)
        imap_reply_done(s);
    else
        imap_reply_no(s, "[UNAVAILABLE] Cannot look at the mailbox now");
}

void imap_cmd_noop(struct imap_session *s, struct imap_cursor *args)
{
    look(s, args);
}

/* All that CHECK asks for (RFC 3501 6.4.1) is durable before its command was answered. */
void imap_cmd_check(struct imap_session *s, struct imap_cursor *args)
{
    look(s, args);
}

void imap_cmd_logout(struct imap_session *s, struct imap_cursor *args)
{
    if (!no_arguments(s, args))
        return;
    imap_bye(s, "Logging out");
    imap_reply_done(s);
}

void imap_cmd_id(struct imap_session *s, struct imap_cursor *args)
{
    struct imap_id id;
    AUTO_BUF text = {0};
    if (imap_get_space(args) != 0 || imap_get_id(args, s->arena, &id) != 0 ||
        imap_get_end(args) != 0) {
        imap_reply_bad(s, args->wrong);
        return;
    }
    for (size_t i = 0; i < id.n; i++)
        buf_printf(&text, "%s%.*s=%.*s", i ? " " : "", STR_FMT(id.fields[2 * i]),
                   STR_FMT(id.fields[2 * i + 1]));
    if (id.n)
        log_info("imap-id", LS("session", s->settings->id), LS("user", s->settings->user),
                 LS("program", buf_view(&text)));
    output_z(&s->out, "* ID (\"name\" \"Facteur\" \"version\" \"" PACKAGE_VERSION
                     "\" \"vendor\" \"Facteur\")\r\n");
    imap_reply_done(s);
}

void imap_cmd_namespace(struct imap_session *s, struct imap_cursor *args)
{
    if (!no_arguments(s, args))
        return;
    output_z(&s->out, "* NAMESPACE ((\"\" \".\")) NIL NIL\r\n");
    imap_reply_done(s);
}

void imap_cmd_enable(struct imap_session *s, struct imap_cursor *args)
{
    AUTO_BUF line = {0};
    struct str name;
    unsigned bits = 0;
    buf_str(&line, STR("* ENABLED"));
    do {
        if (imap_get_space(args) != 0 || imap_get_atom(args, &name) != 0) {
            imap_reply_bad(s, args->wrong);
            return;
        }
        /* What is unknown, or needs no enabling, is passed over (RFC 5161 3.1). */
        for (size_t i = 0; i < sizeof capabilities / sizeof *capabilities; i++) {
            unsigned bit = capabilities[i].enable;
            if (!bit || !str_caseeq(name, str_from(capabilities[i].name)))
                continue;
            bits |= bit;
            buf_printf(&line, " %s", capabilities[i].name);
        }
    } while (!imap_at_end(args));
    output_str(&s->out, buf_view(&line));
    output_z(&s->out, "\r\n");
    if (bits & IMAP_ON_CONDSTORE)
        imap_use_modseq(s);
    s->enabled |= bits;
    imap_reply_done(s);
}

void imap_cmd_login(struct imap_session *s, struct imap_cursor *args)
{
    (void)args;
    imap_reply_bad(s, "Already logged in");
}
