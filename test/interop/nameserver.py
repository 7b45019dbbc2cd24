"""A name server (nsd) on loopback, with zones of the test's own, signed (ldns-signzone) or not."""

import contextlib
import socket
import subprocess

from house import needs, until


def free_port():
    """Free for UDP and for TCP."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            udp.bind(("127.0.0.1", 0))
            with contextlib.suppress(OSError):
                tcp.bind(udp.getsockname())
                return udp.getsockname()[1]


def configure(folder, addresses, zones):
    """Writes what `nsd -c` takes, and the zones."""
    parts = ["server:\n" + "".join(f"    ip-address: {address}\n" for address in addresses) + f"""    do-ip6: {"yes" if "::" in "".join(addresses) else "no"}
    username: ""
    chroot: ""
    zonesdir: "{folder}"
    database: ""
    pidfile: ""
    xfrdfile: ""
    zonelistfile: "{folder}/zone.list"
    server-count: 1
remote-control:
    control-enable: no
"""]
    for name, text in zones.items():
        file = f"{name.strip('.') or 'root'}.zone"
        (folder / file).write_text(text)
        parts.append(f"zone:\n    name: {name}\n    zonefile: {file}\n")
    (folder / "nsd.conf").write_text("".join(parts))


def start_nsd(folder, port, zones):
    """nsd on that port, once it answers; None when another program was faster."""
    configure(folder, [f"127.0.0.1@{port}"], zones)
    with open(folder / "nsd.log", "wb") as log:
        server = subprocess.Popen([needs("nsd"), "-d", "-c", str(folder / "nsd.conf")], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    labels = next(iter(zones)).encode().split(b".")
    question = b"".join(bytes([len(label)]) + label for label in labels) + b"\0\0\x06\0\x01"

    def answers():
        if server.poll() is not None:
            return True
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.settimeout(0.2)
            with contextlib.suppress(OSError):
                udp.sendto(b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0" + question, ("127.0.0.1", port))
                return len(udp.recv(512)) > 40
        return False

    until(answers, "nsd's answer")
    if server.poll() is None:
        return server
    log = (folder / "nsd.log").read_text()
    assert "Address already in use" in log, "nsd ended:\n" + log
    return None


@contextlib.contextmanager
def served(folder, zones):
    """Serves {name: zone file} and gives "127.0.0.1:PORT"."""
    server = None
    for _ in range(10):
        port = free_port()
        server = start_nsd(folder, port, zones)
        if server:
            break
    assert server, "no free port for nsd"
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=30)


def sign(folder, name, text, *options):
    """The zone signed with a new key, and the DS record of that key."""
    made = subprocess.run([needs("ldns-keygen"), "-r", "/dev/urandom", "-a", "ECDSAP256SHA256", "-k", name], cwd=folder, check=True, capture_output=True, text=True)
    key = made.stdout.strip()
    file = name.strip(".") or "root"
    (folder / f"{file}.plain").write_text(text)
    subprocess.run([needs("ldns-signzone"), *options, "-o", name, "-f", f"{file}.signed", f"{file}.plain", key], cwd=folder, check=True, capture_output=True)
    return (folder / f"{file}.signed").read_text(), (folder / f"{key}.ds").read_text()
