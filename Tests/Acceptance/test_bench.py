"""The logs that the measurements are taken on: histories that the shop could have written."""

import json

from test_tampering import Log

ORDER = 117
PRODUCTS = 1000
ORDERS = 150


def test_a_made_up_history_is_a_sound_log_of_confirmed_orders(world):
    made = Log(world.shop, "made")
    fill(made, 60)
    fill(made, ORDERS)
    code, result = made.verify()
    assert code == 0 and result["clean"], result
    made.run_checked("projections", "rebuild", "orders")
    events = [
        json.loads(line) for line
        in made.run_checked("events", "tail", "--once", "--after", 0).splitlines()
        if line.startswith("{")]
    opening, history = events[:2 * PRODUCTS], events[2 * PRODUCTS:]
    assert {event["event_type"] for event in opening} == {"ProductAdded", "StockRestocked"}
    of_order = {}
    for event in history:
        of_order.setdefault(event["data"]["order_id"], []).append(event["event_type"])
    assert len(of_order) == ORDERS
    for order, types in of_order.items():
        assert types == [
            "OrderInitiated", "StockReserved", "PaymentInitiated", "PaymentProcessed",
            "OrderConfirmed"], f"{order}: {types}"


def test_the_same_seed_makes_the_same_history(world):
    once, again, other = (Log(world.shop, name) for name in ("once", "again", "other"))
    for log in (once, again):
        fill(log, 20)
    fill(other, 20, "--seed", 2)
    exports = [
        log.export(world.shop.folder / f"{log.name}.jsonl") for log in (once, again, other)]
    assert exports[0] == exports[1] != exports[2]
    code, printed = once.run("bench", "fill", "--orders", 40, "--seed", 2)
    assert code != 0 and "Fill an empty database" in printed, printed


def fill(log, orders, *options):
    printed = log.run_checked("bench", "fill", "--orders", orders, *options)
    assert f"fill.events {2 * PRODUCTS + 5 * orders} events" in printed, printed
