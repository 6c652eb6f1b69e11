"""A checker that finds nothing in a history that was broken on purpose is itself broken."""

import copy
import uuid
from decimal import Decimal

from invariants import LogChecker

ORDER = 10
PRICE = Decimal("199.99")


class Scribe:
    """Writes sound histories in memory, in the shapes that the API shows."""

    def __init__(self):
        self.events = []
        self.versions = {}
        self.stock = {}
        self.commits = 0

    def commit(self, *events):
        self.commits += 1
        command = uuid.uuid5(uuid.NAMESPACE_OID, str(self.commits))
        for place, (category, identifier, kind, data) in enumerate(events, 1):
            stream = (category, identifier)
            self.versions[stream] = self.versions.get(stream, 0) + 1
            self.events.append({
                "event_id": str(uuid.UUID(int=command.int ^ place)), "event_type": kind,
                "aggregate_type": category, "aggregate_id": identifier,
                "timestamp": f"2026-01-01T00:00:{self.commits % 60:02}.000Z",
                "version": self.versions[stream], "position": len(self.events) + 1,
                "correlation_id": str(command), "service_name": "commands", "data": data})

    def moved(self, product, kind, quantity, available=0, reserved=0, **more):
        figures = self.stock.setdefault(product, [0, 0])
        figures[0] += available
        figures[1] += reserved
        data = {
            "product_id": product, "quantity": quantity, "available_quantity": figures[0],
            "reserved_quantity": figures[1], **more}
        if kind in ("StockReserved", "StockReleased", "StockDeducted"):
            data["allocations"] = [{"location": "depot", "quantity": quantity}]
        return "inventory", str(product), kind, data

    def restock(self, product, quantity):
        self.commit(self.moved(
            product, "StockRestocked", quantity, available=quantity, location="depot"))

    def reserve(self, order, quantity):
        self.commit(self.moved(
            101, "StockReserved", quantity, -quantity, quantity, order_id=order))

    def release(self, order, quantity, reason="cancelled"):
        self.commit(self.moved(
            101, "StockReleased", quantity, quantity, -quantity, order_id=order, reason=reason))

    def deduct(self, order, quantity):
        self.commit(self.moved(
            101, "StockDeducted", quantity, 0, -quantity, order_id=order, from_reservation=True))

    def initiate(self, number, quantity, saga="orchestrated"):
        order = f"order_{uuid.uuid5(uuid.NAMESPACE_URL, str(number))}"
        total = PRICE * quantity
        self.commit(("orders", order, "OrderInitiated", {
            "order_id": order, "user_id": 456, "total_amount": total, "currency": "CAD",
            "saga": saga, "items": [{
                "product_id": 101, "quantity": quantity, "unit_price": PRICE,
                "line_total": total}]}))
        if saga == "orchestrated":
            self.saga(order, "SagaStarted", "reserve/forward/1")
        return order, total

    def order(self, order, kind, **data):
        self.commit(("orders", order, kind, {"order_id": order, **data}))

    def payment(self, order, kind, amount, **data):
        self.commit(("payments", order.replace("order_", "payment_"), kind, {
            "order_id": order, "amount": amount, "currency": "CAD", **data}))

    def saga(self, order, kind, *effects):
        self.commit(("sagas", f"saga_{order}", kind, {
            "order_id": order,
            "commands": [{"effect_id": f"{order}/{effect}"} for effect in effects]}))

    def confirmed(self, number, quantity):
        order, total = self.initiate(number, quantity)
        self.reserve(order, quantity)
        self.saga(order, "SagaAdvanced", "pay/forward/1")
        self.payment(order, "PaymentInitiated", total)
        self.payment(order, "PaymentProcessed", total)
        self.saga(order, "SagaAdvanced", "confirm/forward/1")
        self.order(order, "OrderConfirmed", total_amount=total)
        self.commit(("notifications", order.replace("order_", "notification_"),
                     "NotificationSent", {"order_id": order, "type": "order_confirmed"}))
        self.saga(order, "SagaCompleted")
        return order

    def declined(self, number, quantity, possibly_charged=False, given_back=False):
        order, total = self.initiate(number, quantity)
        self.reserve(order, quantity)
        self.payment(order, "PaymentInitiated", total)
        self.payment(order, "PaymentFailed", total, possibly_charged=possibly_charged)
        if possibly_charged:
            self.payment(order, "PaymentRefundRequested", total)
        self.release(order, quantity)
        self.order(order, "OrderCancelled", was_confirmed=False)
        if possibly_charged:
            self.payment(order, "PaymentRefunded" if given_back else "PaymentVoided", total)
        self.saga(order, "SagaCompensated")
        return order

    def out_of_stock(self, number, quantity):
        order, _ = self.initiate(number, quantity)
        self.commit(("inventory", "101", "StockUnavailable", {
            "product_id": 101, "order_id": order, "requested_quantity": quantity,
            "available_quantity": self.stock[101][0]}))
        self.order(order, "OrderCancelled", was_confirmed=False)
        self.saga(order, "SagaCompensated")

    def cancelled_after_confirmation(self, number, quantity):
        order, total = self.initiate(number, quantity)
        self.reserve(order, quantity)
        self.payment(order, "PaymentInitiated", total)
        self.payment(order, "PaymentProcessed", total)
        self.order(order, "OrderConfirmed", total_amount=total)
        self.saga(order, "SagaCompleted")
        self.order(order, "OrderCancellationRequested")
        self.saga(order, "SagaCompensating", "pay/undo/1")
        self.payment(order, "PaymentRefundRequested", total)
        self.payment(order, "PaymentRefunded", total)
        self.release(order, quantity)
        self.order(order, "OrderCancelled", was_confirmed=True)
        self.saga(order, "SagaCompensated")

    def undone_first(self, number, late=None):
        """Undone before stock and money were asked for; `late`: what comes all the same."""
        order, total = self.initiate(number, 1)
        self.commit(("inventory", "101", "StockReservationBarred", {
            "product_id": 101, "order_id": order, "reason": "changed my mind"}))
        self.payment(order, "PaymentVoided", total)
        if late == "StockReserved":
            self.reserve(order, 1)
        elif late:
            self.payment(order, late, total)
        self.order(order, "OrderCancelled", was_confirmed=False)
        self.saga(order, "SagaCompensated")

    def expired(self, number, voided=True, begun=False):
        """Loses its hold to somebody who is short."""
        order, total = self.initiate(number, 1)
        self.reserve(order, 1)
        if begun:
            self.payment(order, "PaymentInitiated", total)
        if voided:
            self.payment(order, "PaymentVoided", total)
        self.release(order, 1, "the hold expired")
        self.order(order, "OrderCancelled", was_confirmed=False)
        self.saga(order, "SagaCompensated")

    def choreographed(self, number, quantity, without=None):
        """Cancelled first and undone afterwards; `without`: an undo that is not made."""
        order, total = self.initiate(number, quantity, saga="choreographed")
        self.reserve(order, quantity)
        self.payment(order, "PaymentInitiated", total)
        self.order(order, "OrderCancellationRequested")
        self.order(order, "OrderCancelled", was_confirmed=False)
        self.payment(order, "PaymentProcessed", total)
        if without != "StockReleased":
            self.release(order, quantity)
        if without != "PaymentRefunded":
            self.payment(order, "PaymentRefundRequested", total)
            self.payment(order, "PaymentRefunded", total)


