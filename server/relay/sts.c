/* MTA-STS policies. */
#include "relay/sts.h"

/* --- the record --- */

/* A character-string has its length before it (RFC 1035 section 3.3); together they are one text. */
static bool join(struct str rdata, struct buf *out)
{
    while (rdata.n) {
        size_t n = (unsigned char)rdata.p[0];
        if (n > rdata.n - 1 || out->n + n > 2000)
            return false;
        buf_str(out, str_head(str_skip(rdata, 1), n));
        rdata = str_skip(rdata, n + 1);
    }
    return true;
}

static bool is_id(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')))
            return false;
    }
    return s.n >= 1 && s.n <= 32;
}

bool sts_record_read(struct str rdata, struct buf *room, struct str *id)
{
    struct str rest, field;
    buf_clear(room);
    if (!join(rdata, room))
        return false;
    rest = buf_view(room);
    if (!str_token(&rest, ";", &field) || !str_eq(str_trim(field), STR("v=STSv1")))
        return false;
    *id = (struct str){"", 0};
    while (str_token(&rest, ";", &field)) {
        field = str_trim(field);
        if (id->n == 0 && str_starts(field, STR("id=")))
            *id = str_skip(field, 3);
    }
    return is_id(*id);
}

/* --- the text --- */

struct seen {
    bool version, mode, max_age;
};

static bool is_pattern(struct str s)
{
    if (str_starts(s, STR("*.")))
        s = str_skip(s, 2);
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                    c == '-' || c == '.' || c == '_';
        if (!good)
            return false;
    }
    return s.n > 0 && s.n <= 253;
}

static int take_mode(struct str value, struct sts_policy *out, struct err *e)
{
    static const struct str names[] = {STR("none"), STR("testing"), STR("enforce")};
    for (size_t i = 0; i < 3; i++) {
        if (!str_eq(value, names[i]))
            continue;
        out->mode = (enum sts_mode)i;
        return 0;
    }
    return err_perm(e, "mode \"%.*s\" is not known", STR_FMT(str_head(value, 40)));
}

static int take_max_age(struct str value, struct sts_policy *out, struct err *e)
{
    uint64_t n;
    if (str_u64(value, &n) != 0)
        return err_perm(e, "max_age \"%.*s\" is no number", STR_FMT(str_head(value, 40)));
    out->max_age_s = n > STS_AGE_MAX_S ? STS_AGE_MAX_S : (int64_t)n;
    return 0;
}

/* Of fields that stand there twice the first counts, mx aside; unknown ones are passed over. */
static int take_field(struct str name, struct str value, struct seen *seen, struct sts_policy *out,
                      struct err *e)
{
    if (str_eq(name, STR("version")) && !seen->version) {
        seen->version = true;
        return str_eq(value, STR("STSv1")) ? 0 : err_perm(e, "its version is not STSv1");
    }
    if (str_eq(name, STR("mode")) && !seen->mode) {
        seen->mode = true;
        return take_mode(value, out, e);
    }
    if (str_eq(name, STR("max_age")) && !seen->max_age) {
        seen->max_age = true;
        return take_max_age(value, out, e);
    }
    if (!str_eq(name, STR("mx")))
        return 0;
    if (!is_pattern(value) || out->mx_n == STS_MX_MAX)
        return err_perm(e, "mx \"%.*s\" is no name, or one too many", STR_FMT(str_head(value, 80)));
    out->mx[out->mx_n++] = value;
    return 0;
}

int sts_policy_parse(struct str text, struct sts_policy *out, struct err *e)
{
    struct str line;
    struct seen seen = {0};
    out->mode = STS_NONE;
    out->max_age_s = 0;
    out->mx_n = 0;
    while (str_line(&text, &line)) {
        line = str_trim(line);
        ptrdiff_t colon = str_find(line, ':');
        if (line.n == 0)
            continue;
        if (colon <= 0)
            return err_perm(e, "a line of it is not NAME: VALUE");
        struct str name = str_trim(str_head(line, (size_t)colon));
        if (take_field(name, str_trim(str_skip(line, (size_t)colon + 1)), &seen, out, e) != 0)
            return -1;
    }
    if (!seen.version || !seen.mode || !seen.max_age)
        return err_perm(e, "it lacks version, mode or max_age");
    if (out->mx_n == 0 && out->mode != STS_NONE)
        return err_perm(e, "it names no mx");
    return 0;
}

/* --- servers --- */

/* A star stands for exactly one label. */
bool sts_match(const struct str *mx, size_t n, struct str host)
{
    ptrdiff_t dot = str_find(host, '.');
    struct str above = dot < 0 ? (struct str){"", 0} : str_skip(host, (size_t)dot + 1);
    for (size_t i = 0; i < n; i++) {
        bool star = str_starts(mx[i], STR("*."));
        if (star ? above.n && dot > 0 && str_caseeq(str_skip(mx[i], 2), above)
                 : str_caseeq(mx[i], host))
            return true;
    }
    return false;
}
