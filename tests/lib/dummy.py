"""A program under the master that does nothing but tell what it is given, for tests of the master.

Copied into a directory under the names of the real programs. It appends a line of JSON for each event
to DIR/events/PROGRAM-INDEX, and looks into DIR/orders/ for how to behave.
"""
import array
import json
import mmap
import os
import re
import selectors
import signal
import socket
import struct
import sys

HERE = os.path.dirname(os.path.abspath(sys.argv[0]))
NAME = os.path.basename(sys.argv[0])
ARGUMENTS = dict(zip(sys.argv[1::2], sys.argv[2::2]))
INDEX = int(ARGUMENTS["--index"])
PROGRAMS = {1: "master", 2: "smtp", 4: "access", 8: "directory", 16: "queue", 32: "deliver",
            64: "session", 128: "relay", 256: "filter"}
with open(os.path.join(HERE, "messages.def")) as text:
    TYPES = ["none"] + re.findall(r"^MESSAGE\((\w+),", text.read(), re.M)
YES, NO = 1, 2
IMAP = 4


def event(what, **facts):
    with open(os.path.join(HERE, "events", "%s-%d" % (NAME, INDEX)), "a") as out:
        out.write(json.dumps(dict(facts, event=what, pid=os.getpid())) + "\n")


def order(what):
    """The text of an order for this program, or None."""
    try:
        with open(os.path.join(HERE, "orders", "%s-%s" % (what, NAME))) as text:
            return text.read()
    except FileNotFoundError:
        return None


if "--check" in sys.argv:
    sys.exit(int(order("check") or 0))


class Channel:
    def __init__(self, fd):
        self.socket = socket.socket(fileno=fd)

    def send(self, name, layout, *values, fd=None):
        data = struct.pack("<H", TYPES.index(name))
        for kind, value in zip(layout, values):
            if kind == "s":
                data += struct.pack("<I", len(value)) + value
            elif kind == "g":
                data += value
            else:
                data += struct.pack("<" + kind, value)
        extra = [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
        self.socket.sendmsg([data], extra)

    def receive(self):
        data, extra, _, _ = self.socket.recvmsg(70000, socket.CMSG_SPACE(4))
        fd = None
        for _, _, raw in extra:
            fd = array.array("i", raw)[0]
        if not data:
            sys.exit(0)
        return TYPES[struct.unpack_from("<H", data)[0]], data[2:], fd


def take(data, layout):
    values = []
    for kind in layout:
        if kind == "s":
            n = struct.unpack_from("<I", data)[0]
            values.append(data[4:4 + n])
            data = data[4 + n:]
        elif kind == "g":
            values.append(data[:16])
            data = data[16:]
        else:
            values.append(struct.unpack_from("<" + kind, data)[0])
            data = data[struct.calcsize("<" + kind):]
    return values


def pieces(fd):
    data = b""
    with os.fdopen(fd, "rb", closefd=True) as memfd:
        memfd.seek(0)
        data = memfd.read()
    found = []
    while data:
        name, size = struct.unpack_from("<II", data)
        found.append((data[8:8 + name].decode(), data[8 + name:8 + name + size].decode()))
        data = data[8 + name + size:]
    return found


DESCRIPTORS = sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:-1]  # but the listing's own
selector = selectors.DefaultSelector()
master = Channel(3)
listeners = {}
asked = {}
streams = {}


def on_configure(data, fd):
    reload, = take(data, "B")
    found = pieces(fd)
    event("configure", reload=reload, pieces=[name for name, _ in found],
          conf=dict(found)["facteur.conf"], sizes=[len(text) for _, text in found])
    refusal = order("refuse-reload" if reload else "refuse")
    if order("silent") is None:
        anew = order("anew")
        master.send("ready", "BBs", reload, reload and anew is not None and anew in dict(found)["facteur.conf"],
                    (refusal or "").encode())


def on_link(data, fd):
    peer, index = take(data, "II")
    link = socket.socket(fileno=fd)
    try:
        link.send(("%s/%d" % (NAME, INDEX)).encode())
    except OSError:
        pass  # the peer is dead already; on_peer tells it
    selector.register(link, selectors.EVENT_READ, lambda: on_peer(link, peer, index))


def on_peer(link, peer, index):
    try:
        said = link.recv(100)
    except OSError:
        said = b""
    if said:
        event("link", peer="%s/%d" % (PROGRAMS[peer], index), said=said.decode())
    else:
        event("link-lost", peer="%s/%d" % (PROGRAMS[peer], index))
        selector.unregister(link)
        link.close()


def on_listener(data, fd):
    number, service = take(data, "IB")
    listener = socket.socket(fileno=fd)
    listeners[number] = listener
    event("listener", number=number, service=service, address=listener.getsockname()[:2])
    selector.register(listener, selectors.EVENT_READ, lambda: on_client(listener))


def on_listener_close(data, _):
    number, = take(data, "I")
    event("listener_close", number=number)
    selector.unregister(listeners[number])
    listeners.pop(number).close()


