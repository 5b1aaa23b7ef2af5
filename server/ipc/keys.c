/* One key after the other. */
#include "ipc/keys.h"

#include <stdlib.h>

struct keys_ask {
    struct rpc *rpc;
    struct arena *arena;
    const char *option;
    struct str *keys;
    size_t n, at;
    int64_t timeout_ms;
    uint64_t call;
    keys_fn fn;
    void *arg;
};

static void keys_free(struct keys_ask *k)
{
    arena_free(k->arena);
    free(k);
}

static void end(struct keys_ask *k, enum verdict verdict, struct str value)
{
    k->fn(k->arg, verdict, k->at, value);
    keys_free(k);
}

static void ask(struct keys_ask *k);

static void on_reply(void *arg, struct msg *reply)
{
    struct keys_ask *k = arg;
    enum verdict v = reply ? (enum verdict)reply->map_reply.verdict : VERDICT_CANNOT_SAY;
    if (v == VERDICT_NO && ++k->at < k->n)
        ask(k);
    else
        end(k, v, v == VERDICT_YES ? reply->map_reply.value : (struct str){"", 0});
}

static void ask(struct keys_ask *k)
{
    struct msg m = MSG_INIT(map_ask);
    m.map_ask.option = str_from(k->option);
    m.map_ask.key = k->keys[k->at];
    k->call = rpc_call(k->rpc, &m, k->timeout_ms, on_reply, k);
}

struct keys_ask *keys_start(struct rpc *directory, const char *option, const struct str *keys,
                            size_t n, int64_t timeout_ms, keys_fn fn, void *arg)
{
    struct keys_ask *k = MEM_NEW(struct keys_ask);
    *k = (struct keys_ask){.rpc = directory, .arena = arena_new(512), .timeout_ms = timeout_ms,
                           .fn = fn, .arg = arg};
    k->option = arena_strz(k->arena, str_from(option));
    k->keys = arena_array(k->arena, n + 1, sizeof *k->keys);
    for (size_t i = 0; i < n; i++)
        if (keys[i].n)
            k->keys[k->n++] = arena_str(k->arena, str_head(keys[i], 1000));
    if (k->n == 0)
        k->keys[k->n++] = STR("*");
    ask(k);
    return k;
}

void keys_cancel(struct keys_ask *k)
{
    if (!k)
        return;
    rpc_cancel(k->rpc, k->call);
    keys_free(k);
}
