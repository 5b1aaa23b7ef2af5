/* config/: facteur.conf, its errors, its export, network lists. */
#include "config/config.h"
#include "tests/unit/unit.h"

#include <string.h>

static struct config *good(const char *text)
{
    struct config *c = NULL;
    struct err e = {0};
    if (config_parse(str_from(text), "test.conf", "/etc/test", &c, &e) != 0)
        CU_FAIL(e.log);
    return c;
}

static void bad(const char *text, const char *want)
{
    struct config *c = NULL;
    struct err e = {0};
    CU_ASSERT(config_parse(str_from(text), "test.conf", "/etc/test", &c, &e) == -1);
    UNIT_STR(str_from(e.log), want);
}

static void values(void)
{
    struct config *c = good("# comment\nmyhostname = mail.example.org\n"
                            "message_size_limit = 10M\nsmtpd_timeout=2m\n"
                            "mynetworks = 10.0.0.0/8,\n   192.168.1.1\n\t# inside\n  [fd00::]/8\n"
                            "log_target = journal\nsingle_uid = yes\nqueue_directory = spool\n"
                            "virtual_alias_maps = proxy:ldap:a.cf, static:x\n");
    CU_ASSERT_FATAL(c != NULL);
    UNIT_STR(c->smtpd_banner, "mail.example.org ESMTP");
    CU_ASSERT(c->message_size_limit == 10 * 1024 * 1024);
    CU_ASSERT(c->smtpd_timeout == 120);
    CU_ASSERT(c->mynetworks.n == 3);
    CU_ASSERT(c->log_target == 2);
    CU_ASSERT(c->single_uid);
    UNIT_STR(c->queue_directory, "/etc/test/spool");
    UNIT_STR(c->virtual_mailbox_base, "/var/vmail");
    UNIT_STR(c->virtual_alias_maps, "ldap:/etc/test/a.cf static:x");
    config_free(c);
}

/* Postfix's users write these without a unit, and mean days and hours. */
static void times_have_the_unit_of_their_default(void)
{
    struct config *c = good("maximal_queue_lifetime = 5\nbounce_queue_lifetime = 36h\n"
                            "delay_warning_time = 4\nminimal_backoff_time = 600\n");
    CU_ASSERT_FATAL(c != NULL);
    CU_ASSERT(c->maximal_queue_lifetime == 5 * 86400);
    CU_ASSERT(c->bounce_queue_lifetime == 36 * 3600);
    CU_ASSERT(c->delay_warning_time == 4 * 3600);
    CU_ASSERT(c->minimal_backoff_time == 600);
    config_free(c);
}

static void errors_name_the_thing(void)
{
    bad("\nmynetwork = x\n", "test.conf:2: unknown option \"mynetwork\"; did you mean \"mynetworks\"?");
    bad("smtpd_timeout = 1\n", "test.conf:1: smtpd_timeout: must lie between 5 and 86400 seconds");
    bad("message_size_limit = 5\n",
        "test.conf:1: message_size_limit: must lie between 1024 and 4294967295 bytes");
    bad("smtpd_timeout =\n", "test.conf:1: smtpd_timeout: needs a value");
    bad("smtpd_timeout = soon\n", "test.conf:1: smtpd_timeout: is not a number");
    bad("debug = maybe\n", "test.conf:1: debug: must be yes or no");
    bad("log_target = paper\n", "test.conf:1: log_target: must be one of: stderr syslog journal");
    bad("myorigin = $nothing\n", "test.conf:1: myorigin: \"$nothing\" is no option");
    bad("myorigin = $smtpd_banner\nsmtpd_banner = ${myorigin}\n",
        "test.conf:1: myorigin: its $names lead in a circle");
    bad(" lost\n", "test.conf:1: a continuation line with nothing before it");
    bad("myorigin = /nowhere/mailname\n", "test.conf:1: myorigin: /nowhere/mailname: No such file or directory");
    bad("nonsense\n", "test.conf:1: expected \"name = value\"");
    bad("auth_bind = no\n", "test.conf:1: auth_bind: only yes is possible here");
    bad("message_size_limit = 99999999999999999999g\n",
        "test.conf:1: message_size_limit: is not a number");
}

static void export_shows_only_what_may_be_seen(void)
{
    struct config *c = good("ldap_bind_pw = a$$b\nmyhostname = h.example\n");
    CU_ASSERT_FATAL(c != NULL);
    AUTO_BUF smtp = {0};
    AUTO_BUF directory = {0};
    config_export(c, SMTP, &smtp);
    config_export(c, DIRECTORY, &directory);
    CU_ASSERT(strstr(buf_z(&smtp), "ldap_bind_pw") == NULL);
    CU_ASSERT(strstr(buf_z(&smtp), "myhostname = h.example\n") != NULL);
    struct config *again = good(buf_z(&directory));
    CU_ASSERT_FATAL(again != NULL);
    UNIT_STR(again->ldap_bind_pw, "a$b");
    config_free(again);
    config_free(c);
}

