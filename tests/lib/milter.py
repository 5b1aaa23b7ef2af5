"""A milter for tests: speaks Sendmail's protocol, notes what it was told, answers what it is told to.

answers: command letter → a function of (session, data) that returns packets, or a list of packets.
Without an entry the answer is "continue". A packet is (letter, bytes); bytes alone are sent raw.
"""
import os
import socket
import struct
import threading
import time

CONTINUE, ACCEPT, REJECT, TEMPFAIL, DISCARD = ((c, b"") for c in "cartd")
CHANGES = 0x1FF
LEADING_SPACE = 0x100000


def text(*strings):
    return b"".join(s.encode() + b"\0" for s in strings)


def header(letter, name, value, index=None):
    return letter, (b"" if index is None else struct.pack("!I", index)) + text(name, value)


def packet(letter, data=b""):
    return struct.pack("!I", len(data) + 1) + letter.encode() + data


class Session:
    def __init__(self):
        self.commands, self.macros, self.headers, self.body, self.rcpts = [], {}, [], b"", []
        self.sender = self.connect = self.helo = None


class Milter:
    def __init__(self, answers=None, path=None, actions=CHANGES, protocol=0, version=6, piecewise=False):
        self.answers, self.terms = dict(answers or {}), (version, actions, protocol)
        self.piecewise, self.sessions, self.closing = piecewise, [], False
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
            os.chmod(path, 0o666)
            self.place = "unix:" + path
        else:
            self.listener = socket.socket()
            self.listener.bind(("127.0.0.1", 0))
            self.place = "inet:127.0.0.1:%d" % self.listener.getsockname()[1]
        self.listener.listen(50)
        threading.Thread(target=self.serve, daemon=True).start()

    def close(self):
        self.closing = True
        self.listener.close()

    def serve(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            session = Session()
            self.sessions.append(session)
            threading.Thread(target=self.talk, args=(client, session), daemon=True).start()

    def talk(self, client, session):
        try:
            with client, client.makefile("rb") as file:
                while self.one(client, file, session):
                    pass
        except OSError:
            pass

    def one(self, client, file, session):
        head = file.read(4)
        if len(head) < 4:
            return False
        data = file.read(struct.unpack("!I", head)[0])
        letter, data = chr(data[0]), data[1:]
        session.commands.append(letter)
        self.note(session, letter, data)
        if letter in "DAQ":
            return letter != "Q"
        if letter == "O" and "O" not in self.answers:
            answer = [("O", struct.pack("!III", *self.terms))]
        else:
            answer = self.answers.get(letter, [CONTINUE])
        if callable(answer):
            answer = answer(session, data)
        if answer is None:
            return False
        for part in answer:
            self.send(client, part if isinstance(part, bytes) else packet(*part))
        return True

    def send(self, client, data):
        if not self.piecewise:
            client.sendall(data)
            return
        for i in range(0, len(data)):
            client.sendall(data[i:i + 1])
            time.sleep(0.001)

    def note(self, session, letter, data):
        strings = [s.decode("utf-8", "replace") for s in data.split(b"\0")[:-1]]
        if letter == "D":
            session.macros.update(zip([data[1:].split(b"\0")[0].decode()] + strings[2::2], strings[1::2]))
        elif letter == "C":
            session.connect = data
        elif letter == "H":
            session.helo = strings[0]
        elif letter == "M":
            session.sender, session.headers, session.body, session.rcpts = strings[0], [], b"", []
        elif letter == "R":
            session.rcpts.append(strings[0])
        elif letter == "L":
            session.headers.append((strings[0], strings[1]))
        elif letter == "B":
            session.body += data
