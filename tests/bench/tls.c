/*
 * TLS 1.3 for the load generator: records, key schedule, handshake (RFC 8446; sections beside the rules).
 * One suite, one group, no resumption. Tickets are read and thrown away.
 */
#include "tls.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    HASH = 32,
    KEY = 16,
    NONCE = 12,
    TAG = 16,
    HEADER = 5,
    PLAIN_MAX = 16384,
    RECORD_MAX = PLAIN_MAX + 256, /* section 5.2 */
    /* A new key of ours is made, and the signature checked, once in so many handshakes: no server can tell, and
     * both cost a client more than the rest of the handshake. */
    AFRESH = 16
};

enum { CHANGE_CIPHER_SPEC = 20, ALERT = 21, HANDSHAKE = 22, APPLICATION = 23 };

enum {
    CLIENT_HELLO = 1,
    SERVER_HELLO = 2,
    NEW_SESSION_TICKET = 4,
    ENCRYPTED_EXTENSIONS = 8,
    CERTIFICATE = 11,
    CERTIFICATE_VERIFY = 15,
    FINISHED = 20
};

struct tls_shared {
    EVP_CIPHER *cipher;
    EVP_MD *sha256;
    EVP_MD_CTX *hash; /* for whoever needs one at once */
    unsigned char *certificate; /* the last one that was seen */
    size_t certificate_n;
    EVP_PKEY *key; /* its key */
    unsigned long handshakes;
    unsigned char private_key[32], public_key[32];
};

struct direction {
    EVP_CIPHER_CTX *cipher; /* NULL before there are keys */
    unsigned char iv[NONCE];
    uint64_t number; /* of the next record */
};

struct tls {
    struct tls_shared *shared;
    struct tls_carrier carrier;
    struct direction from, to;
    const char *why;
    const unsigned char *plain; /* decrypted and not yet taken; in `in` */
    size_t plain_n;
    size_t begin, end; /* of what was read and no record made of yet */
    unsigned char in[HEADER + RECORD_MAX];
    unsigned char out[HEADER + RECORD_MAX];
};

/* A handshake under way. The messages of the server's flight lie one behind the other. */
struct shake {
    struct tls *tls;
    EVP_MD_CTX *transcript;
    bool afresh;
    unsigned char private_key[32]; /* others may make a new one meanwhile */
    unsigned char flight[PLAIN_MAX];
    size_t begin, end;
    unsigned char secret[HASH]; /* the schedule's own (section 7.1) */
    unsigned char ours[HASH], theirs[HASH]; /* traffic secrets */
};

struct message {
    unsigned type;
    const unsigned char *p; /* its body */
    size_t n;
};

static int fail(struct tls *tls, const char *why) {
    tls->why = tls->why == NULL ? why : tls->why;
    return -1;
}

static unsigned number_at(const unsigned char *p, unsigned octets) {
    unsigned n = 0;
    for (unsigned i = 0; i < octets; i++) {
        n = n << 8 | p[i];
    }
    return n;
}

/* --- hashes and keys --- */

static void hash_state(const EVP_MD_CTX *transcript, struct tls_shared *shared, unsigned char out[HASH]) {
    EVP_MD_CTX_copy_ex(shared->hash, transcript);
    EVP_DigestFinal_ex(shared->hash, out, NULL);
}

/* HMAC (RFC 2104) with a key of at most a block, which all keys here are. */
static void hmac(struct tls_shared *shared, const unsigned char key[HASH], const void *data, size_t n,
                 unsigned char out[HASH]) {
    enum { BLOCK = 64 };
    unsigned char inner[BLOCK], outer[BLOCK];
    memset(inner, 0x36, BLOCK);
    memset(outer, 0x5c, BLOCK);
    for (size_t i = 0; i < HASH; i++) {
        inner[i] ^= key[i];
        outer[i] ^= key[i];
    }
    EVP_DigestInit_ex(shared->hash, shared->sha256, NULL);
    EVP_DigestUpdate(shared->hash, inner, BLOCK);
    EVP_DigestUpdate(shared->hash, data, n);
    EVP_DigestFinal_ex(shared->hash, inner, NULL);
    EVP_DigestInit_ex(shared->hash, shared->sha256, NULL);
    EVP_DigestUpdate(shared->hash, outer, BLOCK);
    EVP_DigestUpdate(shared->hash, inner, HASH);
    EVP_DigestFinal_ex(shared->hash, out, NULL);
}

