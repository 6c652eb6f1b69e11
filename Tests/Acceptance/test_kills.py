"""kill -9 in the middle of the work. What was acknowledged is there, once, and everything ends."""

import queue
import threading
import time
import uuid

from client import BROKEN, Client, poll
from invariants import check_log
from server import free_port
from shopping import leave_in_stock, order_row, place, send_order, settle, stock, wait_confirmed

ORDER = 90
PRODUCT = 114
BUYER = 456
WORKERS = 16
GIVE_UP_SECONDS = 150


class Buyers:
    """Threads that place orders, and send the same command again until it is acknowledged."""

    def __init__(self, port, count):
        self.port = port
        self.count = count
        self.keys = queue.SimpleQueue()
        for _ in range(count):
            self.keys.put(str(uuid.uuid4()))
        self.acknowledged = {}  # key -> (order id, position)
        self.retries = 0
        self.refusals = []
        self.deadline = time.monotonic() + GIVE_UP_SECONDS
        self.threads = [threading.Thread(target=self.buy, daemon=True) for _ in range(WORKERS)]
        for thread in self.threads:
            thread.start()

    def buy(self):
        with Client(self.port, timeout=10) as client:
            while True:
                try:
                    key = self.keys.get_nowait()
                except queue.Empty:
                    return
                while not self.once(client, key):
                    if time.monotonic() > self.deadline:
                        return
                    self.retries += 1
                    time.sleep(0.05)

    def once(self, client, key):
        """Whether the shop has answered for good."""
        try:
            reply = send_order(client, PRODUCT, headers={"Idempotency-Key": key})
        except BROKEN:
            client.close()
            return False
        if reply.status in (502, 503, 504):
            return False
        if reply.status == 202:
            self.acknowledged[key] = (reply.data["order_id"], reply.position)
        else:
            self.refusals.append(str(reply))
        return True

    def wait_for(self, count):
        def check():
            assert not self.refusals, self.refusals[:3]
            return len(self.acknowledged) >= count
        poll(f"{count} orders are acknowledged", check, within=GIVE_UP_SECONDS)

    def finish(self):
        for thread in self.threads:
            thread.join(max(0, self.deadline - time.monotonic()) + 15)
        assert not self.refusals, self.refusals[:3]
        assert len(self.acknowledged) == self.count, (
            f"{len(self.acknowledged)} of {self.count} acknowledged after {self.retries} retries")


def test_nothing_is_lost_when_the_server_and_mongod_are_killed(world):
    parts = world.parts
    parts.server.end()
    # Long enough that no payment is given up while everything is down.
    parts.options = ("--payment-deadline", 120)
    parts.start_server()
    count = world.count(500, 120)
    leave_in_stock(parts.client, PRODUCT, count + 100)
    _, reserved = stock(parts.client, PRODUCT)
    buyers = Buyers(parts.port, count)
    buyers.wait_for(count // 5)
    parts.server.kill()
    parts.start_server()
    buyers.wait_for(count // 2)
    parts.mongod.kill()
    parts.start_mongod()
    buyers.wait_for(count * 3 // 4)
    parts.server.kill()
    parts.mongod.kill()
    parts.start_mongod()
    parts.start_server()
    buyers.finish()
    assert buyers.retries > 0, "nobody noticed the kills: they came too late"

    at = settle(parts.client, within=120)
    checker = check_log(parts.client)
    orders = {order: position for order, position in buyers.acknowledged.values()}
    assert len(orders) == count, f"{len(orders)} orders for {count} keys"
    for order, position in orders.items():
        assert checker.orders[order].initiated, f"{order} was acknowledged and is not there"
        assert checker.orders[order].initiated_at == position, (order, position)
    placed = {
        order for order, state in checker.orders.items()
        if state.initiated and state.initiated["items"][0]["product_id"] == PRODUCT}
    assert placed == set(orders), "there are orders that nobody was told of"
    lost = [order for order in orders if order_row(parts.client, order, at)["status"]
            != "confirmed"]
    assert not lost, f"{len(lost)} orders were not confirmed, for example {lost[:3]}"
    assert stock(parts.client, PRODUCT, at) == (100, reserved + count)


def test_workers_killed_alone_are_missed_by_nobody_at_the_door(world):
    """The roles in two processes, as in docker-compose: the one that takes orders stays."""
    parts = world.parts
    parts.server.end()
    parts.server = parts.serve(
        parts.server, "server", parts.port, "--roles", "commands,queries")
    parts.wait_ready(parts.server, path="/health/live")
    working, port = ("--roles", "projections,sagas,reactors"), free_port()
    workers = parts.serve(None, "workers", port, *working)
    try:
        placed = [place(parts.client) for _ in range(5)]
        wait_confirmed(parts.client, placed[0].id)
        placed += [place(parts.client) for _ in range(20)]
        workers.kill()
        placed += [place(parts.client) for _ in range(5)]
        workers = parts.serve(workers, "workers", port, *working)
        for order in placed:
            wait_confirmed(parts.client, order.id, within=40)
    finally:
        workers.kill()
        parts.children.remove(workers)
        parts.server.kill()
        parts.client.close()
        parts.start_server()
    settle(parts.client)


def test_the_log_verifies_after_the_kills(world):
    parts = world.parts
    settle(parts.client)
    code, printed = parts.verify()
    assert code == 0 and "clean" in printed, f"exit code {code}:\n{printed}"
