#!/usr/bin/env python3
"""Every kind of mistake in the configuration and what it names, as facteurd -t tells it; and what the
facteur command prints and edits."""
import os
import re
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import BUILD, UIDS  # noqa: E402
from mastersite import ROOT, run_tests  # noqa: E402
from slapd import SRCDIR  # noqa: E402


# --- mistakes ---

class Mistake:
    """Makes something wrong, sees that -t names it, and puts it right again."""

    def __init__(self, site):
        self.site = site

    def expect(self, *parts):
        done = self.site.facteurd("-t")
        tap.same(done.returncode, 1, done.stderr)
        for part in parts:
            tap.has(done.stderr, part)

    def good(self, **changes):
        """What it is told while nothing is wrong."""
        self.site.write_config(**changes)
        done = self.site.facteurd("-t")
        tap.same(done.returncode, 0, done.stderr)
        self.site.write_config()
        return done.stderr

    def options(self, part, **changes):
        self.site.write_config(**changes)
        self.expect(part)
        self.site.write_config()

    def mode(self, name, mode, part):
        path = self.site.path(name)
        before = os.stat(path).st_mode & 0o7777
        os.chmod(path, mode)
        self.expect(part)
        os.chmod(path, before)

    def owner(self, name, part):
        path = self.site.path(name)
        if ROOT:
            os.chown(path, 64398, 64398)
            self.expect(part)
            os.chown(path, 0, 0)

    def missing(self, name, part):
        path = self.site.path(name)
        os.rename(path, path + ".away")
        self.expect(part)
        os.rename(path + ".away", path)


def the_right_one_is_good(site):
    done = site.facteurd("-t")
    tap.same((done.returncode, done.stdout), (0, site.conf + ": good\n"), done.stderr)
    done = site.facteur("check")
    tap.same((done.returncode, done.stdout), (0, site.conf + ": good\n"), done.stderr)


def wrong_options_are_named(site):
    wrong = Mistake(site)
    wrong.options('unknown option "smtp_prot"; did you mean "smtp_port"?', smtp_prot="1")
    wrong.options("smtp_port and imap_port: both want 127.0.0.1:",
                  imap_port=site.options["smtp_port"])
    wrong.options('inet_interfaces: "mail.example.org" is no address',
                  inet_interfaces="mail.example.org")
    wrong.options("error: %s:%d: virtual_mailbox_base: must be a directory of its own" % (
        site.conf, site.line("virtual_mailbox_base", "/")), virtual_mailbox_base="/")
    wrong.options("smtp_port: 192.0.2.1:", inet_interfaces="192.0.2.1")
    wrong.options('virtual_alias_maps: "mysql:aliases"', virtual_alias_maps="mysql:aliases")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wrong.options("smtp_port: 127.0.0.1:%d: Address already in use" % taken.getsockname()[1],
                      smtp_port=str(taken.getsockname()[1]))


def what_programs_judge_is_named(site):
    """Options that a program parses further than the table does; nothing is asked of any server."""
    wrong = Mistake(site)
    site.order("check", "relay", "3")
    wrong.expect("daemon_directory: relay cannot be started to try its options")
    site.no_order("check", "relay")
    real = {"daemon_directory": BUILD, "dns_trust_anchor": ""}
    wrong.good(**real)
    for name, value, part in (
            ("user_filter", "(uid=%x)", 'user_filter: "%x" is none of'),
            ("auth_bind_userdn", "uid=admin,dc=example", "auth_bind_userdn: has neither %u nor %n"),
            ("user_attrs", "homeDirectory=house", 'user_attrs: "homeDirectory=house" is none of'),
            ("mail_location", "mbox:~/mail", 'mail_location: "mbox:~/mail" is not maildir:~/NAME'),
            ("account_state_map", "locked", "account_state_map: "),
            ("canonical_classes", "envelopes", 'canonical_classes: "envelopes" is none of'),
            ("sasl_relay_mechanisms", "DIGEST-MD5", "sasl_relay_mechanisms: DIGEST-MD5 cannot be"),
            ("relayhost", "[mail.example.org", 'relayhost: "[mail.example.org" is no destination'),
            ("smtp_discard_ehlo_keywords", "telepathy", 'smtp_discard_ehlo_keywords: "telepathy"'),
            ("dns_servers", "resolver", 'dns_servers: "resolver"')):
        wrong.options("error: %s:%d: %s" % (site.conf, site.line(name, value), part), **real,
                      **{name: value})


