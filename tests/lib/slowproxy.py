"""A TCP relay that holds back what clients send: to see what waits for what.

    with SlowProxy(port, delay=0.5) as proxy:
        proxy.uri; proxy.cut(); proxy.connections
"""
import socket
import threading
import time


class SlowProxy:
    def __init__(self, port, delay=0.0):
        self.port, self.delay = int(port), delay
        self.sockets, self.lock = [], threading.Lock()
        self.connections = 0
        self.refuse = False

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.uri = "ldap://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.cut()

    def cut(self):
        """Ends all connections, as a server that dies does."""
        with self.lock:
            sockets, self.sockets = self.sockets, []
        for s in sockets:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.refuse:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.port))
            except OSError:  # the server behind it is away
                client.close()
                continue
            with self.lock:
                self.sockets += [client, server]
            threading.Thread(target=self._pump, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()

    def _pump(self, source, sink, slow):
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                if slow and self.delay:
                    time.sleep(self.delay)
                sink.sendall(data)
        except OSError:
            pass
        for s in (source, sink):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