/* HKDF-Expand-Label (section 7.1), of at most one hash's length. */
static void expand(struct tls_shared *shared, const unsigned char secret[HASH], const char *label,
                   const unsigned char *context, size_t context_n, unsigned char *out, size_t n) {
    unsigned char info[128], all[HASH];
    size_t at = 0, label_n = strlen(label);
    info[at++] = 0;
    info[at++] = (unsigned char)n;
    info[at++] = (unsigned char)(6 + label_n);
    memcpy(info + at, "tls13 ", 6);
    memcpy(info + at + 6, label, label_n);
    at += 6 + label_n;
    info[at++] = (unsigned char)context_n;
    if (context_n > 0) {
        memcpy(info + at, context, context_n);
    }
    at += context_n;
    info[at++] = 1; /* the first and only block of HKDF-Expand (RFC 5869 section 2.3) */
    hmac(shared, secret, info, at, all);
    memcpy(out, all, n);
}

/* The schedule's next secret: what the last one gives as salt, and new entropy. */
static void extract(struct shake *s, const unsigned char entropy[HASH]) {
    struct tls_shared *shared = s->tls->shared;
    unsigned char nothing[HASH], salt[HASH];
    EVP_DigestInit_ex(shared->hash, shared->sha256, NULL);
    EVP_DigestFinal_ex(shared->hash, nothing, NULL);
    expand(shared, s->secret, "derived", nothing, HASH, salt, HASH);
    hmac(shared, salt, entropy, HASH, s->secret);
}

static void traffic(struct shake *s, const char *ours, const char *theirs) {
    unsigned char so_far[HASH];
    hash_state(s->transcript, s->tls->shared, so_far);
    expand(s->tls->shared, s->secret, ours, so_far, HASH, s->ours, HASH);
    expand(s->tls->shared, s->secret, theirs, so_far, HASH, s->theirs, HASH);
}

static void use_keys(struct tls *tls, struct direction *direction, const unsigned char secret[HASH],
                     bool encrypt) {
    unsigned char key[KEY];
    expand(tls->shared, secret, "key", NULL, 0, key, KEY);
    expand(tls->shared, secret, "iv", NULL, 0, direction->iv, NONCE);
    if (direction->cipher == NULL) {
        direction->cipher = EVP_CIPHER_CTX_new();
    }
    EVP_CipherInit_ex(direction->cipher, tls->shared->cipher, NULL, key, NULL, encrypt);
    direction->number = 0;
}

/* --- records --- */

/* The record's nonce (section 5.3). */
static void next_nonce(struct direction *direction, unsigned char nonce[NONCE]) {
    memcpy(nonce, direction->iv, NONCE);
    for (int i = 0; i < 8; i++) {
        nonce[NONCE - 1 - i] ^= (unsigned char)(direction->number >> (8 * i));
    }
    direction->number++;
}

/* Makes a record at `to`, encrypted where there are keys; returns its length. */
static size_t seal(struct tls *tls, unsigned char *to, unsigned type, const void *data, size_t n) {
    EVP_CIPHER_CTX *cipher = tls->to.cipher;
    size_t length = cipher != NULL ? n + 1 + TAG : n;
    unsigned char nonce[NONCE];
    int done;
    to[0] = (unsigned char)(cipher != NULL ? APPLICATION : type);
    to[1] = to[2] = 3;
    to[3] = (unsigned char)(length >> 8);
    to[4] = (unsigned char)length;
    memcpy(to + HEADER, data, n);
    if (cipher != NULL) {
        to[HEADER + n] = (unsigned char)type;
        next_nonce(&tls->to, nonce);
        EVP_EncryptInit_ex(cipher, NULL, NULL, NULL, nonce);
        EVP_EncryptUpdate(cipher, NULL, &done, to, HEADER);
        EVP_EncryptUpdate(cipher, to + HEADER, &done, to + HEADER, (int)n + 1);
        EVP_EncryptFinal_ex(cipher, to + HEADER + n + 1, &done);
        EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, TAG, to + HEADER + n + 1);
    }
    return HEADER + length;
}

