/*
 * The inside of smtpd_*_restrictions. rules.c goes through the lists and knows what each rule is;
 * rules_reply.c refuses, rules_table.c asks access tables, rules_dns.c asks the DNS.
 */
#ifndef FACTEUR_SMTP_RULES_PRIVATE_H
#define FACTEUR_SMTP_RULES_PRIVATE_H

#include "config/rules.h"
#include "smtp/smtp.h"

/* client, helo, sender, relay, recipient */
enum rules_list { LIST_CLIENT, LIST_HELO, LIST_SENDER, LIST_RELAY, LIST_RECIPIENT, LISTS };

enum rule_outcome {
    GOES_ON,
    PERMITS, /* ends its list */
    REFUSES, /* ends all, with the text */
    WAITS,   /* for an answer, which ends with rules_go_on */
};

/* The restrictions at one recipient. Lies in an arena. */
struct rules {
    struct arena *arena;
    bool elsewhere; /* the recipient is another server's */
    struct str recipient;
    rules_fn fn;
    struct str lists[LISTS], rest;
    size_t list;
    struct rule_step step;
    bool warn;      /* the rule at hand only warns */
    bool maybe;     /* defer_if_permit: maybe_text is said unless something worse is */
    char text[500], maybe_text[500];
    struct str zone, filter, domain; /* of the DNS list that is asked */
};

/* --- rules.c --- */
/* What the rule at hand said, and then the following ones as far as they answer at once. */
void rules_go_on(struct session *s, struct rules *r, enum rule_outcome o);

/* --- rules_reply.c --- */
/* The text is made fit for a reply. */
enum rule_outcome rules_refuse(struct rules *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The same, with what the rule is about said first. status: "554 5.7.1". */
enum rule_outcome rules_refuse_subject(struct session *s, struct rules *r, const char *status,
                                       struct str why);
enum rule_outcome rules_cannot_say(struct session *s, struct rules *r);

/* --- rules_table.c --- */
/* Does what a table or a policy server says (access(5)). */
enum rule_outcome rules_act(struct session *s, struct rules *r, struct str action);
/* Asks the table of the rule at hand. kind: ACCESS_* of ipc/message.h. */
enum rule_outcome rules_look_up(struct session *s, struct rules *r, uint8_t kind,
                                struct str subject);
/* The client's name, with the domains above it, then its address. */
enum rule_outcome rules_look_up_client(struct session *s, struct rules *r, struct str name);

/* --- rules_dns.c --- */
/* Of an address; empty when there is none. */
struct str rules_domain(struct str path);
bool rules_is_literal(struct str name);
/* Refuses a domain that the DNS does not have, or that takes no mail. */
enum rule_outcome rules_need_domain(struct session *s, struct rules *r, struct str domain);
/* The same for the sender's. The house's own domains need no DNS, which may not know them. */
enum rule_outcome rules_need_sender_domain(struct session *s, struct rules *r);
/* The list of the rule at hand, "zen.example.org" or "zen.example.org=127.0.0.2": is the domain, or,
 * for rules about the client's address, that, in it? */
enum rule_outcome rules_ask_list(struct session *s, struct rules *r, struct str domain);

#endif
