"""README's tour, and the everyday programs: swaks, curl, msmtp, neomutt."""

import email
import shlex
import subprocess

from house import PASSWORD, USER, deliver, fetch_all, ids_in, message, needs, run, until


def read_with_curl(house, path, *options):
    return run([needs("curl"), "-sS", "-k", "--max-time", "60", "-u", f"{USER}:{PASSWORD}", *options,
                f"imaps://127.0.0.1:{house.ports.imaps}/{path}"])


def test_swaks_delivers_and_curl_reads(house):
    out = run([needs("swaks"), "--server", f"127.0.0.1:{house.ports.smtp}", "--from", "friend@example.org", "--to", USER,
               "--h-Subject", "The tour", "--body", "Hello from swaks."])
    raw = read_with_curl(house, "INBOX;MAILINDEX=1")
    parsed = email.message_from_bytes(raw)
    assert parsed["Subject"] == "The tour"
    assert parsed["Return-Path"] == "<friend@example.org>"
    assert "Hello from swaks." in parsed.get_payload()


def test_swaks_over_starttls(house):
    out = run([needs("swaks"), "--server", f"127.0.0.1:{house.ports.smtp}", "--tls", "--from", "friend@example.org",
               "--to", USER, "--h-Subject", "Over TLS"])
    assert b"TLS started with cipher" in out
    raw = read_with_curl(house, "INBOX;MAILINDEX=1")
    received = email.message_from_bytes(raw)["Received"]
    assert "ESMTPS" in received, received


def test_swaks_submits_with_a_password(house):
    for port, tls in ((house.ports.submission, "--tls"), (house.ports.submissions, "--tls-on-connect")):
        out = run([needs("swaks"), "--server", f"127.0.0.1:{port}", tls, "--auth", "PLAIN", "--auth-user", USER,
                   "--auth-password", PASSWORD, "--from", USER, "--to", USER, "--h-Subject", f"By {tls}"])
        assert b" 235 " in out
    client = house.imap()
    assert len(fetch_all(client)) == 2
    client.logout()


def test_swaks_is_refused_without_a_password(house):
    done = subprocess.run([needs("swaks"), "--server", f"127.0.0.1:{house.ports.submission}", "--tls", "--from", USER,
                           "--to", USER], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=120)
    assert done.returncode != 0
    assert b" 530 " in done.stdout
    assert ids_in(house) == []


def test_curl_sends(house, tmp_path):
    file = tmp_path / "message.eml"
    file.write_bytes(message("curl-1"))
    run([needs("curl"), "-sS", "--max-time", "60", f"smtp://127.0.0.1:{house.ports.smtp}/client.example", "--mail-from",
         "sender@example.org", "--mail-rcpt", USER, "--upload-file", str(file)])
    file.write_bytes(message("curl-2"))
    run([needs("curl"), "-sS", "-k", "--max-time", "60", f"smtps://127.0.0.1:{house.ports.submissions}/client.example",
         "-u", f"{USER}:{PASSWORD}", "--mail-from", USER, "--mail-rcpt", USER, "--upload-file", str(file)])
    assert ids_in(house) == ["curl-1@test.example", "curl-2@test.example"]


def test_curl_uses_imap(house, tmp_path):
    file = tmp_path / "message.eml"
    file.write_bytes(message("appended"))
    read_with_curl(house, "Drafts", "--upload-file", str(file))
    assert read_with_curl(house, "Drafts;MAILINDEX=1") == message("appended")
    folders = read_with_curl(house, "").decode()
    for name in ("INBOX", "Drafts", "Sent", "Archive", "Junk", "Trash"):
        assert f'"/" {name}' in folders.replace('"' + name + '"', name), folders
    assert b"* SEARCH 1" in read_with_curl(house, "Drafts?SUBJECT%20appended")
    read_with_curl(house, "Drafts", "-X", "STORE 1 +FLAGS (\\Flagged)")
    client = house.imap()
    assert fetch_all(client, "Drafts") == {1: ("appended@test.example", {"\\Flagged", "\\Seen"})}
    client.logout()