def values_of_lists_are_judged(site):
    """By the program that would use them: what is said of whom, and where."""
    wrong = Mistake(site)
    real = {"daemon_directory": BUILD, "dns_trust_anchor": ""}
    path = site.write("transports", "# by hand\nexample.org smtp:[mx.example.org]:2525\n* :\n", 0o640)
    wrong.good(**real, transport_maps="texthash:transports, inline:{{example.net = error:5.2.1 closed}}")
    wrong.good(**real, smtp_tls_policy_maps="inline:{{example.org = secure match=.example.org}} static:may")
    site.write("policies", "[mx.example.org]:25 encrypted\n", 0o640)
    for name, value, part in (
            ("transport_maps", "inline:{a.example=smtp:, b.example=smpt:[mx]}", 'b.example: "smpt:[mx]" is none of'),
            ("transport_maps", "static:lmtp:[mx", '"[mx" is no destination'),
            ("transport_maps", "inline:{c.example=lmtp:unix:/run/lmtp}", "c.example: lmtp:unix: "),
            ("smtp_tls_policy_maps", "inline:{{a.example = may match=x}}", "a.example: match= is for"),
            ("smtp_tls_policy_maps", "hash:policies",
             '%s: line 1: [mx.example.org]:25: "encrypted" is no TLS level' % site.path("policies"))):
        wrong.options("error: %s:%d: %s: %s" % (site.conf, site.line(name, value), name, part), **real,
                      **{name: value})
    wrong.options("%s: line 2: example.org: port 2525 is not one of smtp_connect_ports" % path, **real,
                  transport_maps="hash:transports", smtp_connect_ports="587")


def what_goes_into_headers_is_judged(site):
    wrong = Mistake(site)
    wrong.good(mail_name="Post & Sons, 2nd floor")
    for name in ("Post (Ltd)", "Post\\", "Post\x1b[1m", "Brief\xfcberbringer", ""):
        wrong.options("mail_name: must be some printable ASCII characters", mail_name=name)


def protocols_are_listed(site):
    wrong = Mistake(site)
    wrong.good(inet_protocols="ipv4, ipv6")
    wrong.options("inet_protocols: must be one of: all ipv4 ipv6", inet_protocols="ipv4, ipv5")


def wrong_users_are_named(site):
    wrong = Mistake(site)
    if not ROOT:
        wrong.options("started without root: every program needs a user of its own",
                      single_uid="no")
        return
    wrong.options("single_uid: is for ordinary users", single_uid="yes")
    wrong.options("smtp_user: this machine has no user facteur-nobody: useradd ",
                  smtp_user="facteur-nobody")
    wrong.options("queue_user: must be neither root", queue_user="root")
    wrong.options("are the same user, uid %d" % UIDS["smtp"],
                  access_user="%d:%d" % (UIDS["smtp"], UIDS["access"]))


def wrong_files_are_named(site):
    wrong = Mistake(site)
    table = site.path("ldap/a.cf")
    wrong.mode("ldap/a.cf", 0o644, "chmod 0640 " + table)
    wrong.mode("ldap/a.cf", 0o660, "chmod 0640 " + table)
    wrong.owner("ldap/a.cf", "chown root:root %s && chmod 0640 %s" % (table, table))
    wrong.missing("ldap/a.cf", "virtual_alias_maps: %s: No such file" % table)
    wrong.mode("facteur.conf", 0o644, "chmod 0640 " + site.conf)
    wrong.owner("facteur.conf", "chown root %s && " % site.conf)
    wrong.mode("tls/one.pem", 0o644, "chmod 0640 " + site.path("tls/one.pem"))
    wrong.missing("tls/one.pem", "smtpd_tls_chain_files: %s: No such file" % site.path("tls/one.pem"))
    wrong.options("ldap_tls_ca_cert_file: ", ldap_tls_ca_cert_file="nowhere.pem")


