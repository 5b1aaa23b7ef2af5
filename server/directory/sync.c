/* A content synchronisation consumer that keeps nothing but fingerprints. */
#include "directory/sync.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"

#include <stdlib.h>

#define ENTRIES_MAX 1000000
#define BEAT_MS 2000      /* between two looks whether the server still speaks */
#define SILENCE_MS 4000   /* without a word after a question: it does not */
#define AGAIN_MS 60000    /* before asking anew a server that did not do it */
#define UUID_BYTES 16     /* RFC 4530 section 2.1 */

enum sync_mode { MODE_REFRESH_AND_PERSIST = 3 };                    /* RFC 4533 section 2.2 */
enum entry_state { STATE_PRESENT, STATE_ADD, STATE_MODIFY, STATE_DELETE }; /* section 2.3 */

/* Operational attributes that decide about a login are named; the others, such as when somebody
 * logged in, would make every login a change. */
static const char *const attributes[] = {"*", "memberOf", "pwdAccountLockedTime", "nsAccountLock",
                                         NULL};
#define FIRST_NAMED 1
#define NAMED (sizeof attributes / sizeof attributes[0] - FIRST_NAMED - 1)

enum stage { STAGE_DOWN, STAGE_OFFER, STAGE_REFRESH, STAGE_WATCH, STAGE_NONE };

struct fingerprint {
    uint64_t dn, content;
};

struct sync {
    struct conns *conns;
    struct event_base *loop;
    char *base;
    struct sync_ops ops;
    void *arg;
    enum stage stage;
    struct dirconn *conn;
    int offer_id, sync_id, beat_id; /* message ids; 0: none */
    int known_ids[NAMED];           /* of the questions whether the server knows an attribute */
    bool known[NAMED];
    bool offered, news;
    int64_t asked; /* when the last question was sent that must be answered */
    int64_t again; /* when to ask anew; 0: not */
    struct map *entries; /* entryUUID → struct fingerprint */
    struct event *timer;
    const char *last_why;
};

/* --- stages --- */

static void stop_watching(struct sync *s)
{
    bool was = s->stage == STAGE_WATCH;
    map_free(s->entries, free);
    s->entries = map_new();
    s->sync_id = s->beat_id = s->offer_id = 0;
    memset(s->known_ids, 0, sizeof s->known_ids);
    s->news = false;
    if (was)
        s->ops.watching(s->arg, false);
}

/* No watching for now: why, for the log, once as long as it stays the same. */
static void give_up(struct sync *s, const char *why, int code, int64_t again_ms)
{
    if (s->conn && s->conn->ld && s->sync_id)
        ldap_abandon_ext(s->conn->ld, s->sync_id, NULL, NULL);
    stop_watching(s);
    s->stage = STAGE_NONE;
    s->again = clock_mono_ms() + again_ms;
    if (s->last_why != why)
        log_info("ldap-sync", LZ("watching", "no"), LZ("why", why), LN("code", code),
                 LZ("meaning", "changes take effect after directory_cache_ttl"));
    s->last_why = why;
}

static void begin_watching(struct sync *s)
{
    s->stage = STAGE_WATCH;
    s->last_why = NULL;
    log_info("ldap-sync", LZ("watching", "yes"), LN("entries", map_count(s->entries)));
    s->ops.watching(s->arg, true);
    s->ops.changed(s->arg, (struct str){0});
}

/* --- asking --- */

static int search(struct sync *s, const char *base, const char *filter, const char *const *attrs,
                  LDAPControl **controls, int *id)
{
    int scope = *base ? LDAP_SCOPE_SUBTREE : LDAP_SCOPE_BASE;
    int code = ldap_search_ext(s->conn->ld, base, scope, filter, (char **)(uintptr_t)attrs, 0,
                               controls, NULL, NULL, 0, id);
    s->asked = clock_mono_ms();
    return code;
}

/* Of the root DSE, for which it is true where the server knows the attribute: what it does not know
 * is Undefined, and so is its negation (RFC 4511 section 4.5.1.7). */
static void put_known(struct buf *b, size_t i)
{
    buf_printf(b, "(!(%s=*))", attributes[FIRST_NAMED + i]);
}

static int ask_known(struct sync *s)
{
    static const char *const none[] = {LDAP_NO_ATTRS, NULL};
    int code = LDAP_SUCCESS;
    for (size_t i = 0; code == LDAP_SUCCESS && i < NAMED; i++) {
        AUTO_BUF filter = {0};
        s->known[i] = false;
        put_known(&filter, i);
        code = search(s, "", buf_z(&filter), none, NULL, &s->known_ids[i]);
    }
    return code;
}

