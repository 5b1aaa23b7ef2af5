/* ipc/words.h: words in the lines of the control socket. */
#include "ipc/words.h"
#include "tests/unit/unit.h"

static void round_trip(void)
{
    static const struct {
        struct str bytes;
        const char *line;
    } t[] = {
        {STR("amelie@example.com"), " amelie@example.com"}, {STR(""), " %"}, {STR("%"), " %25"},
        {STR("a b\tc\nd"), " a%20b%09c%0Ad"}, {STR("\0\x1f\x7f"), " %00%1F%7F"},
        {STR("h\xc3\xa9"), " h\xc3\xa9"},
    };
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        AUTO_BUF line = {0};
        AUTO_BUF back = {0};
        words_put(&line, t[i].bytes);
        UNIT_STR(buf_view(&line), t[i].line);
        CU_ASSERT(words_get(str_skip(buf_view(&line), 1), &back) == 0);
        CU_ASSERT(str_eq(buf_view(&back), t[i].bytes));
    }
}

static void no_words(void)
{
    static const char *const t[] = {"%2", "a%", "%%", "%zz", "%2g", "a%e"};
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        AUTO_BUF out = {0};
        CU_ASSERT(words_get(str_from(t[i]), &out) == -1);
    }
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"words keep what they stand for", round_trip},
        {"what is no word is refused", no_words},
        {NULL, NULL},
    };
    return unit_main("words", tests);
}