def wrong_tables_are_named(site):
    wrong = Mistake(site)
    for text, part in (("query_filter = (uid=%s\n", 'a ")" is missing'),
                       ("# one\nquery_filtre = (uid=%s)\n", "did you mean query_filter?"),
                       ("query_filter = (uid=%s)\nscope = deep\n", "a.cf: line 2: scope"),
                       ("query_filter = (uid=%s)\nbind = sasl\nsasl_mechs = PLAIN\n",
                        "EXTERNAL is the only mechanism")):
        site.write("ldap/a.cf", text, 0o640)
        wrong.expect(part, site.path("ldap/a.cf"))
    site.write("ldap/a.cf", "query_filter = (uid=%s)\n", 0o640)
    wrong.options("search_base is not set", ldap_search_base="")
    wrong.options('ldap_server_host: "ldap://host:port" is neither a host nor an LDAP URL',
                  ldap_server_host="ldap://host:port")


def wrong_lists_are_named(site):
    wrong = Mistake(site)
    path = site.write("ldap/moved", "# comment\nold@example.org new@example.org\n", 0o640)
    wrong.good(relocated_maps="texthash:ldap/moved")
    site.write("ldap/moved", "old@example.org new@example.org\nlonely\n", 0o640)
    wrong.options("relocated_maps: %s: line 2 has no value" % path, relocated_maps="hash:ldap/moved")
    wrong.options("smtpd_sender_restrictions: %s: line 2 has no value" % path,
                  smtpd_sender_restrictions="check_sender_access texthash:ldap/moved")
    os.unlink(path)
    wrong.good(relocated_maps="inline:{old@example.org=new@example.org}")
    wrong.options('relocated_maps: inline: "lonely" is not KEY=VALUE', relocated_maps="inline:{lonely}")
    wrong.options("relocated_maps: inline: needs {KEY=VALUE", relocated_maps="inline:a=b")
    wrong.good(relay_domains="example.org")
    wrong.options('relocated_maps: "example.org" is no table', relocated_maps="example.org")
    wrong.options('virtual_mailbox_domains: "/etc/postfix/domains" is no domain and no table',
                  virtual_mailbox_domains="/etc/postfix/domains")
    wrong.options('auth_failure_exceptions: "10.0.0.0/33" is no network',
                  auth_failure_exceptions="!10.0.0.1 10.0.0.0/33")


def a_domain_in_two_classes_is_told(site):
    told = Mistake(site).good(mydestination="example.org, localhost", virtual_mailbox_domains="LOCALHOST example.net",
                              relay_domains="example.net")
    tap.has(told, "virtual_mailbox_domains: localhost stands in mydestination too, and only that one holds")
    tap.has(told, "relay_domains: example.net stands in virtual_mailbox_domains too")
    tap.true("example.org" not in told, told)


def the_bind_secret_has_one_place(site):
    wrong = Mistake(site)
    site.write("reader.pw", "a secret\n", 0o640)
    wrong.options("which is it?", ldap_bind_pw_file="reader.pw")
    wrong.options("nowhere.pw: No such file", ldap_bind_pw="", ldap_bind_pw_file="nowhere.pw")
    os.chmod(site.path("reader.pw"), 0o644)
    wrong.options("chmod 0640 " + site.path("reader.pw"), ldap_bind_pw="",
                  ldap_bind_pw_file="reader.pw")
    site.write("reader.pw", "\nsecond line\n", 0o640)
    wrong.options("the first line must be a password", ldap_bind_pw="",
                  ldap_bind_pw_file="reader.pw")


def wrong_token_servers_are_named(site):
    wrong = Mistake(site)
    url = {"oauth2_introspection_url": "https://localhost/x", "oauth2_scope": "mail"}
    ca = site.path("tls/one.crt")
    wrong.options("oauth2_introspection_url: must be https://HOST/PATH",
                  oauth2_introspection_url="localhost")
    wrong.options("oauth2_introspection_url: must be https", oauth2_introspection_url="http://id.example.org/x")
    wrong.options("oauth2_introspection_url: has no good host", oauth2_introspection_url="https://192.0.2.300/x")
    wrong.options("nowhere.pem: No such file", **url,
                  oauth2_tls_ca_cert_file="nowhere.pem")
    url["oauth2_tls_ca_cert_file"] = ca
    wrong.options("oauth2_client_id: is needed", **url, oauth2_client_secret="a secret")
    wrong.options("oauth2_username_attribute: must not be empty", **url,
                  oauth2_username_attribute="")
    site.write("client.pw", "\nsecond line\n", 0o640)
    wrong.options("the first line must be a password", **url, oauth2_client_id="x",
                  oauth2_client_secret_file="client.pw")
    wrong.options('"a\\b" is no scope', **dict(url, oauth2_scope="a\\b"))


