/*
 * DNS for the programs that reach no network themselves: does a domain take mail, what are a host's
 * addresses, what does a DNS list say (RFC 5782), what is a client's name.
 */
#include "relay/relay.h"

#include <arpa/inet.h>
#include <stdlib.h>

struct question {
    struct question *next, **link;
    struct peer *peer;
    uint64_t id;
    unsigned kind;
    char name[301];
    unsigned char ip[16]; /* whose name is wanted, and how long it is */
    size_t ip_n;
    struct dns_ask *ask;
    enum dns_type type;
    bool failed; /* one of the two kinds of addresses could not be asked for */
    struct buf values;
};

static void question_free(struct question *q)
{
    dns_cancel(q->ask);
    *q->link = q->next;
    if (q->next)
        q->next->link = q->link;
    buf_free(&q->values);
    free(q);
}

void asks_end(struct peer *p)
{
    while (p->questions)
        question_free(p->questions);
}

static void reply(struct question *q, enum verdict verdict, struct str text)
{
    struct msg m = MSG_INIT(dns_reply);
    m.dns_reply.id = q->id;
    m.dns_reply.verdict = (uint8_t)verdict;
    m.dns_reply.values = buf_view(&q->values);
    m.dns_reply.text = str_is_text(text) ? str_head(text, 400) : (struct str){0};
    channel_send(q->peer->ch, &m);
    question_free(q);
}

static void look(struct question *q, enum dns_type type);

/* RFC 7505: one MX of the root says that no mail is taken. */
static bool is_null_mx(const struct dns_answer *a)
{
    return a->n == 1 && a->data[0].n == 3 && a->data[0].p[2] == 0;
}

static void on_mail_domain(struct question *q, const struct dns_answer *a)
{
    if (a->status == DNS_FOUND && q->type == DNS_MX && is_null_mx(a))
        reply(q, VERDICT_REFUSED, STR("null MX"));
    else if (a->status == DNS_FOUND)
        reply(q, VERDICT_YES, STR(""));
    else if (a->status == DNS_NO_RECORDS && q->type != DNS_AAAA)
        look(q, q->type == DNS_MX ? DNS_A : DNS_AAAA);
    else
        reply(q, VERDICT_NO, STR(""));
}

static void add_values(struct question *q, const struct dns_answer *a)
{
    char text[INET6_ADDRSTRLEN];
    for (size_t i = 0; a->status == DNS_FOUND && i < a->n && i < 10; i++)
        if ((a->data[i].n == 4 || a->data[i].n == 16) &&
            inet_ntop(a->data[i].n == 4 ? AF_INET : AF_INET6, a->data[i].p, text, sizeof text))
            buf_printf(&q->values, "%s%s", q->values.n ? " " : "", text);
}

/* The first character-string of a TXT record is enough to tell the client. */
static struct str first_text(const struct dns_answer *a)
{
    struct str d = a->status == DNS_FOUND && a->n ? a->data[0] : (struct str){0};
    return d.n > 1 ? str_head(str_skip(d, 1), (unsigned char)d.p[0]) : (struct str){0};
}

static void on_list(struct question *q, const struct dns_answer *a)
{
    if (q->type == DNS_TXT) {
        reply(q, VERDICT_YES, first_text(a));
    } else if (a->status == DNS_FOUND) {
        add_values(q, a);
        look(q, DNS_TXT);
    } else {
        reply(q, VERDICT_NO, STR(""));
    }
}

/* RFC 1035 section 3.5, RFC 3596 section 2.5. 0, or -1 when the text is no address. */
static int client_reverse(struct question *q)
{
    bool v4 = inet_pton(AF_INET, q->name, q->ip) == 1;
    AUTO_BUF out = {0};
    if (!v4 && inet_pton(AF_INET6, q->name, q->ip) != 1)
        return -1;
    q->ip_n = v4 ? 4 : 16;
    for (size_t i = q->ip_n; i-- > 0;)
        if (v4)
            buf_printf(&out, "%u.", q->ip[i]);
        else
            buf_printf(&out, "%x.%x.", q->ip[i] & 15u, q->ip[i] >> 4);
    snprintf(q->name, sizeof q->name, "%s%s", buf_z(&out), v4 ? "in-addr.arpa" : "ip6.arpa");
    return 0;
}

