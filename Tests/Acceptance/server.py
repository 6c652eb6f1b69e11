"""Starts, kills and ends the processes under test. Every process is known and ended by its pid."""

import ctypes
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from client import Client, poll

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS_MAX = 60
TROUBLE = re.compile(r"warning|error|fatal|crash|assert|signal", re.IGNORECASE)


def find_mongod():
    """The rule of `scripts/setup`: the environment, what setup noted, the PATH."""
    noted = ROOT / ".magasin" / "mongod.path"
    if os.environ.get("MAGASIN_MONGOD"):
        return os.environ["MAGASIN_MONGOD"]
    if noted.exists() and noted.read_text().strip():
        return noted.read_text().strip()
    return shutil.which("mongod")


def free_port():
    """Below the range that the kernel hands to outgoing connections: a port in that range may be
    taken, or even connected to itself, while its server is down."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def start_time(pid):
    """When the kernel started the process, in ticks; None when it is gone or only a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


class KnownProcess:
    """A process that may not be our child, told apart from a later one with the same pid."""

    def __init__(self, pid):
        self.pid = pid
        self.started = start_time(pid)

    @property
    def is_running(self):
        return self.started is not None and start_time(self.pid) == self.started


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Child:
    """One process that we started, with its output in a file."""

    def __init__(self, name, command, log):
        # PR_SET_PDEATHSIG looks at the thread that forked.
        assert threading.current_thread() is threading.main_thread()
        self.name = name
        self.command = [str(part) for part in command]
        self.log = log
        with open(log, "ab") as output:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True, preexec_fn=die_with_parent)

    @property
    def pid(self):
        return self.process.pid

    @property
    def is_running(self):
        return self.process.poll() is None

    def send(self, number):
        self.process.send_signal(number)

    def kill(self):
        """kill -9, and wait until the kernel has taken it away."""
        self.process.kill()
        self.process.wait()

    def end(self, number=signal.SIGTERM, within=20):
        """Asks it to end; the exit code."""
        if self.is_running:
            self.process.send_signal(number)
        return self.wait(within)

    def wait(self, within):
        """The exit code; it is killed, and the test fails, when it does not end in time."""
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end within {within} s\n{self.tail()}")

    def tail(self, lines=8):
        """The last lines of its log that tell of trouble."""
        text = Path(self.log).read_text(errors="replace").splitlines()
        shown = [line for line in text if TROUBLE.search(line)][-lines:]
        return "\n".join(f"    [{self.name}] {line[:400]}" for line in shown)

    def check_running(self):
        if not self.is_running:
            raise StartFailure(f"{self.name} ended with {self.process.returncode}\n{self.tail()}")


class StartFailure(Exception):
    """A process did not come up: no use in polling any longer."""


class Stack:
    """What both ways of running have in common: a folder, a port, clients."""

    def __init__(self, binary, mongod, keep):
        self.binary = binary
        self.mongod_path = mongod
        self.keep = keep
        self.folder = Path(tempfile.mkdtemp(prefix="magasin-acceptance-"))
        self.port = free_port()
        self.client = Client(self.port)
        self.children = []

    def child(self, name, *command):
        child = Child(name, command, self.folder / f"{name}.log")
        self.children.append(child)
        return child

    def replaced(self, old, name, *command):
        self.client.close()
        if old is not None:
            self.children.remove(old)
        return self.child(name, *command)

    def wait_ready(self, child, port=None, path="/health/ready"):
        def check():
            child.check_running()
            with Client(port or self.port, timeout=5) as client:
                return client.get(path).status == 200
        poll(f"{child.name} answers {path}", check, within=START_SECONDS_MAX, every=0.05)

    def run(self, *arguments, within=120):
        """Runs a command of the binary to its end; (exit code, what it printed)."""
        done = subprocess.run(
            [str(self.binary), *map(str, arguments)], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=within, text=True,
            preexec_fn=die_with_parent)
        return done.returncode, done.stdout

    def verify(self):
        """`magasin verify`: (exit code, what it printed)."""
        return self.run("verify", "--mongodb", self.uri)

    def payments_client(self):
        return Client(self.payments_port)

    def tails(self):
        """The last lines of every log; of mongod's, which says much, only when it has ended."""
        told = [
            child.tail() for child in self.children
            if child.name != "mongod" or not child.is_running]
        return "\n".join(text for text in told if text)

    def close(self):
        self.client.close()
        for child in reversed(self.children):
            if child.is_running:
                child.kill()
        if self.keep:
            print(f"  kept: {self.folder}", flush=True)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