def the_directory_group_may_read(site):
    if not ROOT:
        return
    os.chown(site.path("ldap/a.cf"), 0, UIDS["directory"])
    tap.same(site.facteurd("-t").returncode, 0)
    os.chown(site.path("ldap/a.cf"), 0, UIDS["smtp"])
    Mistake(site).expect("chown root:")
    os.chown(site.path("ldap/a.cf"), 0, 0)


def wrong_certificates_are_named(site):
    wrong = Mistake(site)
    wrong.options("submissions_port: needs a certificate", smtpd_tls_chain_files=None,
                  tls_server_sni_maps=None)
    mixed = site.path("tls/mixed.pem")
    site.write("tls/mixed.pem", open(site.path("tls/one.key")).read() +
               open(site.path("tls/two.crt")).read(), 0o600)
    wrong.options("smtpd_tls_chain_files: %s: the private key does not fit" % mixed,
                  smtpd_tls_chain_files=mixed)
    site.write("tls/mixed.pem", "nothing\n", 0o600)
    wrong.options("no usable certificate", smtpd_tls_chain_files=mixed)
    wrong.options("smtpd_tls_key_file: is given without smtpd_tls_cert_file",
                  smtpd_tls_key_file="tls/one.key")
    wrong.options("smtpd_tls_key_file: the private key does not fit", smtpd_tls_chain_files=None,
                  smtpd_tls_cert_file="tls/one.crt", smtpd_tls_key_file="tls/two.key")
    wrong.options('"tls/two.pem" is not DOMAIN=FILE', tls_server_sni_maps="tls/two.pem")
    for name in ("*.example.org", "mail..example.org", "münchen.example", "."):
        wrong.options('tls_server_sni_maps: "%s" is no name that a client could ask for' % name,
                      tls_server_sni_maps=name + "=tls/two.pem")
    tap.has(wrong.good(tls_server_sni_maps="third.example.org=tls/two.pem"),
            ": tls_server_sni_maps: %s: the certificate is not for third.example.org" %
            site.path("tls/two.pem"))
    tap.true("is not for" not in wrong.good(tls_server_sni_maps=".example.org=tls/two.pem"), "it fits")
    wrong.good(smtpd_tls_chain_files=None, smtpd_tls_cert_file="tls/one.crt",
               smtpd_tls_key_file="tls/one.key")


def wrong_directories_are_named(site):
    wrong = Mistake(site)
    os.mkdir(site.path("run"), 0o755)
    os.mkdir(site.path("queue"), 0o700)
    if ROOT:
        os.chown(site.path("queue"), UIDS["queue"], UIDS["queue"])
    wrong.mode("vmail", 0o757, "virtual_mailbox_base: %s: has mode 0757" % site.path("vmail"))
    wrong.owner("vmail", "virtual_mailbox_base: %s: belongs to uid 64398: chown 0 " % site.path("vmail"))
    wrong.missing("vmail", "virtual_mailbox_base: %s: No such file" % site.path("vmail"))
    wrong.mode("queue", 0o755, "queue_directory: %s: has mode 0755, too open: chmod 0700" %
               site.path("queue"))
    wrong.mode("run", 0o777, "run_directory: %s: has mode 0777" % site.path("run"))
    wrong.options("queue_directory: ", queue_directory="/nowhere/at/all")
    wrong.missing("programs/queue", "daemon_directory: %s" % site.path("programs/queue"))
    wrong.mode("programs/queue", 0o644, "cannot be executed")
    wrong.mode("programs/queue", 0o777, "others could change it")
    if ROOT:
        wrong.mode(".", 0o700, "cannot reach " + site.path("queue"))


def all_mistakes_at_once(site):
    site.write_config(smtp_port=site.options["imap_port"], virtual_alias_maps="ldap:nowhere.cf",
                      virtual_mailbox_base="/", smtpd_tls_chain_files="tls/nowhere.pem")
    site.write("ldap/b.cf", "query_filter = (cn=%s\n", 0o640)
    Mistake(site).expect("both want", "nowhere.cf", "virtual_mailbox_base", "tls/nowhere.pem",
                         'a ")" is missing')
    site.write("ldap/b.cf", "query_filter = (cn=%s)\n", 0o640)
    done = site.facteurd("-f")
    tap.same(done.returncode, 1)
    tap.has(done.stderr, "nowhere.cf")
    site.write_config()


