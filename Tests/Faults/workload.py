#!/usr/bin/env python3
"""One process of clients: threads that send commands, or that follow the log, and record it all.

    workload.py (writers|readers) --name NAME --servers PORT,PORT --history FILE --seed S
                [--threads N] [--rate COMMANDS_A_SECOND] [--plain]

Runs until its standard input ends. Then each writer brings the command in its hands to an end.
"""

import argparse
import hashlib
import http.client
import itertools
import json
import queue
import random
import sys
import threading
import time
import uuid
from collections import deque
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "Acceptance"))

from client import BROKEN, Client  # noqa: E402
from history import Recorder  # noqa: E402

# Some wait for whatever the server says, others have long sent the same again elsewhere.
PATIENCE_SECONDS = (3, 20)
GIVE_UP_SECONDS = 60
# The same when the run is ending, long after the last fault.
LAST_SECONDS_MAX = 15
STORE = "/event-store/api/v1/events/store"
STOCK = "/cqrs/commands/inventory"
ORDERS = "/cqrs/commands/orders"
EVENTS = "/event-store/api/v1/events"
HOT_PRODUCTS = (101, 102, 103)
RACED_STREAMS = 4
CUSTOMER = 456
# Commands sent without a pause, so that they meet; the pause after them keeps the rate.
BURST = 5


class Command:
    """What a client wants done, and what the log must show for it."""

    def __init__(self, action, path, body, event_types, stream=None, data=None, reuses=None):
        self.id = str(uuid.uuid4())
        self.key = reuses.key if reuses else self.id
        self.action, self.path, self.body = action, path, body
        self.event_types, self.stream, self.data = event_types, stream, data or {}
        self.reuses = reuses
        self.numbers = itertools.count(1)
        self.first_told = threading.Lock()  # taken by whoever hears first that it is done

    @property
    def invocation(self):
        return {
            "action": self.action, "key": self.key, "stream": self.stream, "count": 1,
            "event_types": self.event_types, "data": self.data,
            "expected": self.body.get("expected_version"),
            **({"reuses": self.reuses.id} if self.reuses else {})}


