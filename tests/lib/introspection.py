"""A private introspection server (RFC 7662) over HTTPS, HTTP or a Unix socket: answers by a table of
tokens, and remembers what it was asked."""
import base64
import http.server
import json
import os
import socket
import socketserver
import ssl
import threading
import urllib.parse


class Introspection:
    """tokens: a dict from a token to what is said of it (a dict, or the body's octets), or to a function
    that is given the request's handler and answers itself. Others are not active."""

    def __init__(self, chain=None, unix=None, port=0):
        self.tokens, self.asked, self.released = {}, [], threading.Event()
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def address_string(self):
                return ""

            def log_message(self, *_):
                pass

            def setup(self):
                if chain:
                    self.request = context.wrap_socket(self.request, server_side=True)
                super().setup()

            def do_POST(self):
                length = int(self.headers.get("Content-Length", 0))
                form = urllib.parse.parse_qs(self.rfile.read(length).decode(), strict_parsing=True)
                self.answer(form["token"][0], form)

            def do_GET(self):
                self.answer(self.headers.get("Authorization", "").partition(" ")[2], None)

            def answer(self, token, form):
                owner.asked.append({"method": self.command, "path": self.path, "form": form,
                                    "headers": dict(self.headers), "token": token})
                said = owner.tokens.get(token, {"active": False})
                if callable(said):
                    said(self)
                else:
                    self.say(200, said)

            def say(self, status, said, **headers):
                body = said if isinstance(said, bytes) else json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
            daemon_threads = True
            allow_reuse_address = True
            address_family = socket.AF_UNIX if unix else socket.AF_INET
            request_queue_size = 50

            def handle_error(self, request, client_address):
                pass  # a client that hangs up, or does not trust us

        if chain:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(chain)
        self.server = Server(unix or ("127.0.0.1", port), Handler)
        if unix:
            os.chmod(unix, 0o666)
        self.port = None if unix else self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def hold(self, handler):
        """Answers nothing until close()."""
        self.released.wait(120)

    def basic(self):
        """Name and password of the last question (RFC 6749 section 2.3.1)."""
        scheme, _, said = self.asked[-1]["headers"]["Authorization"].partition(" ")
        assert scheme == "Basic", scheme
        return [urllib.parse.unquote(part) for part in base64.b64decode(said).decode().split(":")]

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