# --- facteur conf ---

def conf_prints(site):
    tap.same(site.facteur("conf", "smtp_processes", "smtpd_banner").stdout,
             "smtp_processes = 2\nsmtpd_banner = $myhostname ESMTP\n")
    tap.same(site.facteur("conf", "-d", "smtp_processes").stdout, "smtp_processes = 0\n")
    differing = site.facteur("conf", "-n").stdout
    tap.has(differing, "smtp_processes = 2\n")
    tap.true("smtpd_banner" not in differing, "a default is no difference")
    tap.true(len(site.facteur("conf").stdout.splitlines()) > 80, "all options")
    secret = site.facteur("conf", "-P", "ldap_bind_pw").stdout
    tap.true(len(secret) > len("ldap_bind_pw = \n"), "the test's own password")
    tap.same(site.facteur("conf", "ldap_bind_pw").stdout, "ldap_bind_pw = # hidden, -P shows it\n")
    tap.true(secret not in site.facteur("conf").stdout + differing, "the password is hidden")
    done = site.facteur("conf", "smtpd_baner")
    tap.same((done.returncode, "did you mean \"smtpd_banner\"" in done.stderr), (1, True))


def conf_edits(site):
    site.write("facteur.conf", "# first\nmyhostname = a.example\n\n# networks\nmynetworks = 10.0.0.0/8\n"
               "  # inside\n  192.168.0.0/16\nsmtp_port = 2525\n", 0o640)
    done = site.facteur("conf", "-e", "mynetworks=127.0.0.0/8", "debug = yes")
    tap.same((done.returncode, done.stderr), (0, ""))
    tap.same(open(site.conf).read(), "# first\nmyhostname = a.example\n\n# networks\n"
             "mynetworks = 127.0.0.0/8\n  # inside\nsmtp_port = 2525\ndebug = yes\n")
    tap.same(os.stat(site.conf).st_mode & 0o7777, 0o640)
    before = open(site.conf).read()
    for pair, why in (("nonsense=1", "unknown option"), ("smtp_port=70000", "must lie between"),
                      ("debug=yes\nsmtp_port=1", "one line"), ("debug", "not name=value"),
                      ("mynetworks", "not name=value")):
        done = site.facteur("conf", "-e", pair)
        tap.same((done.returncode, why in done.stderr), (1, True), done.stderr)
    tap.same(open(site.conf).read(), before, "nothing changed")
    tap.same([n for n in os.listdir(site.dir) if n.startswith("facteur.conf")], ["facteur.conf"])
    site.write_config()


def commands_say_how_they_are_used(site):
    for arguments in ((), ("nonsense",), ("-x",)):
        done = site.facteur(*arguments)
        tap.same((done.returncode, "usage: facteur" in done.stderr), (2, True))
    tap.same(site.facteurd("-x").returncode, 2)
    tap.has(site.facteurd("-V").stdout, "facteur ")
    tap.same(site.facteur("stop", "now").returncode, 1)


def the_manual_names_every_restriction(site):
    with open(os.path.join(SRCDIR, "server/config/rules.c")) as source:
        words = re.findall(r'ROW\("(\w+)"', source.read())
    with open(os.path.join(SRCDIR, "conf/facteur.conf.5.in")) as source:
        manual = source.read().partition(".SH RESTRICTIONS")[2]
    tap.true(len(words) > 25, words)
    tap.same([word for word in words if not re.search(r"\b%s\b" % word, manual)], [])


TESTS = (
    the_right_one_is_good, wrong_options_are_named, what_programs_judge_is_named,
    values_of_lists_are_judged, what_goes_into_headers_is_judged, protocols_are_listed, wrong_users_are_named,
    wrong_files_are_named, wrong_tables_are_named, wrong_lists_are_named, a_domain_in_two_classes_is_told,
    the_bind_secret_has_one_place,
    wrong_token_servers_are_named,
    the_directory_group_may_read, wrong_certificates_are_named,
    wrong_directories_are_named, all_mistakes_at_once, conf_prints, conf_edits,
    commands_say_how_they_are_used, the_manual_names_every_restriction,
)

run_tests(TESTS)
