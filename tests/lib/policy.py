"""A policy server of our own making: answers by a function of the attributes, and remembers them."""
import socketserver
import threading


class Policy:
    """answer: a string, or a function from the attributes (a dict) to one; None: silence; "": closes.
    once: closes each connection when a second question begins to come."""

    def __init__(self, answer="DUNNO", once=False):
        self.answer, self.once, self.seen, self.connections = answer, once, [], 0
        policy = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                policy.connections += 1
                try:
                    self.serve()
                except ConnectionError:
                    pass

            def serve(self):
                while True:
                    question = {}
                    for line in self.rfile:
                        line = line.decode().rstrip("\n")
                        if not line:
                            break
                        name, _, value = line.partition("=")
                        question[name] = value
                    if not question:
                        return
                    policy.seen.append(question)
                    said = policy.answer(question) if callable(policy.answer) else policy.answer
                    if said == "":
                        return
                    if said is not None:
                        self.wfile.write(said.encode() if "\n" in said
                                         else ("action=%s\n\n" % said).encode())
                    if policy.once:
                        self.rfile.readline()
                        return

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.place = "inet:127.0.0.1:%d" % self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
