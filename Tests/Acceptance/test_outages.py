"""The payment service goes away, comes back, or stays away. In separate processes, with a payment
deadline of a few seconds."""

from decimal import Decimal

from client import poll
from shopping import (
    DECLINED, HAPPY, head, order_row, place, saga_of, settle, stock, stream, timeline, types,
    wait_cancelled, wait_confirmed)
from world import PAYMENT_DEADLINE

ORDER = 80
PRODUCT = 113


def asked_to_pay(client, placed):
    poll("the payment is asked for", lambda: stream(
        client, "payments", f"payment_{placed.uuid}"), within=10)


def ledger(parts, order):
    with parts.payments_client() as provider:
        return provider.get(f"/payments?order_id={order}").expect(200).json["payments"]


def test_an_order_waits_for_the_payment_service_and_goes_through(world):
    parts = world.parts
    client = parts.client
    parts.payments.kill()
    placed = place(client, PRODUCT)
    asked_to_pay(client, placed)
    poll(
        "the saga waits for the payment",
        lambda: saga_of(client, placed.id)["state"] == "charging", within=10)
    parts.start_payments()
    row = wait_confirmed(client, placed.id)
    assert timeline(row) == HAPPY, timeline(row)
    payment, = ledger(parts, placed.id)
    assert payment["captured_amount"] == row["total_amount"], payment


def payment_events(client, placed):
    return stream(client, "payments", f"payment_{placed.uuid}")


def given_up_and_to_be_undone(client, placed):
    """At its deadline, nobody being there to say whether it was charged."""
    poll("the refund is asked for", lambda: "PaymentRefundRequested" in types(
        payment_events(client, placed)), within=PAYMENT_DEADLINE + 20)
    failed, = (event["data"] for event in payment_events(client, placed)
               if event["event_type"] == "PaymentFailed")
    assert failed["error_code"] == "PAYMENT_UNAVAILABLE", failed
    assert failed["possibly_charged"] is True, failed


def test_an_order_is_cancelled_when_the_provider_says_that_it_never_will_charge(world):
    parts = world.parts
    client = parts.client
    before = stock(client, PRODUCT, head(client))
    parts.payments.kill()
    try:
        placed = place(client, PRODUCT, 2)
        given_up_and_to_be_undone(client, placed)
        poll("the saga waits for the refund",
             lambda: saga_of(client, placed.id)["state"] == "refunding", within=10)
        assert order_row(client, placed.id)["status"] != "cancelled", "its payment is open"
    finally:
        parts.start_payments()
    row = wait_cancelled(client, placed.id)
    assert [event for event in timeline(row) if event in DECLINED] == DECLINED, timeline(row)
    assert row["cancellation"]["code"] == "PAYMENT_UNAVAILABLE", row
    assert types(payment_events(client, placed))[-1] == "PaymentVoided"
    assert stock(client, PRODUCT, settle(client)) == before, "the stock is still held"
    assert all(not payment["is_paid"] for payment in ledger(parts, placed.id))


def test_a_choreographed_payment_is_open_until_the_provider_says_that_it_never_will_charge(world):
    parts = world.parts
    client = parts.client
    before = stock(client, PRODUCT, head(client))
    parts.payments.kill()
    try:
        placed = place(client, PRODUCT, 2, saga="choreographed")
        given_up_and_to_be_undone(client, placed)
        row = wait_cancelled(client, placed.id)
        assert row["cancellation"]["code"] == "PAYMENT_UNAVAILABLE", row
        poll("the watcher waits for the refund",
             lambda: saga_of(client, placed.id)["state"] == "compensating", within=10)
    finally:
        parts.start_payments()
    poll("the payment is void", lambda: types(
        payment_events(client, placed))[-1] == "PaymentVoided", within=20)
    assert stock(client, PRODUCT, settle(client)) == before, "the stock is still held"
    assert all(not payment["is_paid"] for payment in ledger(parts, placed.id))


def test_a_provider_that_hangs_is_given_up_at_the_deadline(world):
    parts = world.parts
    client = parts.client
    before = stock(client, PRODUCT, head(client))
    placed = place(client, PRODUCT, payment_method="test_timeout")
    row = wait_cancelled(client, placed.id, within=PAYMENT_DEADLINE + 25)
    assert [event for event in timeline(row) if event in DECLINED] == DECLINED, timeline(row)
    at = settle(client)
    assert stock(client, PRODUCT, at) == before
    assert all(not payment["is_paid"] for payment in ledger(parts, placed.id))
    failed = [event for event in stream(client, "payments", f"payment_{placed.uuid}")
              if event["event_type"] == "PaymentFailed"]
    assert failed and failed[0]["data"]["possibly_charged"] is True, failed


def test_a_provider_that_lies_charges_once(world):
    """It does the work and answers an error, every time at first."""
    parts = world.parts
    client = parts.client
    with parts.payments_client() as provider:
        provider.request("PUT", "/configuration", json_body={
            "failure_rate": 1, "failure_codes": ["DONE_BUT_ERROR"]}).expect(200)
        placed = place(client, PRODUCT)
        row = wait_confirmed(client, placed.id)
        provider.request("PUT", "/configuration", json_body={
            "failure_rate": 0, "failure_codes": ["CARD_DECLINED"]}).expect(200)
    payment, = ledger(parts, placed.id)
    assert payment["captured_amount"] == row["total_amount"], payment


def test_a_refund_waits_for_the_payment_service(world):
    parts = world.parts
    client = parts.client
    before = stock(client, PRODUCT, head(client))
    placed = place(client, PRODUCT)
    total = wait_confirmed(client, placed.id)["total_amount"]
    parts.payments.kill()
    client.post(f"/cqrs/commands/orders/{placed.id}/cancel", {}).expect(202)
    poll("the refund is asked for", lambda: "PaymentRefundRequested" in types(
        stream(client, "payments", f"payment_{placed.uuid}")), within=10)
    assert order_row(client, placed.id)["status"] != "cancelled", "cancelled before the refund"
    parts.start_payments()
    wait_cancelled(client, placed.id)
    assert stock(client, PRODUCT, settle(client)) == before
    payment, = ledger(parts, placed.id)
    assert payment["refunded_amount"] == total, payment


def test_the_payment_service_killed_in_the_middle_of_a_charge_charges_once(world):
    parts = world.parts
    client = parts.client
    placed = place(client, PRODUCT, payment_method="test_slow")
    asked_to_pay(client, placed)
    parts.payments.kill()
    parts.start_payments()
    settle(client)
    row = order_row(client, placed.id)
    kept = sum(
        payment["captured_amount"] - payment["refunded_amount"]
        for payment in ledger(parts, placed.id))
    assert kept == (row["total_amount"] if row["status"] == "confirmed" else 0), (row, kept)


def money_of_the_provider(provider):
    """What the provider's own ledger says that it kept, by order."""
    kept, cursor = {}, ""
    while True:
        page = provider.get(f"/payments?limit=200{cursor}").expect(200).json
        for payment in page["payments"]:
            amount = payment["captured_amount"] - payment["refunded_amount"]
            if amount:
                order = payment["order_id"]
                kept[order] = kept.get(order, Decimal(0)) + amount
        if page["next_cursor"] is None:
            return kept
        cursor = f"&cursor={page['next_cursor']}"
