"""The payment service killed and started again, ten times during two thousand orders: every order
ends, and the provider has kept what the log says."""

import itertools
import threading
import time

from client import BROKEN, poll
from invariants import check_log, check_provider
from shopping import UNFINISHED_ORDERS, change_stock, order_row, place, settle, together

ORDER = 94
PRODUCT = 116
KILLS = 10
SHOPPERS = 8
END_SECONDS_MAX = 60


def shop_until(parts, count, orders):
    """Orders of both kinds, from several threads."""
    numbers = itertools.count()

    def buy(client, _):
        while (number := next(numbers)) < count:
            saga = "choreographed" if number % 4 == 0 else "orchestrated"
            orders.append(place(client, PRODUCT, saga=saga).id)

    return threading.Thread(target=together, args=(parts.port, SHOPPERS, buy, 120), daemon=True)


def kill_again_and_again(parts, orders, count):
    """At equal distances in the stream of orders. When it was last started."""
    for kill in range(1, KILLS + 1):
        poll(f"{kill * count // (KILLS + 1)} orders",
             lambda: len(orders) >= kill * count // (KILLS + 1), within=120, every=0.01)
        parts.payments.kill()
        time.sleep(0.3)
        parts.start_payments()
    return time.monotonic()


def test_the_payment_service_may_be_killed_again_and_again(world):
    parts = world.parts
    count = world.count(2000, 300)
    change_stock(parts.client, PRODUCT, count, "restock").expect(202)
    orders = []
    shopping = shop_until(parts, count, orders)
    shopping.start()
    started = kill_again_and_again(parts, orders, count)
    shopping.join(120)
    assert len(orders) == count, f"{len(orders)} orders were taken"
    open_orders = set(orders)

    def ended():
        open_orders.difference_update([
            order for order in open_orders
            if order_row(parts.client, order)["status"] not in UNFINISHED_ORDERS])
        return not open_orders

    poll(f"{count} orders have ended", ended, within=END_SECONDS_MAX, every=0.2)
    print(f"{KILLS} kills, {count} orders, ended {time.monotonic() - started:.1f} s "
          "after the last start")
    settle(parts.client)
    check_log(parts.client)
    check_provider(parts, orders)
