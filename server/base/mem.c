/* Allocation, arenas, buffers. */
#include "base/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void *checked(void *p)
{
    if (!p) {
        static const char text[] = "out of memory\n";
        ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
        (void)ignored;
        abort();
    }
    return p;
}

void *mem_alloc(size_t n)
{
    return checked(calloc(1, n ? n : 1));
}

void *mem_array(size_t count, size_t size)
{
    return checked(calloc(count ? count : 1, size ? size : 1));
}

void *mem_grow(void *p, size_t count, size_t size)
{
    return checked(reallocarray(p, count ? count : 1, size ? size : 1));
}

char *mem_strdup(struct str s)
{
    char *z = checked(malloc(s.n + 1));
    if (s.n)
        memcpy(z, s.p, s.n);
    z[s.n] = '\0';
    return z;
}

size_t mem_below(const void *v, size_t n, size_t size, size_t field, uint32_t key)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const char *at = (const char *)v + mid * size + field;
        if (*(const uint32_t *)(const void *)at < key)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* --- arena --- */

struct chunk {
    struct chunk *next;
    size_t used, cap;
    _Alignas(max_align_t) char data[];
};

struct arena {
    struct chunk *top;
    size_t used;
    size_t chunk_size;
};

static struct chunk *chunk_new(size_t cap, struct chunk *next)
{
    struct chunk *c = checked(malloc(sizeof *c + cap));
    c->next = next;
    c->used = 0;
    c->cap = cap;
    return c;
}

struct arena *arena_new(size_t first_chunk)
{
    struct arena *a = MEM_NEW(struct arena);
    a->chunk_size = first_chunk < 256 ? 256 : first_chunk;
    return a;
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    while (a->top) {
        struct chunk *next = a->top->next;
        free(a->top);
        a->top = next;
    }
    free(a);
}

void arena_reset(struct arena *a)
{
    while (a->top && (a->top->next || a->top->cap > a->chunk_size)) {
        struct chunk *next = a->top->next;
        free(a->top);
        a->top = next;
    }
    if (a->top)
        a->top->used = 0;
    a->used = 0;
}

size_t arena_used(const struct arena *a)
{
    return a->used;
}

void *arena_alloc(struct arena *a, size_t n)
{
    const size_t align = _Alignof(max_align_t);
    assert(n < SIZE_MAX / 2);
    n = (n + align - 1) & ~(align - 1);
    if (!a->top || a->top->cap - a->top->used < n) {
        size_t cap = a->chunk_size;
        a->top = chunk_new(n > cap ? n : cap, a->top);
    }
    void *p = a->top->data + a->top->used;
    a->top->used += n;
    a->used += n;
    return memset(p, 0, n);
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    size_t n;
    if (__builtin_mul_overflow(count, size, &n))
        abort();
    return arena_alloc(a, n);
}

char *arena_strz(struct arena *a, struct str s)
{
    char *z = arena_alloc(a, s.n + 1);
    if (s.n)
        memcpy(z, s.p, s.n);
    return z;
}

struct str arena_str(struct arena *a, struct str s)
{
    return (struct str){arena_strz(a, s), s.n};
}

struct str arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    assert(n >= 0);
    char *z = arena_alloc(a, (size_t)n + 1);
    vsnprintf(z, (size_t)n + 1, fmt, again);
    va_end(again);
    return (struct str){z, (size_t)n};
}

struct str arena_concat(struct arena *a, struct str x, struct str y)
{
    char *z = arena_alloc(a, x.n + y.n + 1);
    if (x.n)
        memcpy(z, x.p, x.n);
    if (y.n)
        memcpy(z + x.n, y.p, y.n);
    return (struct str){z, x.n + y.n};
}

void arena_freep(struct arena **a)
{
    arena_free(*a);
}

/* --- buf --- */

char *buf_room(struct buf *b, size_t n)
{
    size_t want;
    if (__builtin_add_overflow(b->n, n, &want) || (b->max && want > b->max))
        return NULL;
    if (want + 1 > b->cap) {
        size_t cap = b->cap ? b->cap : 128;
        while (cap < want + 1)
            cap += cap / 2;
        b->p = mem_grow(b->p, cap, 1);
        b->cap = cap;
    }
    return b->p + b->n;
}

int buf_add(struct buf *b, const void *p, size_t n)
{
    char *at = buf_room(b, n);
    if (!at)
        return -1;
    if (n)
        memcpy(at, p, n);
    b->n += n;
    return 0;
}

int buf_str(struct buf *b, struct str s)
{
    return buf_add(b, s.p, s.n);
}

int buf_byte(struct buf *b, char c)
{
    return buf_add(b, &c, 1);
}

int buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    size_t room = b->cap - b->n;
    va_copy(again, ap);
    int n = vsnprintf(room ? b->p + b->n : NULL, room, fmt, again);
    va_end(again);
    if (n >= 0 && (size_t)n < room && (b->max == 0 || b->n + (size_t)n <= b->max)) {
        b->n += (size_t)n;
        return 0;
    }
    char *at = n < 0 ? NULL : buf_room(b, (size_t)n);
    if (!at)
        return -1;
    vsnprintf(at, (size_t)n + 1, fmt, ap);
    b->n += (size_t)n;
    return 0;
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int r = buf_vprintf(b, fmt, ap);
    va_end(ap);
    return r;
}

void buf_consume(struct buf *b, size_t n)
{
    assert(n <= b->n);
    b->n -= n;
    if (b->n)
        memmove(b->p, b->p + n, b->n);
}

void buf_clear(struct buf *b)
{
    b->n = 0;
}

void buf_free(struct buf *b)
{
    free(b->p);
    b->p = NULL;
    b->n = b->cap = 0;
}

struct str buf_view(const struct buf *b)
{
    return (struct str){b->p, b->n};
}

char *buf_z(struct buf *b)
{
    if (!b->p)
        b->p = mem_grow(NULL, b->cap = 128, 1);
    b->p[b->n] = '\0'; /* buf_room always leaves one byte */
    return b->p;
}

void mem_freep(void *p)
{
    void *q;
    memcpy(&q, p, sizeof q);
    free(q);
}