/* A question that a sound server answers at once: an entry, if it knows what it did not know. */
static int ask_beat(struct sync *s)
{
    static const char *const none[] = {LDAP_NO_ATTRS, NULL};
    AUTO_BUF filter = {0};
    buf_str(&filter, STR("(|(!(objectClass=*))"));
    for (size_t i = 0; i < NAMED; i++)
        if (!s->known[i])
            put_known(&filter, i);
    buf_byte(&filter, ')');
    return search(s, "", buf_z(&filter), none, NULL, &s->beat_id);
}

static void ask_offer(struct sync *s)
{
    static const char *const attrs[] = {"supportedControl", NULL};
    s->stage = STAGE_OFFER;
    s->offered = false;
    s->again = 0;
    if (ask_known(s) != LDAP_SUCCESS ||
        search(s, "", "(objectClass=*)", attrs, NULL, &s->offer_id) != LDAP_SUCCESS)
        conns_lost(s->conn, "the question what the server offers could not be sent");
}

static void ask_refresh(struct sync *s)
{
    BerElement *ber = ber_alloc_t(LBER_USE_DER);
    struct berval value = {0, NULL};
    int code = LDAP_NO_MEMORY;
    /* RFC 4533 section 2.2: syncRequestValue without a cookie: everything anew. */
    if (ber && ber_printf(ber, "{e}", MODE_REFRESH_AND_PERSIST) >= 0 &&
        ber_flatten2(ber, &value, 0) == 0) {
        LDAPControl control = {(char *)(uintptr_t)LDAP_CONTROL_SYNC, value, 1};
        LDAPControl *controls[] = {&control, NULL};
        s->stage = STAGE_REFRESH;
        code = search(s, s->base, "(objectClass=*)", attributes, controls, &s->sync_id);
    }
    ber_free(ber, 1);
    if (code != LDAP_SUCCESS)
        conns_lost(s->conn, "the question for all entries could not be sent");
}

/* --- the offer --- */

static void take_offer(struct sync *s, LDAPMessage *m)
{
    struct berval **v = ldap_get_values_len(s->conn->ld, m, "supportedControl");
    for (size_t i = 0; v && v[i]; i++)
        if (str_eq((struct str){v[i]->bv_val, v[i]->bv_len}, STR(LDAP_CONTROL_SYNC)))
            s->offered = true;
    ldap_value_free_len(v);
}

static void on_offer(struct sync *s, LDAPMessage *m)
{
    if (ldap_msgtype(m) == LDAP_RES_SEARCH_ENTRY) {
        take_offer(s, m);
    } else if (ldap_msgtype(m) == LDAP_RES_SEARCH_RESULT) {
        s->offer_id = 0;
        if (s->offered)
            ask_refresh(s);
        else
            give_up(s, "the server does not offer RFC 4533", 0, AGAIN_MS);
    }
}

/* --- entries --- */

static uint64_t content_hash(const struct ldapmap_entry *entry)
{
    AUTO_BUF b = {0};
    for (size_t i = 0; i < entry->count; i++) {
        buf_str(&b, entry->attrs[i].name);
        for (size_t j = 0; j < entry->attrs[i].count; j++) {
            buf_printf(&b, " %zu:", entry->attrs[i].values[j].n);
            buf_str(&b, entry->attrs[i].values[j]);
        }
        buf_byte(&b, '\n');
    }
    return map_hash(buf_view(&b));
}

/* RFC 4533 section 2.3: syncStateValue. The uuid is copied. */
static int read_state(LDAPControl **controls, int *state, char uuid[UUID_BYTES])
{
    LDAPControl *c = ldap_control_find(LDAP_CONTROL_SYNC_STATE, controls, NULL);
    struct berval id = {0, NULL};
    ber_int_t e = -1;
    BerElement *ber = c ? ber_init(&c->ldctl_value) : NULL;
    bool good = ber && ber_scanf(ber, "{em" /* and a cookie */, &e, &id) != LBER_ERROR &&
                id.bv_len == UUID_BYTES;
    if (good)
        memcpy(uuid, id.bv_val, UUID_BYTES);
    *state = e;
    ber_free(ber, 1);
    return good ? 0 : -1;
}

