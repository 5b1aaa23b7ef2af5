#!/usr/bin/env python3
"""Thunderbird itself, headless, with a prepared profile: it logs in over IMAPS, downloads 2,000 messages for
offline use, its filters flag some and file some, and what changes on the server meanwhile reaches it. TAP.

It is large and slow to start, so it has a target of its own: make check-thunderbird. FACTEUR_SYNC_COUNT
chooses another number of messages."""
import base64
import ctypes
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), HERE]
import tap  # noqa: E402
from client_sync import Site, by_id, flags, mark, text  # noqa: E402
from instance import Instance  # noqa: E402

COUNT = int(os.environ.get("FACTEUR_SYNC_COUNT", "2000"))
HOST = "localhost"

PREFS = {
    "mail.account.account1.server": "server1", "mail.account.account1.identities": "id1",
    "mail.account.account2.server": "server2", "mail.accountmanager.accounts": "account1,account2",
    "mail.accountmanager.defaultaccount": "account1", "mail.accountmanager.localfoldersserver": "server2",
    "mail.identity.id1.useremail": "amelie@example.com", "mail.identity.id1.fullName": "Amelie",
    "mail.identity.id1.valid": True,
    "mail.server.server1.type": "imap", "mail.server.server1.hostname": HOST,
    "mail.server.server1.userName": "amelie", "mail.server.server1.name": "amelie",
    "mail.server.server1.socketType": 3, "mail.server.server1.authMethod": 3,
    "mail.server.server1.login_at_startup": True, "mail.server.server1.check_new_mail": True,
    "mail.server.server1.check_time": 1, "mail.server.server1.offline_download": True,
    "mail.server.server1.autosync_offline_stores": True, "mail.server.server1.storeContractID":
    "@mozilla.org/msgstore/maildirstore;1",
    "mail.server.server2.type": "none", "mail.server.server2.hostname": "Local Folders",
    "mail.server.server2.userName": "nobody", "mail.server.server2.name": "Local Folders",
    "mailnews.database.global.indexer.enabled": True, "mail.shell.checkDefaultClient": False,
    "mail.spotlight.firstRunDone": True, "mailnews.start_page.enabled": False,
    "mail.rights.version": 1, "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.enabled": False, "app.update.enabled": False, "app.donation.eoy.version": 999,
    "extensions.update.enabled": False, "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False, "services.settings.server": "data:,",
    "mail.provider.enabled": False, "browser.safebrowsing.malware.enabled": False,
    "security.sandbox.content.level": 0, "mail.winsearch.firstRunDone": True,
    "mail.chat.enabled": False, "mailnews.auto_config.fetchFromISP.enabled": False,
}

FILTERS = """version="9"
logging="no"
name="flag"
enabled="yes"
type="17"
action="Mark flagged"
condition="AND (subject,contains,7)"
name="read"
enabled="yes"
type="17"
action="Mark read"
condition="AND (subject,contains,8)"
"""


class Item(ctypes.Structure):
    _fields_ = [("type", ctypes.c_uint), ("data", ctypes.c_void_p), ("len", ctypes.c_uint)]


def encrypt(profile, values):
    """With the profile's own key, as Thunderbird keeps passwords (no primary password)."""
    nss = ctypes.CDLL("libnss3.so")
    nss.PK11_GetInternalKeySlot.restype = ctypes.c_void_p
    if nss.NSS_InitReadWrite(("sql:" + profile).encode()) != 0:
        raise AssertionError("NSS does not open " + profile)
    slot = ctypes.c_void_p(nss.PK11_GetInternalKeySlot())
    if nss.PK11_NeedUserInit(slot):
        nss.PK11_InitPin(slot, None, b"")
    out = []
    for value in values:
        raw = ctypes.create_string_buffer(value.encode())
        key, plain, sealed = Item(0, None, 0), Item(0, ctypes.addressof(raw), len(value)), Item(0, None, 0)
        if nss.PK11SDR_Encrypt(ctypes.byref(key), ctypes.byref(plain), ctypes.byref(sealed), None) != 0:
            raise AssertionError("NSS does not encrypt")
        out.append(base64.b64encode(ctypes.string_at(sealed.data, sealed.len)).decode())
    nss.NSS_Shutdown()
    return out


