/*
 * Log lines: "event key=value key=value", one write each.
 *
 * Bytes from outside are made safe here and nowhere else: a value that is empty or holds blanks,
 * quotes, controls or bytes that are not UTF-8 is quoted and escaped, so that no client can forge
 * a line or a field. Passwords and keys are never handed to this room.
 *
 * A log daemon that does not read costs lines, which are counted and told when it reads again, not mail.
 */
#ifndef FACTEUR_BASE_LOG_H
#define FACTEUR_BASE_LOG_H

#include "base/str.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_target { LOG_TARGET_STDERR, LOG_TARGET_SYSLOG, LOG_TARGET_JOURNAL };

struct log_kv {
    const char *key;
    struct str s;
    int64_t num;
    bool is_num;
};

#define LS(k, v) ((struct log_kv){.key = (k), .s = (v)})               /* struct str */
#define LZ(k, v) ((struct log_kv){.key = (k), .s = str_from(v)})       /* C string */
#define LN(k, v) ((struct log_kv){.key = (k), .num = (int64_t)(v), .is_num = true})

/* Opens the target before the process gives up its rights; program is a literal that stays valid.
 * fd >= 0: an already open descriptor to use for it. Falls back to standard error. */
void log_open(enum log_target target, const char *program, int fd);
int log_fd(void); /* the descriptor in use, to hand to a child */
enum log_target log_target(void);
void log_verbose(bool on); /* debug lines too */

void log_write(enum log_level level, const char *event, const struct log_kv *kv, size_t count);

#define LOG_KVS(...) (const struct log_kv[]){__VA_ARGS__}
#define LOG_AT(level, event, ...)                                                                  \
    log_write((level), (event), LOG_KVS(__VA_ARGS__),                                              \
              sizeof(LOG_KVS(__VA_ARGS__)) / sizeof(struct log_kv))
/* At least one key each: log_info("deliver", LS("to", address), LN("size", n)); */
#define log_error(event, ...) LOG_AT(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warning(event, ...) LOG_AT(LOG_LEVEL_WARNING, event, __VA_ARGS__)
#define log_info(event, ...) LOG_AT(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) LOG_AT(LOG_LEVEL_DEBUG, event, __VA_ARGS__)

#endif
