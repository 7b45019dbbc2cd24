"""A name server that answers from a table in memory, which a test may change at any time."""

import contextlib
import socket
import struct
import threading

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

CHAIN_MAX = 10


class Table:
    """[(name, type, text)] by name; type TIMEOUT: whatever the name does not have has no usable answer."""

    def __init__(self, records=()):
        self.names = {}
        for name, kind, text in records:
            self.names.setdefault(name.lower().rstrip("."), []).append((kind, text))

    def find(self, name, kind):
        """(texts, whether the name is there, whether nothing can be said); without following aliases."""
        records = self.names.get(name.lower().rstrip("."), [])
        texts = [text for one, text in records if one == kind]
        return texts, bool(records), not texts and any(one == "TIMEOUT" for one, _ in records)


def quoted(text):
    """The strings of a TXT record in a zone file."""
    octets = text.encode("latin-1" if all(ord(c) < 256 for c in text) else "utf-8")
    parts = [octets[i:i + 255] for i in range(0, len(octets), 255)] or [b""]
    return " ".join('"' + "".join(f"\\{c:03d}" if c < 32 or c > 126 or c in b'"\\' else chr(c) for c in part) + '"' for part in parts)


def respond(table, query):
    response = dns.message.make_response(query)
    response.flags |= dns.flags.AA | dns.flags.RA
    question = query.question[0]
    kind, name = dns.rdatatype.to_text(question.rdtype), question.name
    exists = False
    for _ in range(CHAIN_MAX):
        text = b".".join(name.labels).decode("latin-1")
        texts, is_there, is_silent = table.find(text, kind)
        exists = exists or is_there
        if is_silent:
            response.set_rcode(dns.rcode.SERVFAIL)
            return response
        alias = table.find(text, "CNAME")[0] if kind != "CNAME" else []
        shown_kind = "CNAME" if alias else kind
        for one in alias[:1] or texts:
            shown = quoted(one) if shown_kind == "TXT" else one if shown_kind in ("A", "AAAA") else one.rstrip(".") + "."
            rrset = dns.rrset.from_text(name, 60, "IN", shown_kind, shown)
            found = response.find_rrset(response.answer, name, rrset.rdclass, rrset.rdtype, create=True)
            found.update(rrset)
        if not alias:
            break
        name = dns.name.from_text(alias[0].rstrip(".") + ".")
    if not response.answer:
        response.authority.append(dns.rrset.from_text(".", 60, "IN", "SOA", ". . 1 60 60 60 60"))
        if not exists:
            response.set_rcode(dns.rcode.NXDOMAIN)
    return response


class Server:
    """On loopback, UDP and TCP; `table` is what it answers from."""

    def __init__(self):
        self.table = Table()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.tcp = socket.socket()
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for _ in range(100):
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.udp.bind(("127.0.0.1", 0))
            with contextlib.suppress(OSError):
                self.tcp.bind(self.udp.getsockname())
                break
        self.address = "127.0.0.1:%d" % self.udp.getsockname()[1]
        self.tcp.listen(20)
        for body in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=body, daemon=True).start()

    def answer(self, octets, limit):
        query = dns.message.from_wire(octets)
        response = respond(self.table, query)
        wire = response.to_wire(max_size=65535)
        if len(wire) > limit:
            response.answer.clear()
            response.flags |= dns.flags.TC
            wire = response.to_wire(max_size=65535)
        return wire

    def serve_udp(self):
        with contextlib.suppress(OSError):
            while True:
                octets, peer = self.udp.recvfrom(4096)
                if octets == b"stop":
                    return
                self.udp.sendto(self.answer(octets, 1200), peer)

    def serve_tcp(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.tcp.accept()
                threading.Thread(target=self.serve_connection, args=(connection,), daemon=True).start()

    def serve_connection(self, connection):
        with connection, connection.makefile("rb") as incoming:
            while len(head := incoming.read(2)) == 2:
                wire = self.answer(incoming.read(struct.unpack(">H", head)[0]), 65535)
                connection.sendall(struct.pack(">H", len(wire)) + wire)

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.sendto(b"stop", self.udp.getsockname())
        self.udp.close()
        self.tcp.close()
