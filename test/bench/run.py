#!/usr/bin/env python3
"""Measures a release build and says how it stands beside its targets.

    run.py [--quick] [--only PART[,PART...]]

Parts: store, loop, message, dkim, start, memory, accounts, connections, deliver, logins.
VEREDUS is the program, BENCH_BIN the folder of the load generators, BENCH_JSON
the file that gets everything measured. Nothing here decides a test: a missed
target is printed and the exit status stays 0; it is 1 when something could not
be measured. --quick is for trying it out: fewer of everything, under a minute.

Memory is the proportional set size of the whole process tree, which only root
may read for processes that are not dumpable.
"""
import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VEREDUS = os.environ.get("VEREDUS", os.path.join(ROOT, "build/veredus"))
BENCH_BIN = os.environ.get("BENCH_BIN", os.path.join(ROOT, "build/release/test"))
BENCH_JSON = os.environ.get("BENCH_JSON", os.path.join(ROOT, "build/bench.json"))

START_S = 60.0          # a server that is not ready by then has failed
STOP_S = 15.0           # the promise of localserve: it ends within this time of SIGTERM
SERVICES = {"smtp": 25, "submission": 587, "submissions": 465, "imap": 143, "imaps": 993, "managesieve": 4190, "http": 80, "https": 443}
# Turns of these are a role's start and end: they make and close databases and keys, and nobody is served yet or any more.
LIFE = {"role_configure", "ready", "seed_account", "supervisor.slot", "serve", "supervisor", "directory", "resolver", "queue", "courier",
        "postmaster", "edge", "web", "mailbox"}
OFFSETS = (10000, 27000)  # sums stay below the ephemeral ports (32768 on)
PASSWORD = "veredus"
MESSAGE = 10240


class CannotMeasure(Exception):
    pass


class Plan:
    """How much of everything, full and quick."""

    def __init__(self, quick):
        self.quick = quick
        self.starts = 3 if quick else 7
        self.sessions = 100 if quick else 1000
        self.accounts = 50 if quick else 1000
        self.connections = 1000 if quick else 10000
        self.deliver_runs = 1 if quick else 3
        self.deliver_seconds = 2 if quick else 8
        self.store_messages = 300 if quick else 3000
        self.store_runs = 1 if quick else 3
        self.store_seconds = 5 if quick else 20
        self.logins = 100 if quick else 1000
        self.login_runs = 1 if quick else 3
        self.quiet_s = 8 if quick else 15  # after that long a mailbox that idles has given back what it can
        self.loop_steps = 20000 if quick else 200000
        self.message_rounds = 3 if quick else 9
        self.message_ms = 100 if quick else 500


# ---- what is measured is kept here ----

class Results:
    def __init__(self):
        self.rows, self.raw, self.turns, self.failures = [], [], {}, []

    def add(self, name, values, unit, target=None, limit=None, exactly=None, least=None):
        """values: of several runs; the median is judged."""
        values = values if isinstance(values, list) else [values]
        value = statistics.median(values)
        verdict = ""
        if exactly is not None:
            verdict = "OK" if abs(value - exactly) < 0.0005 else "FAIL"
        elif limit is not None:
            verdict = "OK" if value < limit else "FAIL"
        elif least is not None:
            verdict = "OK" if value >= least else "FAIL"
        self.rows.append({"name": name, "value": value, "unit": unit, "values": values, "target": target or "", "verdict": verdict})
        self.print_row(self.rows[-1])

    @staticmethod
    def print_row(row):
        spread = f"{number(min(row['values']))} .. {number(max(row['values']))}" if len(row["values"]) > 1 else ""
        print(f"{row['name']:<58} {number(row['value']):>10} {row['unit']:<9} {spread:<24} {row['target']:<16} {row['verdict']}", flush=True)

    def fail(self, what, why):
        self.failures.append({"what": what, "why": str(why)})
        print(f"{what}: could not be measured: {why}", flush=True)


def number(value):
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


# ---- the server under measurement ----

def is_free(port):
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((host, port))
            except OSError as e:
                if e.errno != 99 and e.errno != 97:  # no IPv6 here is no conflict
                    return False
    return True


def free_offset():
    for _ in range(200):
        offset = random.randrange(*OFFSETS)
        if all(is_free(port + offset) for port in SERVICES.values()):
            return offset
    raise CannotMeasure("no port offset is free")


