/*
 * "explain WHAT LOGIN ADDRESS PASSWORD" on the control socket: passed on to the directory program,
 * whose lines go back to the client as they come. The arguments are words of ipc/words.h.
 */
#include "ipc/words.h"
#include "master/master.h"

#include <stdlib.h>

static uint8_t what_of(struct str word)
{
    if (str_eq(word, STR("rcpt")))
        return EXPLAIN_RCPT;
    if (str_eq(word, STR("login")))
        return EXPLAIN_LOGIN;
    return str_eq(word, STR("send")) ? EXPLAIN_SEND : 0;
}

int explain_ask(struct master *m, uint64_t id, struct str args)
{
    struct msg msg = MSG_INIT(explain_ask);
    struct buf words[3] = {{0}, {0}, {0}};
    struct str word;
    int n = 0, r = -1;
    if (str_token(&args, " ", &word))
        msg.explain_ask.what = what_of(word);
    while (n < 3 && str_token(&args, " ", &word) && words_get(word, &words[n]) == 0)
        n++;
    msg.explain_ask.id = id;
    msg.explain_ask.login = buf_view(&words[0]);
    msg.explain_ask.address = buf_view(&words[1]);
    msg.explain_ask.password = buf_view(&words[2]);
    bool fits = n == 3 && args.n == 0 && msg.explain_ask.what && words[0].n <= 1000 &&
                words[1].n <= 1000 && words[2].n <= 4000;
    for (size_t i = 0; fits && r != 0 && i < m->children; i++)
        if (m->child[i].kind == KIND_DIRECTORY && m->child[i].state == CHILD_READY)
            r = child_send(&m->child[i], &msg) ? 0 : -1;
    for (int i = 0; i < 3; i++) {
        mem_wipe(words[i].p, words[i].n);
        buf_free(&words[i]);
    }
    return r;
}
