"""Orders as they were, answers that are asked for again, and what one has written oneself."""

import threading
import uuid
from datetime import datetime, timedelta, timezone

from client import Client, raw_exchange
from shopping import (
    CUSTOMER, HAPPY, head, order_row, place, stream, timeline, wait_confirmed)

ORDER = 72
QUERIES = "/cqrs/queries"
CLIENT_ERRORS = ("/problems/wrong-type", "/problems/invalid-value", "/problems/unsupported")


def moment(text, milliseconds=0):
    """The time of an event, moved, as it goes into a URL."""
    time = datetime.fromisoformat(text) + timedelta(milliseconds=milliseconds)
    return time.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def confirmed_order(client):
    placed = place(client, 115)
    return placed, wait_confirmed(client, placed.id)


def walk(client, path, limit):
    """All rows of a list, page by page."""
    rows, cursor = [], ""
    while True:
        page = client.get(f"{path}&limit={limit}{cursor}").expect(200).json
        rows += page["data"]
        if page["next_cursor"] is None:
            return rows
        cursor = f"&cursor={page['next_cursor']}"


def test_an_order_is_seen_as_it_was_at_every_step(world):
    client = world.shop.client
    placed, row = confirmed_order(client)
    path = f"{QUERIES}/orders/{placed.id}"
    assert timeline(row) == HAPPY, timeline(row)
    for number, step in enumerate(row["timeline"], start=1):
        reply = client.get(f"{path}?at={step['timestamp']}").expect(200)
        then = reply.data
        # Steps may have happened within one millisecond.
        count = max(n for n, other in enumerate(row["timeline"], start=1)
                    if other["timestamp"] == step["timestamp"])
        assert count >= number and timeline(then) == HAPPY[:count], (step, timeline(then))
        assert then["timeline"] == row["timeline"][:count], then
        assert then["created_at"] == row["created_at"] and then["items"] == row["items"], then
        as_of = reply.json["as_of"]
        assert as_of["position"] >= step["position"], reply
        assert as_of["timestamp"] == then["updated_at"], reply
        assert reply.position >= row["timeline"][-1]["position"], reply
    far = client.get(f"{path}?at=2100-01-01T00:00:00Z").expect(200)
    assert far.data == order_row(client, placed.id), far
    own = stream(client, "orders", placed.id)
    for event, status in zip(own, ("initiated", "confirmed"), strict=True):
        reply = client.get(f"{path}?version={event['version']}").expect(200)
        assert reply.data["status"] == status, reply
        assert reply.json["as_of"] == {
            "position": event["position"], "timestamp": event["timestamp"],
            "version": event["version"]}, reply
    assert "as_of" not in client.get(path).expect(200).json


def test_what_the_past_does_not_have_is_refused_by_name(world):
    client = world.shop.client
    placed, row = confirmed_order(client)
    order = f"{QUERIES}/orders/{placed.id}"
    for path, status, field in [
        (f"{order}?at={moment(row['created_at'], -1)}", 404, "at"),
        (f"{order}?version=3", 422, "version"), (f"{order}?version=0", 422, "version"),
        (f"{order}?version=x", 400, "version"), (f"{order}?at=then", 422, "at"),
        (f"{order}?at=2026-01-01&version=1", 400, "version"),
        (f"{QUERIES}/orders/order_nope?version=1", 404, "order_id"),
        (f"{QUERIES}/orders/order_nope?at=2100-01-01", 404, "order_id"),
        (f"{QUERIES}/orders/recent?version=1", 400, "version"),
        (f"{QUERIES}/orders/status/confirmed?at=2100-01-01", 400, "at"),
        (f"{QUERIES}/users/{CUSTOMER}/orders?at=2100-01-01&status=confirmed", 400, "at"),
        (f"{QUERIES}/inventory/115?at=2100-01-01", 400, "at"),
        (f"{QUERIES}/statistics/orders?at=2100-01-01", 400, "at"),
        (f"/saga/order/{placed.id}?at=2100-01-01", 400, "at"),
    ]:
        reply = client.get(path).expect(status)
        assert reply.is_problem and reply.json["field"] == field, reply
        assert status == 404 or reply.json["type"] in CLIENT_ERRORS, reply


def test_lists_of_the_past_hold_the_orders_of_then(world):
    client = world.shop.client
    placed, row = confirmed_order(client)
    at = row["created_at"]
    for list_path in ("orders/recent", f"users/{CUSTOMER}/orders"):
        reply = client.get(f"{QUERIES}/{list_path}?at={at}&limit=5").expect(200)
        then = {order["order_id"]: order for order in reply.data}
        assert timeline(then[placed.id]) == ["OrderInitiated"], reply
        assert reply.data[0]["created_at"] == at, reply
        assert reply.json["as_of"]["timestamp"] <= at, reply
        before = client.get(
            f"{QUERIES}/{list_path}?at={moment(at, -1)}&limit=5").expect(200).data
        assert placed.id not in [order["order_id"] for order in before], before
        early = client.get(f"{QUERIES}/{list_path}?at=2020-01-01T00:00:00Z").expect(200).json
        assert early["data"] == [] and early["as_of"] is None, early
    whole = walk(client, f"{QUERIES}/orders/recent?at={at}", 200)
    pages = walk(client, f"{QUERIES}/orders/recent?at={at}", 3)
    assert pages == whole, (len(pages), len(whole))
    assert len({order["order_id"] for order in whole}) == len(whole)
    times = [order["created_at"] for order in whole]
    assert times == sorted(times, reverse=True), times