/* In its place. False: somebody changed it. */
static bool unseal(struct direction *direction, unsigned char *record, size_t n) {
    unsigned char nonce[NONCE];
    int done;
    next_nonce(direction, nonce);
    return EVP_DecryptInit_ex(direction->cipher, NULL, NULL, NULL, nonce) == 1 &&
           EVP_DecryptUpdate(direction->cipher, NULL, &done, record, HEADER) == 1 &&
           EVP_DecryptUpdate(direction->cipher, record + HEADER, &done, record + HEADER,
                             (int)(n - TAG)) == 1 &&
           EVP_CIPHER_CTX_ctrl(direction->cipher, EVP_CTRL_AEAD_SET_TAG, TAG,
                               record + HEADER + n - TAG) == 1 &&
           EVP_DecryptFinal_ex(direction->cipher, record + HEADER + n - TAG, &done) == 1;
}

/* Until n octets of the next record lie there. */
static int need(struct tls *tls, size_t n) {
    if (tls->begin == tls->end) {
        tls->begin = tls->end = 0;
    }
    if (tls->begin + n > sizeof tls->in) {
        memmove(tls->in, tls->in + tls->begin, tls->end - tls->begin);
        tls->end -= tls->begin;
        tls->begin = 0;
    }
    while (tls->end - tls->begin < n) {
        ssize_t got = tls->carrier.read(tls->carrier.arg, tls->in + tls->end, sizeof tls->in - tls->end);
        if (got <= 0) {
            return fail(tls, "connection lost");
        }
        tls->end += (size_t)got;
    }
    return 0;
}

/* The next record as tls->plain; returns its type, or -1. */
static int next_record(struct tls *tls) {
    if (need(tls, HEADER) != 0) {
        return -1;
    }
    size_t n = number_at(tls->in + tls->begin + 3, 2);
    if (n > RECORD_MAX) {
        return fail(tls, "a record is too long");
    }
    if (need(tls, HEADER + n) != 0) {
        return -1;
    }
    unsigned char *record = tls->in + tls->begin;
    unsigned type = record[0];
    tls->begin += HEADER + n;
    tls->plain = record + HEADER;
    tls->plain_n = n;
    if (type != APPLICATION || tls->from.cipher == NULL) {
        return (int)type;
    }
    if (n < TAG + 1 || !unseal(&tls->from, record, n)) {
        return fail(tls, "a record was damaged");
    }
    n -= TAG;
    while (n > 0 && record[HEADER + n - 1] == 0) {
        n--; /* padding (section 5.4) */
    }
    if (n == 0) {
        return fail(tls, "a record without a type");
    }
    tls->plain_n = n - 1;
    return record[HEADER + n - 1];
}

static int send_record(struct tls *tls, unsigned type, const void *data, size_t n) {
    size_t length = seal(tls, tls->out, type, data, n);
    return tls->carrier.write(tls->carrier.arg, tls->out, length) != 0 ? fail(tls, "connection lost") : 0;
}

/* --- the handshake --- */

