"""What must hold at every prefix of the log, checked event by event as the log is walked.

The checker knows nothing of Magasin's code: it folds the events that the HTTP API shows with rules
of its own, and compares them with the figures that the events claim. `test_checkers.py` proves
that broken histories are caught.
"""

import uuid
from collections import defaultdict
from decimal import Decimal

PAGE = 500

# The events of a product's stock: what each adds to available, reserved, received and sold, as
# multiples of its quantity.
STOCK_MOVES = {
    "StockRestocked": (1, 0, 1, 0),
    "StockReserved": (-1, 1, 0, 0),
    "StockReleased": (1, -1, 0, 0),
    "StockDeducted": (-1, 0, 0, 1),  # from available; from a reservation see `deduct`
    "StockAdjusted": (1, 0, 1, 0),
    "StockTransferred": (0, 0, 0, 0),
    "StockUnavailable": (0, 0, 0, 0),
    "StockReservationBarred": (0, 0, 0, 0),
    "StockHoldExtended": (0, 0, 0, 0),
    "StockHoldSecured": (0, 0, 0, 0),
}
# They move nothing, and name no figures of the stock.
STOCK_MARKS = {"StockReservationBarred", "StockHoldExtended", "StockHoldSecured"}
SAGA_ENDS = {"SagaCompleted", "SagaCompensated"}


class Stock:
    """One product, folded by our own rules."""

    def __init__(self):
        self.available = self.reserved = self.received = self.sold = 0
        self.by_location = defaultdict(int)  # available pieces only


class Order:
    def __init__(self):
        self.initiated = None
        self.initiated_at = None  # the position
        self.confirmed = False
        self.cancelled = False
        self.holds = defaultdict(int)  # product -> pieces held
        self.barred = set()  # products whose reservation was undone before it came
        self.captured = Decimal(0)
        self.refunded = Decimal(0)
        # Asked of the provider, who has not said yet: it may turn out to be charged.
        self.is_charge_open = False
        self.is_payment_begun = False
        self.is_payment_barred = False  # undone before it began
        self.refund_requested = False
        self.notified = False

    @property
    def is_choreographed(self):
        """Then it is cancelled first, and undone afterwards: what a cancelled order holds is looked
        at when all is over, not at every prefix."""
        return self.initiated is not None and self.initiated.get("saga") == "choreographed"

    @property
    def is_over(self):
        return self.cancelled and not self.is_choreographed


class Saga:
    def __init__(self):
        self.ended = None
        self.effects = set()


