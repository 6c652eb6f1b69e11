"""Many at once: nothing sold twice, nothing done twice."""

import uuid
from collections import Counter

from shopping import (
    LAPTOP, leave_in_stock, order_row, place, send_order, settle, stock, stock_row, stream,
    together, types, wait_confirmed)

ORDER = 30


def test_of_200_orders_for_the_last_10_pieces_10_are_confirmed(world):
    shop = world.shop
    orders, pieces, product = world.count(200, 60), 10, 109
    leave_in_stock(shop.client, product, pieces)
    _, reserved = stock(shop.client, product)
    placed = together(shop.port, orders, lambda client, _: place(client, product))
    assert len({order.id for order in placed}) == orders
    at = settle(shop.client, within=90)
    statuses = Counter(order_row(shop.client, order.id, at)["status"] for order in placed)
    assert statuses == {"confirmed": pieces, "cancelled": orders - pieces}, statuses
    assert stock(shop.client, product, at) == (0, reserved + pieces)
    row = stock_row(shop.client, product)
    assert row["low_stock_alert"] is True, row
    lowest = min(
        event["data"]["available_quantity"] for event in stream(shop.client, "inventory", product))
    assert lowest == 0, lowest


def test_the_same_key_50_times_at_once_is_one_order(world):
    shop = world.shop
    key = {"Idempotency-Key": f"fifty {uuid.uuid4()}"}
    replies = together(
        shop.port, 50, lambda client, _: send_order(client, LAPTOP, 3, headers=key))
    assert {reply.status for reply in replies} == {202}, Counter(r.status for r in replies)
    assert len({reply.body for reply in replies}) == 1, "the answers differ"
    assert len({reply.headers["Magasin-Position"] for reply in replies}) == 1
    assert len({reply.headers["Location"] for reply in replies}) == 1
    order = replies[0].data["order_id"]
    wait_confirmed(shop.client, order)
    at = settle(shop.client)
    assert types(stream(shop.client, "orders", order)) == ["OrderInitiated", "OrderConfirmed"]
    again = send_order(shop.client, LAPTOP, 3, headers=key)
    assert again.body == replies[0].body, "the answer changed once the order was confirmed"
    assert settle(shop.client) == at, "sending it again wrote something"


def test_the_same_key_with_another_order_is_refused(world):
    client = world.shop.client
    key = {"Idempotency-Key": f"one {uuid.uuid4()}"}
    first = place(client, LAPTOP, 1, headers=key)
    at = settle(client)
    other = send_order(client, LAPTOP, 2, headers=key).expect(422)
    assert other.is_problem and other.json["type"] == "/problems/idempotency-key-reused", other
    cancelled = client.post(
        f"/cqrs/commands/orders/{first.id}/cancel", {"reason": "x"}, idempotency_key="z" * 300)
    assert cancelled.status == 422 and cancelled.json["field"] == "Idempotency-Key", cancelled
    assert settle(client) == at, "a refused command wrote something"
