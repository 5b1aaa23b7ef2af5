/*
 * Memory: allocation that does not fail, arenas, growing buffers, secrets, and owned descriptors.
 *
 * Running out of memory ends the process: what was inside it is lost to its clients, nothing that
 * was acknowledged is, and the master starts it again. No caller has an untested out-of-memory path.
 */
#ifndef FACTEUR_BASE_MEM_H
#define FACTEUR_BASE_MEM_H

#include "base/str.h"

#include <stdarg.h>
#include <stddef.h>
#include <sys/types.h>

void *mem_alloc(size_t n);                /* zeroed; free() it */
void *mem_array(size_t count, size_t size); /* zeroed, overflow checked */
void *mem_grow(void *p, size_t count, size_t size); /* realloc of count*size; new part not zeroed */
char *mem_strdup(struct str s);           /* NUL-terminated copy; free() it */

#define MEM_NEW(type) ((type *)mem_alloc(sizeof(type)))

/* Of n structs in the order of a uint32_t field: how many have one below key. */
size_t mem_below(const void *v, size_t n, size_t size, size_t field, uint32_t key);
#define MEM_BELOW(v, n, field, key)                                                                \
    mem_below((v), (n), sizeof *(v), offsetof(__typeof__(*(v)), field), (key))

/* --- arena: one lifetime for many small pieces (a command, a message) --- */
struct arena;

struct arena *arena_new(size_t first_chunk); /* bytes of the first chunk; grows by itself */
void arena_free(struct arena *a);            /* NULL is fine */
void arena_reset(struct arena *a);           /* everything in it is gone; one chunk is kept */
size_t arena_used(const struct arena *a);    /* bytes handed out since the last reset */

void *arena_alloc(struct arena *a, size_t n); /* zeroed, aligned for any type */
void *arena_array(struct arena *a, size_t count, size_t size);
#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))

/* Copies; both are NUL-terminated one past the view. */
struct str arena_str(struct arena *a, struct str s);
char *arena_strz(struct arena *a, struct str s);
struct str arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct str arena_concat(struct arena *a, struct str x, struct str y);

/* --- buf: a growing byte buffer with an upper bound --- */
struct buf {
    char *p;
    size_t n;
    size_t cap;
    size_t max; /* 0: no bound */
};

#define BUF_MAX(limit) ((struct buf){.max = (limit)})

/* Append: 0, or -1 when the bound would be passed (nothing is appended then). */
int buf_add(struct buf *b, const void *p, size_t n);
int buf_str(struct buf *b, struct str s);
int buf_byte(struct buf *b, char c);
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int buf_vprintf(struct buf *b, const char *fmt, va_list ap);

/* Room for n more bytes at the end: the place to write to, NULL past the bound. Then b->n += used. */
char *buf_room(struct buf *b, size_t n);

void buf_consume(struct buf *b, size_t n); /* drops n bytes at the front */
void buf_clear(struct buf *b);             /* keeps the memory */
void buf_free(struct buf *b);              /* gives it back; usable again */
struct str buf_view(const struct buf *b);
char *buf_z(struct buf *b);                /* NUL-terminates (the NUL is not counted) */

/* --- secrets: guarded, never swapped, wiped at free --- */
struct secret {
    char *p; /* NUL-terminated for libraries that want it; may hold NULs inside all the same */
    size_t n;
    struct secret_pool *pool; /* where its memory goes back to; NULL: to the kernel */
};

struct secret secret_copy(struct str s); /* empty, p NULL, when guarded memory cannot be had */
void secret_free(struct secret *s);

/* Guarded memory that is kept, wiped, for the next secret: making it anew costs ten system calls. For
 * one thread. The secrets of a pool must be freed before it. */
struct secret_pool *secret_pool_new(void);
void secret_pool_free(struct secret_pool *pool); /* NULL is fine */
struct secret secret_pool_copy(struct secret_pool *pool, struct str s); /* pool NULL: secret_copy */
void mem_wipe(void *p, size_t n);
bool secret_eq(struct str a, struct str b); /* constant time for equal lengths */

/* --- cleanup attributes --- */
#define CLEANUP(fn) __attribute__((cleanup(fn)))
void fd_closep(int *fd);
void mem_freep(void *p); /* address of any malloc'd pointer */
void arena_freep(struct arena **a);
#define AUTO_FD CLEANUP(fd_closep) int
#define AUTO_FREE CLEANUP(mem_freep)
#define AUTO_BUF CLEANUP(buf_free) struct buf
#define AUTO_ARENA CLEANUP(arena_freep) struct arena *

/* write(2) or pread(2) until all n bytes are done, over EINTR and short counts: 0, else -1 and errno
 * (EIO when a file ends early). */
int fd_write_all(int fd, const void *p, size_t n);
int fd_pread_all(int fd, void *p, size_t n, off_t at);
/* Reads a whole file of at most max bytes into b: 0, else -1 and errno (EFBIG when larger). */
int fd_read_all(int fd, struct buf *b, size_t max);

#endif
