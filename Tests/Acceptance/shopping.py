"""The calls that a shopper, a store keeper and an operator make."""

import threading
import uuid
from decimal import Decimal

from client import Client, poll

CUSTOMER = 456
LAPTOP = 101
LAPTOP_PRICE = Decimal("199.99")
HAPPY = [
    "OrderInitiated", "StockReserved", "PaymentProcessed", "OrderConfirmed", "NotificationSent"]
DECLINED = [
    "OrderInitiated", "StockReserved", "PaymentFailed", "StockReleased", "OrderCancelled"]
OUT_OF_STOCK = ["OrderInitiated", "StockUnavailable", "OrderCancelled"]
UNFINISHED_SAGAS = (
    "reserving", "charging", "confirming", "notifying", "cancelling", "refunding", "releasing",
    "cancelling_order", "voiding_payment", "compensation_blocked", "compensating")
given_up = set()
UNFINISHED_ORDERS = ("initiated", "stock_reserved", "paid", "cancelling")
END_SECONDS_MAX = 20


class Placed:
    """What the shop answered to an order."""

    def __init__(self, reply):
        self.reply = reply.expect(202)
        self.id = reply.data["order_id"]
        self.uuid = self.id.removeprefix("order_")
        self.position = reply.position
        assert reply.headers["Location"] == f"/cqrs/queries/orders/{self.id}", reply.headers
        assert self.position is not None, "no Magasin-Position"


def order_body(product=LAPTOP, quantity=1, user=CUSTOMER, **more):
    return {"user_id": user, "product_id": product, "quantity": quantity, **more}


def send_order(client, product=LAPTOP, quantity=1, headers=None, **more):
    return client.request(
        "POST", "/cqrs/commands/orders", json_body=order_body(product, quantity, **more),
        headers=headers)


def place(client, product=LAPTOP, quantity=1, headers=None, **more):
    return Placed(send_order(client, product, quantity, headers, **more))


def order_row(client, order_id, min_position=None):
    query = "" if min_position is None else f"?min_position={min_position}"
    return client.get(f"/cqrs/queries/orders/{order_id}{query}").expect(200).data


def timeline(row):
    return [entry["event"] for entry in row["timeline"]]


def wait_order(client, order_id, status, event, within, every=0.02):
    """The order's row once it has that status, and that event in its timeline."""
    def check():
        row = order_row(client, order_id)
        return row if row["status"] == status and event in timeline(row) else None
    return poll(f"order {order_id} is {status}", check, within, every)


def wait_confirmed(client, order_id, within=END_SECONDS_MAX, every=0.02):
    return wait_order(client, order_id, "confirmed", "NotificationSent", within, every)


def wait_cancelled(client, order_id, within=END_SECONDS_MAX):
    return wait_order(client, order_id, "cancelled", "OrderCancelled", within)


def stock_row(client, product, min_position=None):
    query = "" if min_position is None else f"?min_position={min_position}"
    return client.get(f"/cqrs/queries/inventory/{product}{query}").expect(200).data


def stock(client, product, min_position=None):
    """(available, reserved) pieces."""
    row = stock_row(client, product, min_position)
    available, reserved = row["available_quantity"], row["reserved_quantity"]
    assert available + reserved == row["total_quantity"], row
    return available, reserved


def change_stock(client, product, quantity, operation, **more):
    return client.post("/cqrs/commands/inventory", {
        "product_id": product, "quantity_change": quantity, "operation": operation, **more})


def leave_in_stock(client, product, count):
    """Sees to it that exactly so many pieces are available."""
    available, _ = stock(client, product, head(client))
    if available == count:
        return
    operation = "deduct" if available > count else "restock"
    reply = change_stock(client, product, abs(available - count), operation).expect(202)
    assert stock(client, product, reply.position)[0] == count


def head(client):
    """The position of the last event of the log."""
    return client.get("/event-store/api/v1/events?limit=1").expect(200).position


def stream(client, category, identifier):
    """Every event of one stream."""
    path = f"/event-store/api/v1/events/aggregate/{category}/{identifier}?limit=1000"
    return client.get(path).expect(200).json["events"]


def types(events):
    return [event["event_type"] for event in events]


def saga_of(client, order_id):
    return client.get(f"/saga/order/{order_id}").expect(200).json


def settle(client, within=60):
    """Waits until every saga has ended and every read model has seen it; the head of the log."""
    # A saga that has hung for one test hangs for the next ones too: they need not wait as long.
    within = 2 if client in given_up else within
    try:
        return poll("every saga ends", lambda: settled_at(client), within, every=0.05)
    except AssertionError:
        given_up.add(client)
        raise


def settled_at(client):
    """The head of the log; an AssertionError that says what is still under way."""
    at = head(client)
    behind = {
        projection["name"]: projection["position"]
        for projection in client.get("/projections").expect(200).json["projections"]
        if projection["position"] < at}
    assert not behind, f"behind {at}: {behind}"
    for state in UNFINISHED_SAGAS:
        sagas = client.get(f"/sagas?state={state}").expect(200).json["sagas"]
        assert not sagas, f"{len(sagas)} sagas {state}, such as {sagas[-1]['saga_id']}"
    # A saga that has not begun yet, or that was asked to turn back just now, shows in its order.
    for status in UNFINISHED_ORDERS:
        orders = client.get(f"/cqrs/queries/orders/status/{status}").expect(200).data
        assert not orders, f"{len(orders)} orders {status}, such as {orders[-1]['order_id']}"
    # Unless something was appended meanwhile, all of this was read at one position.
    assert head(client) == at, "the log goes on"
    return at


def together(port, count, work, timeout=60):
    """Runs `work(client, number)` in so many threads, each on a connection of its own, all let go
    at one moment; the results by number."""
    gate = threading.Barrier(count)
    results, errors = [None] * count, []

    def run(number):
        with Client(port, timeout) as client:
            try:
                client.get("/health/live").expect(200)  # opens the connection
                gate.wait(timeout)
                results[number] = work(client, number)
            except Exception as error:
                gate.abort()
                errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def new_key():
    return {"Idempotency-Key": str(uuid.uuid4())}
