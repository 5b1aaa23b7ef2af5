/* Asking for a password. */
#include "tools/prompt.h"

#include <stdio.h>
#include <termios.h>
#include <unistd.h>

static int read_line(int fd, char *room, size_t *n)
{
    char c;
    for (*n = 0; *n < PROMPT_PASSWORD_MAX; room[(*n)++] = c) {
        if (read(fd, &c, 1) != 1)
            return *n ? 0 : -1;
        if (c == '\n')
            return 0;
    }
    return -1;
}

int prompt_password(const char *prompt, struct secret *out)
{
    struct termios shown, hidden;
    char room[PROMPT_PASSWORD_MAX];
    size_t n = 0;
    bool terminal = tcgetattr(STDIN_FILENO, &shown) == 0;
    if (terminal) {
        fputs(prompt, stderr);
        fflush(stderr);
        hidden = shown;
        hidden.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    }
    int r = read_line(STDIN_FILENO, room, &n);
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
        fputc('\n', stderr);
    }
    if (r == 0)
        *out = secret_copy((struct str){room, n});
    mem_wipe(room, sizeof room);
    return r == 0 && out->p ? 0 : -1;
}
