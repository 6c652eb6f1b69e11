"""An order from the click to the message, and what stops one."""

import statistics
import time
from decimal import Decimal

from invariants import events_of
from shopping import (
    CUSTOMER, DECLINED, HAPPY, LAPTOP, LAPTOP_PRICE, OUT_OF_STOCK, head, leave_in_stock,
    order_row, place, saga_of, send_order, settle, stock, stream, timeline, types,
    wait_cancelled, wait_confirmed)

ORDER = 20
CONFIRMED_WITHIN_SECONDS = 1.0


def test_an_order_is_confirmed_within_a_second(world):
    client = world.shop.client
    seconds = []
    for _ in range(5):
        started = time.monotonic()
        placed = place(client)
        row = wait_confirmed(client, placed.id, every=0.005)
        seconds.append(time.monotonic() - started)
        assert timeline(row) == HAPPY, timeline(row)
    assert statistics.median(seconds) < CONFIRMED_WITHIN_SECONDS, f"took {seconds} s"


def test_the_confirmed_order_shows_what_was_bought(world):
    client = world.shop.client
    before = stock(client, LAPTOP, head(client))
    placed = place(client, quantity=2, shipping_address={
        "street": "1, rue Sherbrooke", "city": "Montréal", "postal_code": "H2X 1X1"})
    row = wait_confirmed(client, placed.id)
    assert row["order_id"] == placed.id and row["user_id"] == CUSTOMER, row
    assert row["user_name"] and "@" in row["user_email"], row
    assert row["total_amount"] == 2 * LAPTOP_PRICE and row["currency"] == "CAD", row
    item, = row["items"]
    assert (item["product_id"], item["quantity"]) == (LAPTOP, 2), item
    assert item["unit_price"] == LAPTOP_PRICE and item["line_total"] == 2 * LAPTOP_PRICE, item
    assert item["product_name"], item
    positions = [entry["position"] for entry in row["timeline"]]
    assert positions == sorted(positions) and positions[0] == placed.position, row["timeline"]
    assert all(entry["timestamp"].endswith("Z") for entry in row["timeline"]), row["timeline"]
    assert "Montréal" in str(row["shipping_info"]), row["shipping_info"]
    assert order_row(client, placed.uuid) == row, "the id without its prefix answers differently"
    after = stock(client, LAPTOP, head(client))
    assert after == (before[0] - 2, before[1] + 2), (before, after)


def test_every_view_of_an_order_agrees(world):
    client = world.shop.client
    settle(client)
    before = client.get("/cqrs/queries/statistics/orders").expect(200).data
    placed = place(client)
    row = wait_confirmed(client, placed.id)
    settle(client)

    of_user = client.get(f"/cqrs/queries/users/{CUSTOMER}/orders?limit=5").expect(200)
    assert of_user.data[0] == row, of_user
    recent = client.get("/cqrs/queries/orders/recent?limit=1").expect(200)
    assert recent.data == [row] and recent.json["count"] == 1, recent
    confirmed = client.get("/cqrs/queries/orders/status/confirmed?limit=1").expect(200)
    assert confirmed.data == [row], confirmed

    after = client.get("/cqrs/queries/statistics/orders").expect(200).data
    assert after["total_orders"] == before["total_orders"] + 1, (before, after)
    assert after["total_revenue"] == before["total_revenue"] + LAPTOP_PRICE, (before, after)
    assert after["status_counts"]["confirmed"] == before["status_counts"]["confirmed"] + 1, after

    summary = client.get(f"/cqrs/queries/users/{CUSTOMER}/summary").expect(200).data
    assert summary["user_id"] == CUSTOMER and summary["total_orders"] >= 1, summary
    top = client.get("/cqrs/queries/customers/top?limit=3").expect(200)
    assert CUSTOMER in [customer["user_id"] for customer in top.data], top


def test_the_event_store_agrees_with_the_order(world):
    client = world.shop.client
    placed = place(client)
    row = wait_confirmed(client, placed.id)
    at = settle(client)

    last = events_of(client.get("/event-store/api/v1/events?limit=10").expect(200))
    assert len(last) == 10, len(last)
    assert [event["position"] for event in last] == list(range(at, at - 10, -1)), last

    initiated = events_of(
        client.get("/event-store/api/v1/events/type/OrderInitiated?limit=10").expect(200))
    assert {event["event_type"] for event in initiated} == {"OrderInitiated"}, initiated
    event, = [event for event in initiated if event["aggregate_id"] == placed.id]
    assert event["position"] == placed.position and event["version"] == 1, event
    assert event["data"]["total_amount"] == row["total_amount"], event
    assert event["metadata"]["source_ip"] == "127.0.0.1", event

    of_order = stream(client, "orders", placed.id)
    assert types(of_order) == ["OrderInitiated", "OrderConfirmed"], of_order
    trace = client.get(f"/event-store/api/v1/events/correlation/{event['correlation_id']}")
    found = types(events_of(trace.expect(200)))
    assert [kind for kind in found if kind in HAPPY] == HAPPY, found

    path = f"/event-store/api/v1/replay/aggregate/orders/{placed.id}"
    replay = client.get(path).expect(200).json
    state = replay["current_state"]
    assert replay["version"] == 2 and state["status"] == "confirmed", replay
    assert state["total_amount"] == row["total_amount"], replay
    for item in state["items"]:
        assert item in row["items"], (state["items"], row["items"])

    saga = saga_of(client, placed.id)
    assert saga["state"] == "completed" and saga["saga_id"] == f"saga_{placed.id}", saga
    assert client.get(f"/saga/{saga['saga_id']}").expect(200).json == saga


