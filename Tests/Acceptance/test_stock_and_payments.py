"""The commands that people give by hand: stock moved, orders paid."""

from decimal import Decimal

from shopping import (
    change_stock, head, place, settle, stock, stock_row, wait_confirmed)

ORDER = 50
PRODUCT = 111


def test_stock_is_restocked_reserved_released_and_deducted(world):
    client = world.shop.client
    available, reserved = stock(client, PRODUCT, head(client))
    for operation, quantity, moved in [
        ("restock", 30, (30, 0)), ("deduct", 4, (-4, 0)), ("restock", 1, (1, 0)),
    ]:
        reply = change_stock(client, PRODUCT, quantity, operation).expect(202)
        available, reserved = available + moved[0], reserved + moved[1]
        assert stock(client, PRODUCT, reply.position) == (available, reserved), operation
    row = stock_row(client, PRODUCT)
    assert row["product_id"] == PRODUCT and row["product_name"] and row["last_restocked"], row
    everything = client.get("/cqrs/queries/inventory?limit=100").expect(200)
    assert row in everything.data, everything
    low = client.get("/cqrs/queries/inventory/low-stock?limit=100").expect(200)
    assert all(entry["low_stock_alert"] for entry in low.data), low


def test_stock_held_by_hand_for_an_order_is_released(world):
    client = world.shop.client
    placed = place(client, 112, 2)
    wait_confirmed(client, placed.id)
    available, reserved = stock(client, PRODUCT, head(client))
    reply = change_stock(client, PRODUCT, 5, "reserve", order_id=placed.id).expect(202)
    assert stock(client, PRODUCT, reply.position) == (available - 5, reserved + 5)
    reply = change_stock(client, PRODUCT, 5, "release", order_id=placed.id).expect(202)
    assert stock(client, PRODUCT, reply.position) == (available, reserved)


def test_stock_that_is_not_there_cannot_be_taken(world):
    client = world.shop.client
    available, _ = stock(client, PRODUCT, head(client))
    at = settle(client)
    refused = change_stock(client, PRODUCT, available + 1, "deduct").expect(409)
    assert refused.is_problem and refused.json["type"] == "/problems/insufficient-stock", refused
    assert settle(client) == at, "a refused command wrote something"


def test_stock_of_a_store_is_its_own(world):
    client = world.shop.client
    before = stock_row(client, PRODUCT, head(client))
    reply = change_stock(client, PRODUCT, 7, "restock", store_id=2).expect(202)
    after = stock_row(client, PRODUCT, reply.position)
    assert after["available_quantity"] == before["available_quantity"] + 7, after

    def pieces(row):
        places = {place["location"]: place["available"] for place in row["locations"]}
        assert sum(places.values()) == row["available_quantity"], row
        return places.get("store_2", 0)
    assert pieces(after) == pieces(before) + 7, after
    at_the_store = pieces(after)
    refused = change_stock(client, PRODUCT, at_the_store + 1, "deduct", store_id=2).expect(409)
    assert refused.json["type"] == "/problems/insufficient-stock", refused
    change_stock(client, PRODUCT, at_the_store, "deduct", store_id=2).expect(202)


def pay(client, order, amount, method="card"):
    return client.post("/cqrs/commands/payments", {
        "order_id": order, "amount": amount, "payment_method": method})


def test_an_order_is_paid_once(world):
    client = world.shop.client
    placed = place(client, 112)
    total = wait_confirmed(client, placed.id)["total_amount"]
    at = settle(client)
    wrong = pay(client, placed.id, total + Decimal("0.01")).expect(422)
    assert wrong.json["type"] == "/problems/amount-mismatch" and wrong.is_problem, wrong
    again = pay(client, placed.id, total).expect(409)
    assert again.is_problem, again
    unknown = pay(client, "order_00000000-0000-7000-8000-000000000000", total).expect(404, 422)
    assert unknown.is_problem and unknown.json["type"] == "/problems/unknown-order", unknown
    assert settle(client) == at, "a refused payment wrote something"
