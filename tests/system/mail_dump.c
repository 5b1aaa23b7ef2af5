/* Prints "SIZE ENVELOPE … BODYSTRUCTURE …" with its length for each message file, for comparison
 * with another server's answer. */
#include "mail/imap_text.h"
#include "mail/wire.h"

#include <fcntl.h>
#include <stdio.h>

static int dump(const char *path)
{
    AUTO_BUF m = {0}, out = {0};
    AUTO_ARENA a = arena_new(4096);
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fd_read_all(fd, &m, 1 << 26) != 0) {
        perror(path);
        return 1;
    }
    struct str text = buf_view(&m);
    struct mail_envelope env;
    mail_envelope_parse(a, text, &env);
    buf_printf(&out, "(RFC822.SIZE %llu ENVELOPE ", (unsigned long long)mail_wire_size(text, NULL));
    mail_imap_envelope(&out, &env, 0);
    buf_str(&out, STR(" BODYSTRUCTURE "));
    mail_imap_body(&out, a, text, mail_mime_parse(a, text), true, 0);
    buf_byte(&out, ')');
    printf("%zu\n%.*s\n", out.n, STR_FMT(buf_view(&out)));
    return 0;
}

int main(int argc, char **argv)
{
    int failed = 0;
    for (int i = 1; i < argc; i++)
        failed |= dump(argv[i]);
    return failed;
}