def on_client(listener):
    """A client says service and grant; it hears the verdict, and what the session wrote."""
    try:
        client, _ = listener.accept()
    except BlockingIOError:
        return
    client.setblocking(True)
    words = client.makefile().readline().split()
    if words[:1] != ["ask"]:
        client.sendall(("%s/%d\n" % (NAME, INDEX)).encode())
        client.close()
        return
    asked[len(asked) + 1] = client
    master.send("session_ask", "QgBss", len(asked), bytes.fromhex(words[2]).ljust(16, b"\1"),
                int(words[1]), b"session%d" % len(asked), b"192.0.2.7")


def on_session_reply(data, fd):
    number, verdict = take(data, "QB")
    client = asked[number]
    client.sendall(b"verdict %d\n" % verdict)
    if verdict == YES:
        stream = socket.socket(fileno=fd)
        client.sendall(stream.makefile("rb").readline())
        selector.register(client, selectors.EVENT_READ, lambda: relay_end(client, stream))
    else:
        os.close(fd)
        client.close()


def relay_end(client, stream):
    client.recv(100)
    selector.unregister(client)
    client.close()
    stream.close()


def on_redeem_ask(data, _):
    """The grant's first bytes say what the answer is: behaviour, then uid."""
    number, grant, use = take(data, "QgB")
    behaviour, uid = grant[0], 20000 + grant[1]
    event("redeem", use=use, behaviour=behaviour)
    base = (order("base") or "/nowhere").encode()
    values = {"verdict": YES, "service": IMAP, "uid": uid, "home": base + b"/u",
              "maildir": base + b"/u/mailbox", "login": b"login%d" % behaviour}
    values.update({2: {"service": 1}, 3: {"uid": 12}, 4: {"maildir": b"/etc"},
                   5: {"verdict": NO}, 8: {"home": base + b"/../x"},
                   9: {"maildir": base + b"x/mailbox"},
                   10: {"uid": int(order("program-uid") or 0)}}.get(behaviour, {}))
    if behaviour == 6:
        return
    if behaviour == 7:
        os._exit(9)
    master.send("redeem_reply", "QBBIIsssQsss", number, values["verdict"], values["service"],
                values["uid"], 20000, values["home"], values["maildir"], values["login"], 0, b"", values["login"], b"")


def on_session_start(data, fd):
    number, service, uid, gid, home, maildir, login, limit, session, client = take(data, "QBIIsssQss")
    event("session", service=service, uid=uid, gid=gid, home=home.decode(), login=login.decode(),
          session=session.decode(), client=client.decode())
    stream = socket.socket(fileno=fd)
    if login == b"login11":
        os._exit(9)
    verdict = NO if login == b"login12" else YES
    master.send("session_started", "QBI", number, verdict, 1000 + number)
    if verdict == YES:
        stream.sendall(b"hello " + login + b"\n")
        selector.register(stream, selectors.EVENT_READ, lambda: session_end(stream, number, uid))


def on_login_began(data, _):
    """With the order "end-login", the user may not be logged in, as it turns out."""
    uid, login, name = take(data, "Iss")
    event("began", uid=uid, login=login.decode(), name=name.decode())
    if order("end-login") is not None:
        master.send("login_end", "Is", uid, login)


def on_login_over(data, _):
    uid, login = take(data, "Is")
    event("over", uid=uid, login=login.decode())


def on_session_stop(data, _):
    event("stop", number=take(data, "I")[0])


def on_flush_ask(data, _):
    number, user = take(data, "Qs")
    event("flush", user=user.decode())
    if order("no-flush") is not None:
        os._exit(9)
    master.send("flush_reply", "QI", number, 7)


def session_end(stream, number, uid):
    if not stream.recv(100):
        selector.unregister(stream)
        stream.close()
        master.send("session_ended", "II", 1000 + number, uid)


def on_status_ask(data, _):
    number, = take(data, "Q")
    if order("mute") is None:
        master.send("status_reply", "Qs", number, b"answered=1 note=\"a b\"")


def on_counters(data, fd):
    """Counts five connections in its own row (16 bit each, after a key), and tells what was there."""
    index, = take(data, "I")
    table = mmap.mmap(fd, 0)
    os.close(fd)
    rows = [struct.unpack_from("<H", table, 16 + row * 65536 * 2)[0] for row in range(2)]
    struct.pack_into("<H", table, 16 + index * 65536 * 2, 5)
    event("counters", index=index, rows=rows)


def on_rates(_, fd):
    os.close(fd)


def on_master():
    name, data, fd = master.receive()
    globals()["on_" + name](data, fd)


def main():
    if order("stubborn") is not None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.set_inheritable(3, False)
    event("start", arguments=ARGUMENTS, environment=dict(os.environ), directory=os.getcwd(),
          descriptors=DESCRIPTORS, group=os.getpgid(0),
          umask=os.umask(0o77))
    if order("die") is not None:
        os._exit(3)
    selector.register(master.socket, selectors.EVENT_READ, on_master)
    while True:
        for key, _ in selector.select():
            key.data()


main()
