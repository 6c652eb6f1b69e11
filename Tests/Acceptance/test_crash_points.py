"""The server killed at every point around a commit, a dispatch, an outside call: every saga ends.

`MAGASIN_CRASH_AT=k` kills it at the k-th point that it passes. Of each combination a few points are
taken, others at every run; with MAGASIN_CRASH_POINTS=all in the environment every one (an hour), with
MAGASIN_CRASH_POINTS=choreographed/lying every one of that combination, with choreographed/lying/12
that one.
"""

import contextlib
import itertools
import os
import random

from client import BROKEN, poll
from invariants import check_log, check_provider
from server import StartFailure
from shopping import change_stock, new_key, place, settle, stream, types
from world import PAYMENT_DEADLINE

ORDER = 95
PRODUCT = 115
STOCK = 10_000
POINTS_MAX = 120
POINTS_SAMPLED = 2
LYING = {"failure_rate": 1, "failure_codes": ["DONE_BUT_ERROR"]}
HONEST = {"failure_rate": 0, "failure_codes": ["CARD_DECLINED"]}
ENDS = {"success": "OrderConfirmed", "unavailable": "OrderCancelled",
        "declined": "OrderCancelled", "dead": "OrderCancelled", "lying": None}


@contextlib.contextmanager
def environment(**variables):
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def restart(parts, at=None):
    """A new server that dies at the point of that number. Whether it came up."""
    parts.client.close()
    if parts.server.is_running:
        parts.server.kill()
    with environment(**({} if at is None else {"MAGASIN_CRASH_AT": str(at)})):
        try:
            parts.start_server()
        except StartFailure:
            return False
    return True


def order_of(scenario, saga):
    quantity = 900_000 if scenario == "unavailable" else 1
    more = {"payment_method": "test_card_declined"} if scenario == "declined" else {}
    return {"quantity": quantity, "saga": saga, **more}


def ended(client, order):
    names = [event["event_type"] for event in stream(client, "orders", order)]
    return names[-1] if names[-1] in ("OrderConfirmed", "OrderCancelled") else None


def crash_at(parts, point, scenario, body, headers):
    """One order, with a server that dies at a point, if it passes as many. While nobody is there to
    say whether it was charged, the order does not end, and the same points are passed again."""
    if not restart(parts, point):
        return
    with contextlib.suppress(*BROKEN):
        placed = place(parts.client, PRODUCT, headers=headers, **body)
        try:
            poll("the order has ended, or the server", lambda: not parts.server.is_running
                 or ended(parts.client, placed.id), within=12 if scenario == "dead" else 30,
                 every=0.02)
        except AssertionError:
            if scenario != "dead":
                raise
    # What comes after the order's end, up to the checkpoint.
    with contextlib.suppress(AssertionError):
        poll("the server dies", lambda: not parts.server.is_running, within=1.5)


def carry_out(parts, point, scenario, saga):
    """The same with what the scenario needs, and then a server that lives. Whether it had died,
    and the order's id: the command is sent again, which does nothing new."""
    if scenario == "dead":
        parts.payments.kill()
    if scenario == "lying":
        with parts.payments_client() as provider:
            provider.request("PUT", "/configuration", json_body=LYING).expect(200)
    body, headers = order_of(scenario, saga), new_key()
    crash_at(parts, point, scenario, body, headers)
    died = not parts.server.is_running
    # Also one that has lived so far: it would still die at its point.
    restart(parts)
    order = place(parts.client, PRODUCT, headers=headers, **body).id
    try:
        end = bring_to_end(parts, scenario, order)
    except AssertionError as error:
        raise AssertionError(f"{saga}, {scenario}, point {point}: {error}; {history(parts, order)}")
    assert ENDS[scenario] in (None, end), (scenario, saga, point, order, end)
    # The next one begins behind this order: a server that is killed soon leaves checkpoints before
    # it, and the next one would die at this order's points instead of at its own.
    settle(parts.client)
    parts.server.end()
    return died, order


def bring_to_end(parts, scenario, order):
    """How the order ends, once the payment service is there and says what is true."""
    if scenario == "dead":
        payment = order.replace("order_", "payment_", 1)
        # A lease to wait for, and then the payment's deadline.
        poll("the payment is given up", lambda: "PaymentFailed" in types(
            stream(parts.client, "payments", payment)), within=30)
        parts.start_payments()
    if scenario == "lying":
        with parts.payments_client() as provider:
            provider.request("PUT", "/configuration", json_body=HONEST).expect(200)
    return poll(f"{order} ends", lambda: ended(parts.client, order), within=60)


def history(parts, order):
    """All that has happened to an order, for whoever has to find out why it has not ended."""
    first = stream(parts.client, "orders", order)[0]
    path = f"/event-store/api/v1/events/correlation/{first['correlation_id']}"
    return [(event["position"], event["timestamp"], event["event_type"])
            for event in parts.client.get(path).expect(200).json["events"]]


def test_the_server_may_die_at_any_point(world):
    parts = world.parts
    # Another test may have made it longer.
    parts.options = ("--payment-deadline", PAYMENT_DEADLINE)
    change_stock(parts.client, PRODUCT, STOCK, "restock").expect(202)
    wanted = os.environ.get("MAGASIN_CRASH_POINTS", "")
    combination, _, single = (wanted.rpartition("/") if wanted.count("/") == 2
                              else (wanted, "", ""))
    deaths, orders = 0, []
    for saga, scenario in itertools.product(("orchestrated", "choreographed"), ENDS):
        if combination not in ("", "all", f"{saga}/{scenario}"):
            continue
        points = ([int(single)] if single else range(1, POINTS_MAX) if wanted
                  else sorted(random.sample(range(1, 36), POINTS_SAMPLED)))
        for point in points:
            died, order = carry_out(parts, point, scenario, saga)
            orders.append(order)
            deaths += died
            if wanted and not died:
                break
    restart(parts)
    settle(parts.client)
    check_log(parts.client)
    check_provider(parts, orders)
    assert deaths > 0, "no server has died"
    print(f"{deaths} deaths, {len(orders)} orders")
