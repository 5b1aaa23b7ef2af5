/* The fields of ENVELOPE. */
#include "mail/header.h"
#include "mail/imap_text.h"

/* Of several fields of one kind: the last Date, Subject, In-Reply-To and Message-ID counts;
 * addresses are joined. A field without a colon is none. */
void mail_envelope_parse(struct arena *a, struct str message, struct mail_envelope *out)
{
    *out = (struct mail_envelope){0};
    const struct {
        struct str name;
        struct str *text;
        struct mail_addr_list *list;
    } fields[] = {
        {STR("Date"), &out->date, NULL},
        {STR("Subject"), &out->subject, NULL},
        {STR("In-Reply-To"), &out->in_reply_to, NULL},
        {STR("Message-ID"), &out->message_id, NULL},
        {STR("From"), NULL, &out->from},
        {STR("Sender"), NULL, &out->sender},
        {STR("Reply-To"), NULL, &out->reply_to},
        {STR("To"), NULL, &out->to},
        {STR("Cc"), NULL, &out->cc},
        {STR("Bcc"), NULL, &out->bcc},
    };
    struct mail_header_walk w = mail_header_walk(message);
    struct mail_field f;
    while (mail_header_next(&w, &f)) {
        for (size_t i = 0; f.colon && i < sizeof fields / sizeof *fields; i++) {
            if (!str_caseeq(f.name, fields[i].name))
                continue;
            if (fields[i].text)
                *fields[i].text = mail_value_unfold(a, f.value);
            else
                mail_addrs_parse(a, f.value, fields[i].list);
            break;
        }
    }
}