class Desk:
    """What the threads of one process share."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.recorder = Recorder(arguments.history)
        self.stopped = threading.Event()
        self.deadline = float("inf")
        # To be sent once more, at the same time as the first or some time after.
        self.echoes = queue.SimpleQueue()
        self.acknowledged = deque(maxlen=500)
        self.held = deque(maxlen=200)
        self.versions = {}


class Writer(threading.Thread):
    def __init__(self, desk, number):
        super().__init__(daemon=True)
        self.desk = desk
        self.process = f"{desk.arguments.name}.{number}"
        self.random = random.Random(f"{desk.arguments.seed}/{self.process}")
        patience = PATIENCE_SECONDS[number % len(PATIENCE_SECONDS)]
        self.clients = [Client(port, patience) for port in desk.arguments.servers]

    def run(self):
        pause = BURST * self.desk.arguments.threads / self.desk.arguments.rate
        while not self.desk.stopped.wait(pause * self.random.uniform(0.5, 1.5)):
            for _ in range(BURST):
                if self.desk.stopped.is_set():
                    return
                self.carry_out(self.choose())

    # What to do next

    def choose(self):
        if self.desk.arguments.plain:
            return self.random.choice((self.order, self.note))()
        chance = self.random.random()
        try:
            return self.desk.echoes.get_nowait()
        except queue.Empty:
            pass
        if chance < 0.06 and self.desk.acknowledged:
            command = self.random.choice(self.desk.acknowledged)
            return command if chance < 0.04 else self.altered(command)
        command = self.random.choices(
            (self.order, self.reserve, self.give_back, self.restock, self.raced_note, self.note),
            (25, 22, 14, 4, 27, 8))[0]()
        if self.random.random() < 0.04:
            self.desk.echoes.put(command)
        return command

    def order(self):
        product = self.random.choice(HOT_PRODUCTS)
        return Command(
            "order", ORDERS, {"user_id": CUSTOMER, "product_id": product, "quantity": 1},
            ["OrderInitiated"], data={"user_id": CUSTOMER})

    def stock(self, action, product, quantity, event_type, order=None):
        body = {"product_id": product, "quantity_change": quantity, "operation": action}
        data = {"quantity": quantity}
        if order is not None:
            body["order_id"] = data["order_id"] = order
        return Command(action, STOCK, body, [event_type], f"inventory/{product}", data)

    def reserve(self):
        product = self.random.choice(HOT_PRODUCTS)
        return self.stock(
            "reserve", product, self.random.randint(1, 3), "StockReserved", f"order_{uuid.uuid4()}")

    def restock(self):
        return self.stock(
            "restock", self.random.choice(HOT_PRODUCTS), self.random.randint(1, 30),
            "StockRestocked")

    def give_back(self):
        """Releases or sells what one of us reserved."""
        try:
            body = self.desk.held.popleft()
        except IndexError:
            return self.reserve()
        action, event = self.random.choice(
            (("release", "StockReleased"), ("deduct", "StockDeducted")))
        return self.stock(
            action, body["product_id"], body["quantity_change"], event, body["order_id"])

    def note(self):
        return self.noted(f"note_{uuid.uuid4()}")

    def raced_note(self):
        """An event for a stream that all processes write to, at the version last heard of."""
        identifier = f"race_{self.random.randrange(RACED_STREAMS)}"
        return self.noted(
            identifier, expected_version=self.desk.versions.get(f"races/{identifier}", 0))

    def noted(self, identifier, **more):
        category = "races" if more else "notes"
        data = {"token": str(uuid.uuid4())}
        body = {"aggregate_type": category, "aggregate_id": identifier,
                "event_type": "NoteWritten", "data": data, **more}
        return Command(
            "note", STORE, body, ["NoteWritten"], f"{category}/{identifier}", data)

    def altered(self, command):
        """Another request under a key that was used: never to be done."""
        body = dict(command.body)
        if "data" in body:
            body["data"] = {"token": "altered"}
        else:
            name = "quantity" if "quantity" in body else "quantity_change"
            body[name] += 1
        return Command(
            command.action, command.path, body, command.event_types, command.stream,
            reuses=command)

    # How it is done

    def carry_out(self, command):
        """Sends it until its outcome is known, to one server or the other."""
        deadline = time.monotonic() + GIVE_UP_SECONDS
        server = self.random.randrange(len(self.clients))
        while not self.attempt(command, server):
            if time.monotonic() > min(deadline, self.desk.deadline):
                return
            time.sleep(self.random.uniform(0.05, 0.4))
            server = self.random.randrange(len(self.clients))

    def attempt(self, command, server):
        """Sends it once; whether the outcome is known."""
        number = next(command.numbers)
        about = {"op": command.id, "attempt": number}
        write = self.desk.recorder.write
        write("invoke", self.process, server=f"s{server + 1}", **about, **command.invocation)
        try:
            reply = self.clients[server].request(
                "POST", command.path, json_body=command.body,
                headers={"Idempotency-Key": command.key, "X-Correlation-Id": command.id})
            told = json.loads(reply.body)
        except ConnectionRefusedError:
            write("fail", self.process, outcome="not_done", reason="connection refused", **about)
            return False
        except (*BROKEN, ValueError) as error:
            self.clients[server].close()
            write("unknown", self.process, reason=f"{type(error).__name__}: {error}", **about)
            return False
        about["status"] = reply.status
        if reply.status < 300:
            write("ok", self.process, position=reply.position, version=told.get("version"),
                  answer=hashlib.sha256(reply.body).hexdigest()[:16], **about)
            self.learn(command, told)
            return True
        problem = told.get("type", "").removeprefix("/problems/")
        if reply.status >= 500:
            is_not_done = reply.status == 503 and told.get("outcome") == "not_done"
            write("fail" if is_not_done else "unknown", self.process, reason=problem,
                  **about, **({"outcome": "not_done"} if is_not_done else {}))
            return False
        actual = told.get("actual_version")
        write("fail", self.process, outcome="refused", problem=problem, actual=actual, **about)
        if actual is not None:
            self.desk.versions[command.stream] = actual
        return True

    def learn(self, command, told):
        """What the next commands of this process may build on."""
        if told.get("version") is not None:
            known = self.desk.versions.get(command.stream, 0)
            self.desk.versions[command.stream] = max(known, told["version"])
        if command.first_told.acquire(blocking=False):
            self.desk.acknowledged.append(command)
            if command.action == "reserve":
                self.desk.held.append(command.body)


class Reader(threading.Thread):
    """Follows the log over one server, and now and then looks at an old page again."""

    def __init__(self, desk, server):
        super().__init__(daemon=True)
        self.desk = desk
        self.process = f"{desk.arguments.name}.{server + 1}"
        self.server = f"s{server + 1}"
        self.random = random.Random(f"{desk.arguments.seed}/{self.process}")
        self.client = Client(desk.arguments.servers[server], max(PATIENCE_SECONDS))
        self.position = 0

    def run(self):
        while not self.desk.stopped.is_set():
            after = self.position
            if self.random.random() < 0.05:
                after = self.random.randint(0, self.position)
            try:
                count = self.page(after)
            except (http.client.HTTPException, OSError, ValueError):
                self.client.close()
                count = 0
            self.desk.stopped.wait(0.1 if count else 0.3)

    def page(self, after):
        reply = self.client.get(f"{EVENTS}?after={after}&limit=200")
        if reply.status != 200:
            return 0
        events = [[one["position"], one["event_id"]] for one in json.loads(reply.body)["events"]]
        if events:
            self.desk.recorder.write(
                "read", self.process, server=self.server, after=after, events=events)
            self.position = max(self.position, events[-1][0])
        return len(events)


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=("writers", "readers"))
    parser.add_argument("--name", required=True)
    parser.add_argument("--servers", required=True, type=lambda text: text.split(","))
    parser.add_argument("--history", required=True)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument(
        "--plain", action="store_true", help="only commands that build on no earlier one")
    return parser.parse_args()


def main():
    desk = Desk(options())
    if desk.arguments.kind == "writers":
        threads = [Writer(desk, number) for number in range(desk.arguments.threads)]
    else:
        threads = [Reader(desk, server) for server in range(len(desk.arguments.servers))]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    desk.deadline = time.monotonic() + LAST_SECONDS_MAX
    desk.stopped.set()
    for thread in threads:
        thread.join(LAST_SECONDS_MAX + max(PATIENCE_SECONDS))
    desk.recorder.close()


if __name__ == "__main__":
    main()