static void entry_gone(struct sync *s, struct str uuid, struct str dn)
{
    free(map_take(s->entries, uuid));
    if (s->stage == STAGE_WATCH)
        s->ops.changed(s->arg, dn);
}

static void entry_came(struct sync *s, struct str uuid, const struct ldapmap_entry *entry)
{
    struct fingerprint *f = map_get(s->entries, uuid);
    struct fingerprint now = {map_hash(entry->dn), content_hash(entry)};
    bool renamed = f && f->dn != now.dn, same = f && !renamed && f->content == now.content;
    if (!f) {
        f = MEM_NEW(struct fingerprint);
        map_put(s->entries, uuid, f);
    }
    *f = now;
    if (s->stage == STAGE_WATCH && !same)
        s->ops.changed(s->arg, renamed ? (struct str){0} : entry->dn);
}

static void on_entry(struct sync *s, LDAPMessage *m)
{
    AUTO_ARENA a = arena_new(4096);
    LDAPControl **controls = NULL;
    struct ldapmap_entry entry;
    char uuid[UUID_BYTES];
    int state;
    if (ldap_get_entry_controls(s->conn->ld, m, &controls) != LDAP_SUCCESS ||
        read_state(controls, &state, uuid) != 0 ||
        ldapmap_conn_entry(a, s->conn->ld, m, &entry) != LDAP_SUCCESS)
        give_up(s, "an entry without its state, or one that cannot be read", 0, AGAIN_MS);
    else if (state == STATE_DELETE)
        entry_gone(s, (struct str){uuid, UUID_BYTES}, entry.dn);
    else if (state != STATE_PRESENT)
        entry_came(s, (struct str){uuid, UUID_BYTES}, &entry);
    ldap_controls_free(controls);
    if (map_count(s->entries) > ENTRIES_MAX)
        give_up(s, "more than a million entries", 0, AGAIN_MS);
}

/* --- messages between --- */

/* RFC 4533 section 2.5: refreshDelete [1] and refreshPresent [2] may say that the refresh is done,
 * which is so unless they say otherwise; newcookie [0] says nothing to us; syncIdSet [3] names
 * entries that are gone. */
static bool ends_refresh(struct berval *value, bool *others)
{
    BerElement *ber = ber_init(value);
    ber_tag_t tag = ber ? ber_peek_tag(ber, &(ber_len_t){0}) : LBER_ERROR;
    struct berval cookie;
    ber_int_t done = 1;
    bool ends = tag == LDAP_TAG_SYNC_REFRESH_DELETE || tag == LDAP_TAG_SYNC_REFRESH_PRESENT;
    *others = tag == LDAP_TAG_SYNC_ID_SET;
    if (ends) {
        ber_len_t n;
        ber_scanf(ber, "{" /*}*/);
        if (ber_peek_tag(ber, &n) == LDAP_TAG_SYNC_COOKIE)
            ber_scanf(ber, "m", &cookie);
        if (ber_peek_tag(ber, &n) == LDAP_TAG_REFRESHDONE)
            ber_scanf(ber, "b", &done);
    }
    ber_free(ber, 1);
    return ends && done;
}

static void on_between(struct sync *s, LDAPMessage *m)
{
    char *oid = NULL;
    struct berval *value = NULL;
    bool others = false;
    if (ldap_parse_intermediate(s->conn->ld, m, &oid, &value, NULL, 0) == LDAP_SUCCESS && oid &&
        value && strcmp(oid, LDAP_SYNC_INFO) == 0) {
        if (ends_refresh(value, &others) && s->stage == STAGE_REFRESH)
            begin_watching(s);
        else if (others && s->stage == STAGE_WATCH)
            s->ops.changed(s->arg, (struct str){0});
    }
    ldap_memfree(oid);
    ber_bvfree(value);
}

/* It was to go on for ever: whatever the code, this is no picture. */
static void on_end(struct sync *s, LDAPMessage *m)
{
    int code = LDAP_OTHER;
    if (ldap_parse_result(s->conn->ld, m, &code, NULL, NULL, NULL, NULL, 0) != LDAP_SUCCESS)
        code = LDAP_OTHER;
    s->sync_id = 0;
    if (code == LDAP_SYNC_REFRESH_REQUIRED)
        give_up(s, "the server wants a new beginning", code, 1000);
    else if (code == LDAP_UNAVAILABLE_CRITICAL_EXTENSION)
        give_up(s, "the server does not offer RFC 4533 for ldap_search_base", code, AGAIN_MS);
    else
        give_up(s, "the refresh stopped early, or the watching ended", code, AGAIN_MS);
}

