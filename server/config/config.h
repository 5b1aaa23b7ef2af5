/*
 * The configuration: facteur.conf parsed against options.def.
 *
 * struct config has one member an option, typed. The master reads the file; every other program is
 * given the text of the options it may see and parses that with the same code; the options it may
 * not see keep their defaults there and must not be read.
 */
#ifndef FACTEUR_CONFIG_CONFIG_H
#define FACTEUR_CONFIG_CONFIG_H

#include "base/err.h"
#include "base/mem.h"

#include <stdio.h>

/* Who may see an option. */
enum {
    MASTER = 1,
    SMTP = 2,
    ACCESS = 4,
    DIRECTORY = 8,
    QUEUE = 16,
    DELIVER = 32,
    SESSION = 64,
    RELAY = 128,
    FILTER = 256,
    ALL = 511,
};

struct config_list {
    struct str *v;
    size_t n;
};

typedef bool config_BOOL;
typedef int64_t config_INT;
typedef uint64_t config_SIZE;
typedef int64_t config_TIME; /* seconds */
typedef int config_ENUM;     /* index of the choice */
typedef struct str config_STRING;
typedef struct str config_PASSWORD; /* a string that is not shown */
typedef struct str config_PATH; /* absolute, or empty */
typedef struct str config_MAP;
typedef struct str config_RULES;
typedef struct config_list config_LIST;

struct config {
    struct arena *arena; /* owns every string below */
    struct str *source;  /* by option number: the text as given, NULL p: default in force */
    struct str *value;   /* by option number: the text with every $name expanded */
    unsigned *line;      /* by option number: where it is said; 0: nowhere */
#define OPTION(type, name, def, min, max, who, help) config_##type name;
#include "config/options.def"
#undef OPTION
};

struct config_option {
    const char *name, *type, *def;
    uint64_t min, max;
    unsigned who;
    const char *help; /* for ENUM: "choice choice …|text" */
};

extern const struct config_option config_options[];
extern const size_t config_option_count;

/* Parses text; file is its name for messages, dir the directory that relative PATHs start from.
 * 0 and *out (config_free it), or -1 with a permanent error that names file, line and name. */
int config_parse(struct str text, const char *file, const char *dir, struct config **out,
                 struct err *e);

/* Reads and parses a file of at most 1 MiB. */
int config_load(const char *file, struct config **out, struct err *e);

void config_free(struct config *c);

/* The networks of mynetworks_style, as mynetworks has them: those of this machine and its
 * interfaces as they are now. */
enum config_style { STYLE_NONE, STYLE_HOST, STYLE_SUBNET, STYLE_CLASS };
void config_style_networks(enum config_style style, struct buf *out);

/* The text "name = value" for every option that who may see and that differs from its default,
 * fit for config_parse in another process. */
void config_export(const struct config *c, unsigned who, struct buf *out);

/* The option called name, or NULL; the option number whose name is nearest (for messages). */
const struct config_option *config_find(struct str name);
const struct config_option *config_nearest(struct str name);

/* The sources of a MAP value, one after the other: separated by blanks and commas that stand outside
 * of {}. False at the end. */
bool config_map_piece(struct str *rest, struct str *piece);
/* When the source is TYPE:FILE (ldap:, texthash:, or hash:, of which the text is read), its file;
 * else the empty view. */
struct str config_map_file(struct str piece);
/* The option's value may have plain words among its sources, each its own value (a domain). */
bool config_map_takes_words(const struct config_option *o);
/* Fit to be such a word: no table, no path. */
bool config_map_is_word(struct str piece);
/* What stands between the braces of "{ … }"; false when there are none. */
bool config_map_braced(struct str s, struct str *inside);
/* The next pair of the inside of inline:{ KEY=VALUE, { KEY = VALUE WITH BLANKS } }: 1, 0 at the end,
 * or -1 with a permanent error. */
int config_map_inline_next(struct str *rest, struct str *key, struct str *value, struct err *e);
/* The same for the lines of a texthash:FILE ("KEY VALUE"); *line_number starts at 0. */
int config_map_text_next(struct str *rest, unsigned *line_number, struct str *key,
                         struct str *value, struct err *e);

/* How to reach the directory and where to look in it: the ldap_* options that are not empty, but for
 * the password, named and written as ldap_table(5) has them. How many; the texts are c's or a's. */
#define CONFIG_LDAP_SETTINGS 16
struct config_setting {
    const char *name; /* without "ldap_" */
    struct str value;
};
size_t config_ldap_settings(const struct config *c, struct arena *a,
                            struct config_setting out[CONFIG_LDAP_SETTINGS]);

/* A network or an address ("127.0.0.0/8", "[::1]/128", "10.1.2.3"): 0 or -1. */
struct config_network {
    unsigned char addr[16]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned bits;          /* of 128 */
};
int config_network_parse(struct str text, struct config_network *out);
/* One of a list of networks; *wanted false: it has ! before it. */
int config_network_element(struct str text, struct config_network *out, bool *wanted);
/* The first network of the list that the address (16 bytes, IPv4 mapped) lies in decides: true, or false
 * where ! stands before it. False when it lies in none; elements that do not parse never match. */
bool config_network_match(const struct config_list *list, const unsigned char addr[16]);

#endif
