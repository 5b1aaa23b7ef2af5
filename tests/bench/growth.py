"""How the cost grows: with the domains that are hosted, the entries of the directory, the messages of a
mailbox. A part is a function of the bench; it goes through the sizes, and at each through all servers. What
was added to the directory stays there, so these parts come last. Costs are CPU time."""
import base64
import hashlib
import os
import random
import subprocess
import time

from measure import COST, RATE, Conversation, Row, deliver, load, visit, wait_for_rest
from rows import alone, asked_filters, bare_of, program_of, rate

ADDRESSES = 10       # of each person, spread over the domains
CROWD_DOMAIN = 100   # people in each domain of those who only fill the directory
FIRST_UID = 200000


def record(bench, what, count, figure, unit, value):
    bench.record(Row("%s, %d %s" % (figure, count, what), unit, RATE if unit.endswith("/s") else COST,
                     grows=(what, count, figure)), value)


def servers(bench, count):
    """Each size begins with another one."""
    for server in random.Random(count).sample(bench.servers, len(bench.servers)):
        bench.system = server.system
        yield server


def until_it_works(what, *arguments, seconds=60, **options):
    """After a change that a server takes up in its own time: connections made again, processes anew."""
    end = time.monotonic() + seconds
    while True:
        try:
            return what(*arguments, **options)
        except RuntimeError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


# --- domains ---

def domain_names(system, count):
    return ["d%d.of%d.%s.example.com" % (number, count, system) for number in range(count)]


def spread(bench, server, count):
    """Gives the people their addresses in so many domains; returns the list of them for the generator."""
    domains, changes, path = domain_names(server.system, count), [], "%s/in-%d" % (server.dir, count)
    with open(path, "w") as out:
        for number in range(ADDRESSES * len(server.users)):
            user = server.users[number % len(server.users)]
            address = "a%d@%s" % (number, domains[number % count])
            out.write("%s %s %s\n" % (user.login, user.password, address))
            if number < len(server.users):
                changes.append("dn: uid=%s,%s\nchangetype: modify\nreplace: mailacceptinggeneralid\n"
                               "mailacceptinggeneralid: %s\n" % (user.login, bench.slapd.mail_base, user.address))
            changes[number % len(server.users)] += "mailacceptinggeneralid: %s\n" % address
    bench.slapd.modify("\n".join(changes))
    server.host(domains)
    return path


def in_domains(bench):
    """The same thousand addresses of the same people, in ever more domains; each first asked for, then known."""
    for count in bench.domains:
        for server in servers(bench, count):
            path, row = spread(bench, server, count), "inbound 4 KiB, 20 sessions"
            until_it_works(deliver, bench, server, 40, sessions=20, size=4096)
            for when in ("first", "again"):
                # The sessions that go before have other people as recipients: nobody is known already.
                number = bench.scale(ADDRESSES * len(server.users))
                meter, _ = deliver(bench, server, number, warm=0, users=path, sessions=20, size=4096)
                record(bench, "domains", count, "%s, %s, server CPU" % (row, when), "ms", meter.server / number)
                record(bench, "domains", count, "%s, %s, slapd CPU" % (row, when), "ms", meter.slapd / number)


# --- entries ---

