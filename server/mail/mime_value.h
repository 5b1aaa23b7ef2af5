/* Readers of single MIME field values, shared inside this room. */
#ifndef FACTEUR_MAIL_MIME_VALUE_H
#define FACTEUR_MAIL_MIME_VALUE_H

#include "mail/lex.h"
#include "mail/mime.h"

/* Content-Type and Content-Language into the part. */
void mail_type_parse(struct arena *a, struct str value, struct mail_part *p);
void mail_languages_parse(struct arena *a, struct str value, struct mail_part *p);

#endif
