/* One line of a POP3 client; see command.h. */
#include "protocol/pop3/command.h"

/* What stands behind the name of a command. */
enum form {
    FORM_NOTHING,
    FORM_TEXT,        /* one argument up to the end of the line, blanks and all (RFC 1939: PASS) */
    FORM_AUTH,        /* mechanism [initial response] (RFC 5034 section 4) */
    FORM_NUMBER,
    FORM_NUMBER_MAYBE,
    FORM_NUMBER_LINES,
};

static const struct {
    const char *name;
    enum pop3_verb verb;
    enum form form;
} commands[] = {
    {"RETR", POP3_RETR, FORM_NUMBER},       {"DELE", POP3_DELE, FORM_NUMBER},
    {"LIST", POP3_LIST, FORM_NUMBER_MAYBE}, {"UIDL", POP3_UIDL, FORM_NUMBER_MAYBE},
    {"TOP", POP3_TOP, FORM_NUMBER_LINES},   {"STAT", POP3_STAT, FORM_NOTHING},
    {"NOOP", POP3_NOOP, FORM_NOTHING},      {"RSET", POP3_RSET, FORM_NOTHING},
    {"QUIT", POP3_QUIT, FORM_NOTHING},      {"CAPA", POP3_CAPA, FORM_NOTHING},
    {"USER", POP3_USER, FORM_TEXT},         {"PASS", POP3_PASS, FORM_TEXT},
    {"AUTH", POP3_AUTH, FORM_AUTH},         {"STLS", POP3_STLS, FORM_NOTHING},
    {"UTF8", POP3_UTF8, FORM_NOTHING},      {"APOP", POP3_APOP, FORM_TEXT},
};

/* Takes what stands before the next blank. */
static struct str take_word(struct str *rest)
{
    ptrdiff_t at = str_find(*rest, ' ');
    struct str word = at < 0 ? *rest : str_head(*rest, (size_t)at);
    *rest = str_skip(*rest, at < 0 ? rest->n : (size_t)at + 1);
    return word;
}

static bool is_digits(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0;
}

static const char *parse_number(struct str *args, struct pop3_command *c)
{
    struct str word = take_word(args);
    if (!is_digits(word))
        return "A message number is wanted";
    if (str_u32(word, &c->number) != 0)
        c->number = UINT32_MAX;
    return c->number ? NULL : "Message numbers start with 1";
}

static const char *parse_lines(struct str *args, struct pop3_command *c)
{
    struct str word = take_word(args);
    if (!is_digits(word))
        return "A number of lines is wanted";
    if (str_u64(word, &c->lines) != 0)
        c->lines = UINT64_MAX;
    return NULL;
}

static const char *parse_auth(struct str *args, struct pop3_command *c)
{
    c->text = take_word(args);
    if (c->text.n == 0)
        return "A mechanism is wanted";
    if (args->n)
        c->initial = take_word(args);
    return NULL;
}

/* Blanks at the end are forgiven, but not in a password. */
static struct str without_end(struct str args)
{
    while (args.n && args.p[args.n - 1] == ' ')
        args.n--;
    return args;
}

static const char *parse_arguments(enum form form, struct str args, struct pop3_command *c)
{
    const char *wrong = NULL;
    if (form == FORM_TEXT) {
        c->text = args;
        return args.n ? NULL : "An argument is wanted";
    }
    args = without_end(args);
    if (form == FORM_AUTH)
        wrong = parse_auth(&args, c);
    else if (form != FORM_NOTHING && (form != FORM_NUMBER_MAYBE || args.n))
        wrong = parse_number(&args, c);
    if (!wrong && form == FORM_NUMBER_LINES)
        wrong = parse_lines(&args, c);
    return wrong || args.n == 0 ? wrong : "Too many arguments";
}

const char *pop3_command_parse(struct str line, struct pop3_command *c)
{
    struct str name = take_word(&line);
    *c = (struct pop3_command){.verb = POP3_UNKNOWN};
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (!str_caseeq(name, str_from(commands[i].name)))
            continue;
        c->verb = commands[i].verb;
        return parse_arguments(commands[i].form, line, c);
    }
    return "Unknown command";
}

/* EXPIRE NEVER: nothing is deleted but by the client's DELE (RFC 2449 section 6.7). */
static const struct {
    const char *line;
    unsigned states;
} capabilities[] = {
    {"TOP", ~0u},
    {"UIDL", ~0u},
    {"RESP-CODES", ~0u},
    {"AUTH-RESP-CODE", ~0u},
    {"PIPELINING", ~0u},
    {"EXPIRE NEVER", ~0u},
    {"UTF8", ~0u},
    {"STLS", POP3_CAPA_STLS},
    {"USER", POP3_CAPA_LOGIN},
    {"SASL PLAIN LOGIN", POP3_CAPA_LOGIN},
    {"IMPLEMENTATION Facteur", ~0u},
};

void pop3_write_capabilities(struct buf *b, enum pop3_capa state, const char *mechanisms)
{
    for (size_t i = 0; i < sizeof capabilities / sizeof *capabilities; i++)
        if (capabilities[i].states & state)
            buf_printf(b, "%s%s\r\n", capabilities[i].line,
                       str_starts(str_from(capabilities[i].line), STR("SASL ")) ? mechanisms : "");
    buf_str(b, STR(".\r\n"));
}
