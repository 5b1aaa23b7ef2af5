/* mail/subject.h: base subjects (RFC 5256 section 2.1). */
#include "mail/subject.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static const struct {
    const char *in, *want;
    bool reply;
} table[] = {
    {"", "", false},
    {"hello", "hello", false},
    /* Step 1 */
    {"hello\t  big\r\n world", "hello big world", false},
    {"=?utf-8?Q?Re=3A_gr=C3=BC=C3=9Fe?=", "gr\xc3\xbc\xc3\x9f" "e", true},
    {"=?iso-8859-1?Q?=E9t=E9?= =?iso-8859-1?Q?!?=", "\xc3\xa9t\xc3\xa9!", false},
    /* Step 2 */
    {"hello (fwd)", "hello", true},
    {"hello (Fwd) (FWD)  ", "hello", true},
    {"hello(fwd)", "hello", true},
    {"(fwd)", "", true},
    {"(fwd) hello", "(fwd) hello", false},
    /* Step 3 */
    {"Re: hello", "hello", true},
    {"re:hello", "hello", true},
    {"RE : hello", "hello", true},
    {"Fw: hello", "hello", true},
    {"FWD: hello", "hello", true},
    {"Re[2]: hello", "hello", true},
    {"Re [no. 5] : hello", "hello", true},
    {"Re [no. 5] and: hello", "Re [no. 5] and: hello", false},
    {"Re [no. 5]: hello", "hello", true},
    {"Re: Fwd: re: hello", "hello", true},
    {"Re", "Re", false},
    {"Re:", "", true},
    {"Re hello", "Re hello", false},
    {"Reply: hello", "Reply: hello", false},
    {"Fwde: hello", "Fwde: hello", false},
    {"AW: hello", "AW: hello", false},
    {"Re[2: hello", "Re[2: hello", false},
    /* Step 4 */
    {"[list] hello", "hello", false},
    {"[a][b] hello", "hello", false},
    {"[list]", "[list]", false},
    {"[a] [b]", "[b]", false},
    {"Re: [a] [b]", "[b]", true},
    {"[list] Re: hello", "hello", true},
    {"[list] Re: [list] Re: hello", "hello", true},
    {"[a] [b] fwd [c] x", "fwd [c] x", false},
    {"[a] [b] fwd [c]: x", "x", true},
    {"[] x", "x", false},
    {"[a[b] x", "[a[b] x", false},
    {"]x[", "]x[", false},
    {"hello [list]", "hello [list]", false},
    /* Step 6 */
    {"[fwd: hello]", "hello", true},
    {"[Fwd: Re: hello (fwd)]", "hello", true},
    {"[fwd: [fwd: [list] hello]]", "hello", true},
    {"Re: [fwd: hello] (fwd)", "hello", true},
    {"[fwd:]", "", true},
    {"[fwd: hello", "[fwd: hello", false},
    {"[fwd: hello] world", "world", false},
    {"[fwd: a] [fwd: b]", "b", true},
};

static void bases(void)
{
    struct mail_conv *c = mail_conv_new();
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        AUTO_BUF out = {0};
        bool reply = !table[i].reply;
        CU_ASSERT(mail_subject_base(c, str_from(table[i].in), &out, &reply) == 0);
        UNIT_STR(out, table[i].want);
        if (reply != table[i].reply)
            printf("# reply of \"%s\"\n", table[i].in);
        CU_ASSERT(reply == table[i].reply);
    }
    mail_conv_free(c);
}

/* A subject as long as one may be does not take long, whatever it is made of. */
static void repeated(const char *piece, size_t want)
{
    struct mail_conv *c = mail_conv_new();
    AUTO_BUF in = {0};
    AUTO_BUF out = {0};
    while (in.n < 60000)
        buf_str(&in, str_from(piece));
    CU_ASSERT(mail_subject_base(c, buf_view(&in), &out, NULL) == 0);
    CU_ASSERT(out.n <= want);
    mail_conv_free(c);
}

static void bounds(void)
{
    repeated("[a]", 3);
    repeated("re:", 3);
    repeated("[fwd:", MAIL_SUBJECT_MAX);
    repeated("(fwd)", 5);
    repeated("re[a]", MAIL_SUBJECT_MAX);
    repeated("[a]re:", 6);
    repeated(" \t", 0);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"bases", bases},
        {"bounds", bounds},
        {NULL, NULL},
    };
    return unit_main("mail-subject", tests);
}