def processes():
    """pid -> parent's pid of all that live."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as f:
                    parents[int(name)] = int(f.read().rpartition(")")[2].split()[1])
    return parents


def tree(root):
    parents, found, grows = processes(), {root}, True
    while grows:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grows = bool(more)
    return found


def pss_kb(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
            for line in f:
                if line.startswith("Pss:"):
                    return int(line.split()[1])
    except PermissionError as e:
        raise CannotMeasure("only root may read the memory of processes that are not dumpable") from e
    except OSError:
        pass  # ended meanwhile
    return 0


def title(pid):
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().split(b"\0")[0].decode("utf-8", "replace").strip()
    return "?"


class Server:
    def __init__(self, results, directory, arguments=()):
        self.results = results
        self.offset = free_offset()
        self.log = tempfile.TemporaryFile(mode="w+b")
        command = [VEREDUS, "localserve", "--dir", directory, "--port-offset", str(self.offset), *arguments]
        begin = time.monotonic()
        self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log)
        watchdog = START_S + 0.05 * len(arguments)
        if not self.wait_ready(begin + watchdog):
            why = self.last_words()
            self.stop()
            raise CannotMeasure(f"localserve was not ready after {watchdog:.0f} s: {why}")
        self.ready_ms = (time.monotonic() - begin) * 1000

    def wait_ready(self, until):
        os.set_blocking(self.child.stdout.fileno(), False)
        text = b""
        while time.monotonic() < until:
            got = self.child.stdout.read()
            if got:
                text += got
                if re.search(rb"^ready$", text, re.M):
                    os.set_blocking(self.child.stdout.fileno(), True)
                    return True
            elif self.child.poll() is not None:
                return False
            time.sleep(0.001)
        return False

    def port(self, service):
        return SERVICES[service] + self.offset

    def last_words(self):
        self.log.seek(0)
        return self.log.read()[-500:].decode("utf-8", "replace").replace("\n", " | ")

    def pss_kb(self):
        return sum(pss_kb(pid) for pid in tree(self.child.pid))

    def settled_pss_kb(self, rest_s=2.0, patience_s=8.0):
        """Stacks give their pages back after a second: waits until it falls no more."""
        until, last = time.monotonic() + rest_s + patience_s, self.pss_kb()
        time.sleep(rest_s)
        while True:
            now = self.pss_kb()
            if abs(now - last) <= max(64, last // 500) or time.monotonic() > until:
                return now
            last = now
            time.sleep(1.0)

    def pss_by_role(self):
        roles = {}
        for pid in tree(self.child.pid):
            name = title(pid).replace("veredus: ", "").split(" ")
            name = "mailbox template" if name[:2] == ["mailbox", "template"] else name[0]
            entry = roles.setdefault(name, {"processes": 0, "pss_kb": 0})
            entry["processes"] += 1
            entry["pss_kb"] += pss_kb(pid)
        return roles

    def stop(self):
        if self.child.poll() is None:
            members = tree(self.child.pid)
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.results.fail("stop", f"localserve did not end within {STOP_S:.0f} s of SIGTERM")
                for pid in members:
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGKILL)
                self.child.wait()
        self.child.stdout.close()
        self.note_turns()
        self.log.close()

    def note_turns(self):
        """The longest turn of each role's loop: said at its end (loop.longest), or when one was slow (loop.slow)."""
        self.log.seek(0)
        for raw in self.log:
            line = raw.decode("utf-8", "replace")
            match = re.search(r" loop\.(?:slow|longest) .*\bus=(\d+)", line)
            if match:
                role = re.search(r" role=(\S+)", line)
                what = re.search(r' co=("[^"]*"|\S+)', line)
                place = re.search(r' place=("[^"]*"|\S+)', line)
                name = role.group(1) if role else "supervisor"
                coroutine = what.group(1).strip('"') if what else "?"
                when = "start and end" if coroutine in LIFE else "serving"
                known = self.results.turns.setdefault(f"{name}, {when}", {"us": 0, "in": "", "slow_turns": 0})
                known["slow_turns"] += " loop.slow " in line
                if int(match.group(1)) > known["us"]:
                    known["us"] = int(match.group(1))
                    known["in"] = coroutine + (f" {place.group(1)}" if place and place.group(1) != "-" else "")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


# ---- the generators ----

def generator(name):
    path = os.path.join(BENCH_BIN, f"bench_{name}")
    if not os.access(path, os.X_OK):
        raise CannotMeasure(f"{path} is missing: build the target bench")
    return path


