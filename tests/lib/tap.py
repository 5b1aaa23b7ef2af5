"""TAP output for system tests: functions that raise are failures, one line each."""
import sys
import tempfile
import time
import traceback


def run(tests):
    """tests: list of (name, function). Prints TAP and exits; each function runs whatever came before."""
    print("1..%d" % len(tests), flush=True)
    failed = 0
    for number, (name, function) in enumerate(tests, 1):
        try:
            function()
            print("ok %d - %s" % (number, name), flush=True)
        except Exception:
            failed += 1
            print("not ok %d - %s" % (number, name))
            for line in traceback.format_exc().splitlines():
                print("# " + line)
            sys.stdout.flush()
    return failed


def in_directory(function):
    """A test of function, which gets a directory that is removed afterwards."""
    def test():
        with tempfile.TemporaryDirectory(prefix="facteur-test-", ignore_cleanup_errors=True) as directory:
            function(directory)
    return test


def same(got, want, what=""):
    if got != want:
        raise AssertionError("%s: got %r, want %r" % (what or "value", got, want))


def true(value, what):
    if not value:
        raise AssertionError(what)


def has(text, part):
    if part not in text:
        raise AssertionError("%r not in %r" % (part, text[-2000:]))


def wait_for(condition, seconds=10, what="it did not happen in time"):
    """Polls until condition() is true and returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(what)
        time.sleep(0.05)


class Started:
    """What "with" starts by start() and ends by close(), also when it does not start."""

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()
