"""The files of a private Postfix and Dovecot, as the article has them, and tuned.

Where they leave the article: no chroot (no CA file to mount there), an ECDSA certificate for all, no
file of Diffie-Hellman parameters (TLS 1.3 uses none), its own ports, nothing logged to a syslog that
does not run. Limits that would throttle the load are raised in both."""
import os
import pwd

DAEMONS = "/usr/lib/postfix/sbin"
MODULES = "/usr/lib/dovecot"

TABLES = {
    "virtual_alias_domains": "query_filter = mailacceptinggeneralid=*@%s\n"
                             "result_attribute = mailacceptinggeneralid\nresult_format = %d\n",
    "virtual_alias_maps": "query_filter = mailacceptinggeneralid=%s\nresult_attribute = maildrop\n",
    "virtual_mailbox_maps": "query_filter = maildrop=%s\nresult_attribute = homeDirectory\n"
                            "result_format = %s/mailbox/\n",
    "virtual_uid_maps": "query_filter = maildrop=%s\nresult_attribute = uidNumber\n",
    "smtpd_sender_login_maps": "query_filter = (|(mailacceptinggeneralid=%s)(maildrop=%s))\n"
                               "result_attribute = uid\n",
}

MAIN = """compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
meta_directory = /etc/postfix
shlib_directory = /usr/lib/postfix
mail_owner = postfix
setgid_group = postdrop
syslog_name = bench-{system}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{sink}
myhostname = mail.{system}.example
mydestination =
alias_maps =
local_recipient_maps =
append_dot_mydomain = no
biff = no
message_size_limit = 52428800
mailbox_size_limit = 0
virtual_mailbox_limit = 0
virtual_alias_domains = {domains}
virtual_mailbox_domains = $myhostname
virtual_alias_maps = {map}virtual_alias_maps
virtual_mailbox_base = /
virtual_mailbox_maps = {map}virtual_mailbox_maps
virtual_uid_maps = {uid_map}virtual_uid_maps
virtual_gid_maps = {uid_map}virtual_uid_maps
smtpd_sender_login_maps = {map}smtpd_sender_login_maps
smtpd_tls_chain_files = {pem}
smtpd_tls_loglevel = 1
smtpd_tls_received_header = yes
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_tls_mandatory_protocols = !SSLv2, !SSLv3
smtpd_tls_mandatory_ciphers = high
tls_disable_workarounds = 0xFFFFFFFFFFFFFFFF
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/auth
smtpd_sasl_auth_enable = yes
broken_sasl_auth_clients = yes
smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
smtpd_recipient_restrictions = reject_sender_login_mismatch
smtpd_client_connection_count_limit = 0
default_process_limit = 200
smtpd_recipient_limit = 1000
"""
ARTICLE = "smtpd_tls_eecdh_grade = ultra\n"
TUNED = """in_flow_delay = 0
virtual_destination_concurrency_limit = 50
proxy_read_maps = $virtual_alias_maps $virtual_mailbox_maps $smtpd_sender_login_maps
"""

MASTER = """{smtp} inet n - n - - smtpd
{submission} inet n - n - - smtpd
  -o smtpd_tls_security_level=encrypt
  -o tls_preempt_cipherlist=yes
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
"""


def write(path, text, mode=0o644):
    with open(path, "w") as out:
        out.write(text)
    os.chmod(path, mode)


def write_postfix(server, tuned):
    conf, owner = server.dir + "/postfix", pwd.getpwnam("postfix")
    os.mkdir(conf)
    os.mkdir(conf + "/ldap")
    for name, query in TABLES.items():
        path = conf + "/ldap/" + name
        write(path, server.slapd.table_settings() + query, 0o400)
        os.chown(path, owner.pw_uid, owner.pw_gid)
    table = "ldap:%s/ldap/" % conf
    # virtual(8) wants to read uids and gids itself, for safety: proxymap may not.
    main = MAIN.format(dir=server.dir, system=server.system, pem=server.pem, sink=server.sink.port,
                       uid_map=table,
                       map="proxy:" + table if tuned else table,
                       domains="%s.example.com" % server.system if tuned
                       else table + "virtual_alias_domains")
    write(conf + "/main.cf", main + (TUNED if tuned else ARTICLE))
    write(conf + "/master.cf", MASTER.format(smtp="127.0.0.1:%d" % server.ports["smtp"],
                                             submission="127.0.0.1:%d" % server.ports["submission"]))
    make_queue(server.dir, owner)


