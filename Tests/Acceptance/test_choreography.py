"""Orders that nobody conducts: participants react to each other, a read model watches."""

import re

from client import poll
from server import PartsStack, free_port
from shopping import (
    head, place, saga_of, settle, stock, stream, timeline, types, wait_cancelled, wait_confirmed)
from test_cancellation import cancel, ledger

ORDER = 45
PRODUCT = 110
DEFINITION = "order-fulfilment.choreographed.v1"


def place_choreographed(client, quantity=1, **more):
    return place(client, PRODUCT, quantity, saga="choreographed", **more)


def wait_saga(client, order, state, within=20):
    def check():
        saga = saga_of(client, order)
        return saga if saga["state"] == state else None
    return poll(f"{order} is {state}", check, within)


def test_a_choreographed_order_is_confirmed_and_watched(world):
    client = world.shop.client
    before = stock(client, PRODUCT, head(client))
    placed = place_choreographed(client, 2)
    row = wait_confirmed(client, placed.id)
    saga = wait_saga(client, placed.id, "completed")
    assert timeline(row) == [
        "OrderInitiated", "StockReserved", "PaymentProcessed", "OrderConfirmed",
        "NotificationSent"], row
    assert saga["definition"] == DEFINITION and saga["is_ended"] and not saga["is_stuck"], saga
    assert [step["status"] for step in saga["steps"]] == ["succeeded"] * 4, saga
    assert client.get(f"/saga/{saga['saga_id']}").expect(200).json == saga
    conductor = f"/event-store/api/v1/events/aggregate/sagas/{saga['saga_id']}"
    client.get(conductor).expect(404)
    at = settle(client)
    assert stock(client, PRODUCT, at) == (before[0] - 2, before[1] + 2)
    assert ledger(world, placed.id) == [(row["total_amount"], 0)]
    events = stream(client, "orders", placed.id)
    assert all(event["metadata"]["saga"] == "choreographed" for event in events), events


def test_a_choreographed_order_that_is_declined_is_undone(world):
    client = world.shop.client
    before = stock(client, PRODUCT, head(client))
    placed = place_choreographed(client, payment_method="test_card_declined")
    wait_cancelled(client, placed.id)
    saga = wait_saga(client, placed.id, "compensated")
    assert saga["code"] == "CARD_DECLINED" and saga["saga_status"] == "compensated", saga
    assert types(stream(client, "orders", placed.id)) == ["OrderInitiated", "OrderCancelled"]
    assert stock(client, PRODUCT, settle(client)) == before


def test_a_choreographed_order_that_cannot_be_served_is_cancelled(world):
    client = world.shop.client
    before = stock(client, PRODUCT, head(client))
    placed = place_choreographed(client, 1_000_000)
    saga = wait_saga(client, placed.id, "compensated")
    assert saga["code"] == "OUT_OF_STOCK", saga
    assert stock(client, PRODUCT, settle(client)) == before
    assert ledger(world, placed.id) == []


def test_a_choreographed_order_is_cancelled_at_any_moment(world):
    client = world.shop.client
    before = stock(client, PRODUCT, head(client))
    at_once = place_choreographed(client)
    cancel(client, at_once.id).expect(202)
    slow = place_choreographed(client, payment_method="test_slow")
    poll("the payment is asked for", lambda: stream(
        client, "payments", f"payment_{slow.uuid}"), within=10)
    cancel(client, slow.id).expect(202)
    confirmed = place_choreographed(client, 3)
    wait_confirmed(client, confirmed.id)
    cancel(client, confirmed.id).expect(202)
    for placed in at_once, slow, confirmed:
        saga = wait_saga(client, placed.id, "compensated")
        assert saga["code"] == "CUSTOMER_REQUEST", saga
        assert all(captured == refunded for captured, refunded in ledger(world, placed.id))
    assert stock(client, PRODUCT, settle(client)) == before


def test_both_kinds_are_listed_as_one(world):
    client = world.shop.client
    orders = []
    for saga in "orchestrated", "choreographed", "orchestrated", "choreographed":
        orders.append(place(client, PRODUCT, saga=saga).id)
        # A saga begins a moment after its order.
        wait_confirmed(client, orders[-1])
    settle(client)

    def listed(query):
        found, cursor = [], ""
        while cursor is not None and len(found) < 4:
            page = client.get(f"/sagas?limit=1{query}{cursor}").expect(200).json
            found += [saga["order_id"] for saga in page["sagas"]]
            cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
        return found
    assert listed("") == orders[::-1]
    assert listed("&saga=choreographed")[:2] == [orders[3], orders[1]]
    assert listed("&saga=orchestrated")[:2] == [orders[2], orders[0]]


def stuck(client):
    """How many choreographed orders have not moved for a minute, by the metrics; None: not said."""
    text = client.get("/metrics").expect(200).body.decode()
    found = re.search(r"^magasin_choreographies_stuck (\S+)$", text, re.M)
    return float(found[1]) if found else None


class Participants(PartsStack):
    """The participants of choreographies in processes of their own."""

    DOOR = "commands,queries,projections,reactors"

    def start_server(self):
        self.server = self.serve(
            self.server, "door", self.port, "--roles", self.DOOR, "--saga", "choreographed")
        self.wait_ready(self.server)

    def participate(self, names):
        port = free_port()
        process = self.serve(
            None, names, port, "--roles", "sagas", "--participants", names)
        self.wait_ready(process, port, "/health/live")
        return process


def test_a_missing_participant_is_named_and_nobody_else_waits(world):
    stack = world.shared("participants", Participants)
    client = stack.client
    stack.participate("inventory,orders")
    payments = stack.participate("payments")
    first = place(client, PRODUCT)
    wait_confirmed(client, first.id)
    assert saga_of(client, first.id)["definition"] == DEFINITION
    payments.kill()
    second = place(client, PRODUCT)
    saga = wait_saga(client, second.id, "charging")
    assert saga["waiting_for"] == "the payments participant to ask for the payment", saga
    short = place(client, PRODUCT, 1_000_000)
    wait_cancelled(client, short.id)
    poll("the watcher counts", lambda: stuck(client) == 0, within=20)
    stack.participate("payments")
    wait_confirmed(client, second.id)
    wait_saga(client, short.id, "compensated")
    settle(client)