/* What is offered (sections 4.1.2 and 4.2): what an ordinary client says, with one choice of each. */
static int say_hello(struct shake *s) {
    static const unsigned char fixed[] = {
        0x00, 0x02, 0x13, 0x01, /* TLS_AES_128_GCM_SHA256 */
        0x01, 0x00,             /* no compression */
        0x00, 0x49,             /* extensions: */
        0x00, 0x2b, 0x00, 0x03, 0x02, 0x03, 0x04,             /* supported_versions: 1.3 */
        0x00, 0x0a, 0x00, 0x04, 0x00, 0x02, 0x00, 0x1d,       /* supported_groups: x25519 */
        0x00, 0x0d, 0x00, 0x06, 0x00, 0x04, 0x04, 0x03, 0x08, 0x04, /* signatures: ECDSA P-256, RSA-PSS */
        0x00, 0x2d, 0x00, 0x02, 0x01, 0x01,                   /* psk_key_exchange_modes: psk_dhe_ke */
        0x00, 0x33, 0x00, 0x26, 0x00, 0x24, 0x00, 0x1d, 0x00, 0x20 /* key_share: x25519, 32 octets */
    };
    unsigned char hello[4 + 2 + 32 + 1 + 32 + sizeof fixed + 32], *at = hello;
    static const unsigned char start[] = {CLIENT_HELLO, 0, 0, sizeof hello - 4, 3, 3};
    _Static_assert(sizeof hello - 4 < 256 && sizeof fixed + 32 - 8 == 0x49, "lengths");
    struct tls_shared *shared = s->tls->shared;
    memcpy(at, start, sizeof start);
    at += sizeof start;
    randombytes_buf(at, 65);
    at[32] = 32; /* a session that never was, as for middle boxes (appendix D.4) */
    at += 65;
    memcpy(at, fixed, sizeof fixed);
    if (s->afresh) {
        randombytes_buf(shared->private_key, sizeof shared->private_key);
        crypto_scalarmult_base(shared->public_key, shared->private_key);
    }
    memcpy(at + sizeof fixed, shared->public_key, sizeof shared->public_key);
    memcpy(s->private_key, shared->private_key, sizeof s->private_key);
    EVP_DigestUpdate(s->transcript, hello, sizeof hello);
    return send_record(s->tls, HANDSHAKE, hello, sizeof hello);
}

/* The next message, which must be of that type; it belongs to the transcript from the next call on. */
static int next_message(struct shake *s, unsigned type, struct message *m) {
    struct tls *tls = s->tls;
    for (;;) {
        size_t have = s->end - s->begin;
        const unsigned char *p = s->flight + s->begin;
        size_t whole = have >= 4 ? 4 + number_at(p + 1, 3) : SIZE_MAX;
        if (have >= whole) {
            *m = (struct message){p[0], p + 4, whole - 4};
            s->begin += whole;
            return m->type == type ? 0 : fail(tls, "another message was expected");
        }
        int got = next_record(tls);
        if (got == CHANGE_CIPHER_SPEC) {
            continue;
        }
        if (got != HANDSHAKE || tls->plain_n > sizeof s->flight - s->end) {
            return fail(tls, got == ALERT ? "the server refuses" : "no handshake");
        }
        memcpy(s->flight + s->end, tls->plain, tls->plain_n);
        s->end += tls->plain_n;
    }
}

static void remember(struct shake *s, const struct message *m) {
    EVP_DigestUpdate(s->transcript, m->p - 4, m->n + 4);
}

/* The server's key share; NULL when it says anything but what was offered (section 4.1.3). */
static const unsigned char *key_share(const struct message *m) {
    const unsigned char *p = m->p + 2 + 32, *end = m->p + m->n;
    if (m->n < 2 + 32 + 1 + 32 + 2 + 1 + 2 || p[0] != 32) {
        return NULL;
    }
    p += 33;
    if (number_at(p, 2) != 0x1301) {
        return NULL;
    }
    for (p += 5; end - p >= 4; p += 4 + number_at(p + 2, 2)) {
        if (number_at(p, 2) == 0x33) {
            return end - p >= 40 && number_at(p + 2, 2) == 36 && number_at(p + 4, 2) == 0x1d ? p + 8 : NULL;
        }
    }
    return NULL;
}

static int hear_hello(struct shake *s) {
    static const unsigned char zeros[HASH];
    unsigned char shared[32];
    struct message m;
    if (next_message(s, SERVER_HELLO, &m) != 0) {
        return -1;
    }
    const unsigned char *share = key_share(&m);
    if (share == NULL || crypto_scalarmult(shared, s->private_key, share) != 0) {
        return fail(s->tls, "the server does not speak TLS 1.3 as it was offered");
    }
    remember(s, &m);
    hmac(s->tls->shared, zeros, zeros, HASH, s->secret);
    extract(s, shared);
    traffic(s, "c hs traffic", "s hs traffic");
    use_keys(s->tls, &s->tls->from, s->theirs, false);
    return 0;
}

