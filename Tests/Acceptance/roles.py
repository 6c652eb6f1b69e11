"""The roles in processes of their own, as in docker-compose, and customers who go on meanwhile."""

import contextlib
import itertools
import re
import threading
import time

from client import BROKEN, Client, poll
from mongowire import collections, find_one
from server import PartsStack, free_port
from shopping import change_stock, send_order, settle

READ_MODELS = ("choreographies", "orders", "sagas", "statistics", "stock", "user_summaries")
# The old rows are left to their readers for 5 s of it.
REBUILD_SECONDS_MAX = 90
numbers = itertools.count(1)
GAUGE = re.compile(r'^magasin_projection_(\w+)\{projection="(\w+)"\} (\S+)$', re.M)


def gauges(client, word):
    """What a process's metrics say, such as the `lag_events`, by read model."""
    text = client.get("/metrics").expect(200).body.decode()
    return {name: float(value) for gauge, name, value in GAUGE.findall(text) if gauge == word}


def read_models_that_are(client, word):
    """The read models that a process's metrics say are `driving`, or `stopped`."""
    return {name for name, value in gauges(client, word).items() if value == 1}


class RolesStack(PartsStack):
    """A door that takes commands and answers queries. Who drives the read models is started by
    the tests."""

    DOOR = "commands,queries,sagas,reactors"

    def start_server(self):
        self.server = self.serve(self.server, "door", self.port, "--roles", self.DOOR)
        self.wait_ready(self.server)

    @contextlib.contextmanager
    def drivers(self, *names):
        """Processes that may drive the read models; ended when the test has ended."""
        drivers = [Driver(self, name) for name in names]
        try:
            yield drivers
        finally:
            for driver in drivers:
                driver.close()

    def read_models(self):
        """The collections that hold rows."""
        return sorted(name for name in collections(self.mongod_port, "magasin") if "__v" in name)

    def rebuild(self, *arguments):
        """`magasin projections rebuild`: (exit code, what it printed)"""
        return self.run("projections", "rebuild", *arguments, "--mongodb", self.uri)

    def check_rows(self):
        """Every read model is the fold of the log, and nothing else is left of it."""
        for command in [RebuildCommand(self, name, "--expect-same") for name in READ_MODELS]:
            command.finish()
        left = [name.partition("__")[0] for name in self.read_models()]
        assert left == list(READ_MODELS), self.read_models()


class RebuildCommand:
    """`magasin projections rebuild` in a process that can be killed."""

    def __init__(self, stack, name, *options):
        self.stack = stack
        self.name = name
        self.claimed = self.generation()
        self.process = stack.child(
            f"rebuild-{name}-{next(numbers)}", stack.binary, "projections", "rebuild", name,
            "--mongodb", stack.uri, *options)

    def generation(self):
        """What a rebuild of this name builds, or a killed one has left; 0 when there is none."""
        progress = find_one(
            self.stack.mongod_port, "magasin", "projections", {"_id": f"{self.name}.rebuild"})
        return progress["generation"] if progress else 0

    def wait_until_it_runs(self, serving):
        """Until it has begun to make rows: of a generation that nobody has ever made."""
        def check():
            assert self.process.is_running, f"it ended: {self.process.log.read_text()}"
            return self.generation() > max(serving, self.claimed)
        poll(f"{self.name} is being rebuilt", check, within=30, every=0.005)

    def kill(self):
        self.process.kill()
        self.stack.children.remove(self.process)

    def finish(self):
        code = self.process.wait(REBUILD_SECONDS_MAX)
        self.stack.children.remove(self.process)
        printed = self.process.log.read_text(errors="replace")
        assert code == 0 and "identical" in printed, f"{code}: {printed}"


class Driver:
    """A process of `serve` with the role of projections, on a port of its own. It answers queries
    too, so that it can be asked for the rows that it has in memory."""

    def __init__(self, stack, name):
        self.stack = stack
        self.name = name
        self.port = free_port()
        self.client = Client(self.port)
        self.process = None

    def start(self):
        self.process = self.stack.serve(
            self.process, self.name, self.port, "--roles", "projections,queries")
        return self

    def start_and_wait(self):
        self.start()
        self.stack.wait_ready(self.process, self.port)
        return self

    def kill(self):
        self.client.close()
        self.process.kill()

    def close(self):
        self.client.close()
        if self.process is not None:
            self.process.kill()
            self.stack.children.remove(self.process)
            self.process = None

    def projections(self):
        """What `GET /projections` shows, by name."""
        shown = self.client.get("/projections").expect(200).json["projections"]
        return {projection["name"]: projection for projection in shown}

    def owns(self, projection):
        return projection["is_driven"] and f"|{self.process.pid}|" in projection["driver"]

    def drives(self):
        """The read models that it drives, by the leases."""
        return {name for name, shown in self.projections().items() if self.owns(shown)}

    def says_it_drives(self):
        """The read models that it drives, by its own metrics."""
        return read_models_that_are(self.client, "driving")

    def wait_until_it_drives(self, within=30, every=0.02):
        """How long it took, in seconds."""
        began = time.monotonic()
        poll(f"{self.name} drives all read models",
             lambda: self.drives() == set(READ_MODELS), within, every)
        return time.monotonic() - began

    def settle(self, within=90):
        """Waits until all sagas and read models have come to the end of the log."""
        return settle(self.client, within)


class Customers:
    """Threads that order, at so many a second if the shop can, and look at what they are shown:
    nobody is turned away, and no position is below one that was seen before."""

    PRODUCT = 112

    def __init__(self, stack, rate, looked_at=(), workers=4, reads_own_writes=False):
        """
        looked_at: ports whose orders are looked at by a thread each, besides the door's.
        reads_own_writes: whether every order is asked for as soon as it is placed.
        """
        self.port = stack.port
        self.pause = workers / rate
        self.reads_own_writes = reads_own_writes
        self.ended = threading.Event()
        self.placed = self.looks = 0
        self.wrong = []
        change_stock(stack.client, self.PRODUCT, 100_000, "restock").expect(202)
        works = [self.order] * workers + [
            lambda port=port: self.look(port) for port in (stack.port, *looked_at)]
        self.began = time.monotonic()
        self.threads = [threading.Thread(target=self.run, args=(work,)) for work in works]

    def run(self, work):
        try:
            work()
        except Exception as error:
            self.wrong.append(f"{type(error).__name__}: {error}")

    def order(self):
        with Client(self.port) as client:
            while not self.ended.wait(self.pause):
                reply = send_order(client, self.PRODUCT).expect(202)
                self.placed += 1
                if self.reads_own_writes:
                    self.read(client, reply.data["order_id"], reply.position)

    def read(self, client, order, position):
        reply = client.get(
            f"/cqrs/queries/orders/{order}", magasin_position=position).expect(200)
        assert reply.position >= position, (reply.position, position)

    def look(self, port):
        last = 0
        with Client(port) as client:
            while not self.ended.wait(0.02):
                try:
                    reply = client.get("/cqrs/queries/orders/recent?limit=3").expect(200)
                except BROKEN:
                    # A driver that a test has killed or paused. The door is always there.
                    assert port != self.port, "the door is shut"
                    client.close()
                    continue
                assert reply.position >= last, f"position {reply.position} after {last}"
                last = reply.position
                self.looks += 1

    def check(self):
        assert not self.wrong, self.wrong[:3]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()
        seconds = time.monotonic() - self.began
        print(f"  {self.placed / seconds:.0f} orders/s, {self.looks} looks", flush=True)
        if kind is None:
            self.check()
            assert self.placed and self.looks, "there was no load"