/* --- what the server knows --- */

/* An attribute that the server learns while it runs (slapd does with an overlay) is not among those of
 * a search that it began before: what it says from then on would look unchanged. */
static void on_beat(struct sync *s, int type)
{
    s->news = s->news || type == LDAP_RES_SEARCH_ENTRY;
    if (type != LDAP_RES_SEARCH_RESULT)
        return;
    s->beat_id = 0;
    if (!s->news)
        return;
    give_up(s, "the server has learnt attributes: all is asked anew", 0, 0);
    ask_offer(s);
}

static bool is_asking_known(const struct sync *s)
{
    bool asking = false;
    for (size_t i = 0; i < NAMED; i++)
        asking = asking || s->known_ids[i];
    return asking;
}

static bool take_known(struct sync *s, int id, int type)
{
    for (size_t i = 0; i < NAMED; i++) {
        if (!s->known_ids[i] || s->known_ids[i] != id)
            continue;
        s->known[i] = s->known[i] || type == LDAP_RES_SEARCH_ENTRY;
        if (type == LDAP_RES_SEARCH_RESULT)
            s->known_ids[i] = 0;
        return true;
    }
    return false;
}

static void on_message(struct dirconn *c, void *arg, LDAPMessage *m)
{
    struct sync *s = arg;
    int id = ldap_msgid(m), type = ldap_msgtype(m);
    (void)c;
    if (s->offer_id && id == s->offer_id)
        on_offer(s, m);
    else if (s->beat_id && id == s->beat_id)
        on_beat(s, type);
    else if (take_known(s, id, type))
        return;
    else if (!s->sync_id || id != s->sync_id)
        return;
    else if (type == LDAP_RES_SEARCH_ENTRY)
        on_entry(s, m);
    else if (type == LDAP_RES_INTERMEDIATE)
        on_between(s, m);
    else if (type == LDAP_RES_SEARCH_RESULT)
        on_end(s, m);
}

/* --- the connection --- */

static void on_up(struct dirconn *c, void *arg)
{
    struct sync *s = arg;
    s->conn = c;
    ask_offer(s);
}

static void on_down(struct dirconn *c, void *arg)
{
    struct sync *s = arg;
    (void)c;
    stop_watching(s);
    s->stage = STAGE_DOWN;
    s->conn = NULL;
}

/* A server that is silent for good reason (nothing changes) is asked something now and then: what
 * has not been answered makes all that is kept doubtful. */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct sync *s = arg;
    int64_t now = clock_mono_ms();
    (void)fd;
    (void)what;
    if (!s->conn || !s->conn->ld)
        return;
    bool waits = s->stage == STAGE_OFFER || s->stage == STAGE_REFRESH || s->beat_id ||
                 is_asking_known(s);
    if (waits && now - s->asked > SILENCE_MS && now - s->conn->last_heard > SILENCE_MS)
        conns_silent(s->conn, "the server is silent");
    else if (s->stage == STAGE_NONE && s->again && now >= s->again)
        ask_offer(s);
    else if (s->stage == STAGE_WATCH && !waits &&
             ask_beat(s) != LDAP_SUCCESS)
        conns_lost(s->conn, "no sign of life could be asked for");
}

struct sync *sync_new(struct event_base *loop, struct opener *opener,
                      const struct ldapmap_conn_settings *settings, struct str base,
                      const struct sync_ops *ops, void *arg)
{
    static const struct conns_ops conn_ops = {on_up, on_message, on_down, false};
    struct sync *s = MEM_NEW(struct sync);
    *s = (struct sync){.loop = loop, .ops = *ops, .arg = arg};
    s->base = mem_strdup(base);
    s->entries = map_new();
    s->timer = event_new(loop, -1, EV_PERSIST, on_timer, s);
    event_add(s->timer, &(struct timeval){BEAT_MS / 1000, 0});
    s->conns = conns_new(loop, opener, settings, 1, "sync", &conn_ops, s);
    return s;
}

void sync_free(struct sync *s)
{
    if (!s)
        return;
    conns_free(s->conns);
    event_free(s->timer);
    map_free(s->entries, free);
    free(s->base);
    free(s);
}

bool sync_is_watching(const struct sync *s)
{
    return s && s->stage == STAGE_WATCH;
}

size_t sync_entries(const struct sync *s)
{
    return s ? map_count(s->entries) : 0;
}