def sound_history():
    scribe = Scribe()
    scribe.restock(101, 100)
    scribe.commit(
        scribe.moved(102, "StockRestocked", 5, available=5, location="depot"),
        scribe.moved(103, "StockRestocked", 7, available=7, location="store_1"))
    order = scribe.confirmed(1, 2)
    scribe.deduct(order, 2)
    scribe.declined(2, 3)
    scribe.declined(3, 1, possibly_charged=True)
    scribe.declined(4, 1, possibly_charged=True, given_back=True)
    scribe.out_of_stock(5, 1000)
    scribe.cancelled_after_confirmation(6, 4)
    scribe.confirmed(7, 1)
    scribe.undone_first(8)
    scribe.expired(9)
    scribe.choreographed(10, 2)
    return scribe.events


def violations(events):
    checker = LogChecker()
    for event in events:
        checker.feed(event)
    return checker.finish().violations


def renumbered(events):
    """Positions and versions without a hole again: hides a break from the numbering's checks."""
    versions = {}
    for position, event in enumerate(events, 1):
        stream = (event["aggregate_type"], event["aggregate_id"])
        versions[stream] = versions.get(stream, 0) + 1
        event["position"], event["version"] = position, versions[stream]
    return events


def index_of(events, kind, occurrence=0):
    return [i for i, event in enumerate(events) if event["event_type"] == kind][occurrence]


def caught(what, events, because):
    found = violations(events)
    assert found, f"{what} was not caught"
    assert any(because in text for text in found), f"{what} was caught as {found[:3]}"


def test_a_sound_history_has_no_violation(world):
    assert violations(sound_history()) == []


def test_each_event_dropped_is_caught(world):
    sound = sound_history()
    for index in range(len(sound) - 1):
        broken = sound[:index] + sound[index + 1:]
        caught(f"event {index + 1} dropped", copy.deepcopy(broken), "follows position")