static void files_are_absolute_for_the_others(void)
{
    struct config *c = good("queue_directory = spool\n"
                            "virtual_alias_maps = ldap:ldap/a.cf, static:x ldap:/b.cf\n");
    CU_ASSERT_FATAL(c != NULL);
    AUTO_BUF queue = {0};
    AUTO_BUF directory = {0};
    config_export(c, QUEUE, &queue);
    config_export(c, DIRECTORY, &directory);
    CU_ASSERT(strstr(buf_z(&queue), "queue_directory = /etc/test/spool\n") != NULL);
    UNIT_STR(c->virtual_alias_maps, "ldap:/etc/test/ldap/a.cf static:x ldap:/b.cf");
    CU_ASSERT(strstr(buf_z(&directory),
                     "virtual_alias_maps = ldap:/etc/test/ldap/a.cf static:x ldap:/b.cf\n") != NULL);
    config_free(c);
}

static bool in_networks(const char *list, const char *last_byte_of_10)
{
    char text[128];
    unsigned char addr[16] = {[10] = 0xff, [11] = 0xff, [12] = 10, [13] = 1, [14] = 2};
    addr[15] = (unsigned char)*last_byte_of_10;
    snprintf(text, sizeof text, "mynetworks = %s\n", list);
    struct config *c = good(text);
    bool hit = config_network_match(&c->mynetworks, addr);
    config_free(c);
    return hit;
}

static void networks(void)
{
    CU_ASSERT(in_networks("10.0.0.0/8", "\x03"));
    CU_ASSERT(!in_networks("11.0.0.0/8", "\x03"));
    CU_ASSERT(in_networks("10.1.2.3", "\x03"));
    CU_ASSERT(!in_networks("10.1.2.3", "\x04"));
    CU_ASSERT(in_networks("10.1.2.0/31", "\x01"));
    CU_ASSERT(!in_networks("10.1.2.0/31", "\x02"));
    CU_ASSERT(in_networks("[::]/0", "\x01"));
    CU_ASSERT(!in_networks("!10.1.2.3 10.0.0.0/8", "\x03"));
    CU_ASSERT(in_networks("!10.1.2.3 10.0.0.0/8", "\x04"));
    CU_ASSERT(in_networks("10.0.0.0/8 !10.1.2.3", "\x03"));
    CU_ASSERT(!in_networks("!10.1.2.3", "\x04"));
    struct config_network net;
    CU_ASSERT(config_network_parse(STR("10.0.0.0/33"), &net) == -1);
    CU_ASSERT(config_network_parse(STR("example.org"), &net) == -1);
    CU_ASSERT(config_network_parse(STR(""), &net) == -1);
    CU_ASSERT(config_network_parse(STR("10.0.0.0/"), &net) == -1);
}

static void sources_of_maps(void)
{
    struct str rest = STR(" ldap:/a, inline:{a=b, {c d = e, f}}\tstatic:{x y},word "), piece, inside;
    static const char *const want[] = {"ldap:/a", "inline:{a=b, {c d = e, f}}", "static:{x y}",
                                       "word"};
    for (size_t i = 0; i < 4; i++) {
        CU_ASSERT_FATAL(config_map_piece(&rest, &piece));
        CU_ASSERT(str_eq(piece, str_from(want[i])));
    }
    CU_ASSERT(!config_map_piece(&rest, &piece));
    CU_ASSERT(config_map_braced(STR("{ x y }"), &inside) && str_eq(inside, STR("x y")));
    CU_ASSERT(!config_map_braced(STR("x"), &inside));
    CU_ASSERT(!config_map_braced(STR("{"), &inside));
    rest = STR("{{{");
    CU_ASSERT(config_map_piece(&rest, &piece) && piece.n == 3);
}

static void pairs_of_maps(void)
{
    struct str inner = STR("a=b, {c d = e, f},x"), key, value, text;
    struct err e = {0};
    unsigned line = 0;
    CU_ASSERT(config_map_inline_next(&inner, &key, &value, &e) == 1);
    CU_ASSERT(str_eq(key, STR("a")) && str_eq(value, STR("b")));
    CU_ASSERT(config_map_inline_next(&inner, &key, &value, &e) == 1);
    CU_ASSERT(str_eq(key, STR("c d")) && str_eq(value, STR("e, f")));
    CU_ASSERT(config_map_inline_next(&inner, &key, &value, &e) == -1);
    text = STR("# one\n\nexample.org \t smtp:[mx]:25 \r\nlast a b");
    CU_ASSERT(config_map_text_next(&text, &line, &key, &value, &e) == 1);
    CU_ASSERT(str_eq(key, STR("example.org")) && str_eq(value, STR("smtp:[mx]:25")) && line == 3);
    CU_ASSERT(config_map_text_next(&text, &line, &key, &value, &e) == 1);
    CU_ASSERT(str_eq(value, STR("a b")));
    CU_ASSERT(config_map_text_next(&text, &line, &key, &value, &e) == 0);
    text = STR("a b\n c\n");
    CU_ASSERT(config_map_text_next(&text, &line, &key, &value, &e) == 1);
    CU_ASSERT(config_map_text_next(&text, &line, &key, &value, &e) == -1);
    text = STR("lonely\n");
    CU_ASSERT(config_map_text_next(&text, &line, &key, &value, &e) == -1);
}

int main(void)
{
    static const struct unit_test tests[] = {
        {"values", values},
        {"times have the unit of their default", times_have_the_unit_of_their_default},
        {"errors name the thing", errors_name_the_thing},
        {"export shows only what may be seen", export_shows_only_what_may_be_seen},
        {"files are absolute for the others", files_are_absolute_for_the_others},
        {"networks", networks},
        {"sources of maps", sources_of_maps},
        {"pairs of maps", pairs_of_maps},
        {NULL, NULL},
    };
    return unit_main("config", tests);
}
