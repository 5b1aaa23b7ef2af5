/* Asking a policy server, through the filter program, and the header lines that one wants. */
#include "protocol/policy/policy.h"
#include "base/log.h"
#include "smtp/smtp.h"

#define PREPENDED_MAX 16384 /* of one message */

struct policy_wait {
    policy_fn fn;
    void *arg;
    struct str place, recipient;
};

/* Everything that SMTPD_POLICY_README names and we know. */
static void put_client(const struct session *s, struct buf *out)
{
    policy_put(out, "protocol_state", STR("RCPT"));
    policy_put(out, "protocol_name", session_is_lmtp(s) ? STR("LMTP")
                                     : s->esmtp         ? STR("ESMTP")
                                                        : STR("SMTP"));
    policy_put(out, "client_address", str_from(s->peer.text));
    policy_put(out, "client_name", names_verified(s));
    policy_put(out, "reverse_client_name", names_reverse(s));
    policy_put_number(out, "client_port", s->peer.port);
    policy_put(out, "server_address", str_from(s->own.text));
    policy_put_number(out, "server_port", s->own.port);
    policy_put(out, "helo_name", str_from(s->hello));
    policy_put(out, "sasl_method", s->login ? STR("PLAIN") : STR(""));
    policy_put(out, "sasl_username", str_from(s->login));
    policy_put(out, "sasl_sender", STR(""));
    bool tls = session_is_tls(s);
    policy_put(out, "encryption_protocol", str_from(tls ? conn_tls_protocol(s->conn) : ""));
    policy_put(out, "encryption_cipher", str_from(tls ? conn_tls_cipher(s->conn) : ""));
    policy_put_number(out, "encryption_keysize", tls ? (uint64_t)conn_tls_bits(s->conn) : 0);
    policy_put(out, "ccert_subject", STR(""));
    policy_put(out, "ccert_issuer", STR(""));
    policy_put(out, "ccert_fingerprint", STR(""));
    policy_put(out, "ccert_pubkey_fingerprint", STR(""));
}

static void put_request(const struct session *s, struct str recipient, struct buf *out)
{
    policy_put(out, "request", STR("smtpd_access_policy"));
    put_client(s, out);
    policy_put(out, "queue_id", STR(""));
    policy_put(out, "instance", s->mail.id);
    policy_put_number(out, "size", s->mail.from.size);
    policy_put(out, "sender", s->mail.from.path);
    policy_put(out, "recipient", recipient);
    policy_put_number(out, "recipient_count", 0); /* it is known at the end of DATA only */
    policy_put(out, "etrn_domain", STR(""));
    policy_put(out, "stress", STR(""));
    policy_put(out, "policy_context", STR(""));
    policy_put(out, "mail_version", STR(PACKAGE_VERSION));
}

static void on_answer(struct session *s, void *arg, struct msg *m)
{
    const struct policy_wait *w = arg;
    if (m && m->policy_reply.verdict == VERDICT_YES) {
        w->fn(s, w->arg, m->policy_reply.action);
        return;
    }
    log_warning("policy", LZ("session", s->id), LS("place", w->place), LZ("why", "no answer"));
    w->fn(s, w->arg, session_cfg(s)->smtpd_policy_service_default_action);
}

static void on_names(struct session *s, void *arg)
{
    struct msg m = MSG_INIT(policy_ask);
    AUTO_BUF text = {0};
    struct policy_wait *w = arg;
    put_request(s, w->recipient, &text);
    m.policy_ask.place = w->place;
    m.policy_ask.attributes = buf_view(&text);
    ask(s, s->smtpd->filter, &m, ASK_FILTER_MS, on_answer, w);
}

void policy_ask(struct session *s, struct arena *a, struct str place, struct str recipient,
                policy_fn fn, void *arg)
{
    struct policy_wait *w = ARENA_NEW(a, struct policy_wait);
    *w = (struct policy_wait){fn, arg, place, recipient};
    names_need(s, on_names, w);
}

/* --- PREPEND --- */

static bool is_field(struct str line)
{
    ptrdiff_t colon = str_find(line, ':');
    return colon > 0 && str_is_graph(str_head(line, (size_t)colon)) && str_is_text(line);
}

static bool is_there(struct str all, struct str line)
{
    struct str one;
    while (str_line(&all, &one))
        if (str_eq(one, line))
            return true;
    return false;
}

void policy_prepend(struct session *s, struct str line)
{
    struct buf *out = &s->mail.prepended;
    if (!is_field(line) || line.n > 990 || out->n + line.n > PREPENDED_MAX) {
        log_warning("prepend", LZ("session", s->id), LS("line", line),
                    LZ("why", "no header field, or too many of them"));
        return;
    }
    /* Servers that are asked for each recipient say the same for each. */
    if (is_there(buf_view(out), line))
        return;
    buf_str(out, line);
    buf_byte(out, '\n');
}
