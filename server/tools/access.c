/* Talking to the directory from a command. */
#include "tools/access.h"
#include "tools/prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <unistd.h>

bool access_option(struct access_options *o, int letter, const char *value, bool *bad)
{
    *bad = letter == 'Y' && strcasecmp(value, "EXTERNAL") != 0;
    if (letter == 'D')
        o->dn = value;
    else if (letter == 'W')
        o->ask = true;
    else if (letter == 'y')
        o->password_file = value;
    else if (letter == 'Y')
        o->external = true;
    else if (letter == 'H')
        o->uri = value;
    else
        return false;
    return true;
}

bool access_is_reader(const struct access_options *o)
{
    return !o->dn && !o->external;
}

/* --- settings --- */

int access_first_line(const char *path, struct arena *a, struct str *out, struct err *e)
{
    AUTO_BUF text = {0};
    AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fd_read_all(fd, &text, 4096) != 0)
        return err_perm(e, "%s: %s", path, strerror(errno));
    struct str rest = buf_view(&text), line = {0};
    str_line(&rest, &line);
    *out = arena_str(a, line);
    mem_wipe(text.p, text.n);
    return 0;
}

static int password_of(const struct access_options *o, const struct config *cfg, struct arena *a,
                       struct str *out, struct err *e)
{
    struct secret typed = {0};
    if (o->password_file)
        return access_first_line(o->password_file, a, out, e);
    if (o->dn && !o->ask)
        return err_perm(e, "-D needs -W or -y FILE");
    if (o->dn) {
        if (prompt_password("Enter LDAP Password: ", &typed) != 0)
            return err_perm(e, "no password came");
        *out = arena_str(a, (struct str){typed.p, typed.n});
        secret_free(&typed);
        return 0;
    }
    *out = cfg->ldap_bind_pw;
    if (out->n == 0 && cfg->ldap_bind_pw_file.n)
        return access_first_line(arena_strz(a, cfg->ldap_bind_pw_file), a, out, e);
    return 0;
}

/* What the command's options say goes before what the configuration does; who binds by EXTERNAL comes
 * over ldapi:// and is nobody but himself. */
static size_t own_settings(const struct access_options *o, struct str password,
                           struct config_setting out[6])
{
    size_t n = 0;
    if (o->uri)
        out[n++] = (struct config_setting){"server_host", str_from(o->uri)};
    if (o->dn || o->external)
        out[n++] = (struct config_setting){"bind", o->external ? STR("sasl") : STR("simple")};
    if (o->dn)
        out[n++] = (struct config_setting){"bind_dn", str_from(o->dn)};
    if (o->external)
        out[n++] = (struct config_setting){"start_tls", STR("no")};
    if (o->external)
        out[n++] = (struct config_setting){"sasl_authz_id", STR("")};
    out[n++] = (struct config_setting){"bind_pw", password};
    return n;
}

int access_settings(const struct access_options *o, const struct config *cfg, struct arena *a,
                    struct ldapmap_conn_settings *out, struct err *e)
{
    struct config_setting all[CONFIG_LDAP_SETTINGS + 6];
    struct str password = {0};
    ldapmap_conn_init(out, a);
    if (!o->external && password_of(o, cfg, a, &password, e) != 0)
        return -1;
    size_t n = config_ldap_settings(cfg, a, all);
    n += own_settings(o, password, all + n);
    for (size_t i = 0; i < n; i++)
        if (ldapmap_conn_set(out, a, str_from(all[i].name), all[i].value, e) != 0)
            return -1;
    return 0;
}

/* --- LDIF --- */

/* RFC 2849: SAFE-STRING, and no blank at the end. */
static bool is_safe(struct str s)
{
    if (s.n && (strchr(" :<", s.p[0]) || s.p[s.n - 1] == ' '))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || (unsigned char)s.p[i] >= 0x7f)
            return false;
    return true;
}

void access_ldif_line(struct buf *out, const char *attr, struct str value)
{
    if (is_safe(value)) {
        buf_printf(out, "%s: %.*s\n", attr, STR_FMT(value));
        return;
    }
    size_t n = sodium_base64_encoded_len(value.n, sodium_base64_VARIANT_ORIGINAL);
    AUTO_FREE char *text = mem_alloc(n);
    sodium_bin2base64(text, n, (const unsigned char *)value.p, value.n,
                      sodium_base64_VARIANT_ORIGINAL);
    buf_printf(out, "%s:: %s\n", attr, text);
}

void access_ldif_add(struct buf *out, const char *dn, const struct ldapmap_change *v, size_t n)
{
    access_ldif_line(out, "dn", str_from(dn));
    buf_str(out, STR("changetype: add\n"));
    for (size_t i = 0; i < n; i++)
        access_ldif_line(out, v[i].attr, str_from(v[i].value));
    buf_byte(out, '\n');
}

void access_ldif_modify(struct buf *out, const char *dn, const struct ldapmap_change *v, size_t n)
{
    static const char *const kinds[] = {"add", "delete", "replace"};
    access_ldif_line(out, "dn", str_from(dn));
    buf_str(out, STR("changetype: modify\n"));
    for (size_t i = 0; i < n; i++) {
        buf_printf(out, "%s: %s\n", kinds[v[i].kind], v[i].attr);
        if (v[i].value)
            access_ldif_line(out, v[i].attr, str_from(v[i].value));
        buf_str(out, STR("-\n"));
    }
    buf_byte(out, '\n');
}
