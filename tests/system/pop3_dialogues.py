#!/usr/bin/env python3
"""Runs every tests/dialogues/pop3/*.txt against the session program on standard input and output,
each with a maildir of its own. TAP: one line a dialogue. Arguments: names of dialogues to run.

Directives beyond those of imap_dialogues.py:
    @flags FOLDER N FS          the Nth file (by delivery order) has these flags; "-": none
    @rename_size FOLDER N S=1,W=2    another program gives the Nth file a name with these sizes
    @freeze FOLDER   @thaw FOLDER    nothing can be removed from cur/ and new/; and again it can
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import imap_dialogues  # noqa: E402
from imap_dialogues import BUILD, SRC, dialogue  # noqa: E402

# A user that the session runs as when the tests are root's: root is refused nothing.
NOBODY = 65534


def directives(maildir, arguments):
    def flags(_, words, __):
        name = os.path.basename(maildir.files(words[0])[int(words[1]) - 1])
        found = name.partition(":2,")[2] or "-"
        if found != words[2]:
            raise dialogue.DialogueError("message %s has the flags %s, not %s"
                                         % (words[1], found, words[2]))

    def rename_size(_, words, __):
        path = maildir.files(words[0])[int(words[1]) - 1]
        os.rename(path, re.sub(r"S=\d+,W=\d+", words[2], path))

    def chmod(mode):
        def change(_, words, __):
            for sub in ("cur", "new"):
                os.chmod(os.path.join(maildir.folder(words[0]), sub), mode)
        return change

    own = {"flags": flags, "rename_size": rename_size, "freeze": chmod(0o500), "thaw": chmod(0o700)}
    return {**imap_dialogues.directives(maildir, arguments), **own}


class Maildir(imap_dialogues.Maildir):
    def deliver(self, *arguments, **options):
        super().deliver(*arguments, **options)
        if os.geteuid() == 0:
            for path in self.files("INBOX"):
                os.chown(path, NOBODY, NOBODY)


def run_one(path, session, directory):
    maildir = Maildir(os.path.join(directory, "mailbox"))
    arguments = []
    as_nobody = ["setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY, "--clear-groups"]
    prefix = as_nobody if os.geteuid() == 0 else []
    if prefix:
        os.chown(directory, NOBODY, NOBODY)

    def argv():
        return prefix + [session, "--pop3", "--maildir", maildir.path, "--user", "ann"] + arguments

    subprocess.run(argv(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=True, timeout=30)
    dialogue.Dialogue(path, lambda name: dialogue.ProcessTransport(argv()),
                      directives=directives(maildir, arguments)).run()


def main():
    shared = tempfile.mkdtemp(prefix="facteur-pop3.")
    os.chmod(shared, 0o755)
    try:  # the build may be closed to others
        return imap_dialogues.run_all("pop3", shutil.copy(os.path.join(BUILD, "session"), shared), run_one)
    finally:
        shutil.rmtree(shared, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