class DevStack(Stack):
    """`magasin dev`: one command starts it all."""

    def __init__(self, binary, mongod, keep, *options):
        super().__init__(binary, mongod, keep)
        self.data = self.folder / "data"
        self.options = options
        self.server = None
        self.helpers = {}

    def start(self):
        self.server = self.replaced(
            self.server, "dev", self.binary, "dev", "--port", self.port, "--data", self.data,
            "--mongod", self.mongod_path, *self.options)
        self.wait_ready(self.server)
        pids = self.pids
        self.helpers = {name: KnownProcess(pids[name]) for name in ("mongod", "payments")}
        return self

    @property
    def pids(self):
        return json.loads((self.data / "pids.json").read_text())

    @property
    def has_helpers(self):
        """Whether mongod or the payment service is running."""
        return any(helper.is_running for helper in self.helpers.values())

    def port_of(self, name):
        """The port that a helper was started with, from its command line."""
        words = Path(f"/proc/{self.pids[name]}/cmdline").read_bytes().split(b"\0")
        return int(words[words.index(b"--port") + 1])

    @property
    def payments_port(self):
        return self.port_of("payments")

    @property
    def uri(self):
        return f"mongodb://127.0.0.1:{self.port_of('mongod')}/magasin?replicaSet=rs0"

    def interrupt(self, within, everyone):
        """Ctrl-C; (exit code, seconds). A terminal sends it to everyone in the group that the
        command leads, `kill` to the command alone."""
        self.client.close()
        started = time.monotonic()
        if everyone:
            os.killpg(self.server.pid, signal.SIGINT)
            code = self.server.wait(within)
        else:
            code = self.server.end(signal.SIGINT, within)
        return code, time.monotonic() - started

    def revive(self):
        """Starts it again if a test has left it dead, so that the next test has its chance."""
        if not self.server.is_running:
            self.client.close()
            self.kill_helpers()
            self.start()

    def kill_helpers(self):
        for helper in self.helpers.values():
            if helper.is_running:
                os.kill(helper.pid, signal.SIGKILL)
        poll("the helpers are gone", lambda: not self.has_helpers, within=10)

    def close(self):
        if self.server is not None and self.server.is_running:
            try:
                self.server.end(signal.SIGTERM, within=10)
            except AssertionError as error:
                print(f"  {error}", flush=True)
        self.kill_helpers()
        super().close()


class PartsStack(Stack):
    """mongod, the payment service and the server each on its own, so that each can be killed and
    started again alone."""

    def __init__(self, binary, mongod, keep, *options):
        super().__init__(binary, mongod, keep)
        self.options = options
        self.mongod_port = free_port()
        self.payments_port = free_port()
        self.uri = f"mongodb://127.0.0.1:{self.mongod_port}/magasin?replicaSet=rs0"
        self.database = self.folder / "mongod"
        self.mongod = self.payments = self.server = None

    def start(self):
        self.database.mkdir()
        self.start_mongod()
        self.run_checked("database", "init", "--mongodb", self.uri)
        self.run_checked("demo", "--mongodb", self.uri)
        self.start_payments()
        self.start_server()
        return self

    def run_checked(self, *arguments):
        code, printed = self.run(*arguments)
        assert code == 0, f"magasin {' '.join(map(str, arguments))} ended with {code}:\n{printed}"
        return printed

    def start_mongod(self):
        self.mongod = self.replaced(
            self.mongod, "mongod", self.mongod_path, "--replSet", "rs0", "--bind_ip", "127.0.0.1",
            "--port", self.mongod_port, "--dbpath", self.database, "--quiet",
            "--wiredTigerCacheSizeGB", "0.5", "--networkMessageCompressors", "snappy,zstd")

        def listening():
            self.mongod.check_running()
            with socket.create_connection(("127.0.0.1", self.mongod_port), timeout=2):
                return True
        poll("mongod listens", listening, within=START_SECONDS_MAX)

    def start_payments(self):
        self.payments = self.replaced(
            self.payments, "payments", self.binary, "payments", "--port", self.payments_port,
            "--mongodb", self.uri)
        self.wait_ready(self.payments, self.payments_port)

    def start_server(self):
        self.server = self.serve(self.server, "server", self.port)
        self.wait_ready(self.server)

    def serve(self, old, name, port, *options):
        """One more server, in the place of an old one if there was one."""
        return self.replaced(
            old, name, self.binary, "serve", "--port", port, "--mongodb", self.uri,
            "--payments", f"http://127.0.0.1:{self.payments_port}", *self.options, *options)

    def revive(self):
        """Starts again what a test has left dead, so that the next test has its chance."""
        if not self.mongod.is_running:
            self.start_mongod()
        if not self.payments.is_running:
            self.start_payments()
        if not self.server.is_running:
            self.client.close()
            self.start_server()
