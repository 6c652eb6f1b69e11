"""A customer changes their mind; a provider answers late or never."""

from client import poll
from shopping import (
    head, order_row, place, saga_of, settle, stock, stream, timeline, types, wait_cancelled,
    wait_confirmed)

ORDER = 40
PRODUCT = 110


def cancel(client, order, reason="changed my mind", **headers):
    return client.post(f"/cqrs/commands/orders/{order}/cancel", {"reason": reason}, **headers)


def ledger(world, order):
    """What the payment provider itself says that it took and gave back for an order."""
    with world.shop.payments_client() as provider:
        payments = provider.get(f"/payments?order_id={order}").expect(200).json["payments"]
    return [(payment["captured_amount"], payment["refunded_amount"]) for payment in payments]


def test_cancelled_before_the_payment_answers_charges_nobody(world):
    client = world.shop.client
    before = stock(client, PRODUCT, head(client))
    placed = place(client, PRODUCT, 2, payment_method="test_slow")
    poll("the payment is asked for", lambda: stream(
        client, "payments", f"payment_{placed.uuid}"), within=10)
    reply = cancel(client, placed.id).expect(202)
    row = wait_cancelled(client, placed.id)
    at = settle(client)
    assert "OrderConfirmed" not in timeline(row), timeline(row)
    assert stock(client, PRODUCT, at) == before
    assert all(captured == refunded for captured, refunded in ledger(world, placed.id))
    assert saga_of(client, placed.id)["state"] == "compensated"
    last = stream(client, "orders", placed.id)[-1]["data"]
    assert last["code"] == "CUSTOMER_REQUEST" and not last["was_confirmed"], last
    assert reply.position <= at


def test_cancelled_at_once_ends_cancelled(world):
    client = world.shop.client
    before = stock(client, PRODUCT, head(client))
    for _ in range(5):
        placed = place(client, PRODUCT)
        cancel(client, placed.id).expect(202)
        wait_cancelled(client, placed.id)
        assert all(captured == refunded for captured, refunded in ledger(world, placed.id))
    assert stock(client, PRODUCT, settle(client)) == before


def test_cancelled_after_confirmation_is_refunded_and_released(world):
    client = world.shop.client
    before = stock(client, PRODUCT, head(client))
    placed = place(client, PRODUCT, 3)
    total = wait_confirmed(client, placed.id)["total_amount"]
    assert ledger(world, placed.id) == [(total, 0)]
    cancel(client, placed.id).expect(202)
    row = wait_cancelled(client, placed.id)
    at = settle(client)
    undone = [event for event in timeline(row) if event in (
        "PaymentRefunded", "StockReleased", "OrderCancelled")]
    assert undone == ["PaymentRefunded", "StockReleased", "OrderCancelled"], timeline(row)
    assert stock(client, PRODUCT, at) == before
    assert ledger(world, placed.id) == [(total, total)]
    last = stream(client, "orders", placed.id)[-1]["data"]
    assert last["was_confirmed"] is True, last


def test_cancelling_twice_is_the_same_as_once(world):
    client = world.shop.client
    placed = place(client, PRODUCT)
    wait_confirmed(client, placed.id)
    first = cancel(client, placed.id).expect(202)
    second = cancel(client, placed.id, reason="again").expect(200, 202)
    wait_cancelled(client, placed.id)
    at = settle(client)
    third = cancel(client, placed.id).expect(200, 202)
    assert settle(client) == at, "cancelling a cancelled order wrote something"
    for kind in ("OrderCancellationRequested", "OrderCancelled"):
        assert types(stream(client, "orders", placed.id)).count(kind) == 1, kind
    assert {reply.data["order_id"] for reply in (first, second, third)} == {placed.id}
    assert order_row(client, placed.id)["status"] == "cancelled"


def test_a_charge_that_is_never_answered_is_made_once(world):
    client = world.shop.client
    placed = place(client, PRODUCT, payment_method="test_charged_no_answer")
    row = wait_confirmed(client, placed.id, within=45)
    assert ledger(world, placed.id) == [(row["total_amount"], 0)]
    assert timeline(row)[-1] == "NotificationSent", timeline(row)