class LogChecker:
    """Feed it every event in order, then call `finish`. `violations` is empty when all is well."""

    def __init__(self):
        self.violations = []
        self.position = 0
        self.last_commit = None
        self.place = 1
        self.streams = defaultdict(int)
        self.event_ids = set()
        self.command_ids = set()
        self.counts = defaultdict(int)
        self.stock = defaultdict(Stock)
        self.orders = defaultdict(Order)
        self.sagas = defaultdict(Saga)

    def feed(self, event):
        self.event = event
        self.order_of_the_log(event)
        self.counts[event["event_type"]] += 1
        rule = {
            "inventory": self.stock_rules, "orders": self.order_rules,
            "payments": self.payment_rules, "notifications": self.notification_rules,
            "sagas": self.saga_rules,
        }.get(event["aggregate_type"])
        if rule is not None:
            rule(event["event_type"], event["data"])

    def wrong(self, text):
        event = self.event
        self.violations.append(
            f"position {event['position']} {event['aggregate_type']}/{event['aggregate_id']} "
            f"v{event['version']} {event['event_type']}: {text}")

    def require(self, condition, text):
        if not condition:
            self.wrong(text)

    # The log itself

    def order_of_the_log(self, event):
        self.require(
            event["position"] == self.position + 1, f"follows position {self.position}")
        self.position = event["position"]
        stream = (event["aggregate_type"], event["aggregate_id"])
        self.require(
            event["version"] == self.streams[stream] + 1,
            f"follows version {self.streams[stream]} of its stream")
        self.streams[stream] = event["version"]
        self.require(event["event_id"] not in self.event_ids, "its event id was there before")
        self.event_ids.add(event["event_id"])
        self.commit_rules(event)

    def commit_rules(self, event):
        command = self.command_id(event)
        commit = (command, event["timestamp"], event["correlation_id"], event["service_name"])
        if self.last_commit is not None and self.last_commit[0] == command:
            self.require(commit == self.last_commit, "differs from its commit's other events")
        else:
            self.require(command not in self.command_ids, "its command id was there before")
            self.command_ids.add(command)
            self.last_commit = commit

    def command_id(self, event):
        """As the event shows it; else from the event id, which is the command id with the
        event's place in its commit (from 1) mixed into the last two bytes."""
        if "command_id" in event:
            return event["command_id"]
        number = uuid.UUID(event["event_id"]).int
        if self.last_commit is not None:
            place = uuid.UUID(self.last_commit[0]).int ^ number
            if place == self.place + 1:
                self.place = place
                return self.last_commit[0]
        self.place = 1
        return str(uuid.UUID(int=number ^ 1))

    # Stock: available + reserved + sold = received, nothing negative

    def stock_rules(self, kind, data):
        product = self.event["aggregate_id"]
        self.require(str(data["product_id"]) == product, "is of another product than its stream")
        if kind not in STOCK_MOVES:
            return self.wrong("is no stock event that the checker knows")
        if kind in STOCK_MARKS:
            return self.marks(kind, self.orders[data["order_id"]], product)
        stock = self.stock[product]
        quantity = self.quantity_of(kind, data)
        moves = STOCK_MOVES[kind]
        if kind == "StockDeducted" and data["from_reservation"]:
            moves = (0, -1, 0, 1)
        stock.available += moves[0] * quantity
        stock.reserved += moves[1] * quantity
        stock.received += moves[2] * quantity
        stock.sold += moves[3] * quantity
        self.move_between_locations(kind, data, stock, moves[0])
        self.holds(kind, data, product, quantity)
        self.claimed_figures(kind, data, stock)

    def marks(self, kind, order, product):
        if kind == "StockReservationBarred":
            self.require(order.holds[product] == 0, "bars what the order holds")
            self.require(product not in order.barred, "the order is barred already")
            order.barred.add(product)
        else:
            self.require(order.holds[product] > 0, "the order holds none of this product")

    def quantity_of(self, kind, data):
        if kind == "StockUnavailable":
            return 0
        quantity = data["quantity_change" if kind == "StockAdjusted" else "quantity"]
        self.require(type(quantity) is int, f"its quantity {quantity!r} is no integer")
        if kind != "StockAdjusted":
            self.require(quantity > 0, f"its quantity {quantity} is not positive")
        return int(quantity)

    def move_between_locations(self, kind, data, stock, direction):
        if kind in ("StockRestocked", "StockAdjusted"):
            stock.by_location[data["location"]] += self.quantity_of(kind, data)
        elif kind == "StockTransferred":
            stock.by_location[data["from_location"]] -= data["quantity"]
            stock.by_location[data["to_location"]] += data["quantity"]
        elif kind != "StockUnavailable":
            parts = data["allocations"]
            self.require(
                sum(part["quantity"] for part in parts) == data["quantity"],
                "its allocations do not add up to its quantity")
            for part in parts:
                self.require(part["quantity"] > 0, "an allocation is not positive")
                stock.by_location[part["location"]] += direction * part["quantity"]
        for location, available in stock.by_location.items():
            self.require(available >= 0, f"{location} would hold {available}")

    def holds(self, kind, data, product, quantity):
        order_id = data.get("order_id")
        if order_id is None:
            return
        order = self.orders[order_id]
        held = order.holds[product]
        if kind == "StockReserved":
            self.require(held == 0, "the order holds this product already")
            self.require(product not in order.barred, "the reservation was undone before")
            self.require(not order.is_over, "the order is cancelled")
            order.holds[product] += quantity
        elif kind == "StockReleased":
            if data["reason"] == "the hold expired":
                self.require(not order.is_payment_begun, "takes away what is being paid for")
                self.require(order.is_payment_barred, "the holder could still pay")
            self.require(held >= quantity, f"releases {quantity} of {held} held")
            order.holds[product] -= quantity
        elif kind == "StockDeducted" and data["from_reservation"]:
            self.require(held >= quantity, f"deducts {quantity} of {held} held")
            order.holds[product] -= quantity

    def claimed_figures(self, kind, data, stock):
        if kind == "StockUnavailable":
            self.require(
                data["available_quantity"] < data["requested_quantity"],
                "says unavailable though there is enough")
            self.require(
                data["available_quantity"] <= stock.available, "claims more than there is")
            return
        available, reserved = data["available_quantity"], data["reserved_quantity"]
        self.require(
            stock.available >= 0 and stock.reserved >= 0 and available >= 0 and reserved >= 0,
            f"negative stock: folded {stock.available}/{stock.reserved}, "
            f"claimed {available}/{reserved}")
        self.require(
            (available, reserved) == (stock.available, stock.reserved),
            f"claims {available}/{reserved} available/reserved, "
            f"the fold gives {stock.available}/{stock.reserved}")
        self.require(
            available + reserved + stock.sold == stock.received,
            f"{available} available + {reserved} reserved + {stock.sold} sold "
            f"is not {stock.received} received")

    # Orders

    def order_rules(self, kind, data):
        order_id = self.event["aggregate_id"]
        self.require(data["order_id"] == order_id, "is of another order than its stream")
        order = self.orders[order_id]
        if kind == "OrderInitiated":
            self.require(order.initiated is None, "the order was initiated before")
            order.initiated, order.initiated_at = data, self.event["position"]
            return self.total_rules(data)
        self.require(order.initiated is not None, "the order was never initiated")
        self.require(not order.cancelled, "the order is cancelled: nothing may follow")
        if order.initiated is None:
            return
        if kind == "OrderConfirmed":
            self.require(not order.confirmed, "the order was confirmed before")
            order.confirmed = True
            self.confirmed_rules(order)
        elif kind == "OrderCancelled":
            order.cancelled = True
            self.cancelled_rules(order, data)

    def total_rules(self, data):
        for item in data["items"]:
            self.require(
                item["line_total"] == item["unit_price"] * item["quantity"],
                "a line total is not price times quantity")
        self.require(
            sum(item["line_total"] for item in data["items"]) == data["total_amount"],
            "the total is not the sum of the lines")
        products = [item["product_id"] for item in data["items"]]
        self.require(len(set(products)) == len(products), "a product is there twice")

    def confirmed_rules(self, order):
        wanted = {str(item["product_id"]): item["quantity"] for item in order.initiated["items"]}
        held = {product: count for product, count in order.holds.items() if count}
        self.require(held == wanted, f"confirmed holding {held}, ordered {wanted}")
        self.require(
            order.captured - order.refunded == order.initiated["total_amount"],
            f"confirmed with {order.captured} captured and {order.refunded} refunded")

    def cancelled_rules(self, order, data):
        self.require(
            bool(data["was_confirmed"]) == order.confirmed, "is wrong about was_confirmed")
        if order.is_choreographed:
            return
        held = {product: count for product, count in order.holds.items() if count}
        self.require(not held, f"cancelled but still holds {held}")
        self.require(
            order.captured == order.refunded,
            f"cancelled with {order.captured} captured and {order.refunded} refunded")

    # Money: at most one capture an order, refunded only what was captured

    def payment_rules(self, kind, data):
        order = self.orders[data["order_id"]]
        self.require(
            self.event["aggregate_id"].removeprefix("payment_")
            == data["order_id"].removeprefix("order_"), "is not the payment of its order")
        amount = data.get("amount")
        if amount is not None and order.initiated is not None:
            self.require(
                amount == order.initiated["total_amount"],
                f"is about {amount}, the order about {order.initiated['total_amount']}")
        if kind == "PaymentInitiated":
            self.require(not order.is_payment_barred, "the payment was undone before")
            order.is_charge_open = order.is_payment_begun = True
        elif kind == "PaymentProcessed":
            self.require(order.captured == 0, "a second capture")
            self.require(not order.is_over, "the order is cancelled")
            order.captured += amount
            order.is_charge_open = False
        elif kind == "PaymentFailed":
            self.require(order.captured == 0, "failed after it was captured")
            order.is_charge_open = bool(data["possibly_charged"])
        elif kind == "PaymentRefundRequested":
            self.require(
                order.captured > 0 or order.is_charge_open, "there is nothing to give back")
            order.refund_requested = True
        elif kind == "PaymentRefunded":
            if order.is_charge_open:
                order.captured += amount  # it was charged: the provider gave it back
            order.is_charge_open = False
            self.require(order.refund_requested, "nobody asked for this refund")
            order.refunded += amount
            self.require(
                order.refunded <= order.captured,
                f"{order.refunded} refunded of {order.captured} captured")
        elif kind == "PaymentVoided" and not order.is_payment_begun:
            self.require(not order.is_payment_barred, "the payment was undone before")
            order.is_payment_barred = True
        elif kind == "PaymentVoided":
            self.require(order.captured == 0, "voided though it was captured")
            self.require(order.refund_requested, "nobody asked for this refund")
            order.is_charge_open = False

    def notification_rules(self, kind, data):
        if kind == "NotificationSent":
            order = self.orders[data["order_id"]]
            self.require(not order.notified, "a second notification")
            if data["type"] == "order_confirmed":
                self.require(order.confirmed, "says confirmed before the order was")
            order.notified = True

    def saga_rules(self, kind, data):
        saga = self.sagas[self.event["aggregate_id"]]
        self.require(
            (kind == "SagaStarted") == (self.event["version"] == 1),
            "SagaStarted is the first event and no other")
        # A customer may cancel an order whose saga is completed; nothing brings back a
        # compensated one.
        self.require(
            saga.ended is None or (saga.ended == "SagaCompleted" and kind == "SagaCompensating"),
            f"the saga ended before with {saga.ended}")
        for command in data["commands"]:
            effect = command["effect_id"]
            self.require(effect not in saga.effects, f"effect {effect} a second time")
            saga.effects.add(effect)
        saga.ended = kind if kind in SAGA_ENDS else None

    # The end of the log, once every saga has ended

    def finish(self):
        for order_id, order in self.orders.items():
            if order.initiated is None:
                continue
            total = order.initiated["total_amount"]
            kept = order.captured - order.refunded
            stands = order.confirmed and not order.cancelled
            held = {product: count for product, count in order.holds.items() if count}
            self.end(order_id, order.confirmed or order.cancelled, "never ended")
            self.end(order_id, kept == (total if stands else 0),
                     f"captured - refunded = {kept}, total {total}, confirmed: {stands}")
            self.end(order_id, not order.is_charge_open, "may be charged, nobody knows")
            self.end(order_id, stands or not held, f"still holds {held}")
            self.end(
                order_id, order.is_choreographed != (f"saga_{order_id}" in self.sagas),
                "is carried out by nobody, or twice")
        for saga_id, saga in self.sagas.items():
            self.end(saga_id, saga.ended is not None, "never ended")
        return self

    def end(self, name, condition, text):
        if not condition:
            self.violations.append(f"at the end: {name} {text}")