def test_an_order_of_several_lines_adds_up(world):
    client = world.shop.client
    before = {product: stock(client, product, head(client)) for product in (102, 103)}
    reply = client.post("/cqrs/commands/orders", {"user_id": CUSTOMER, "items": [
        {"product_id": 102, "quantity": 1}, {"product_id": 103, "quantity": 2},
        {"product_id": 102, "quantity": 3}]}).expect(202)
    row = wait_confirmed(client, reply.data["order_id"])
    bought = {item["product_id"]: item["quantity"] for item in row["items"]}
    assert bought == {102: 4, 103: 2}, "the same product twice is one line of the sum"
    assert sum(item["line_total"] for item in row["items"]) == row["total_amount"], row
    assert isinstance(row["total_amount"], (Decimal, int)), row
    for product, quantity in bought.items():
        available, reserved = stock(client, product, head(client))
        assert (available, reserved) == (
            before[product][0] - quantity, before[product][1] + quantity), product


def test_too_much_stock_asked_holds_nothing(world):
    client = world.shop.client
    leave_in_stock(client, 104, 5)
    before = stock(client, 104), stock(client, 105)
    placed = place(client, 104, 6)
    row = wait_cancelled(client, placed.id)
    assert timeline(row) == OUT_OF_STOCK, timeline(row)
    both = client.post("/cqrs/commands/orders", {"user_id": CUSTOMER, "items": [
        {"product_id": 105, "quantity": 1}, {"product_id": 104, "quantity": 6}]}).expect(202)
    row = wait_cancelled(client, both.data["order_id"])
    assert timeline(row) == OUT_OF_STOCK, timeline(row)
    at = settle(client)
    assert (stock(client, 104, at), stock(client, 105, at)) == before
    assert row["cancellation"]["code"] == "OUT_OF_STOCK", row
    cancelled = stream(client, "orders", placed.id)[-1]
    assert cancelled["event_type"] == "OrderCancelled", cancelled
    assert cancelled["data"]["code"] == "OUT_OF_STOCK", cancelled


def test_a_declined_card_gives_the_stock_back(world):
    client = world.shop.client
    before = stock(client, 106, head(client))
    for method, code in [
        ("test_insufficient_funds", "INSUFFICIENT_FUNDS"), ("test_card_declined", "CARD_DECLINED"),
        ("test_expired_card", "EXPIRED_CARD"),
    ]:
        placed = place(client, 106, 2, payment_method=method)
        row = wait_cancelled(client, placed.id)
        assert timeline(row) == DECLINED, timeline(row)
        payment = stream(client, "payments", f"payment_{placed.uuid}")
        assert types(payment) == ["PaymentInitiated", "PaymentFailed"], types(payment)
        assert payment[-1]["data"]["error_code"] == code, payment[-1]
        assert not payment[-1]["data"]["possibly_charged"], payment[-1]
        assert stock(client, 106, settle(client)) == before
        assert saga_of(client, placed.id)["state"] == "compensated"


def test_a_reader_always_sees_what_it_wrote(world):
    client = world.shop.client
    for _ in range(world.count(100, 25)):
        placed = place(client, 107)
        reply = client.get(
            f"/cqrs/queries/orders/{placed.id}?min_position={placed.position}").expect(200)
        assert reply.position >= placed.position, reply
        row = reply.data
        assert row["order_id"] == placed.id and timeline(row)[0] == "OrderInitiated", row
    settle(client)


def test_a_buyer_may_wait_for_the_end(world):
    client = world.shop.client
    waiting = {"Prefer": "wait=10"}
    reply = send_order(client, 108, headers=waiting).expect(201)
    assert reply.data["status"] == "confirmed", reply
    assert order_row(client, reply.data["order_id"], reply.position)["status"] == "confirmed"
    refused = send_order(
        client, 108, headers=waiting, payment_method="test_card_declined").expect(409)
    assert refused.is_problem and "CARD_DECLINED" in refused.body.decode(), refused
    slow = send_order(
        client, 108, headers={"Prefer": "wait=1"}, payment_method="test_slow").expect(202)
    wait_confirmed(client, slow.data["order_id"])