/* The key of the first certificate (section 4.4.2), decoded when it is another one than the last. */
static int take_certificate(struct tls *tls, const struct message *m) {
    struct tls_shared *shared = tls->shared;
    size_t n = m->n >= 7 && m->p[0] == 0 ? number_at(m->p + 4, 3) : 0;
    if (n == 0 || n > m->n - 7) {
        return fail(tls, "no certificate");
    }
    const unsigned char *p = m->p + 7;
    if (shared->key != NULL && shared->certificate_n == n && memcmp(shared->certificate, p, n) == 0) {
        return 0;
    }
    EVP_PKEY_free(shared->key);
    free(shared->certificate);
    shared->certificate = malloc(n);
    shared->certificate_n = n;
    memcpy(shared->certificate, p, n);
    X509 *certificate = d2i_X509(NULL, &p, (long)n);
    shared->key = certificate != NULL ? X509_get_pubkey(certificate) : NULL;
    X509_free(certificate);
    return shared->key != NULL ? 0 : fail(tls, "the certificate cannot be read");
}

/* Section 4.4.3. */
static int check_signature(struct shake *s, const struct message *m) {
    static const char what[] = "TLS 1.3, server CertificateVerify";
    unsigned char content[64 + sizeof what + HASH];
    unsigned scheme = m->n >= 4 ? number_at(m->p, 2) : 0;
    EVP_PKEY_CTX *how;
    if ((scheme != 0x0403 && scheme != 0x0804) || number_at(m->p + 2, 2) != m->n - 4) {
        return fail(s->tls, "another signature was expected");
    }
    memset(content, ' ', 64);
    memcpy(content + 64, what, sizeof what);
    hash_state(s->transcript, s->tls->shared, content + 64 + sizeof what);
    EVP_MD_CTX *check = EVP_MD_CTX_new();
    bool fine = EVP_DigestVerifyInit(check, &how, s->tls->shared->sha256, NULL, s->tls->shared->key) == 1 &&
                (scheme == 0x0403 || (EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) == 1 &&
                                      EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST) == 1)) &&
                EVP_DigestVerify(check, m->p + 4, m->n - 4, content, sizeof content) == 1;
    EVP_MD_CTX_free(check);
    return fine ? 0 : fail(s->tls, "the signature is wrong");
}

/* What Finished says (section 4.4.4). */
static void proof(struct shake *s, const unsigned char secret[HASH], unsigned char out[HASH]) {
    unsigned char key[HASH], so_far[HASH];
    expand(s->tls->shared, secret, "finished", NULL, 0, key, HASH);
    hash_state(s->transcript, s->tls->shared, so_far);
    hmac(s->tls->shared, key, so_far, HASH, out);
}

static int hear_flight(struct shake *s) {
    unsigned char expected[HASH];
    struct message m;
    if (next_message(s, ENCRYPTED_EXTENSIONS, &m) != 0) {
        return -1;
    }
    remember(s, &m);
    if (next_message(s, CERTIFICATE, &m) != 0 || take_certificate(s->tls, &m) != 0) {
        return -1;
    }
    remember(s, &m);
    if (next_message(s, CERTIFICATE_VERIFY, &m) != 0 || (s->afresh && check_signature(s, &m) != 0)) {
        return -1;
    }
    remember(s, &m);
    if (next_message(s, FINISHED, &m) != 0) {
        return -1;
    }
    proof(s, s->theirs, expected);
    if (m.n != HASH || memcmp(m.p, expected, HASH) != 0) {
        return fail(s->tls, "the handshake was changed");
    }
    remember(s, &m);
    return 0;
}