def test_pages_have_no_seam_while_orders_come_in(world):
    client = world.shop.client
    for _ in range(12):
        last = place(client, 115)
    at_start = {
        order["order_id"] for order in
        walk(client, f"{QUERIES}/orders/recent?min_position={last.position}", 200)}
    assert last.id in at_start
    ended = threading.Event()

    def shop_on():
        with Client(client.port) as other:
            for _ in range(150):
                place(other, 115)
                if ended.wait(0.01):
                    return

    shopper = threading.Thread(target=shop_on)
    shopper.start()
    try:
        for limit in (2, 7):
            seen = [order["order_id"] for order in walk(
                client, f"{QUERIES}/orders/recent?min_position={last.position}", limit)]
            assert len(set(seen)) == len(seen), "an order came twice"
            assert at_start <= set(seen), at_start - set(seen)
    finally:
        ended.set()
        shopper.join()


def test_an_answer_that_one_has_is_not_sent_again(world):
    client = world.shop.client
    placed, row = confirmed_order(client)
    for path in [
        f"{QUERIES}/orders/{placed.id}", f"{QUERIES}/orders/{placed.id}?version=1",
        f"{QUERIES}/users/{CUSTOMER}/orders?at={row['created_at']}", f"{QUERIES}/inventory/101",
        f"{QUERIES}/statistics/orders?end_date=2020-01-01", f"/saga/order/{placed.id}",
        f"/saga/saga_{placed.id}",
    ]:
        first = client.get(path).expect(200)
        tag = first.headers["ETag"]
        assert tag.startswith('W/"') and "no-cache" in first.headers["Cache-Control"], first
        for condition in (tag, tag.removeprefix("W/"), f'"a,b", {tag}', "*"):
            again = client.get(path, if_none_match=condition).expect(304)
            assert again.body == b"" and again.headers["ETag"] == tag, again
            assert again.position >= first.position, again
            assert again.headers["Content-Type"] is None, again.headers
        assert client.get(path, if_none_match='W/"other"').expect(200).headers["ETag"] == tag
        for headers, status in ({}, 200), ({"If-None-Match": tag}, 304):
            reply = client.request("HEAD", path, headers=headers).expect(status)
            assert reply.body == b"" and reply.headers["ETag"] == tag, reply
            assert reply.position is not None, reply
    # Nothing follows the head of a 304, and the connection can be used on.
    path = f"{QUERIES}/orders/{placed.id}"
    tag = client.get(path).headers["ETag"]
    answers = raw_exchange(client.port, (
        f"GET {path} HTTP/1.1\r\nHost: a\r\nIf-None-Match: {tag}\r\n\r\n"
        f"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").encode())
    first, rest = answers.split(b"\r\n\r\n", 1)
    assert first.startswith(b"HTTP/1.1 304") and rest.startswith(b"HTTP/1.1 200"), answers
    assert b"transfer-encoding" not in first.lower(), first


def test_a_changed_answer_has_another_tag(world):
    client = world.shop.client
    placed = place(client, 115)
    path = f"{QUERIES}/orders/{placed.id}"
    seen = client.get(path, magasin_position=placed.position).expect(200)
    wait_confirmed(client, placed.id)
    later = client.get(path, if_none_match=seen.headers["ETag"]).expect(200)
    assert later.data["status"] == "confirmed", later
    assert later.headers["ETag"] != seen.headers["ETag"]
    # Who must have seen more is not told that nothing has changed.
    beyond = head(client) + 1_000_000
    reply = client.get(
        f"{path}?min_position={beyond}", if_none_match=later.headers["ETag"]).expect(503)
    assert reply.json["type"] == "/problems/read-model-behind", reply
    assert 0 < reply.position < beyond and reply.json["position"] == reply.position, reply


def test_every_query_says_where_it_stands_when_it_cannot_wait_longer(world):
    client = world.shop.client
    beyond = head(client) + 1_000_000
    unknown = f"order_{uuid.uuid4()}"
    for path in (f"{QUERIES}/orders/{unknown}", "/sagas", "/event-store/api/v1/events"):
        reply = client.get(path, magasin_position=beyond).expect(503)
        assert reply.is_problem and reply.headers["Retry-After"] == "1", reply
        assert 0 < reply.position < beyond, reply
        assert reply.seconds < 10, reply.seconds