def run_generator(results, name, *arguments, timeout=300):
    command = [generator(name), *map(str, arguments)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    results.raw += rows
    if not rows:
        raise CannotMeasure(f"bench_{name} said nothing: {done.stderr.strip()[-300:]}")
    return rows


@contextlib.contextmanager
def held(results, *arguments, timeout=300):
    """bench_imap holding its connections; gives its first line."""
    child = subprocess.Popen([generator("imap"), *map(str, arguments), "--seconds", str(timeout)], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
    try:
        line = child.stdout.readline()
        if not line:
            raise CannotMeasure("bench_imap said nothing")
        row = json.loads(line)
        results.raw.append(row)
        yield row
    finally:
        child.stdin.close()
        for line in child.stdout:
            end = json.loads(line)
            results.raw.append(end)
            if end["lost"]:
                results.fail("held connections", f"{end['lost']} were lost: {end['first_error']}")
        child.stdout.close()
        child.wait()


def need_all(row, wanted):
    if row["held"] < wanted:
        raise CannotMeasure(f"only {row['held']} of {wanted} connections are held: {row['first_error']}")


# ---- the parts ----

def part_store(results, plan, room):
    one, many, one_rate, many_rate, appends = [], [], [], [], []
    for _ in range(plan.store_runs):
        directory = tempfile.mkdtemp(dir=room)
        rows = run_generator(results, "store", "--dir", directory, "--messages", plan.store_messages, "--appends",
                             plan.store_messages // 3, "--seconds", plan.store_seconds)
        shutil.rmtree(directory)
        for row in rows:
            if row["bench"] == "disk":
                appends.append(row["synced_appends_per_second"])
            elif row["at_a_time"] == 1:
                one.append(row["syncs_per_message"])
                one_rate.append(row["deliveries_per_second"])
            else:
                many.append(row["syncs_per_message"])
                many_rate.append(row["deliveries_per_second"])
    results.add("store: fsyncs a 10 KB message, one at a time", one, "", "exactly 1.0", exactly=1.0)
    results.add("store: fsyncs a 10 KB message, 20 at a time", many, "", "under 0.3", limit=0.3)
    results.add("store: deliveries, one at a time", one_rate, "/s")
    results.add("store: deliveries, 20 at a time", many_rate, "/s")
    results.add("disk: synced 10 KB appends to a plain file", appends, "/s")


def part_loop(results, plan, _room):
    for row in run_generator(results, "loop", "--steps", plan.loop_steps):
        results.add(f"loop: {row['what']}, {row['at_a_time']} at a time", row["ns_per_step"], "ns")


def part_message(results, plan, _room):
    rows = run_generator(results, "message", "--rounds", plan.message_rounds, "--ms", plan.message_ms)
    rates = {}
    for row in rows:
        rates.setdefault(row["what"], {}).setdefault(row["reader"], []).append(row)
    least = {"large attachment": ("octets", 1000, "over 1000 MB/s"), "small": ("messages", 150000, "over 150000 /s"),
             "multipart": ("messages", None, None)}
    for what, readers in rates.items():
        counted, wanted, target = least[what]
        for reader, measured in readers.items():
            values = [row[f"{counted}_per_second"] / (1e6 if counted == "octets" else 1) for row in measured]
            is_ours = reader == "veredus"
            results.add(f"message: {what}, {reader}", values, "MB/s" if counted == "octets" else "/s", target if is_ours else None,
                        least=wanted if is_ours else None)
        if "GMime" in readers:
            # Each round measured both, one after the other.
            times = [ours["octets_per_second"] / theirs["octets_per_second"] for ours, theirs in zip(readers["veredus"], readers["GMime"])]
            results.add(f"message: {what}, times as fast as GMime", times, "", "at least 5", least=5)


def part_dkim(results, plan, room):
    """One signature of a 10 KB message; keys and DNS are at hand. Rounds of ours and of opendkim's library in turns."""
    directory = tempfile.mkdtemp(dir=room)
    rates, theirs = {}, os.path.join(BENCH_BIN, "bench_opendkim")
    for _ in range(plan.message_rounds):
        rows = run_generator(results, "dkim", "--dir", directory, "--ms", plan.message_ms)
        if os.access(theirs, os.X_OK):
            done = subprocess.run([theirs, directory, str(plan.message_ms)], capture_output=True, text=True, timeout=300, check=True)
            rows += [json.loads(line) for line in done.stdout.splitlines()]
        for row in rows:
            rates.setdefault((row["what"], row["reader"]), []).append(row["per_second"])
    for (what, reader), values in rates.items():
        results.add(f"dkim: {what}, {reader}", values, "/s")
    for what in ("verify rsa-sha256", "sign rsa-sha256"):
        if (what, "opendkim") in rates:
            times = [a / b for a, b in zip(rates[what, "veredus"], rates[what, "opendkim"])]
            results.add(f"dkim: {what}, times as fast as opendkim", times, "", "at least 1", least=1)
    shutil.rmtree(directory)


def part_spf(results, plan, _room):
    """Evaluations on one core; the zone is in memory, as a cached one is."""
    rates = {}
    for _ in range(plan.message_rounds):
        for row in run_generator(results, "spf", "--seconds", 1):
            rates.setdefault(f"{row['zone']}, {row['lookups']} lookups", []).append(row["per_second"])
    for what, values in rates.items():
        results.add(f"spf: {what}", values, "/s")


def part_start(results, plan, room):
    first, again = [], []
    for i in range(plan.starts):
        directory = os.path.join(room, f"start-{i}")
        for values in (first, again):
            with Server(results, directory) as server:
                values.append(server.ready_ms)
    results.add("localserve: start to ready, new directory", first, "ms", "under 300 ms", limit=300)
    results.add("localserve: start to ready, second start", again, "ms", "under 300 ms", limit=300)


def weigh(results, server, name, wanted, arguments, limit_kb=None, quiet_s=2.0):
    before = server.settled_pss_kb()
    with held(results, *arguments, "--connections", wanted) as row:
        need_all(row, wanted)
        after = server.settled_pss_kb(quiet_s)
        results.raw.append({"bench": "memory", "what": name, "before_kb": before, "after_kb": after, "roles": server.pss_by_role()})
        target = f"under {limit_kb} KB" if limit_kb else None
        results.add(f"{name}: memory each", (after - before) / wanted, "KB", target, limit=limit_kb)
    if row["login_us"]["n"]:
        results.add(f"{name}: login, median", row["login_us"]["p50"] / 1000, "ms")
        results.add(f"{name}: login, 99 of 100 within", row["login_us"]["p99"] / 1000, "ms")


def part_memory(results, plan, room):
    with Server(results, os.path.join(room, "memory")) as server:
        idle = server.settled_pss_kb()
        results.raw.append({"bench": "memory", "what": "idle", "roles": server.pss_by_role()})
        results.add("localserve: all roles idle", idle / 1024, "MB", "under 25 MB", limit=25)
        weigh(results, server, f"{plan.sessions} idle IMAPS sessions of one account", plan.sessions, ["--port", server.port("imaps")], 100,
              plan.quiet_s)


def part_accounts(results, plan, room):
    seeds = []
    for i in range(plan.accounts):
        seeds += ["--account", f"u{i}@bench.test:{PASSWORD}"]
    directory = os.path.join(room, "accounts")
    with Server(results, directory, seeds) as server:
        results.add(f"localserve: start to ready, making {plan.accounts} accounts", server.ready_ms, "ms")
        weigh(results, server, f"{plan.accounts} idle IMAPS sessions of different accounts", plan.accounts,
              ["--port", server.port("imaps"), "--user", "u%@bench.test", "--users", plan.accounts, "--window", 8], 400,
              plan.quiet_s)


def part_connections(results, plan, room):
    for service in ("imap", "smtp"):
        with Server(results, os.path.join(room, f"connections-{service}")) as server:
            weigh(results, server, f"{plan.connections} plain {service.upper()} connections before login", plan.connections,
                  ["--port", server.port(service), "--plain", "--no-login", "--window", 100])


def part_deliver(results, plan, room):
    appends = []

    def append():
        directory = tempfile.mkdtemp(dir=room)
        row = run_generator(results, "store", "--dir", directory, "--appends-only", "--appends", plan.store_messages // 3,
                            "--seconds", plan.store_seconds)[0]
        appends.append(row["synced_appends_per_second"])
        shutil.rmtree(directory)

    # At the watchdog's level each role also says its longest turn when it ends.
    with Server(results, os.path.join(room, "deliver"), ["--log-level", "debug"]) as server:
        for sessions in (1, 20):
            rates, medians, slowest = [], [], []
            for _ in range(plan.deliver_runs):
                append()
                row = run_generator(results, "smtp", "--port", server.port("smtp"), "--sessions", sessions, "--messages", 1000000,
                                    "--size", MESSAGE, "--seconds", plan.deliver_seconds)[0]
                if row["errors"] or not row["accepted"]:
                    raise CannotMeasure(f"{row['errors']} errors, {row['accepted']} accepted: {row['first_error']}")
                rates.append(row["messages_per_second"])
                medians.append(row["message_us"]["p50"] / 1000)
                slowest.append(row["message_us"]["p99"] / 1000)
            results.add(f"SMTP: deliveries of 10 KB, {sessions} sessions", rates, "/s")
            results.add(f"SMTP: a message, {sessions} sessions, median", medians, "ms")
            results.add(f"SMTP: a message, {sessions} sessions, 99 of 100 within", slowest, "ms")
    results.add("disk: synced 10 KB appends to a plain file, meanwhile", appends, "/s")


def part_logins(results, plan, room):
    with Server(results, os.path.join(room, "logins")) as server:
        rates, medians = [], []
        for _ in range(plan.login_runs):
            row = run_generator(results, "imap", "--port", server.port("imaps"), "--connections", plan.logins, "--logins-only")[0]
            need_all(row, plan.logins)
            rates.append(row["per_second"])
            medians.append(row["whole_us"]["p50"] / 1000)
        results.add("IMAPS: connect, TLS, login and logout", rates, "/s")
        results.add("IMAPS: connect to logged in, 16 at a time, median", medians, "ms")


PARTS = {"store": part_store, "loop": part_loop, "message": part_message, "dkim": part_dkim, "spf": part_spf, "start": part_start, "memory": part_memory,
         "accounts": part_accounts, "connections": part_connections, "deliver": part_deliver, "logins": part_logins}


def machine():
    model = ""
    with contextlib.suppress(OSError):
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as f:
            model = next((line.partition(":")[2].strip() for line in f if line.startswith("model name")), "")
    return {"cpus": os.cpu_count(), "model": model, "kernel": os.uname().release, "load": os.getloadavg()}


def report_turns(results):
    """The loops' watchdog says each turn over its limit; a role that said no such thing while it served had none."""
    roles = {name.partition(",")[0] for name in results.turns}
    for role in sorted(roles):
        life, serving = results.turns.get(f"{role}, start and end"), results.turns.get(f"{role}, serving")
        if life:
            results.add(f"longest turn at start and end, {role} ({life['in']})", life["us"] / 1000, "ms")
        if serving:
            results.add(f"longest turn while serving, {role} ({serving['in']})", serving["us"] / 1000, "ms", "under 20 ms", limit=20)
        else:
            results.add(f"turns over 20 ms while serving, {role}", 0, "", "none", limit=1)


def write_json(results, plan, began):
    directory = os.path.dirname(BENCH_JSON)
    if directory:
        os.makedirs(directory, exist_ok=True)
    with open(BENCH_JSON, "w", encoding="utf-8") as f:
        json.dump({"when": began, "quick": plan.quick, "machine": machine(), "results": results.rows, "longest_turns": results.turns,
                   "failures": results.failures, "raw": results.raw}, f, indent=1)
        f.write("\n")


def main():
    parser = argparse.ArgumentParser(description="Measures a release build.")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default=",".join(PARTS), metavar="PART[,PART...]", help=", ".join(PARTS))
    options = parser.parse_args()
    chosen = options.only.split(",")
    unknown = [name for name in chosen if name not in PARTS]
    if unknown:
        parser.error(f"no such part: {unknown[0]}; there are {', '.join(PARTS)}")
    if not os.access(VEREDUS, os.X_OK):
        sys.exit(f"{VEREDUS} is missing: run ./dev bench, or set VEREDUS to the program")
    plan, results = Plan(options.quick), Results()
    began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} processors, load {load:.1f}" + ("" if load < 0.5 else ": others work here too, times are longer than they need be"))
    room = tempfile.mkdtemp(prefix="veredus-bench-", dir=os.environ.get("BENCH_DIR"))
    os.chmod(room, 0o711)  # roles with users of their own pass through
    try:
        for name in chosen:
            try:
                PARTS[name](results, plan, room)
            except (CannotMeasure, subprocess.TimeoutExpired, ValueError, KeyError) as e:
                results.fail(name, e)
    finally:
        report_turns(results)
        write_json(results, plan, began)
        shutil.rmtree(room, ignore_errors=True)
    missed = sum(row["verdict"] == "FAIL" for row in results.rows)
    judged = sum(bool(row["verdict"]) for row in results.rows)
    print(f"{judged - missed} of {judged} targets met, {len(results.failures)} parts could not be measured; all of it is in {BENCH_JSON}")
    return 1 if results.failures else 0


if __name__ == "__main__":
    sys.exit(main())
