#!/usr/bin/env python3
"""COMPRESS=DEFLATE under bad treatment: few bytes that stand for very many cost no memory, a large answer
is compressed and can be read to its last byte, a stream that ends or is damaged ends the session. TAP."""

import os
import shutil
import subprocess
import sys
import tempfile
import zlib

SRC = os.environ.get("FACTEUR_SRCDIR", os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("FACTEUR_BUILDDIR", SRC)
MIB = 1 << 20


class Session:
    def __init__(self, maildir):
        self.proc = subprocess.Popen([os.path.join(BUILD, "session"), "--imap", "--maildir", maildir],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.DEVNULL, bufsize=0)
        self.out = self.into = None
        self.buffer = b""
        self.raw = 0
        self.until(b"ready\r\n")
        self.proc.stdin.write(b"a COMPRESS DEFLATE\r\n")
        self.until(b"a OK DEFLATE active\r\n")
        self.out, self.into = zlib.compressobj(9, zlib.DEFLATED, -15), zlib.decompressobj(-15)

    def send(self, data, flush=zlib.Z_SYNC_FLUSH):
        self.proc.stdin.write(self.out.compress(data) + self.out.flush(flush))

    def until(self, end):
        """What came up to and with these bytes; None when the session ended first."""
        while end not in self.buffer:
            data = os.read(self.proc.stdout.fileno(), 65536)
            if not data:
                return None
            self.raw += len(data)
            self.buffer += self.into.decompress(data) if self.into else data
        text, self.buffer = self.buffer.split(end, 1)
        return text + end

    def memory(self):
        """The most it ever held, in bytes."""
        with open("/proc/%d/status" % self.proc.pid, encoding="ascii") as f:
            return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM"))

    def end(self):
        self.proc.stdin.close()
        self.proc.stdout.close()
        try:
            return self.proc.wait(20)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            return self.proc.wait()


def bomb(maildir):
    s = Session(maildir)
    s.send(b"b NOOP\r\n")
    s.until(b"b OK NOOP completed\r\n")
    before = s.memory()
    # A command line of 200 MiB, some 200 KB on the wire; then all is as it was.
    for _ in range(200):
        s.send(b"x" * MIB, zlib.Z_NO_FLUSH)
    s.send(b"\r\nc NOOP\r\n")
    answer = s.until(b"c OK NOOP completed\r\n")
    grown = s.memory() - before
    status = s.end()
    return answer is not None and b"BAD" in answer and grown < 4 * MIB and status == 0, "%d bytes more" % grown


def large_answer(maildir):
    s = Session(maildir)
    text = b"Subject: large\r\n\r\n" + b"The same words again and again.\r\n" * 100000
    s.send(b"b APPEND INBOX {%d+}\r\n" % len(text) + text + b"\r\n")
    s.until(b"APPEND completed\r\n")
    s.send(b"c SELECT INBOX\r\n")
    s.until(b"SELECT completed\r\n")
    s.raw = 0
    s.send(b"d FETCH 1 BODY.PEEK[]\r\n")
    answer = s.until(b"d OK FETCH completed\r\n")
    whole = answer is not None and text in answer
    return whole and s.raw < len(text) // 20 and s.end() == 0, "%d bytes on the wire" % s.raw


def stream_ends(maildir):
    s = Session(maildir)
    s.send(b"b NOOP\r\n", zlib.Z_FINISH)
    answer = s.until(b"* BYE The compressed data are damaged\r\n")
    return answer is not None and s.end() == 0, "%r" % answer


def damaged(maildir):
    s = Session(maildir)
    s.proc.stdin.write(b"\xff" * 100)
    answer = s.until(b"* BYE The compressed data are damaged\r\n")
    return answer is not None and s.end() == 0, "%r" % answer


def byte_by_byte(maildir):
    s = Session(maildir)
    for byte in s.out.compress(b"b NOOP\r\nc NOOP\r\n") + s.out.flush(zlib.Z_SYNC_FLUSH):
        s.proc.stdin.write(bytes([byte]))
    answer = s.until(b"c OK NOOP completed\r\n")
    return answer == b"b OK NOOP completed\r\nc OK NOOP completed\r\n" and s.end() == 0, "%r" % answer


def main():
    tests = [(bomb, "200 MiB in a few bytes cost no memory"),
             (large_answer, "a large answer comes compressed and whole"),
             (stream_ends, "a stream that ends ends the session"),
             (damaged, "damaged data end the session"), (byte_by_byte, "a stream in single bytes")]
    failed = 0
    print("1..%d" % len(tests))
    for number, (test, name) in enumerate(tests, 1):
        directory = tempfile.mkdtemp(prefix="facteur-compress.")
        try:
            good, what = test(directory + "/mailbox")
        except (OSError, zlib.error, subprocess.SubprocessError) as e:
            good, what = False, repr(e)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        failed += not good
        print("%sok %d - %s%s" % ("" if good else "not ", number, name, "" if good else "\n# " + what),
              flush=True)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