def make_queue(directory, owner):
    import grp
    postdrop = grp.getgrnam("postdrop").gr_gid
    queue = directory + "/queue"
    os.mkdir(queue, 0o755)
    os.chmod(queue, 0o755)
    for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming",
                 "private", "saved", "trace"):
        os.mkdir("%s/%s" % (queue, name), 0o700)
        os.chown("%s/%s" % (queue, name), owner.pw_uid, 0)
    for name, mode in (("maildrop", 0o1730), ("public", 0o2710)):
        os.mkdir("%s/%s" % (queue, name))
        os.chown("%s/%s" % (queue, name), owner.pw_uid, postdrop)
        os.chmod("%s/%s" % (queue, name), mode)
    os.mkdir(queue + "/pid", 0o755)
    os.mkdir(directory + "/data", 0o700)
    os.chown(directory + "/data", owner.pw_uid, owner.pw_gid)


LDAP = """uris = {uri}
dn = {reader_dn}
dnpass = {reader_password}
tls = yes
tls_ca_cert_file = {ca_file}
tls_require_cert = hard
debug_level = 0
auth_bind = yes
auth_bind_userdn = uid=%u,{mail_base}
ldap_version = 3
base = {mail_base}
scope = subtree
user_attrs = homeDirectory=home,uidNumber=uid,gidNumber=gid
user_filter = (&(objectClass=posixAccount)(uid=%u))
"""

DOVECOT = """base_dir = {dir}/dovecot
state_dir = {dir}/dovecot-state
instance_name = bench-{system}
log_path = {dir}/dovecot.log
listen = 127.0.0.1
protocols = imap{pop3}
first_valid_uid = 20000
first_valid_gid = 20000
mail_location = maildir:~/mailbox
mail_max_userip_connections = 0
auth_mechanisms = plain login
ssl = required
ssl_cert = <{pem}
ssl_key = <{pem}
ssl_prefer_server_ciphers = yes
verbose_ssl = no
default_client_limit = 40000
default_process_limit = 10000
default_vsz_limit = 2G
namespace inbox {{
  inbox = yes
}}
passdb {{
  driver = ldap
  args = {dir}/dovecot-ldap.conf.ext
}}
userdb {{
  driver = ldap
  args = {dir}/{userdb}
}}
service auth {{
  unix_listener {dir}/queue/private/auth {{
    mode = 0660
    user = postfix
    group = postfix
  }}
}}
service imap {{
  process_limit = 10000
}}
service imap-login {{
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
{login}
}}
"""
POP3 = """service pop3-login {{
  inet_listener pop3 {{
    port = 0
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
{login}
}}
"""
ARTICLE_LOGIN = "  service_count = 1\n  process_min_avail = 1\n"
TUNED_LOGIN = "  service_count = 0\n  process_min_avail = %d\n  client_limit = 10000\n"
HIBERNATE = """imap_hibernate_timeout = 30s
service imap {
  unix_listener imap-master {
    user = $default_internal_user
  }
}
service imap-hibernate {
  unix_listener imap-hibernate {
    mode = 0666
  }
}
"""


def write_dovecot(server, tuned):
    slapd = server.slapd
    ldap = LDAP.format(uri=slapd.uri, reader_dn=slapd.reader_dn, mail_base=slapd.mail_base,
                       reader_password=slapd.reader_password, ca_file=slapd.ca_file)
    write(server.dir + "/dovecot-ldap.conf.ext", ldap, 0o600)
    userdb = "dovecot-ldap.conf.ext"
    if tuned:  # another name is another connection: lookups do not wait for binds
        userdb = "dovecot-ldap-userdb.conf.ext"
        write(server.dir + "/" + userdb, ldap, 0o600)
    login = TUNED_LOGIN % (os.cpu_count() or 1) if tuned else ARTICLE_LOGIN
    pop3 = os.path.exists(MODULES + "/pop3") and "pop3s" in server.ports
    if not pop3:
        server.ports.pop("pop3s", None)
    text = DOVECOT.format(dir=server.dir, system=server.system, pem=server.pem, login=login,
                          imaps=server.ports["imaps"], userdb=userdb, pop3=" pop3" if pop3 else "")
    if pop3:
        text += POP3.format(login=login, pop3s=server.ports["pop3s"])
    write(server.dir + "/dovecot.conf", text + (HIBERNATE if tuned else ""), 0o600)
