/* Tables of charsets: a tree of 256 entries for each byte that may come next. See charset_table.h. */
#include "mail/charset_table.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define DEPTH_MAX 3
#define NODES_MAX 300 /* of one charset; GB18030, with its groups of four bytes, would need 1,500 */

enum entry_kind { ENTRY_NONE, ENTRY_TEXT, ENTRY_MORE };

struct entry {
    uint8_t kind, n;
    char text[4];  /* UTF-8, n bytes */
    uint16_t next; /* the node for the byte that follows */
};

struct node {
    struct entry entries[256];
};

struct charset_tables {
    struct node *nodes;
    size_t count;
    bool sealed; /* nodes is a mapping */
};

struct charset_tables *charset_tables_new(void)
{
    return MEM_NEW(struct charset_tables);
}

void charset_tables_free(struct charset_tables *t)
{
    if (!t)
        return;
    if (t->sealed)
        munmap(t->nodes, t->count * sizeof *t->nodes);
    else
        free(t->nodes);
    free(t);
}

/* --- making --- */

static enum entry_kind convert(iconv_t cd, const char *bytes, size_t n, struct entry *e)
{
    char out[16], in[DEPTH_MAX], *pi = in, *po = out;
    size_t ni = n, no = sizeof out;
    memcpy(in, bytes, n);
    iconv(cd, NULL, NULL, NULL, NULL);
    if (iconv(cd, &pi, &ni, &po, &no) == (size_t)-1)
        return errno == EINVAL ? ENTRY_MORE : ENTRY_NONE;
    if (iconv(cd, NULL, NULL, &po, &no) == (size_t)-1 || po - out > (int)sizeof e->text)
        return ENTRY_NONE;
    e->n = (uint8_t)(po - out);
    memcpy(e->text, out, e->n);
    return ENTRY_TEXT;
}

static int add_node(struct charset_tables *t, size_t most)
{
    if (t->count >= most || t->count > UINT16_MAX)
        return -1;
    t->nodes = mem_grow(t->nodes, t->count + 1, sizeof *t->nodes);
    t->nodes[t->count] = (struct node){0};
    return (int)t->count++;
}

/* The entries of a node that is reached by the bytes before[0..depth). */
static int fill_node(struct charset_tables *t, int node, iconv_t cd, const char *before, size_t depth,
                     size_t most)
{
    char bytes[DEPTH_MAX];
    if (depth == DEPTH_MAX)
        return 0;
    memcpy(bytes, before, depth);
    for (int i = 0; i < 256; i++) {
        struct entry e = {0};
        bytes[depth] = (char)i;
        e.kind = (uint8_t)convert(cd, bytes, depth + 1, &e);
        if (e.kind == ENTRY_MORE) {
            int next = add_node(t, most);
            if (next < 0 || fill_node(t, next, cd, bytes, depth + 1, most) != 0)
                return -1;
            e.next = (uint16_t)next;
        }
        t->nodes[node].entries[i] = e;
    }
    return 0;
}

int charset_tables_add(struct charset_tables *t, iconv_t cd)
{
    size_t before = t->count, most = before + NODES_MAX;
    int root = add_node(t, most);
    if (root >= 0 && fill_node(t, root, cd, "", 0, most) == 0)
        return root;
    t->count = before;
    return -1;
}

void charset_tables_seal(struct charset_tables *t)
{
    size_t size = t->count * sizeof *t->nodes;
    void *map = size == 0 ? MAP_FAILED
                          : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return;
    memcpy(map, t->nodes, size);
    mprotect(map, size, PROT_READ);
    free(t->nodes);
    t->nodes = map;
    t->sealed = true;
}

/* --- reading --- */

/* The text at the front of in, and how many bytes make it; NULL when they make none. */
static const struct entry *find(const struct charset_tables *t, int number, struct str in, size_t *used)
{
    const struct node *node = &t->nodes[number];
    for (size_t i = 0; i < in.n && i < DEPTH_MAX; i++) {
        const struct entry *e = &node->entries[(unsigned char)in.p[i]];
        *used = i + 1;
        if (e->kind != ENTRY_MORE)
            return e->kind == ENTRY_TEXT ? e : NULL;
        node = &t->nodes[e->next];
    }
    return NULL;
}

int charset_by_table(const struct charset_tables *t, int number, struct str in, struct buf *out)
{
    char block[1024];
    size_t n = 0;
    while (in.n) {
        size_t used;
        const struct entry *e = find(t, number, in, &used);
        if (n + sizeof e->text > sizeof block) {
            if (buf_add(out, block, n) != 0)
                return -1;
            n = 0;
        }
        memcpy(block + n, e ? e->text : "\xef\xbf\xbd", sizeof e->text);
        n += e ? e->n : 3;
        in = str_skip(in, e ? used : 1);
    }
    return buf_add(out, block, n);
}
