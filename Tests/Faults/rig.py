#!/usr/bin/env python3
"""Three mongods, two servers, clients and faults; then the checker. Started by scripts/faults."""

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "Acceptance"))

import checker  # noqa: E402
import network  # noqa: E402
from client import Client  # noqa: E402
from history import Recorder, load  # noqa: E402
from injector import Injector  # noqa: E402
from members import MEMBER_COUNT, ReplicaSet, wait  # noqa: E402
from server import Child, die_with_parent, find_mongod, free_port  # noqa: E402
from servers import Servers  # noqa: E402

SERVER_COUNT = 2
WRITER_PROCESSES = 3
WRITER_THREADS = 8
READY_SECONDS_MAX = 90
# A fault every so often: rare enough to recover from in a long run, several kinds in a short one.
PERIOD_SECONDS = (7, 15)
FAULTS_IN_A_SHORT_RUN = 8
# With w: 1, an acknowledged write is lost when the member that took it is cut off from the others.
LOSSES_AT_LEAST = 2
SHOWN_MAX = 5


def say(text):
    print(f"faults: {text}", flush=True)


class Rig:
    def __init__(self, arguments, mongod):
        self.arguments = arguments
        self.folder = Path(tempfile.mkdtemp(prefix="magasin-faults-"))
        self.children = []
        self.clients = []
        self.recorder = Recorder(self.folder / "rig.jsonl")
        self.is_kept = arguments.keep
        if arguments.without_partitions:
            self.no_partitions("scripts/faults could not make a network namespace")
            self.network = network.LoopbackNetwork(self.member_ports())
        else:
            self.network = network.make(self.member_ports(), self.start_child, self.no_partitions)
        self.members = ReplicaSet(mongod, self.folder, self.network, self.start_child)
        self.is_lossy = arguments.write_concern == "1"
        concern = "&w=1&journal=false" if self.is_lossy else ""
        self.uri = self.members.uri + concern
        # Who loses a race asks the majority and waits for it: with w: 1 nobody races.
        self.servers = Servers(
            1 if self.is_lossy else SERVER_COUNT, arguments.binary, self.uri, self.start_child)
        self.injector = Injector(
            self.members, self.servers, self.network, self.recorder, arguments.seed, say)
        self.baseline = 0

    @staticmethod
    def member_ports():
        return [free_port() for _ in range(MEMBER_COUNT)]

    @staticmethod
    def no_partitions(reason):
        say("*" * 72)
        say(f"NO PARTITIONS: this machine permits no network namespaces ({reason}).")
        say("The other faults are injected; nobody is cut off. This run proves less.")
        say("*" * 72)

    def start_child(self, name, *command):
        child = Child(name, command, self.folder / f"{name}.log")
        self.children.append(child)
        return child

    def magasin(self, *arguments, within=300):
        """Runs a command of the binary to its end; (exit code, what it printed)."""
        done = subprocess.run(
            [str(self.arguments.binary), *arguments, "--mongodb", self.members.uri],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=within, text=True, preexec_fn=die_with_parent)
        return done.returncode, done.stdout.strip()

    # The run

    def start(self):
        assert not self.is_lossy or self.network.can_partition, (
            "with w: 1 members have to be cut off from each other, and here that is not permitted")
        self.members.start()
        code, printed = self.magasin("demo")
        assert code == 0, f"magasin demo ended with {code}: {printed}"
        for index in range(self.servers.count):
            self.servers.start(index)
        self.servers.wait_for("/health/ready", READY_SECONDS_MAX)
        with Client(self.servers.ports[0]) as client:
            self.baseline = client.get("/event-store/api/v1/events?limit=1").expect(200).position
        for number in range(WRITER_PROCESSES):
            self.start_clients(
                "writers", f"w{number + 1}", "--threads", WRITER_THREADS,
                "--rate", self.arguments.rate / WRITER_PROCESSES,
                # The others may wait for the majority too, and then little is lost.
                *(["--plain"] if self.is_lossy else []))
        self.start_clients("readers", "r")

    def start_clients(self, kind, name, *more):
        command = [
            sys.executable, HERE / "workload.py", kind, "--name", name,
            "--servers", ",".join(map(str, self.servers.ports)),
            "--history", self.folder / f"{name}.jsonl", "--seed", self.arguments.seed, *more]
        with open(self.folder / f"{name}.log", "ab") as output:
            self.clients.append(subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.PIPE, stdout=output,
                stderr=output, preexec_fn=die_with_parent))

    def bring_faults(self):
        seconds = self.arguments.minutes * 60
        deadline = time.monotonic() + seconds
        period = min(max(seconds / FAULTS_IN_A_SHORT_RUN, PERIOD_SECONDS[0]), PERIOD_SECONDS[1])
        chance = random.Random(f"{self.arguments.seed}/pauses")
        losses = 0
        next_at = time.monotonic() + period / 2
        while next_at < deadline or (self.is_lossy and losses < LOSSES_AT_LEAST):
            time.sleep(max(0, next_at - time.monotonic()))
            next_at = time.monotonic() + period * chance.uniform(0.8, 1.2)
            if self.is_lossy:
                self.injector.inject(self.injector.primary_cut_until_replaced)
                losses += 1
            else:
                self.injector.inject()
            self.check_children()
        self.recorder.write("faults_over", "rig")
        time.sleep(max(0, deadline - time.monotonic()))

    def check_children(self):
        """A server or a member that ended of itself is a finding, not a fault of ours."""
        for child in self.members.children + self.servers.children:
            child.check_running()
        for client in self.clients:
            assert client.poll() is None, "a process of clients ended: see its log"

    def wait_recovered(self):
        """Goes on with the load until each server has taken a write, or I14's minute is over."""
        sizes = {path: path.stat().st_size for path in self.histories()}
        try:
            wait("each server takes a write",
                 lambda: len(self.servers_that_wrote(sizes)) == self.servers.count,
                 checker.RECOVERY_NANOSECONDS_MAX / 10**9, every=0.5)
        except TimeoutError as error:
            say(f"I14 will say so too: {error}")

    def servers_that_wrote(self, sizes):
        """Those that have acknowledged a command that was sent since the files had these sizes."""
        records = load(self.histories(), sizes)
        asked = {
            (one["op"], one["attempt"]): one["server"] for one in records
            if one["kind"] == "invoke"}
        done = [(one["op"], one["attempt"]) for one in records if one["kind"] == "ok"]
        return {asked[one] for one in done if one in asked}

    def histories(self):
        return sorted(self.folder.glob("*.jsonl"))

    def stop_clients(self):
        for client in self.clients:
            client.stdin.close()
        for client in self.clients:
            client.wait()

    def judge(self):
        """The exit code, after telling what was found."""
        say("the load has ended; waiting for the members to agree, then reading their logs")
        self.members.wait_healthy()
        self.members.wait_same()
        logs = self.members.logs()
        self.recorder.close()
        records = load(self.histories())
        report = checker.check(records, logs, self.baseline)
        code, printed = self.magasin("verify")
        verified = f"magasin verify: {'clean' if code == 0 else 'NOT CLEAN'} ({printed})"
        self.tell(report, verified)
        missed = self.missed_bars(report)
        for bar in missed:
            say(f"MISSED: {bar}")
        if self.is_lossy:
            is_well = bool(report.violations["I1"])
            say("loss was found, as it must be with w: 1" if is_well
                else "NO LOSS was found with w: 1: the rig or its checker is blind")
        else:
            is_well = report.total == 0 and code == 0 and not missed
            say("0 violations" if is_well else f"{report.total} violations")
        self.is_kept = self.is_kept or not is_well
        return 0 if is_well else 1

    def tell(self, report, verified):
        faults, statuses = report.counts["faults"], report.counts["statuses"]
        for name, value in report.counts.items():
            if isinstance(value, (int, float)):
                say(f"{name:<28} {value:>9{'.1f' if isinstance(value, float) else ''}}")
        say("answers: " + ", ".join(
            f"{status} {count}" for status, count in sorted(statuses.items(), key=str)))
        say(f"faults: {sum(faults.values())} of {len(faults)} kinds: " + ", ".join(
            f"{name} {count}" for name, count in sorted(faults.items())))
        say("writes again after the last fault: " + ", ".join(
            f"{server} {took:.1f} s" for server, took in sorted(report.recovery_seconds.items())))
        say(verified)
        say("violations: " + ", ".join(
            f"{name} {len(found)}" for name, found in report.violations.items()))
        for name, found in report.violations.items():
            for text in found[:SHOWN_MAX]:
                say(f"  {name}: {text}")
        with open(self.folder / "violations.json", "w", encoding="utf-8") as file:
            json.dump(report.violations, file, indent=1)

    def missed_bars(self, report):
        """The bars that were given and not reached."""
        faults = report.counts["faults"]
        reached = {
            "--min-acked": (report.counts["acknowledged"], self.arguments.min_acked),
            "--min-faults": (sum(faults.values()), self.arguments.min_faults),
            "--min-kinds": (len(faults), self.arguments.min_kinds)}
        missed = [
            f"{name} {least}: there were {number}"
            for name, (number, least) in reached.items() if number < least]
        if self.arguments.min_kinds and not self.network.can_partition:
            missed.append("--min-kinds: nobody could be cut off, and that kind counts")
        return missed

    def close(self):
        for client in self.clients:
            if client.poll() is None:
                client.kill()
                client.wait()
        for child in reversed(self.children):
            if child.is_running:
                child.kill()
        self.members.close()
        self.recorder.close()
        if self.is_kept:
            say(f"kept: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


def options():
    parser = argparse.ArgumentParser(
        prog="scripts/faults", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, required=True, help="of faults; 0.5 is 30 s")
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--seed", help="of the clients and the faults; default: a new one")
    parser.add_argument(
        "--write-concern", choices=("majority", "1"), default="majority",
        help="1: acknowledged by one member; exits with 0 only if loss was found")
    parser.add_argument(
        "--rate", type=float, default=600, help="commands a second that the clients aim at")
    parser.add_argument("--min-acked", type=int, default=1, help="acknowledged commands, at least")
    parser.add_argument("--min-faults", type=int, default=1)
    parser.add_argument("--min-kinds", type=int, default=0,
        help="kinds of faults, at least; then partitions have to be among them")
    parser.add_argument("--keep", action="store_true", help="leave the folder with all its files")
    parser.add_argument("--without-partitions", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def run(arguments, mongod):
    rig = Rig(arguments, mongod)
    try:
        rig.start()
        rig.bring_faults()
        rig.wait_recovered()
        rig.stop_clients()
        return rig.judge()
    except Exception:
        rig.is_kept = True
        raise
    finally:
        rig.close()


def main():
    arguments = options()
    arguments.binary = arguments.binary.resolve()
    arguments.seed = arguments.seed or str(random.randrange(10**6))
    mongod = find_mongod()
    for problem, is_so in [
        (f"there is no binary {arguments.binary}: build it first", not arguments.binary.exists()),
        ("there is no mongod: run scripts/setup, or name one in MAGASIN_MONGOD", not mongod),
    ]:
        if is_so:
            say(problem)
            return 2
    # So that the processes we started are ended on SIGTERM too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    say(f"{arguments.minutes:g} minutes, seed {arguments.seed}, write concern "
        f"{arguments.write_concern}, {arguments.binary}")
    try:
        return run(arguments, mongod)
    except Exception as error:
        say(f"the run broke off: {type(error).__name__}: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
