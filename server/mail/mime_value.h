/* Readers of single MIME field values, shared inside this room. */
#ifndef FACTEUR_MAIL_MIME_VALUE_H
#define FACTEUR_MAIL_MIME_VALUE_H

#include "mail/lex.h"
#include "mail/mime.h"

/* The parameters from x->at on, up to MAIL_MIME_PARAMS_MAX. */
void mail_params_parse(struct arena *a, struct mail_lex *x, struct mail_param **params,
                       size_t *count);
/* Content-Type and Content-Language into the part. */
void mail_type_parse(struct arena *a, struct str value, struct mail_part *p);
void mail_languages_parse(struct arena *a, struct str value, struct mail_part *p);

#endif
