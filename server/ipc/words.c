/* Words in the lines of the control socket. */
#include "ipc/words.h"

void words_put(struct buf *out, struct str s)
{
    buf_byte(out, ' ');
    if (s.n == 0)
        buf_byte(out, '%');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= 0x20 || c == 0x7f || c == '%')
            buf_printf(out, "%%%02X", c);
        else
            buf_byte(out, (char)c);
    }
}

int words_get(struct str word, struct buf *out)
{
    if (str_eq(word, STR("%")))
        return 0;
    for (size_t i = 0; i < word.n; i++) {
        int octet = word.p[i] == '%' ? str_hex_octet(str_skip(word, i + 1)) : -1;
        if (word.p[i] == '%' && octet < 0)
            return -1;
        buf_byte(out, octet < 0 ? word.p[i] : (char)octet);
        i += octet < 0 ? 0 : 2;
    }
    return 0;
}
