#!/usr/bin/env python3
"""What strangers' tools say of every TLS port: sslscan, in "make check"; testssl.sh, minutes a port, in
"make check-tls" (tls_scanners.py testssl [PORT ...])."""
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from instance import Instance  # noqa: E402

# Port and the protocol whose STARTTLS or STLS comes first.
SCANNED = (("smtp", "smtp"), ("submission", "smtp"), ("submissions", None), ("imap", "imap"), ("imaps", None),
           ("pop3", "pop3"), ("pop3s", None))
# About the certificate, which its CA makes and the test signs for 30 days, and about testssl itself.
NOT_OURS = ("cert_expirationStatus", "cert_notAfter", "cert_revocation", "DNS_CAArecord", "engine_problem")


def sslscan(mail, port, start):
    done = subprocess.run(
        ["sslscan", "--no-colour", "--sni-name=mail.example.org"] + (["--starttls-" + start] if start else []) +
        ["127.0.0.1:%d" % mail.ports[port]], capture_output=True, text=True, timeout=300)
    tap.same(done.returncode, 0, done.stderr)
    said = done.stdout
    versions = dict(re.findall(r"^(SSLv\d|TLSv1\.\d) +(enabled|disabled)$", said, re.M))
    tap.same(versions, {"SSLv2": "disabled", "SSLv3": "disabled", "TLSv1.0": "disabled", "TLSv1.1": "disabled",
                        "TLSv1.2": "enabled", "TLSv1.3": "enabled"})
    tap.has(said, "Server supports TLS Fallback SCSV")
    tap.has(said, "Session renegotiation not supported")
    tap.same(sorted(re.findall(r"^(TLSv1\.\d) (.*) heartbleed$", said, re.M)),
             [("TLSv1.2", "not vulnerable to"), ("TLSv1.3", "not vulnerable to")])
    ciphers = re.findall(r"^(?:Preferred|Accepted) +(\S+) +(\d+) bits +(\S+)", said, re.M)
    tap.true(len(ciphers) >= 6, ciphers)
    for version, bits, name in ciphers:
        tap.true(int(bits) >= 128 and re.search("GCM|CHACHA20", name), (version, bits, name))
        tap.true(version == "TLSv1.3" or name.startswith("ECDHE-"), (version, name))
    kinds = {re.match("ECDHE-(EC|RS)", name).group(1) for version, _, name in ciphers if version == "TLSv1.2"}
    tap.same(kinds, {"EC", "RS"}, "kinds of keys")
    groups = re.findall(r"^TLSv1\.\d +(\d+) bits +\S+(?: \(.*\))?$", said, re.M)
    tap.true(groups and min(map(int, groups)) >= 128, groups)
    tap.true("sha256" in said.lower() and "md5" not in said.lower(), "signatures")


def testssl(mail, port, start):
    """A check that could not connect says nothing of the server; it is tried once more."""
    findings = ask_testssl(mail, port, start)
    if any("connect problem" in f["finding"] for f in findings):
        findings = ask_testssl(mail, port, start)
    # It always has something to say of the private CA: an empty list comes from a scan that failed.
    tap.true(any(f["id"].startswith("cert_revocation") for f in findings), findings)
    for f in findings:
        print("# %s %s: %s" % (f["severity"], f["id"], f["finding"]))
    tap.same([f for f in findings if f["severity"] in ("WARN", "LOW", "MEDIUM", "HIGH", "CRITICAL", "FATAL") and
              f["id"].split(" ")[0] not in NOT_OURS], [])


def ask_testssl(mail, port, start):
    found = os.path.join(mail.dir, port + ".json")
    subprocess.run(
        ["testssl", "--quiet", "--warnings", "batch", "--color", "0", "--severity", "LOW", "--jsonfile", found, "--ip",
         "127.0.0.1", "--add-ca", mail.ca] + (["-t", start] if start else []) + ["localhost:%d" % mail.ports[port]],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=3000)
    with open(found) as said:
        findings = json.load(said)
    os.unlink(found)
    return findings


def main(mail, words):
    scan = testssl if words[:1] == ["testssl"] else sslscan
    return [("%s of %s" % (scan.__name__, port), lambda port=port, start=start: scan(mail, port, start))
            for port, start in SCANNED if not words[1:] or port in words[1:]]


if __name__ == "__main__":
    with Instance() as instance:
        failed = tap.run(main(instance, sys.argv[1:]))
    sys.exit(failed > 0)