def make_profile(mail, profile):
    os.makedirs(profile + "/ImapMail/" + HOST)
    subprocess.run(["certutil", "-N", "-d", "sql:" + profile, "--empty-password"], check=True)
    subprocess.run(["certutil", "-A", "-d", "sql:" + profile, "-n", "test", "-t", "C,,", "-i", mail.ca], check=True)
    prefs = dict(PREFS, **{"mail.server.server1.port": mail.ports["imaps"],
                           "mail.server.server1.directory": profile + "/ImapMail/" + HOST,
                           "mail.server.server2.directory": profile + "/Mail/Local Folders"})
    with open(profile + "/user.js", "w", encoding="utf-8") as f:
        f.writelines("user_pref(%s, %s);\n" % (json.dumps(k), json.dumps(v)) for k, v in prefs.items())
    with open(profile + "/ImapMail/%s/msgFilterRules.dat" % HOST, "w", encoding="utf-8") as f:
        f.write(FILTERS)
    # A process of its own: NSS can be opened only once.
    done = subprocess.run([sys.executable, os.path.abspath(__file__), "--encrypt", profile], check=True,
                          capture_output=True, text=True)
    user, password = json.loads(done.stdout)
    login = {"id": 1, "hostname": "imap://" + HOST, "httpRealm": "imap://" + HOST, "formSubmitURL": None,
             "usernameField": "", "passwordField": "", "encryptedUsername": user,
             "encryptedPassword": password, "guid": "{00000000-0000-4000-8000-000000000001}", "encType": 1,
             "timeCreated": 1, "timeLastUsed": 1, "timePasswordChanged": 1, "timesUsed": 1}
    with open(profile + "/logins.json", "w", encoding="utf-8") as f:
        json.dump({"nextId": 2, "logins": [login], "potentiallyVulnerablePasswords": [],
                   "dismissedBreachAlertsByLoginGUID": {}, "version": 3}, f)


class Thunderbird:
    def __init__(self, mail):
        self.home = mail.dir + "/thunderbird"
        self.profile = self.home + "/profile"
        make_profile(mail, self.profile)
        env = dict(os.environ, HOME=self.home, MOZ_HEADLESS="1", MOZ_LOG="IMAP:4", TMPDIR=self.home,
                   MOZ_LOG_FILE=self.home + "/imap", LC_ALL="C.UTF-8", MOZ_CRASHREPORTER_DISABLE="1",
                   XDG_RUNTIME_DIR=self.home)
        with open(self.home + "/output", "wb") as out:
            self.process = subprocess.Popen(["thunderbird", "--headless", "--no-remote", "--profile",
                                             self.profile], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            env=env, start_new_session=True)

    def kept(self):
        """The messages that it has in whole, for offline use: {Message-ID: bytes}."""
        found = {}
        for path in glob.glob(self.profile + "/ImapMail/%s/INBOX/cur/*" % HOST):
            with open(path, "rb") as f:
                raw = f.read().replace(b"\r\n", b"\n")
            m = re.search(rb"^Message-ID: <(.*?)>", raw, re.M)
            if m:
                found[m.group(1).decode()] = raw
        return found

    def said(self):
        out = ""
        for path in sorted(glob.glob(self.home + "/imap*")):
            with open(path, encoding="utf-8", errors="replace") as f:
                out += f.read()
        return out

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(20)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def main(mail):
    for program in ("thunderbird", "certutil"):
        tap.true(shutil.which(program), "%s is not installed" % program)
    site = Site(mail)
    site.fill(COUNT)
    bird = Thunderbird(mail)

    def download():
        tap.wait_for(lambda: len(bird.kept()) >= COUNT, 300, "not all are downloaded")
        kept = bird.kept()
        for number in range(COUNT):
            tap.true(text(number) in kept["%d@sync.example" % number], "bytes of %d" % number)

    def up():
        wanted = {n: flag for n in range(COUNT) for part, flag in (("7", "F"), ("8", "S"))
                  if part in str(n)}

        def flagged():
            box = by_id(site.box)
            return all(flag in flags(box["%d@sync.example" % n][0]) for n, flag in wanted.items())
        tap.wait_for(flagged, 120, "filters did not flag")

    def down():
        mark(by_id(site.box)["3@sync.example"][0], "S")
        mail.deliver("amelie@example.com", "Subject: later\r\nMessage-ID: <later@sync.example>\r\n\r\nx\r\n")
        tap.wait_for(lambda: "later@sync.example" in bird.kept(), 120, "new mail was not taken")
        told = re.findall(r"\* 4 FETCH \(.*?FLAGS \(([^)]*)\)", bird.said())
        tap.true(told and "\\Seen" in told[-1], "the flag was not told: %s" % told)

    def understood():
        answers = re.findall(r"\b\d+ (?:NO|BAD) .*", bird.said())
        tap.same(answers, [], "refusals")

    try:
        return tap.run([("%d messages are kept for offline use" % COUNT, download), ("flags go up", up),
                        ("flags and new mail come down", down), ("nothing is refused", understood)])
    finally:
        if os.environ.get("FACTEUR_KEEP"):
            shutil.copytree(bird.home, os.environ["FACTEUR_KEEP"], symlinks=True, dirs_exist_ok=True)
        bird.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--encrypt"]:
        print(json.dumps(encrypt(sys.argv[2], ["amelie", "amelie-secret"])))
        sys.exit(0)
    with Instance() as instance:
        result = main(instance)
    sys.exit(result > 0)
