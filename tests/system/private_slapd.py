#!/usr/bin/env python3
"""schema/: the private slapd, who may see what in it, and that it touches nobody else's processes."""
import os
import shutil
import subprocess
import sys
import tempfile

SRCDIR = os.environ.get("FACTEUR_SRCDIR") or os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(SRCDIR, "tests", "lib"))
sys.dont_write_bytecode = True
from slapd import SCRIPT, PrivateSlapd  # noqa: E402

count = failed = 0


def check(good, what, *details):
    global count, failed
    count += 1
    failed += not good
    print("%s %d - %s" % ("ok" if good else "not ok", count, what))
    if not good:
        for detail in details:
            print("# " + repr(detail))
    sys.stdout.flush()


def script(*arguments):
    return subprocess.run([SCRIPT, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60)


def search(slapd, *arguments, uri=None, dn=None, password=None, tls=True, ca=None):
    """ldapsearch as somebody: (exit code, LDIF)."""
    command = ["ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", uri or slapd.uri]
    command += ["-D", dn, "-w", password] if dn else []
    command += ["-ZZ"] if tls else []
    done = subprocess.run(command + list(arguments), capture_output=True, text=True, timeout=60,
                          env=dict(os.environ, LDAPTLS_CACERT=ca or slapd.ca_file))
    return done.returncode, done.stdout


def access(slapd):
    base = ("-b", slapd.mail_base)
    reader = {"dn": slapd.reader_dn, "password": slapd.reader_password}
    amelie = {"dn": "uid=amelie," + slapd.mail_base, "password": "amelie-secret"}
    code, ldif = search(slapd, *base, "(uid=amelie)", **reader)
    check(code == 0 and "uidNumber: 20001" in ldif and "maildrop: amelie@" in ldif,
          "the reader reads people", code, ldif)
    check("userPassword" not in ldif, "but no password", ldif)
    code, ldif = search(slapd, *base, "(uid=amelie)")
    check("uid: amelie" not in ldif, "nobody else does", code, ldif)
    code, ldif = search(slapd, *base, "(uid=amelie)", **amelie)
    check(code == 32 and ldif == "", "a person may bind, and sees nothing", code, ldif)
    code, _ = search(slapd, *base, "(uid=amelie)", dn=amelie["dn"], password="wrong")
    check(code == 49, "a wrong password is one", code)
    for host in ("localhost", "127.0.0.1"):
        code, _ = search(slapd, *base, "(uid=amelie)", uri="ldap://%s:%s" % (host, slapd.ldap_port),
                         **reader)
        check(code == 0, "STARTTLS with %s checks out" % host, code)
    code, _ = search(slapd, *base, uri=slapd.ldapi_uri, tls=False, **reader)
    check(code == 0, "the local socket answers", code)
    with tempfile.NamedTemporaryFile() as empty:
        code, _ = search(slapd, *base, ca=empty.name, **reader)
    check(code != 0, "another CA does not check out", code)


def many_people(slapd):
    """More than slapd's usual 500 in one answer, for the reader only."""
    slapd.add("".join("dn: cn=n%d,%s\nobjectClass: organizationalRole\ncn: n%d\ndescription: many\n\n"
                      % (i, slapd.mail_base, i) for i in range(600)))
    code, ldif = search(slapd, "-b", slapd.mail_base, "(description=many)", "1.1",
                        dn=slapd.reader_dn, password=slapd.reader_password)
    check(code == 0 and ldif.count("dn: ") == 600, "the reader has no size limit", code)
    indexes = subprocess.run(
        ["ldapsearch", "-x", "-LLL", "-H", slapd.ldapi_uri, "-D", slapd.config_dn, "-w",
         slapd.admin_password, "-b", "olcDatabase={1}mdb,cn=config", "-s", "base", "olcDbIndex"],
        capture_output=True, text=True).stdout
    check(all(line in indexes for line in ("mailacceptinggeneralid eq,sub", "maildrop eq", "uid eq", "mail eq",
                                     "facteurListAddress eq")),
          "the indexes are there", indexes)


def life(directory):
    mine = os.path.join(directory, "one")
    bystander = subprocess.Popen(["sleep", "600"])
    try:
        os.mkdir(mine)
        with open(os.path.join(mine, "slapd.pid"), "w") as f:
            f.write("%d\n" % bystander.pid)
        check(script("status", mine).returncode == 1, "a foreign pid is not taken for ours")
        script("stop", mine)
        check(bystander.poll() is None, "and not killed")
    finally:
        bystander.kill()
        bystander.wait()
    long_name = os.path.join(directory, "x" * 110)
    with PrivateSlapd(dir=mine, suffix="o=Acme", vmail="/srv/mail") as one:
        check("/srv/mail/bruno" in one.search("(uid=bruno)"), "suffix and homes are led elsewhere")
        port, password = one.ldap_port, one.reader_password
        again = script("start", mine, "--suffix", "o=Acme")
        check(again.returncode == 0 and "making" not in again.stderr, "a second start changes nothing",
              again)
        check(script("start", mine).returncode != 0, "another suffix in the same place is refused")
        check(script("start", mine, "--suffix", "o=Acme", "--port", "1").returncode != 0,
              "another port while it runs is refused")
        with PrivateSlapd(dir=long_name) as two:
            check("uid: bruno" in two.search("(uid=bruno)"), "a long path is no obstacle")
            check(script("start", os.path.join(directory, "three"), "--port", two.ldap_port)
                  .returncode != 0, "a taken port is refused")
            one.stop()
            check(not one.running() and two.running(), "one ends, the other lives on")
        one.start()
        check((one.ldap_port, one.reader_password) == (port, password),
              "port and passwords stay for the next start")
        check(one.search("(uid=bruno)", "uid").count("uid: bruno") == 1, "and so do the entries")
    script("stop", os.path.join(directory, "three"))
    check(script("status", mine).returncode == 1, "stopped is stopped")
    check(script("start", os.path.join(directory, "a b")).returncode != 0, "a blank in DIR is refused")
    check(script("begin", mine).returncode == 1, "an unknown command is refused")


def classic_schema(directory):
    conf = os.path.join(directory, "slapd.conf")
    with open(conf, "w") as f:
        f.write("include /etc/ldap/schema/core.schema\ninclude %s/schema/postfix.schema\n" % SRCDIR)
    done = subprocess.run(["slaptest", "-u", "-f", conf], capture_output=True, text=True)
    check(done.returncode == 0, "the classic schema is accepted", done.stderr)
    with open(SRCDIR + "/schema/postfix.schema") as a, open(SRCDIR + "/schema/postfix.ldif") as b:
        classic, ldif = " ".join(a.read().split()), " ".join(b.read().split())
    same = all(w in classic and w in ldif for w in (
        "1.3.6.1.4.1.4203.666.1.200 NAME 'mailacceptinggeneralid'",
        "1.3.6.1.4.1.4203.666.1.201 NAME 'maildrop'",
        "1.3.6.1.4.1.4203.666.1.100 NAME 'postfixUser'"))
    check(same, "both forms have the same names and numbers")


def main():
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    directory = tempfile.mkdtemp(prefix="private-slapd-")
    try:
        with PrivateSlapd() as slapd:
            access(slapd)
            many_people(slapd)
        life(directory)
        classic_schema(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print("1..%d" % count)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
