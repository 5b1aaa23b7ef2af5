"""A SCRAM client (RFC 5802, RFC 7677) for tests that look at each step."""
import base64
import hashlib
import hmac
import os


class Scram:
    def __init__(self, user, password, name="SCRAM-SHA-256", authzid="", nonce=None):
        self.name, self.password = name, password.encode()
        self.hash = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}[name]
        self.header = "n,%s," % ("a=" + authzid if authzid else "")
        self.nonce = nonce or base64.b64encode(os.urandom(18)).decode()
        self.bare = "n=%s,r=%s" % (user.replace("=", "=3D").replace(",", "=2C"), self.nonce)

    def first(self):
        return (self.header + self.bare).encode()

    def final(self, challenge):
        """The answer to the server's first message."""
        told = dict(x.split("=", 1) for x in challenge.decode().split(","))
        if not told["r"].startswith(self.nonce):
            raise AssertionError("another nonce: %r" % challenge)
        salted = hashlib.pbkdf2_hmac(self.hash, self.password, base64.b64decode(told["s"]),
                                     int(told["i"]))
        without = "c=%s,r=%s" % (base64.b64encode(self.header.encode()).decode(), told["r"])
        said = ",".join((self.bare, challenge.decode(), without)).encode()

        def sign(key, text):
            return hmac.new(key, text, self.hash).digest()
        client = sign(salted, b"Client Key")
        proof = bytes(a ^ b for a, b in zip(client, sign(hashlib.new(self.hash, client).digest(), said)))
        self.server = sign(sign(salted, b"Server Key"), said)
        return (without + ",p=" + base64.b64encode(proof).decode()).encode()

    def check(self, last):
        """The server's last message: it knows the password too."""
        if last != b"v=" + base64.b64encode(self.server):
            raise AssertionError("no proof from the server: %r" % last)
