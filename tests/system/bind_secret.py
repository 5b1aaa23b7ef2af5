#!/usr/bin/env python3
"""Where the directory's bind secret comes from: a file, a credential of the service manager, or
nowhere (SASL EXTERNAL over ldapi, where slapd knows our Unix user)."""
import os
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import UIDS, Instance  # noqa: E402


def delivers(mail):
    mail.deliver("amelie@example.com", "Subject: found\r\n\r\nHello\r\n")
    tap.same(len(mail.messages("amelie")), 1)
    with mail.imap("amelie") as client:
        client.select()


def private_file(text):
    place = tempfile.mkdtemp(prefix="secret-")
    path = os.path.join(place, "ldap_bind_pw")
    with open(path, "w") as out:
        out.write(text)
    os.chmod(path, 0o600)
    return place, path


def a_file():
    mail = Instance(options={"ldap_bind_pw": ""})
    mail.slapd.start()
    place, path = private_file(mail.slapd.reader_password + "\n")
    mail.options["ldap_bind_pw_file"] = path
    with mail:
        delivers(mail)
        shown = mail.facteur("conf", "-n")
        tap.same(mail.slapd.reader_password in shown, False)
        with open(path, "w") as out:
            out.write("wrong\n")
        mail.reload()
        refused(mail)
        with open(path, "w") as out:
            out.write(mail.slapd.reader_password)
        mail.reload()
        mail.deliver("bruno@example.com", "Subject: again\r\n\r\nHello\r\n")
    shutil.rmtree(place)


def refused(mail):
    try:
        mail.deliver("bruno@example.com", "Subject: x\r\n\r\nx\r\n")
    except Exception as e:
        tap.has(str(e), "451")
        return
    raise AssertionError("a wrong secret did no harm")


def a_credential():
    mail = Instance(options={"ldap_bind_pw": ""})
    mail.slapd.start()
    place, _ = private_file(mail.slapd.reader_password)
    os.environ["CREDENTIALS_DIRECTORY"] = place
    try:
        with mail:
            delivers(mail)
    finally:
        del os.environ["CREDENTIALS_DIRECTORY"]
        shutil.rmtree(place)


def external():
    mail = Instance(options={"ldap_bind_pw": "", "ldap_bind_dn": "", "ldap_bind": "sasl",
                             "ldap_start_tls": "no"})
    mail.slapd.start()
    uid = UIDS["directory"] if os.geteuid() == 0 else os.geteuid()
    gid = UIDS["directory"] if os.geteuid() == 0 else os.getegid()
    mail.slapd.modify_config(
        "dn: cn=config\nchangetype: modify\nadd: olcAuthzRegexp\n"
        "olcAuthzRegexp: gidNumber=%d[+]uidNumber=%d,cn=peercred,cn=external,cn=auth %s\n"
        % (gid, uid, mail.slapd.reader_dn))
    mail.options["ldap_server_host"] = mail.slapd.ldapi_uri
    with mail:
        delivers(mail)


tap.run([
    ("the bind secret of a file, which a reload reads again", a_file),
    ("the bind secret of a systemd credential", a_credential),
    ("SASL EXTERNAL over ldapi needs no secret", external),
])