def test_msmtp_submits(house):
    for port, starttls in ((house.ports.submissions, "off"), (house.ports.submission, "on")):
        run([needs("msmtp"), "--file=/dev/null", "--host=127.0.0.1", f"--port={port}", "--tls=on",
             f"--tls-starttls={starttls}", "--tls-certcheck=off", "--auth=plain", f"--user={USER}",
             f"--passwordeval=echo {PASSWORD}", f"--from={USER}", USER],
            input=message(f"msmtp-{port}").replace(b"\r\n", b"\n"))
    assert ids_in(house) == sorted(f"msmtp-{p}@test.example" for p in (house.ports.submissions, house.ports.submission))


def neomutt(house, home, *arguments, body=None):
    """Its commands come from the arguments; without a body to send it also gets the terminal it wants."""
    rc = home / "muttrc"
    rc.write_text(f"""
set imap_user = "{USER}"
set imap_pass = "{PASSWORD}"
set folder = "imaps://127.0.0.1:{house.ports.imaps}/"
set spoolfile = "+INBOX"
set record = "+Sent"
set ssl_starttls = no
set ssl_verify_host = no
set ssl_verify_dates = no
set certificate_file = "{home}/certificates"
set header_cache = ""
set message_cachedir = ""
set confirmappend = no
set confirmcreate = no
set delete = yes
set move = no
set mark_old = no
set wait_key = no
set from = "{USER}"
set realname = "The User"
set smtp_url = "smtps://{USER}@127.0.0.1:{house.ports.submissions}/"
set smtp_pass = "{PASSWORD}"
set smtp_authenticators = "plain"
""")
    # It asks about the self-signed certificate unless it has seen it before.
    with open(home / "certificates", "wb") as file:
        certificate = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{house.ports.imaps}"],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                     timeout=60).stdout
        begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
        file.write(certificate[certificate.index(begin):certificate.index(end) + len(end)] + b"\n")
    environment = {"HOME": str(home), "TERM": "xterm", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    command = [needs("neomutt"), "-n", "-F", str(rc), *arguments]
    if body is not None:
        return run(command, env=environment, timeout=120, input=body)
    return run([needs("script"), "-qefc", shlex.join(command), "/dev/null"], env=environment, timeout=120)


def test_neomutt_saves_flags_and_deletes(house, tmp_path):
    for number in range(3):
        deliver(house, message(f"mutt-{number}"))
    neomutt(house, tmp_path, "-e",
            'push "<tag-pattern>~s mutt-1<enter><tag-prefix><save-message><kill-line>=Archive<enter><untag-pattern>~A<enter>'
            '<sync-mailbox><tag-pattern>~A<enter><tag-prefix><flag-message><sync-mailbox><exit>"')
    assert ids_in(house) == ["mutt-0@test.example", "mutt-2@test.example"]
    assert ids_in(house, "Archive") == ["mutt-1@test.example"]
    client = house.imap()
    assert all("\\Flagged" in flags for _, flags in fetch_all(client).values())
    client.logout()


def test_neomutt_sends_in_batch_mode(house, tmp_path):
    neomutt(house, tmp_path, "-s", "Sent by neomutt", USER, body="Grüße.\n".encode())
    client = house.imap()
    client.select("INBOX")
    _, data = client.fetch("1", "(BODY[])")
    parsed = email.message_from_bytes(data[0][1])
    assert parsed["Subject"] == "Sent by neomutt"
    assert "Grüße." in parsed.get_payload(decode=True).decode(parsed.get_content_charset())
    client.logout()


def test_second_start_goes_on_with_what_is_there(house):
    deliver(house, message("kept"))
    house.restart()
    assert ids_in(house) == ["kept@test.example"]


def test_every_address_is_told_and_answers(house):
    text = "\n".join(house.output)
    for name, port in house.ports.SERVICES.items():
        assert f"127.0.0.1:{port + house.ports.offset}" in text, name
    assert USER in text and PASSWORD in text
    for service, greeting in (("smtp", b"220 "), ("submission", b"220 "), ("imap", b"* OK ")):
        with house.wire(service, tls=False) as wire:
            assert wire.line().startswith(greeting)
    for service, greeting in (("submissions", b"220 "), ("imaps", b"* OK ")):
        with house.wire(service) as wire:
            assert wire.line().startswith(greeting)
    until(lambda: house.pids("edge"), "an edge")
