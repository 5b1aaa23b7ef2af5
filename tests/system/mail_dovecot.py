#!/usr/bin/env python3
"""ENVELOPE, BODYSTRUCTURE and size of the difficult messages, and of others made from them by chance,
beside those of Dovecot's imap program on a private maildir."""
import glob, os, random, re, shutil, subprocess, sys, tempfile

SRC = os.environ.get("FACTEUR_SRCDIR", ".")
BUILD = os.environ.get("FACTEUR_BUILDDIR", ".")
IMAP = "/usr/lib/dovecot/imap"
# The RFC section that decides each difference stands in tests/corpus/mime/README.
DIFFERENT = {"old-local-part", "rfc2231"}
RANDOM_MESSAGES = 200
RANDOM_DIFFERENT = 6  # of them: damage inside damage, where no RFC says anything

CONF = """base_dir = {d}/base
state_dir = {d}/base
mail_location = maildir:{d}/Maildir
log_path = {d}/log
ssl = no
protocols = imap
namespace inbox {{
  inbox = yes
}}
"""


def parse(s):
    """An IMAP list as nested Python lists; quoted strings and literals become the same."""
    at = 0

    def item():
        nonlocal at
        c = s[at:at + 1]
        if c == b"(":
            at += 1
            out = []
            while s[at:at + 1] != b")":
                if s[at:at + 1] == b" ":
                    at += 1
                else:
                    out.append(item())
            at += 1
            return out
        if c == b'"':
            m = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.S).match(s, at)
            at = m.end()
            return ("s", re.sub(rb"\\(.)", rb"\1", m.group(1), flags=re.S))
        if c == b"{":
            m = re.compile(rb"\{(\d+)\}\r\n").match(s, at)
            at = m.end() + int(m.group(1))
            return ("s", s[m.end():at])
        m = re.compile(rb'[^ ()"{]+').match(s, at)
        if not m:
            raise ValueError(s[at:at + 40])
        at = m.end()
        return m.group(0)

    flat = item()
    return {flat[i]: flat[i + 1] for i in range(0, len(flat), 2)}


def dovecot(messages, tmp):
    for sub in ("cur", "new", "tmp"):
        os.makedirs(f"{tmp}/Maildir/{sub}")
    os.makedirs(f"{tmp}/base")
    for i, m in enumerate(messages):
        with open(f"{tmp}/Maildir/cur/{i + 1:06}.a:2,S", "wb") as f:
            f.write(m)
    with open(f"{tmp}/conf", "w") as f:
        f.write(CONF.format(d=tmp))
    command = [IMAP, "-c", f"{tmp}/conf"]
    user = "nobody"
    if os.getuid() == 0:  # it does not serve root
        subprocess.run(["chown", "-R", "nobody:nogroup", tmp], check=True)
        command = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"] + command
    else:
        user = str(os.getuid())
    script = b"a SELECT INBOX\r\n"
    script += b"".join(b"b%d FETCH %d (RFC822.SIZE ENVELOPE BODYSTRUCTURE)\r\n" % (i, i)
                       for i in range(1, len(messages) + 1)) + b"c LOGOUT\r\n"
    env = {"HOME": tmp, "USER": user, "PATH": os.environ["PATH"]}
    out = subprocess.run(command, input=script, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         env=env, timeout=120).stdout
    answers = {}
    start = out.find(b"\r\na OK")
    if start < 0:
        return answers
    for m in re.finditer(rb"\r\n\* (\d+) FETCH (\(.*?\))(?=\r\n(?:b\d+ |\* \d+ FETCH))", out[start:],
                         re.S):
        answers[int(m.group(1)) - 1] = parse(m.group(2))
    return answers


def facteur(messages, tmp):
    names = []
    for i, m in enumerate(messages):
        names.append(f"{tmp}/m{i}")
        with open(names[-1], "wb") as f:
            f.write(m)
    out = subprocess.run([f"{BUILD}/mail-dump"] + names, stdout=subprocess.PIPE, check=True,
                         timeout=120).stdout
    answers, at = [], 0
    while at < len(out):
        line = out.index(b"\n", at)
        size = int(out[at:line])
        answers.append(parse(out[line + 1:line + 1 + size]))
        at = line + 2 + size
    return answers


def made_by_chance(messages):
    rnd = random.Random(20240229)
    bits = [b"\n", b"\r\n", b"\n\n", b"--b\n", b"--b--\n", b'"', b";", b"(", b")", b"<", b">", b"@", b",",
            b":", b"=", b"\\", b" ", b"\t", b"Content-Type: multipart/mixed; boundary=c\n",
            b"Content-Type: message/rfc822\n\n", b"\r", b"\xe9", b"*0", b"*", b".", b"--"]
    out = []
    while len(out) < RANDOM_MESSAGES:
        m = bytearray(rnd.choice(messages))
        for _ in range(rnd.randint(1, 4)):
            at, kind = rnd.randint(0, len(m)), rnd.random()
            if kind < 0.4:
                m[at:at] = rnd.choice(bits)
            elif kind < 0.6:
                del m[at:at + rnd.randint(1, 12)]
            else:
                other = rnd.choice(messages)
                cut = rnd.randint(0, len(other))
                m[at:at] = other[cut:cut + rnd.randint(1, 200)]
        out.append(bytes(m))
    return out


def main():
    names = sorted(glob.glob(f"{SRC}/tests/corpus/mime/*.eml"))
    messages = [open(n, "rb").read() for n in names]
    plain = [m for n, m in zip(names, messages) if os.path.basename(n)[:-4] not in DIFFERENT]
    everything = messages + made_by_chance(plain)
    tmp = tempfile.mkdtemp(prefix="mail-dovecot-")
    os.chmod(tmp, 0o755)
    try:
        ours = facteur(everything, tmp)
        theirs = dovecot(everything, tmp)
    finally:
        shutil.rmtree(tmp)
    if not theirs:
        print("1..1\nnot ok 1 - Dovecot's imap program does not run here")
        return 1
    print(f"1..{len(names) + 1}")
    failed = 0
    for i, name in enumerate(names):
        base = os.path.basename(name)[:-4]
        same = theirs.get(i) == ours[i]
        good = same != (base in DIFFERENT)
        failed += not good
        print(f"{'ok' if good else 'not ok'} {i + 1} - {base}")
        if not good:
            print(f"#   Dovecot {theirs.get(i)}\n#   Facteur {ours[i]}")
    differ = [i for i in range(len(names), len(everything)) if theirs.get(i) != ours[i]]
    good = len(differ) <= RANDOM_DIFFERENT
    failed += not good
    print(f"{'ok' if good else 'not ok'} {len(names) + 1} - {len(differ)} of {RANDOM_MESSAGES} made by "
          "chance differ")
    for i in differ:
        print(f"#   {everything[i][:300]!r}\n#   Dovecot {theirs.get(i)}\n#   Facteur {ours[i]}")
    return 1 if failed else 0


sys.exit(main())