def crowd(bench, first, last):
    """LDIF of people that nobody asks about."""
    salt = b"facteur."
    hashed = base64.b64encode(hashlib.sha1(b"nobody's" + salt).digest() + salt).decode()
    for number in range(first, last):
        login = "x%07d" % number
        yield ("dn: uid=%s,%s\nobjectClass: top\nobjectClass: account\nobjectClass: posixAccount\n"
               "objectClass: postfixUser\nuid: %s\ncn: Person %d\nuidNumber: %d\ngidNumber: %d\n"
               "homeDirectory: %s/crowd/%s\nmailacceptinggeneralid: %s@c%d.crowd.example.com\n"
               "maildrop: %s@mail.crowd.example\nuserPassword: {SSHA}%s\n\n"
               % (login, bench.slapd.mail_base, login, number, FIRST_UID + number, FIRST_UID + number,
                  bench.vmail, login, login, number // CROWD_DOMAIN, login, hashed))


def fill(bench, count):
    """Until the directory has so many entries. It is stopped meanwhile: to add them one by one takes minutes."""
    slapd = bench.slapd
    there = slapd.search("(objectClass=*)", "1.1").count("\ndn: ") + 1
    if there >= count:
        return
    bench.say("adding %d entries to %d" % (count - there, there))
    slapd.modify_config("dn: olcDatabase={1}mdb,cn=config\nchangetype: modify\nreplace: olcDbMaxSize\n"
                        "olcDbMaxSize: %d\n" % max(1 << 30, count * 10000))
    slapd.stop()
    with open(slapd.dir + "/crowd.ldif", "w") as out:
        out.writelines(crowd(bench, there, count))
    done = subprocess.run(["/usr/sbin/slapadd", "-q", "-w", "-F", slapd.dir + "/slapd.d", "-b", slapd.base, "-l",
                           out.name], capture_output=True, text=True)
    os.unlink(out.name)
    slapd.start()
    bench.slapd_group.add(int(slapd.slapd_pid))
    if done.returncode != 0:
        raise RuntimeError("slapadd: " + done.stderr[-500:])


def entries(bench):
    for count in bench.entries:
        fill(bench, count)
        for server in servers(bench, count):
            among_entries(bench, server, count)
        uncached(bench, count)


def among_entries(bench, server, count):
    number = bench.scale(1000)
    until_it_works(deliver, bench, server, 40, sessions=20, size=4096)
    wait_for_rest(server)  # the directory program reads the whole directory again
    meter, _ = deliver(bench, server, number, sessions=20, size=4096)
    record(bench, "entries", count, "inbound 4 KiB, 20 sessions, server CPU", "ms", meter.server / number)
    record(bench, "entries", count, "inbound 4 KiB, 20 sessions, slapd CPU", "ms", meter.slapd / number)
    until_it_works(load, "login", port=server.ports["imaps"], users=server.list, sessions=20, count=40)
    meter, _ = visit(bench, server, number, 20)
    record(bench, "entries", count, "IMAPS login, 20 at once, server CPU", "ms", meter.server / number)
    record(bench, "entries", count, "IMAPS login, 20 at once, slapd CPU", "ms", meter.slapd / number)
    record(bench, "entries", count, "memory of all programs", "KiB PSS", server.group.pss())


def uncached(bench, count):
    """What each recipient costs whose answers nobody keeps."""
    server = next((server for server in bench.servers if server.system == "facteur"), None)
    if server is None:
        return
    bench.system, filters = "facteur", server.dir + "/filters"
    searches = asked_filters(server, filters)
    program, through = program_of(bench, bench.slapd)
    with alone(bench.slapd):
        number = bench.scale(10000)
        bare = load("ldap", count=number, links=2, window=10, filters=filters, **bare_of(bench.slapd, server.list))
        ours = load("directory", count=number // searches, users=server.list, **through)
    record(bench, "entries", count, "searches by a bare client", "searches/s", rate(bare))
    record(bench, "entries", count, "searches through the directory program", "searches/s", searches * rate(ours))


# --- messages ---

SCRIPT = [
    # figure (None: not recorded), command
    ("SELECT, first after a copy", "SELECT INBOX"),
    ("FETCH 1:* FLAGS", "FETCH 1:* (FLAGS)"),
    ("ENVELOPE, cold", "FETCH 1:* (ENVELOPE)"),
    ("ENVELOPE, warm", "FETCH 1:* (ENVELOPE)"),
    ("SEARCH SUBJECT", "SEARCH SUBJECT quince"),
    ("SORT DATE", "SORT (DATE) UTF-8 ALL"),
    ("THREAD REFERENCES", "THREAD REFERENCES UTF-8 ALL"),
    ("100 bodies", "FETCH 1:100 (BODY.PEEK[])"),
    ("STORE on 100", "STORE 1:100 +FLAGS (\\Flagged)"),
    (None, "CREATE Copies"),
    ("COPY of 100", "COPY 1:100 Copies"),
    (None, "STORE 1:100 +FLAGS.SILENT (\\Deleted)"),
    ("EXPUNGE of 100", "EXPUNGE"),
    (None, "CLOSE"),
    ("SELECT, again", "SELECT INBOX"),
]


def in_mailbox(bench):
    for count in bench.messages:
        for server in servers(bench, count):
            with Conversation(bench, server, count) as client:
                for figure, command in SCRIPT:
                    result, meter = client.say(command)
                    if figure and result["result"] == "ok":
                        record(bench, "messages", count, figure + ", server CPU", "ms", meter.server)
                record(bench, "messages", count, "memory of all programs", "KiB PSS", server.group.pss())


PARTS = {"domains": in_domains, "entries": entries, "messages": in_mailbox}
