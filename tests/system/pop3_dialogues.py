#!/usr/bin/env python3
"""Runs every tests/dialogues/pop3/*.txt against the session program (tests/lib/session_dialogues.py).
TAP: one line a dialogue. Arguments: names of dialogues to run.

Directives beyond those of session_dialogues.py:
    @flags FOLDER N FS          the Nth file (by delivery order) has these flags; "-": none
    @rename_size FOLDER N S=1,W=2    another program gives the Nth file a name with these sizes
    @freeze FOLDER   @thaw FOLDER    nothing can be removed from cur/ and new/; and again it can
"""
import os
import re
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from dialogue import DialogueError  # noqa: E402
from session_dialogues import SESSION, Conversation, Maildir, run_all  # noqa: E402

# A user that the session runs as when the tests are root's: root is refused nothing.
NOBODY = 65534
ROOT = os.geteuid() == 0


class NobodysMaildir(Maildir):
    def deliver(self, *arguments, **options):
        super().deliver(*arguments, **options)
        for path in self.files("INBOX"):
            os.chown(path, NOBODY, NOBODY)


class Pop3(Conversation):
    protocol = "pop3"
    prefix = ("setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY, "--clear-groups") if ROOT else ()

    def __init__(self, session, directory):
        super().__init__(session, directory)
        if ROOT:
            os.chown(directory, NOBODY, NOBODY)
            self.maildir = NobodysMaildir(self.maildir.path)

    def change_modes(self, folder, mode):
        for sub in ("cur", "new"):
            os.chmod(os.path.join(self.maildir.folder(folder), sub), mode)

    def do_flags(self, _, words, __):
        name = os.path.basename(self.maildir.file(words[0], words[1]))
        found = name.partition(":2,")[2] or "-"
        if found != words[2]:
            raise DialogueError("message %s has the flags %s, not %s" % (words[1], found, words[2]))

    def do_rename_size(self, _, words, __):
        path = self.maildir.file(words[0], words[1])
        os.rename(path, re.sub(r"S=\d+,W=\d+", words[2], path))

    def do_freeze(self, _, words, __):
        self.change_modes(words[0], 0o500)

    def do_thaw(self, _, words, __):
        self.change_modes(words[0], 0o700)


with tempfile.TemporaryDirectory(prefix="facteur-pop3.") as shared:
    os.chmod(shared, 0o755)  # the build may be closed to others
    status = run_all(Pop3, shutil.copy(SESSION, shared))
sys.exit(status)
