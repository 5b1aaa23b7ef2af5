"""A TCP relay that holds back what clients send: to see what waits for what.

    with SlowProxy(port, delay=0.5) as proxy:
        proxy.uri; proxy.cut(); proxy.connections
"""
import socket
import threading
import time

from listener import Listener, end


class SlowProxy(Listener):
    def __init__(self, port, delay=0.0):
        super().__init__()
        self.port, self.delay = int(port), delay
        self.connections = 0
        self.refuse = False

    def accepted(self, client):
        self.connections += 1
        if self.refuse:
            client.close()
            return
        try:
            server = socket.create_connection(("127.0.0.1", self.port))
        except OSError:  # the server behind it is away
            client.close()
            return
        self.keep(client, server)
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
        end(source, sink)
