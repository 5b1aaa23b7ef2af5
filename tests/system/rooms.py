#!/usr/bin/env python3
"""The rooms of the house: who may include whose headers, how long files are, words that promise work
still to do, and whether what the documents name is there."""
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402

SRC = os.environ.get("FACTEUR_SRCDIR", ".")
PROGRAMS = {"master", "smtp", "access", "directory", "queue", "deliver", "session", "tools",
            "relay", "filter", "sendmail"}
# What each library room may use.
MAY = {
    "base": {"base"},
    "config": {"base", "config"},
    "io": {"base", "io"},
    "confine": {"base", "config", "confine"},
    "ipc": {"base", "config", "confine", "io", "ipc"},
    "mail": {"base", "mail"},
    "protocol": {"base", "mail", "protocol"},
    "store": {"base", "store"},
    "ldapmap": {"base", "ldapmap"},
}
LIBRARIES = set(MAY)


def sources():
    for top in ("server", "ldapmap"):
        for folder, _, files in os.walk(os.path.join(SRC, top)):
            for name in files:
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(folder, name), SRC)


def room_of(path):
    parts = path.split("/")
    return parts[1] if parts[0] == "server" else parts[0]


def includes():
    wrong = []
    for path in sources():
        room = room_of(path)
        with open(os.path.join(SRC, path)) as text:
            for target in re.findall(r'^#include "([^"]+)"', text.read(), re.M):
                if "/" not in target:
                    continue
                other = target.split("/")[0]
                allowed = MAY.get(room, LIBRARIES | {room})
                if other not in allowed:
                    wrong.append("%s includes %s" % (path, target))
    tap.same(wrong, [], "includes against the rules")


def only_confine_changes_uids():
    wrong = []
    for path in sources():
        if room_of(path) == "confine":
            continue
        with open(os.path.join(SRC, path)) as text:
            code = re.sub(r"/\*.*?\*/", "", text.read(), flags=re.S)
            if re.search(r"\b(setuid|seteuid|setresuid|setreuid|setgid|setresgid|setgroups|chroot)\s*\(",
                         code):
                wrong.append(path)
    tap.same(wrong, [], "uid changes outside confine")


def only_the_directory_speaks_ldap():
    wrong = []
    for path in sources():
        if room_of(path) in ("directory", "ldapmap"):
            continue
        with open(os.path.join(SRC, path)) as text:
            if re.search(r"#include <(ldap|lber)\.h>", text.read()):
                wrong.append(path)
    tap.same(wrong, [], "LDAP outside the directory program")


def file_lengths():
    long = []
    for path in sources():
        with open(os.path.join(SRC, path)) as text:
            count = sum(1 for _ in text)
        if count > 800:
            long.append("%s: %d lines" % (path, count))
    tap.same(long, [], "files over 800 lines")


def no_promises():
    words = []
    for path in sources():
        with open(os.path.join(SRC, path)) as text:
            for number, line in enumerate(text, 1):
                if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
                    words.append("%s:%d" % (path, number))
    tap.same(words, [], "promises in comments")


def documents():
    for name in ("README", "ARCHITECTURE", "SECURITY"):
        with open(os.path.join(SRC, name)) as text:
            yield name, text.read()


def named_files_exist():
    wrong = []
    for document, text in documents():
        for name in re.findall(r"(?<![\w/.])[a-z_]+/[\w/-]*\.(?:c|h|py|def|cf|ldif|schema)\b", text):
            if not any(os.path.exists(os.path.join(SRC, top, name)) for top in ("", "server")):
                wrong.append("%s: %s" % (document, name))
    tap.same(wrong, [], "files that are not there")


def named_options_exist():
    """A word with an underscore is an option, a message, a field or an attribute: the sources have it."""
    known = set()
    for path in list(sources()) + ["server/config/options.def", "server/ipc/messages.def"]:
        with open(os.path.join(SRC, path)) as text:
            known.update(re.findall(r"\w+", text.read()))
    wrong = []
    for document, text in documents():
        for word in set(re.findall(r"(?<![\w/.])[a-z0-9]+(?:_[a-z0-9]+)+(?![\w*/.(])", text)):
            if word not in known:
                wrong.append("%s: %s" % (document, word))
    tap.same(sorted(wrong), [], "names that nothing has")


tap.run([
    ("headers are included one way only", includes),
    ("only confine changes uids and roots", only_confine_changes_uids),
    ("only the directory program speaks LDAP", only_the_directory_speaks_ldap),
    ("no file is longer than 800 lines", file_lengths),
    ("no comment promises work still to do", no_promises),
    ("the documents name files that are there", named_files_exist),
    ("the documents name options and messages that are there", named_options_exist),
])