def walk(client, after=0):
    """Every event of the log after a position, a page at a time."""
    while True:
        page = client.get(f"/event-store/api/v1/events?limit={PAGE}&after={after}").expect(200)
        events = events_of(page)
        if not events:
            return
        yield from events
        after = events[-1]["position"]


def events_of(reply):
    return reply.json["events"]


def check_log(client, ended=True):
    """Walks the whole log; the checker, or an AssertionError that names the first violations."""
    checker = LogChecker()
    for event in walk(client):
        checker.feed(event)
    if ended:
        checker.finish()
    assert checker.position > 0, "the log shows no event"
    assert not checker.violations, (
        f"{len(checker.violations)} violations in {checker.position} events:\n  "
        + "\n  ".join(checker.violations[:10]))
    return checker


def check_provider(parts, orders):
    """To the cent: what the provider has kept of each order is what the log says."""
    with parts.payments_client() as provider:
        for order in orders:
            path = f"/event-store/api/v1/events/aggregate/orders/{order}?limit=1000"
            events = parts.client.get(path).expect(200).json["events"]
            names = {event["event_type"]: event["data"] for event in events}
            stands = "OrderConfirmed" in names and "OrderCancelled" not in names
            total = names["OrderInitiated"]["total_amount"]
            payments = provider.get(f"/payments?order_id={order}").expect(200).json["payments"]
            kept = sum(
                payment["captured_amount"] - payment["refunded_amount"] for payment in payments)
            assert kept == (total if stands else 0), (order, kept, total, stands)
