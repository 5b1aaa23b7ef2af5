/*
 * How a function says that it failed.
 *
 * A function that can fail returns 0 or -1 and fills a struct err: whether trying again later may
 * help (temporary) or not (permanent), the text for the log, and the text a client may read. The
 * client text never holds a path, a DN or a system error.
 */
#ifndef FACTEUR_BASE_ERR_H
#define FACTEUR_BASE_ERR_H

enum err_kind { ERR_NONE = 0, ERR_TEMPORARY, ERR_PERMANENT };

struct err {
    enum err_kind kind;
    char log[512];
    char client[256];
};

/* Both fill *e (which may be NULL) and return -1, so that "return err_temp(e, …)" reads well. The
 * client text is cleared. */
int err_temp(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int err_perm(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Sets the text for the client; returns -1. */
int err_client(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts "context: " before the log text; returns -1. */
int err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