/* Our Finished, and from here on the keys of the session. */
static int finish(struct shake *s) {
    static const unsigned char zeros[HASH];
    static const unsigned char change[] = {CHANGE_CIPHER_SPEC, 3, 3, 0, 1, 1}; /* appendix D.4 */
    struct tls *tls = s->tls;
    unsigned char finished[4 + HASH] = {FINISHED, 0, 0, HASH};
    proof(s, s->ours, finished + 4);
    memcpy(tls->out, change, sizeof change);
    use_keys(tls, &tls->to, s->ours, true);
    size_t n = seal(tls, tls->out + sizeof change, HANDSHAKE, finished, sizeof finished);
    extract(s, zeros);
    traffic(s, "c ap traffic", "s ap traffic");
    use_keys(tls, &tls->to, s->ours, true);
    use_keys(tls, &tls->from, s->theirs, false);
    return tls->carrier.write(tls->carrier.arg, tls->out, sizeof change + n) != 0
               ? fail(tls, "connection lost")
               : 0;
}

int tls_handshake(struct tls *tls) {
    struct shake *s = calloc(1, sizeof *s);
    s->tls = tls;
    s->afresh = tls->shared->handshakes++ % AFRESH == 0;
    s->transcript = EVP_MD_CTX_new();
    EVP_DigestInit_ex(s->transcript, tls->shared->sha256, NULL);
    int result = say_hello(s) == 0 && hear_hello(s) == 0 && hear_flight(s) == 0 ? finish(s) : -1;
    tls->plain_n = 0; /* the flight's last record */
    EVP_MD_CTX_free(s->transcript);
    free(s);
    return result;
}

/* --- data --- */

int tls_write(struct tls *tls, const char *data, size_t n) {
    while (n > 0) {
        size_t now = n < PLAIN_MAX ? n : PLAIN_MAX;
        if (tls->why != NULL || send_record(tls, APPLICATION, data, now) != 0) {
            return -1;
        }
        data += now;
        n -= now;
    }
    return 0;
}

ssize_t tls_read(struct tls *tls, char *to, size_t room) {
    while (tls->plain_n == 0) {
        int type = tls->why == NULL ? next_record(tls) : -1;
        if (type == HANDSHAKE && tls->plain_n > 0 && tls->plain[0] == NEW_SESSION_TICKET) {
            tls->plain_n = 0;
        } else if (type != APPLICATION) {
            tls->plain_n = 0;
            return fail(tls, type == ALERT ? "closed" : "something unexpected after the handshake");
        }
    }
    size_t n = tls->plain_n < room ? tls->plain_n : room;
    memcpy(to, tls->plain, n);
    tls->plain += n;
    tls->plain_n -= n;
    return (ssize_t)n;
}

const char *tls_why(const struct tls *tls) {
    return tls->why != NULL ? tls->why : "";
}

/* --- life --- */

struct tls_shared *tls_shared_new(void) {
    struct tls_shared *shared = calloc(1, sizeof *shared);
    *shared = (struct tls_shared){.cipher = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL),
                                  .sha256 = EVP_MD_fetch(NULL, "SHA256", NULL),
                                  .hash = EVP_MD_CTX_new()};
    if (sodium_init() < 0 || shared->cipher == NULL || shared->sha256 == NULL) {
        abort();
    }
    return shared;
}

void tls_shared_free(struct tls_shared *shared) {
    EVP_CIPHER_free(shared->cipher);
    EVP_MD_free(shared->sha256);
    EVP_MD_CTX_free(shared->hash);
    EVP_PKEY_free(shared->key);
    free(shared->certificate);
    free(shared);
}

struct tls *tls_new(struct tls_shared *shared, const struct tls_carrier *carrier) {
    struct tls *tls = malloc(sizeof *tls); /* its buffers need no zeros */
    tls->shared = shared;
    tls->carrier = *carrier;
    tls->from = tls->to = (struct direction){.cipher = NULL};
    tls->why = NULL;
    tls->plain_n = tls->begin = tls->end = 0;
    return tls;
}

void tls_free(struct tls *tls) {
    if (tls == NULL) {
        return;
    }
    EVP_CIPHER_CTX_free(tls->from.cipher);
    EVP_CIPHER_CTX_free(tls->to.cipher);
    free(tls);
}
