#!/usr/bin/env python3
"""Every fuzzer over its corpora and over changed ones, under AddressSanitizer (tests/fuzz/replay.c), for
FUZZ_CHECK_SECONDS each, two at a time and behind all others. The same changes are tried each time, unless
FUZZ_SEED says otherwise ("new": others each time; `make fuzz` is for finding). Fuzzers named as arguments run
alone."""
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile
import time

SRCDIR = os.environ.get("FACTEUR_SRCDIR") or os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("FACTEUR_BUILDDIR") or os.path.join(SRCDIR, "build")
sys.path.insert(0, os.path.join(SRCDIR, "tests", "lib"))
import tap  # noqa: E402

SECONDS = os.environ.get("FUZZ_CHECK_SECONDS", "20")
AT_ONCE = 2
SEED = os.environ.get("FUZZ_SEED", "1")
if SEED == "new":
    SEED = str(int(time.time()))


def fuzzers():
    with open(os.path.join(SRCDIR, "tests/fuzz/local.mk")) as makefile:
        text = makefile.read().replace("\\\n", " ")
    return re.search(r"^FUZZERS = (.*)$", text, re.M).group(1).split()


def replay(name):
    corpora = subprocess.run([os.path.join(SRCDIR, "tests/fuzz/corpora"), SRCDIR, name],
                             capture_output=True, text=True, check=True).stdout.split()
    files = sum(len(os.listdir(corpus)) for corpus in corpora)
    tap.true(files > 0, "no corpus")
    with tempfile.TemporaryDirectory(prefix="facteur-fuzz-") as place:
        done = subprocess.run(["nice", "-n", "19", os.path.join(BUILD, name), "-seconds=" + SECONDS, "-seed=" + SEED] + corpora,
                              cwd=place, capture_output=True, text=True, errors="replace", timeout=1800)
        if done.returncode != 0:
            kept = os.listdir(place)
            data = open(os.path.join(place, kept[0]), "rb").read() if kept else b""
            raise AssertionError("%s with FUZZ_SEED=%s, exit %d, input %r\n%s" % (
                name, SEED, done.returncode, data, done.stderr[-5000:]))
    tap.has(done.stdout, "%d files, " % files)
    tap.true(", 0 changed" not in done.stdout, "no changed input was tried")
    return done.stdout.strip()


def main():
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        runs = {name: pool.submit(replay, name) for name in sys.argv[1:] or fuzzers()}
        tap.run([(name, lambda name=name: print("# %s: %s" % (name, runs[name].result())))
                 for name in runs])


main()
