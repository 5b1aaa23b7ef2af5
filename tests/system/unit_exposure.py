#!/usr/bin/env python3
"""The installed unit in the eyes of systemd's own judge: exposure at most 2.5, no capability that would
take the walls down, and no word that systemd does not know."""
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402

BUILD = os.environ["FACTEUR_BUILDDIR"]
EXPOSURE = 2.5


def analyze(*arguments):
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, env=dict(os.environ, SYSTEMD_COLORS="0"))
    return done.returncode, done.stdout + done.stderr


def main(directory):
    with open(os.path.join(BUILD, "systemd/facteur.service")) as text:
        unit = text.read()
    path = os.path.join(directory, "facteur.service")
    # verify wants programs that exist.
    with open(path, "w") as out:
        out.write(re.sub(r"(?m)^(Exec\w+=)\S+", r"\1/bin/true", unit))

    def exposure():
        _, text = analyze("security", "--offline=yes", path)
        found = re.search(r"Overall exposure level.*?: ([0-9.]+)", text)
        tap.true(found, text)
        tap.true(float(found.group(1)) <= EXPOSURE, text)

    def capabilities():
        kept = re.search(r"(?m)^CapabilityBoundingSet=(.*)$", unit).group(1).split()
        for name in ("CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_SYS_PTRACE",
                     "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_SYS_MODULE"):
            tap.true(name not in kept, name)

    def known_words():
        code, text = analyze("verify", "--man=no", path)
        wrong = [line for line in text.splitlines() if "facteur.service" in line]
        tap.true(not wrong, "\n".join(wrong))

    return [("the exposure is at most %s" % EXPOSURE, exposure),
            ("no capability that breaks walls", capabilities),
            ("every word of the unit is known", known_words)]


with tempfile.TemporaryDirectory() as place:
    tap.run(main(place))