/* A name that ends like an address would pass for one in tables. */
static bool is_client_name(const char *name)
{
    const char *dot = strrchr(name, '.'), *top = dot ? dot + 1 : name;
    return top[strspn(top, "0123456789")] != '\0';
}

static void on_client_name(struct question *q, const struct dns_answer *a)
{
    char name[256];
    if (a->status != DNS_FOUND || a->n == 0 || route_name(a->data[0], name) != 0 ||
        !is_client_name(name)) {
        reply(q, VERDICT_NO, STR(""));
        return;
    }
    buf_str(&q->values, str_from(name));
    snprintf(q->name, sizeof q->name, "%s", name);
    look(q, q->ip_n == 4 ? DNS_A : DNS_AAAA);
}

static void on_client(struct question *q, const struct dns_answer *a)
{
    enum verdict v = VERDICT_NO;
    if (q->type == DNS_PTR) {
        on_client_name(q, a);
        return;
    }
    for (size_t i = 0; a->status == DNS_FOUND && i < a->n; i++)
        if (str_eq(a->data[i], (struct str){(const char *)q->ip, q->ip_n}))
            v = VERDICT_YES;
    reply(q, v, STR(""));
}

/* One kind of address will do where the other cannot be asked for. */
static void on_addresses(struct question *q, const struct dns_answer *a)
{
    bool failed = a->status == DNS_CANNOT_SAY;
    add_values(q, a);
    q->failed = q->failed || failed;
    if (q->type == DNS_A)
        look(q, DNS_AAAA);
    else if (q->values.n)
        reply(q, VERDICT_YES, STR(""));
    else
        reply(q, q->failed ? VERDICT_CANNOT_SAY : VERDICT_NO,
              failed ? str_from(a->why) : STR("no addresses"));
}

static void on_answer(void *arg, const struct dns_answer *a)
{
    struct question *q = arg;
    q->ask = NULL;
    if (q->kind == DNS_ASK_ADDRESSES)
        on_addresses(q, a);
    else if (a->status == DNS_CANNOT_SAY && q->type != DNS_TXT)
        reply(q, VERDICT_CANNOT_SAY, str_from(a->why));
    else if (q->kind == DNS_ASK_LIST)
        on_list(q, a);
    else if (q->kind == DNS_ASK_CLIENT)
        on_client(q, a);
    else
        on_mail_domain(q, a);
}

static void look(struct question *q, enum dns_type type)
{
    q->type = type;
    q->ask = dns_start(q->peer->relay->dns, str_from(q->name), type, on_answer, q);
}

static enum dns_type first_type(unsigned kind)
{
    return kind == DNS_ASK_CLIENT ? DNS_PTR : kind == DNS_ASK_MAIL ? DNS_MX : DNS_A;
}

void ask_start(struct peer *p, const struct msg_dns_ask *m)
{
    struct question *q = MEM_NEW(struct question);
    *q = (struct question){.next = p->questions, .link = &p->questions, .peer = p, .id = m->id,
                           .kind = m->kind};
    if (q->next)
        q->next->link = &q->next;
    p->questions = q;
    memcpy(q->name, m->name.p, m->name.n);
    if (!p->relay->dns || m->name.n == 0 || !str_is_graph(m->name) ||
        (q->kind == DNS_ASK_CLIENT && client_reverse(q) != 0))
        reply(q, VERDICT_CANNOT_SAY, STR("cannot ask for that"));
    else
        look(q, first_type(q->kind));
}
