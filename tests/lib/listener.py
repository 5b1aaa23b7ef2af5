"""A TCP server of a test, on a free port of 127.0.0.1; accepted() gets each connection, in one thread.

    class Echo(Listener):
        def accepted(self, client): ...

    with Echo() as echo:
        echo.uri; echo.cut()
"""
import socket
import threading


class Listener:
    def __init__(self):
        self.sockets, self.lock = [], threading.Lock()

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.uri = "ldap://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()

    def keep(self, *sockets):
        """For cut() to end."""
        with self.lock:
            self.sockets += sockets

    def cut(self):
        """Ends all connections, as a server that dies does."""
        with self.lock:
            sockets, self.sockets = self.sockets, []
        end(*sockets)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.accepted(client)


def end(*sockets):
    for s in sockets:
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
