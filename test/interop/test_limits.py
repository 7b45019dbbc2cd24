"""Resources that run out while the server runs: 4xx or NO, never a loss, and well again when the cause is gone."""

import collections
import os
import resource
import smtplib
import subprocess

import pytest

from house import USER, Ports, Wire, deliver, ids_in, message, program, until

KIB, MIB = 1 << 10, 1 << 20


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, 48 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m,mode=0755", "veredus-test", place], stderr=subprocess.PIPE)
    if done.returncode != 0:
        pytest.skip("mounting is not allowed here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


class Ballast:
    """A file that takes the room away."""

    def __init__(self, place):
        self.path = place / "ballast"
        self.place = place

    def leave(self, octets):
        free = os.statvfs(self.place)
        with open(self.path, "ab") as file:
            rest = free.f_bavail * free.f_bsize - octets
            while rest > 0:
                piece = min(rest, MIB)
                try:
                    file.write(b"\0" * piece)
                    file.flush()
                except OSError:
                    break
                rest -= piece

    def remove(self):
        self.path.unlink(missing_ok=True)


FULL = (r" warn ", r" error .*err=(full|io|again)")


def try_to_deliver(house, number, size, codes):
    """Returns whether a 250 was said; anything else must be a 4xx."""
    raw = message(number, body=("0123456789" * 7 + "\r\n") * (size // 72))
    try:
        with house.smtp() as client:
            client.sendmail("sender@example.org", [USER], raw)
        return True
    except smtplib.SMTPRecipientsRefused as refused:
        code = refused.recipients[USER][0]
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as refused:
        code = refused.smtp_code
    assert 400 <= code < 500, code
    codes[code] += 1
    return False


@pytest.mark.parametrize("size", [2 * KIB, 100 * KIB, 600 * KIB])
def test_full_disk(make_house, small_disk, size):
    house = make_house(directory=small_disk / "data").start()
    house.expect(*FULL)
    session = house.imap()
    session.select("INBOX")
    deliver(house, message("before"))
    ballast = Ballast(small_disk)
    ballast.leave(3 * size + 300 * KIB)
    acknowledged, codes = {"before@test.example"}, collections.Counter()
    refusals = number = 0
    while refusals < 5:
        if number == 20:
            ballast.leave(0)
        assert number < 3000, "the disk never became full"
        if try_to_deliver(house, f"full-{number}", size, codes):
            acknowledged.add(f"full-{number}@test.example")
        else:
            refusals += 1
        number += 1
    ballast.leave(0)
    # IMAP says NO, and the session lives on and still reads.
    kind, text = session.append("INBOX", None, None, message("appended", body="x" * size + "\r\n"))
    if kind == "OK":
        acknowledged.add("appended@test.example")
    kinds = {session.append("INBOX", None, None, message(f"appended-{n}", body="y" * (size + 20000)))[0] for n in range(3)}
    assert kinds == {"NO"}
    assert session.noop()[0] == "OK"
    kind, data = session.uid("FETCH", "1", "(BODY.PEEK[])")
    assert kind == "OK" and b"<before@test.example>" in data[0][1]
    # It needs no help when there is room again.
    ballast.remove()

    def is_well():
        return try_to_deliver(house, "after", size, codes)
    until(is_well, "mail is taken again when there is room")
    acknowledged.add("after@test.example")
    assert session.append("INBOX", None, None, message("appended-after"))[0] == "OK"
    acknowledged.add("appended-after@test.example")
    session.logout()
    for _ in range(2):
        until(lambda: acknowledged <= set(ids_in(house)), "everything with a 250 is there")
        found = collections.Counter(ids_in(house))
        assert set(found) == acknowledged, (set(found) - acknowledged, acknowledged - set(found))
        assert max(found.values()) == 1
        house.restart()


def test_restart_on_a_full_disk(make_house, small_disk):
    """It may refuse to start, with a reason, or start and refuse mail; it must not harm what is there."""
    house = make_house(directory=small_disk / "data").start()
    house.expect(*FULL, r"^veredus: ", r" error ")
    deliver(house, message("kept"))
    house.stop()
    ballast = Ballast(small_disk)
    ballast.leave(0)
    done = subprocess.Popen([program(), "localserve", "--dir", house.directory, "--port-offset", str(Ports.free().offset)],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    first = done.stdout.readline()
    done.terminate()
    _, complaint = done.communicate(timeout=60)
    assert first or complaint.strip(), "it neither started nor said why not"
    ballast.remove()
    house.start()
    assert ids_in(house) == ["kept@test.example"]


def test_read_only_disk(small_disk):
    data = small_disk / "data"
    data.mkdir()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    done = subprocess.run([program(), "localserve", "--dir", data, "--port-offset", str(Ports.free().offset)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 1 and len(lines) == 1, done
    assert str(data) in lines[0] and "Read-only" in lines[0] and "--dir" in lines[0], lines


def test_out_of_descriptors(make_house):
    """More connections than descriptors: those that are in work on, the rest wait or are sent away; then all is well."""
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))
    house = make_house(preexec=few).start()
    house.expect(r" warn accept\.", r" warn .*err=(full|limit|again)", r" warn connection\.refused")
    first = house.wire("smtp")
    assert first.reply().startswith(b"220")
    crowd = []
    for _ in range(900):
        connection = Wire(house.ports.smtp)
        connection.socket.setblocking(False)
        crowd.append(connection)
    assert first.smtp(b"EHLO client.example").startswith(b"250")
    assert first.smtp(b"NOOP").startswith(b"250")
    for connection in crowd:
        connection.close()
    first.close()

    def is_well():
        try:
            deliver(house, message("after-the-crowd"))
            return True
        except (OSError, smtplib.SMTPException):
            return False
    until(is_well, "mail is taken again")
    assert "after-the-crowd@test.example" in ids_in(house)
