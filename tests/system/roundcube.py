#!/usr/bin/env python3
"""Roundcube, Debian's, under PHP's own web server: a person's hour of webmail, said as the HTTP requests that a
browser makes of it. With its caches, so that it asks for what changed (CONDSTORE, QRESYNC). TAP."""
import html
import http.cookiejar
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import Instance, free_ports  # noqa: E402

PUBLIC = "/var/lib/roundcube/public_html"
DEFAULTS = "/etc/roundcube/defaults.inc.php"
CONFIG = """<?php
$config = [];
$config['db_dsnw'] = 'sqlite:///{home}/db?mode=0600';
$config['imap_host'] = 'ssl://localhost:{imaps}';
$config['smtp_host'] = 'tls://localhost:{submission}';
$config['smtp_user'] = '%u';
$config['smtp_pass'] = '%p';
$config['imap_conn_options'] = $config['smtp_conn_options'] =
    ['ssl' => ['verify_peer' => true, 'verify_peer_name' => true, 'cafile' => '{ca}']];
$config['mail_domain'] = 'example.com';
$config['des_key'] = 'twenty-four bytes of key';
$config['temp_dir'] = $config['log_dir'] = '{home}/temp';
$config['log_driver'] = 'file';
$config['imap_debug'] = $config['smtp_debug'] = true;
$config['imap_cache'] = $config['messages_cache'] = 'db';
$config['messages_cache_threshold'] = 4096;
$config['create_default_folders'] = true;
$config['language'] = 'en_US';
$config['plugins'] = [];
"""


class Browser:
    """Keeps the cookies, and the token that each page gives for the requests made from it."""

    def __init__(self, port):
        self.base = "http://127.0.0.1:%d/" % port
        self.opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
        self.token = ""

    def ask(self, query, form=None, script=False):
        request = urllib.request.Request(self.base + "?" + urllib.parse.urlencode(query))
        if form is not None:
            request.data = urllib.parse.urlencode(dict(form, _token=self.token), doseq=True).encode()
        if script:
            request.add_header("X-Roundcube-Request", self.token)
        with self.opener.open(request, timeout=120) as answer:
            self.url = answer.geturl()
            text = answer.read().decode()
        found = re.search(r'"request_token":"(\w+)"', text)
        self.token = found.group(1) if found else self.token
        return text

    def page(self, task, action="", **query):
        return self.ask(dict(_task=task, **({"_action": action} if action else {}), **query))

    def act(self, action, form=None, task="mail", **query):
        """What a page's script asks: the answer's environment, and the calls it makes."""
        answer = json.loads(self.ask(dict(_task=task, _action=action, _remote=1, **query), form, script=True))
        return answer.get("env") or {}, answer["exec"]

    def rows(self, **query):
        """[(uid, subject, flags)] of a list or a search; the order is the list's."""
        env, calls = self.act(query.pop("action", "list"), **query)
        found = re.findall(r'this\.add_message_row\((\d+),(\{.*?\}),(\{.*?\}|\[\]),', calls)
        return [(int(uid), html.unescape(json.loads(columns).get("subject", "")), json.loads(flags) or {})
                for uid, columns, flags in found]


class Webmail:
    def __init__(self, mail):
        self.mail, self.home = mail, mail.dir + "/roundcube"
        os.makedirs(self.home + "/temp")
        os.symlink(DEFAULTS, self.home + "/defaults.inc.php")
        with open(self.home + "/config.inc.php", "w") as out:
            out.write(CONFIG.format(home=self.home, ca=mail.ca, **mail.ports))
        self.port, = free_ports(1)
        with open(self.home + "/php.log", "ab") as log:
            self.server = subprocess.Popen(
                ["php", "-S", "127.0.0.1:%d" % self.port, "-t", PUBLIC], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env=dict(os.environ, ROUNDCUBE_CONFIG_DIR=self.home))
        tap.wait_for(self.is_up, 30, "the web server did not start")

    def is_up(self):
        try:
            Browser(self.port).ask({})
            return True
        except urllib.error.HTTPError:
            raise
        except OSError:
            return False

    def close(self):
        self.server.terminate()
        self.server.wait()

    def log(self, name):
        try:
            with open("%s/temp/%s" % (self.home, name), errors="replace") as text:
                return text.read()
        except FileNotFoundError:
            return ""

    def login(self, user, password):
        browser = Browser(self.port)
        page = browser.page("login")
        browser.token = re.search(r'name="_token" value="(\w+)"', page).group(1)
        browser.ask({"_task": "login"}, {"_task": "login", "_action": "login", "_timezone": "UTC", "_url": "",
                                         "_user": user, "_pass": password})
        return browser


