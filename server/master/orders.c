/*
 * "queue WHAT MESSAGE DESTINATION AFTER" on the control socket: passed on to the queue program, whose
 * lines go back to the client as they come. MESSAGE is a queue id or 0, DESTINATION "-" for all.
 */
#include "master/master.h"

static uint8_t what_of(struct str word)
{
    static const char *const names[] = {"list", "show", "hold", "release", "retry", "delete"};
    for (uint8_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (str_eq(word, str_from(names[i])))
            return (uint8_t)(i + 1);
    return 0;
}

static int hex_number(struct str word, uint64_t *v)
{
    *v = 0;
    if (word.n == 0 || word.n > 16)
        return -1;
    for (size_t i = 0; i < word.n; i++) {
        ptrdiff_t digit = str_find(STR("0123456789abcdef"), word.p[i]);
        if (digit < 0)
            return -1;
        *v = *v << 4 | (uint64_t)digit;
    }
    return 0;
}

int orders_ask(struct master *m, uint64_t id, struct str args)
{
    struct msg msg = MSG_INIT(order_ask);
    struct str what, message, destination, after;
    if (!str_token(&args, " ", &what) || !str_token(&args, " ", &message) ||
        !str_token(&args, " ", &destination) || !str_token(&args, " ", &after) || args.n)
        return -1;
    msg.order_ask.id = id;
    msg.order_ask.what = what_of(what);
    msg.order_ask.destination = str_eq(destination, STR("-")) ? STR("") : destination;
    if (!msg.order_ask.what || hex_number(message, &msg.order_ask.message) != 0 ||
        str_u64(after, &msg.order_ask.after) != 0 || msg.order_ask.destination.n > 300)
        return -1;
    for (size_t i = 0; i < m->children; i++)
        if (m->child[i].kind == KIND_QUEUE && m->child[i].state == CHILD_READY)
            return child_send(&m->child[i], &msg) ? 0 : -1;
    return -1;
}