def test_an_event_dropped_and_the_rest_renumbered_is_caught(world):
    for kind, because in [
        ("StockRestocked", "negative"), ("StockReserved", "claims"),
        ("StockReleased", "still holds"), ("PaymentProcessed", "captured"),
        ("PaymentRefundRequested", "nobody asked"),
        ("PaymentRefunded", "nobody knows"), ("PaymentVoided", "nobody knows"),
        ("OrderInitiated", "never initiated"), ("OrderConfirmed", "confirmed"),
        ("SagaStarted", "first event"), ("SagaCompleted", "never ended"),
    ]:
        events = sound_history()
        del events[index_of(events, kind)]
        caught(f"{kind} dropped and renumbered", renumbered(events), because)


def test_an_event_twice_is_caught(world):
    for kind, because in [
        ("StockReserved", "holds this product already"), ("StockReleased", "releases"),
        ("PaymentProcessed", "second capture"), ("OrderConfirmed", "confirmed before"),
        ("OrderInitiated", "initiated before"), ("NotificationSent", "second notification"),
        ("OrderCancelled", "nothing may follow"), ("SagaCompleted", "ended before"),
    ]:
        events = sound_history()
        index = index_of(events, kind)
        again = copy.deepcopy(events[index])
        caught(f"{kind} twice", events[:index + 1] + [again] + events[index + 1:], "event id")
        again = copy.deepcopy(events[index])
        again["event_id"] = str(uuid.uuid4())
        events.insert(index + 1, again)
        caught(f"{kind} twice with ids of its own", renumbered(events), because)


def test_swapped_events_are_caught(world):
    sound = sound_history()
    for index in range(len(sound) - 1):
        broken = copy.deepcopy(sound)
        broken[index], broken[index + 1] = broken[index + 1], broken[index]
        caught(f"events {index + 1} and {index + 2} swapped", broken, "follows position")
    events = sound_history()
    first, second = index_of(events, "StockReleased"), index_of(events, "OrderCancelled")
    events[first], events[second] = events[second], events[first]
    caught("cancelled before released", renumbered(events), "still holds")


def test_what_comes_after_its_undo_is_caught(world):
    for late in "StockReserved", "PaymentInitiated", "PaymentVoided":
        scribe = Scribe()
        scribe.restock(101, 100)
        scribe.undone_first(1, late)
        caught(f"{late} after its undo", scribe.events, "undone before")


def test_what_a_choreographed_order_keeps_is_caught_at_the_end(world):
    for without, because in [("StockReleased", "still holds"), ("PaymentRefunded", "refunded =")]:
        scribe = Scribe()
        scribe.restock(101, 100)
        scribe.choreographed(1, 2, without)
        caught(f"no {without}", scribe.events, because)


def test_a_hold_that_is_taken_from_who_may_pay_is_caught(world):
    for voided, begun, because in [
        (False, False, "could still pay"), (False, True, "being paid for"),
    ]:
        scribe = Scribe()
        scribe.restock(101, 100)
        scribe.expired(1, voided, begun)
        caught("a hold freed too early", scribe.events, because)


def test_negative_and_wrong_stock_is_caught(world):
    events = sound_history()
    reserved = events[index_of(events, "StockReserved")]["data"]
    reserved["quantity"] = reserved["allocations"][0]["quantity"] = 500
    caught("an oversold product", events, "negative")
    events = sound_history()
    events[index_of(events, "StockReserved")]["data"]["available_quantity"] += 1
    caught("a wrong figure", events, "claims")
    events = sound_history()
    events[index_of(events, "StockReserved")]["data"]["allocations"][0]["location"] = "store_9"
    caught("a place that holds nothing", events, "would hold")
    events = sound_history()
    events[index_of(events, "StockUnavailable")]["data"]["available_quantity"] = 5000
    caught("unavailable though there is enough", events, "there is enough")


def test_wrong_money_is_caught(world):
    events = sound_history()
    events[index_of(events, "PaymentProcessed")]["data"]["amount"] += Decimal("0.01")
    caught("a cent too much", events, "the order about")
    events = sound_history()
    events[index_of(events, "OrderInitiated")]["data"]["total_amount"] += 1
    caught("a wrong total", events, "sum of the lines")
    events = sound_history()
    index = index_of(events, "PaymentRefunded")
    again = copy.deepcopy(events[index])
    again["event_id"] = str(uuid.uuid4())
    events.insert(index + 1, again)
    caught("a second refund", renumbered(events), "refunded of")


def test_a_command_done_twice_is_caught(world):
    events = sound_history()
    command = uuid.UUID(events[0]["event_id"]).int ^ 1
    events[-1]["event_id"] = str(uuid.UUID(int=command ^ 1))
    caught("an id used again", events, "there before")
    events = sound_history()
    for event in events:
        event["command_id"] = event["correlation_id"]
    assert violations(events) == []
    events[-1]["command_id"] = events[0]["command_id"]
    caught("a command id used again", events, "command id was there before")
    events = sound_history()
    sagas = [event for event in events if event["data"].get("commands")]
    sagas[1]["data"]["commands"] = sagas[0]["data"]["commands"] * 2
    caught("an effect asked for twice", events, "a second time")