def main(mail, webmail):
    hour = {}

    def wrong_password():
        try:
            webmail.login("amelie", "not-hers")
        except urllib.error.HTTPError as e:
            tap.same(e.code, 401)
            tap.has(e.read().decode(), "Login failed.")
        else:
            raise AssertionError("a wrong password is enough")

    def logs_in():
        for number in range(12):
            mail.deliver("amelie@example.com", "From: Zo=?utf-8?Q?=C3=AB?= <z@remote.example>\r\nTo: amelie@example.com\r\n"
                         "Subject: =?utf-8?Q?caf=C3=A9?= %d\r\nMessage-ID: <%d@remote.example>\r\n%s"
                         "Date: Tue, 21 Nov 2023 10:%02d:00 +0000\r\nContent-Type: text/plain; charset=utf-8\r\n"
                         "Content-Transfer-Encoding: quoted-printable\r\n\r\nna=C3=AFve words %d\r\n"
                         % (number, number, "References: <0@remote.example>\r\n" if number in (3, 5) else "",
                            number, number))
        browser = hour["browser"] = webmail.login("amelie", "amelie-secret")
        tap.has(browser.url, "_task=mail")
        page = browser.page("mail")
        for folder in ("INBOX", "Drafts", "Sent", "Trash"):
            tap.has(page, 'rel="%s"' % folder)

    def lists():
        browser = hour["browser"]
        rows = browser.rows(_mbox="INBOX", _sort="date_DESC")
        tap.same([subject for _, subject, _ in rows], ["caf\u00e9 %d" % n for n in reversed(range(12))])
        tap.same([subject for _, subject, _ in browser.rows(_mbox="INBOX", _sort="subject_ASC")][:3],
                 ["caf\u00e9 0", "caf\u00e9 1", "caf\u00e9 10"])
        threads = browser.rows(_mbox="INBOX", _threads=1, _sort="date_ASC")
        depth = {subject: flags.get("depth", 0) for _, subject, flags in threads}
        tap.same(sorted(s for s, d in depth.items() if d), ["caf\u00e9 3", "caf\u00e9 5"], "replies")
        browser.rows(_mbox="INBOX", _threads=0)
        hour["uid"] = {subject: uid for uid, subject, _ in rows}

    def reads():
        browser, uid = hour["browser"], hour["uid"]["caf\u00e9 7"]
        page = browser.page("mail", "show", _uid=uid, _mbox="INBOX")
        tap.has(page, "na\u00efve words 7")
        browser.act("mark", {"_uid": uid, "_flag": "read", "_mbox": "INBOX"})
        browser.act("mark", {"_uid": uid, "_flag": "flagged", "_mbox": "INBOX"})
        flags = {row[0]: row[2] for row in browser.rows(_mbox="INBOX")}[uid]
        tap.same((flags.get("seen"), flags.get("flagged")), (1, 1), "its flags")
        tap.true(any(p.endswith(":2,FS") for p in mail.maildir("amelie")), "its flags in the maildir")
        tap.has(browser.page("mail", "viewsource", _uid=uid, _mbox="INBOX"), "na=C3=AFve words 7")

    def searches():
        browser = hour["browser"]
        for what, where in (("CAF\u00c9 11", "subject"), ("na\u00efve words 11", "text")):
            found = browser.rows(action="search", _q=what, _headers=where, _mbox="INBOX", _scope="base")
            tap.same([subject for _, subject, _ in found], ["caf\u00e9 11"], what)

    def changed_by_others():
        """Another client's changes are seen at the next look."""
        other = mail.imap("amelie")
        other.select()
        other.uid("STORE", str(hour["uid"]["caf\u00e9 2"]), "+FLAGS", "(\\Answered)")
        other.uid("STORE", str(hour["uid"]["caf\u00e9 1"]), "+FLAGS", "(\\Deleted)")
        other.expunge()
        other.logout()
        mail.deliver("amelie@example.com", "Subject: fresh\r\n\r\nx\r\n")
        calls = hour["browser"].act("refresh", {"_mbox": "INBOX", "_list": 1, "_folderlist": 1})[1]
        tap.has(calls, "fresh")
        rows = {subject: flags for _, subject, flags in hour["browser"].rows(_mbox="INBOX")}
        tap.true("caf\u00e9 1" not in rows and "fresh" in rows, "the list")
        tap.same(rows["caf\u00e9 2"].get("answered"), 1, "a flag")

    def files():
        browser = hour["browser"]
        browser.ask({"_task": "settings", "_action": "save-folder"},
                    {"_name": "R\u00e9sum\u00e9s & more", "_parent": "", "_mbox": "", "_options": "1", "_framed": "1"})
        box = "R&AOk-sum&AOk-s &- more"  # RFC 3501 section 5.1.3
        directory = mail.vmail + "/amelie/mailbox/." + box
        tap.true(os.path.isdir(directory), "the folder: %r" % os.listdir(os.path.dirname(directory)))
        browser.act("move", {"_uid": hour["uid"]["caf\u00e9 4"], "_mbox": "INBOX", "_target_mbox": box})
        tap.same([s for _, s, _ in browser.rows(_mbox=box)], ["caf\u00e9 4"], "moved")
        browser.act("move", {"_uid": hour["uid"]["caf\u00e9 6"], "_mbox": "INBOX", "_target_mbox": "Trash"})
        tap.same([s for _, s, _ in browser.rows(_mbox="Trash")], ["caf\u00e9 6"], "in the trash")
        browser.act("purge", {"_mbox": "Trash"})
        tap.same(browser.rows(_mbox="Trash"), [], "emptied")

    def sends():
        browser = hour["browser"]
        page = browser.page("mail", "compose")
        form = {name: re.search(r'name="%s" value="([^"]*)"' % name, page).group(1) for name in ("_id",)}
        identity = re.search(r'<select name="_from".*?<option value="(\d+)"', page, re.S).group(1)
        form.update(_task="mail", _action="send", _from=identity, _to="Bruno <bruno@example.net>", _cc="", _bcc="",
                    _replyto="", _followupto="", _subject="\u00c0 bient\u00f4t", _message="\u00e9crit ici", _is_html="0",
                    _store_target="Sent", _attachments="", _draft_saveid="", _framed="1", _priority="0")
        done = browser.ask({"_task": "mail", "_framed": 1}, form)
        tap.has(done, "sent_successfully")
        tap.true(any("Subject: =?UTF-8?" in m and "From: amelie <amelie@example.com>" in m for m in mail.messages("bruno")),
                 "it arrived: %r" % mail.messages("bruno"))
        tap.same([s for _, s, _ in browser.rows(_mbox="Sent")], ["\u00c0 bient\u00f4t"], "kept in Sent")

    def leaves():
        browser = hour["browser"]
        tap.has(browser.ask({"_task": "logout", "_token": browser.token}), "rcmloginuser")
        said = webmail.log("imap.log")
        wrong = re.findall(r"S: (A\d+ (?:BAD|NO) .*)", said)
        tap.same([line for line in wrong if "AUTHENTICATIONFAILED" not in line], [], "commands refused")
        for word in ("ENABLE QRESYNC", " SORT ", " THREAD ", " LIST ", "CHANGEDSINCE", "LSUB"):
            tap.true(word in said, "it never said %s:\n%s" % (word, "\n".join(sorted(set(re.findall(r"C: A\d+ (\w+ ?\w*)", said))))))
        errors = webmail.log("errors.log").splitlines()
        tap.same([line for line in errors if "Login failed" not in line], [], "errors of its own")

    return [("a wrong password is none", wrong_password), ("logs in", logs_in), ("lists, sorts, threads", lists),
            ("reads and flags", reads), ("searches", searches), ("sees what others changed", changed_by_others),
            ("files and empties the trash", files), ("sends, and keeps a copy", sends), ("leaves", leaves)]


if __name__ == "__main__":
    with Instance() as instance:
        site = Webmail(instance)
        try:
            failed = tap.run(main(instance, site))
        finally:
            site.close()
    sys.exit(failed > 0)
