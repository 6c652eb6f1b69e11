"""Bad input gets the right 4xx, a problem that names the field, and not one event in the log."""

import json
import socket
import time

from client import raw_exchange
from shopping import head, place, settle, wait_confirmed

ORDER = 75
ORDERS = "/cqrs/commands/orders"
PAYMENTS = "/cqrs/commands/payments"
INVENTORY = "/cqrs/commands/inventory"
STORE = "/event-store/api/v1/events/store"
SAGA = "/saga/order"
START = "/start-saga"
GHOST = "order_00000000-0000-7000-8000-000000000000"

GOOD = {
    ORDERS: {"user_id": 456, "product_id": 101, "quantity": 1},
    SAGA: {"user_id": 456, "items": [{"product_id": 101, "quantity": 1}]},
    START: {"customer_id": 456, "product_id": 101, "quantity": 1},
    INVENTORY: {"product_id": 101, "quantity_change": 1, "operation": "restock"},
    PAYMENTS: {"order_id": GHOST, "amount": 1, "payment_method": "card"},
    STORE: {"aggregate_type": "notes", "aggregate_id": "a", "event_type": "Noted", "data": {}},
}

MALFORMED = (400, "malformed-json", None)


def malformed(_):
    return MALFORMED


def missing(field):
    return 400, "missing-field", field


def unknown(field):
    return 400, "unknown-field", field


def wrong_type(field):
    return 400, "wrong-type", field


def invalid(field):
    return 422, "invalid-value", field


# Bodies that no endpoint takes, as text.
BROKEN_BODIES = [
    "", "{", "not json", "null", "[]", '[{"user_id":456}]', '"text"', "1", '{"user_id":456',
    '{"user_id":456}}', "{'user_id':456}", '{"user_id":NaN}', '{"a":1}{"b":2}', "\ufeff{}",
    '{"user_id":4_5}', '{"user_id":0456}', '{"user_id":+1}', '{"user_id":1e2}', "{,}",
    '{"user_id":456,}', '{"a":"\\ud800"}', '{"a":"\n"}', "[" * 100 + "]" * 100,
    '{"a":' * 100 + "1" + "}" * 100, '{"user_id":' + "9" * 400 + "}", '{"a":"\\x"}',
]
BROKEN_BYTES = [
    b'{"user_id":"\xff\xfe"}', '{"user_id":456}'.encode("utf-16"),
    b'{"user_id":\x00456}', b"\x00", b'{"a":"\xc0\x80"}', b'{"a":"\xed\xa0\x80"}',
]

# What a whole number between 1 and a million, given as `field`, must not be: as JSON text.
BAD_QUANTITIES = [
    ("0", invalid), ("-1", invalid), ("2147483648", invalid), ("1000001", invalid),
    ("9223372036854775807", invalid), ("-9223372036854775808", invalid), ("1.0", wrong_type),
    ("1.5", wrong_type), ('"1"', wrong_type), ("true", wrong_type), ("null", None),
    ("[1]", wrong_type), ("{}", wrong_type), ('{"$gt":0}', wrong_type), ('{"$gt":""}', wrong_type),
    ("1e2", malformed), ("9223372036854775808", malformed), ("9" * 20, malformed),
]
BAD_IDS = [case for case in BAD_QUANTITIES if case[0] != "1000001"]
BAD_TEXTS = [
    ("1", wrong_type), ("true", wrong_type), ("[]", wrong_type), ('{"$gt":""}', wrong_type),
    ('{"$where":"1"}', wrong_type), ('""', invalid), ('"a\\u0000b"', invalid),
    ('"' + "a" * 2000 + '"', invalid), ('"a b$c"', invalid),
]


def with_field(path, field, text):
    """The endpoint's good body with one field replaced by a JSON text."""
    body = dict(GOOD[path])
    body[field] = "@@"
    return json.dumps(body).replace('"@@"', text)


def field_cases():
    """(path, body, what is expected, or None for any 400 or 422)"""
    for path, field in [
        (ORDERS, "quantity"), (INVENTORY, "quantity_change"), (START, "quantity"),
    ]:
        # Stock may move by more pieces at a time than an order may have.
        for text, expected in BAD_IDS if path == INVENTORY else BAD_QUANTITIES:
            yield path, with_field(path, field, text), expected and expected(field)
    for path, field in [
        (ORDERS, "user_id"), (ORDERS, "product_id"), (INVENTORY, "product_id"), (SAGA, "user_id"),
        (ORDERS, "store_id"), (INVENTORY, "store_id"), (START, "customer_id"),
    ]:
        for text, expected in BAD_IDS:
            if text == "null" and field == "store_id":
                continue  # null may stand for absent
            yield path, with_field(path, field, text), expected and expected(field)
    for path, field in [
        (ORDERS, "payment_method"), (PAYMENTS, "order_id"), (PAYMENTS, "payment_method"),
        (INVENTORY, "operation"), (STORE, "aggregate_type"), (STORE, "aggregate_id"),
        (STORE, "event_type"), (ORDERS, "currency"), (ORDERS, "saga"),
    ]:
        for text, expected in BAD_TEXTS:
            yield path, with_field(path, field, text), expected(field)
    for path, good in GOOD.items():
        for field in good:
            less = {name: value for name, value in good.items() if name != field}
            # `items` may stand for one product.
            asked = "product_id" if field == "items" else field
            yield path, json.dumps(less), missing(asked)
        for extra in ("nonsense", "$where", "price", "unit_price", "total_amount", "status", ""):
            yield path, json.dumps({**good, extra: 1}), unknown(extra)
        first = next(iter(good))
        twice = json.dumps(good)[:-1] + f', "{first}": {json.dumps(good[first])}}}'
        yield path, twice, MALFORMED


def item_cases():
    good = {"product_id": 101, "quantity": 1}
    for path in (ORDERS, SAGA):
        def body(items):
            return json.dumps({"user_id": 456, "items": items})
        for text, expected in BAD_QUANTITIES:
            changed = body([good, {**good, "quantity": "@@"}]).replace('"@@"', text)
            yield path, changed, expected and expected("items[1].quantity")
        yield path, body([]), invalid("items")
        yield path, body({}), wrong_type("items")
        yield path, body("101"), wrong_type("items")
        yield path, body([1]), wrong_type("items[0]")
        yield path, body([{"product_id": 101}]), missing("items[0].quantity")
        yield path, body([{**good, "price": 1}]), unknown("items[0].price")
        yield path, body([good] * 101), invalid("items")
        yield path, body([{**good, "quantity": 900_000}] * 2), None
    both = {**GOOD[ORDERS], "items": [good]}
    yield ORDERS, json.dumps(both), None


def meaning_cases():
    """Well formed, but of things that do not exist or cannot be."""
    unknown_product = 422, "unknown-product", "product_id"
    yield ORDERS, json.dumps({**GOOD[ORDERS], "product_id": 999_999}), unknown_product
    yield INVENTORY, json.dumps({**GOOD[INVENTORY], "product_id": 999_999}), unknown_product
    yield ORDERS, json.dumps({**GOOD[ORDERS], "user_id": 999_999}), (
        422, "unknown-customer", "user_id")
    yield SAGA, json.dumps({"user_id": 456, "items": [{"product_id": 999_999, "quantity": 1}]}), (
        422, "unknown-product", None)
    yield ORDERS, json.dumps({**GOOD[ORDERS], "currency": "XXX"}), invalid("currency")
    yield ORDERS, json.dumps({**GOOD[ORDERS], "currency": "EUR"}), (
        422, "currency-mismatch", "currency")
    yield ORDERS, json.dumps({**GOOD[ORDERS], "saga": "none"}), invalid("saga")
    yield INVENTORY, json.dumps({**GOOD[INVENTORY], "operation": "steal"}), invalid("operation")
    yield INVENTORY, json.dumps({
        **GOOD[INVENTORY], "operation": "reserve", "order_id": "no/order"}), invalid("order_id")
    yield PAYMENTS, json.dumps(GOOD[PAYMENTS]), (422, "unknown-order", "order_id")
    for amount in ("0", "-1", "-0.01", "0.001", "1e2", '"1"', "null", "{}", "1" + "0" * 30,
                   "99999999999999999.99", "true"):
        yield PAYMENTS, with_field(PAYMENTS, "amount", amount), None
    yield STORE, json.dumps({**GOOD[STORE], "data": []}), wrong_type("data")
    yield STORE, json.dumps({**GOOD[STORE], "data": {"": 1}}), None
    yield STORE, json.dumps({**GOOD[STORE], "data": {"a\0b": 1}}), None
    yield STORE, json.dumps({**GOOD[STORE], "expected_version": -1}), invalid("expected_version")
    yield STORE, json.dumps({**GOOD[STORE], "correlation_id": "x"}), invalid("correlation_id")
    yield f"{ORDERS}/{GHOST}/cancel", "{}", (404, None, None)
    yield f"{ORDERS}/nonsense/cancel", "{}", None
    yield f"{ORDERS}/{GHOST}/cancel", '{"reason":1}', wrong_type("reason")
    yield f"{ORDERS}/{GHOST}/cancel", '{"reasons":"x"}', unknown("reasons")
    yield "/projections/nonsense/rebuild", "", (404, None, None)


def check(reply, case, expected, wrong):
    """Notes in `wrong` what is not as expected of a refusal."""
    status, kind, field = expected or (None, None, None)
    found = None
    if status is None and not (400 <= reply.status < 500):
        found = "no 4xx"
    elif status is not None and reply.status != status:
        found = f"expected {status}"
    elif not reply.is_problem:
        found = f"not a problem document but {reply.headers.get('Content-Type')}"
    else:
        body = reply.json
        if body["status"] != reply.status or not body["title"] or not body["detail"]:
            found = "an incomplete problem document"
        elif kind is not None and body["type"] != f"/problems/{kind}":
            found = f"expected the problem {kind}"
        elif field is not None and body.get("field") != field:
            found = f"expected it to name the field {field}"
        elif any(word in reply.body.decode().lower() for word in ("mongo", "bson", ".swift:")):
            found = "tells about the inside"
    if found:
        wrong.append(f"{found}: {case} -> {reply}")


def refuse_all(client, cases):
    """Sends every case; none may succeed, and the log must not move."""
    at = settle(client)
    wrong, count = [], 0
    for path, body, expected in cases:
        count += 1
        if isinstance(body, str):
            body = body.encode("utf-8", "surrogatepass")
        check(client.request("POST", path, body=body), f"{path} {body[:200]!r}", expected, wrong)
    assert head(client) == at, f"the log moved from {at} to {head(client)}"
    assert not wrong, f"{len(wrong)} of {count}:\n  " + "\n  ".join(wrong[:25])


def test_what_is_not_a_json_object_is_refused(world):
    paths = [*GOOD, f"{ORDERS}/{GHOST}/cancel"]
    refuse_all(world.shop.client, (
        (path, body, MALFORMED) for path in paths for body in BROKEN_BODIES + BROKEN_BYTES
        if body or path in GOOD))


def test_fields_that_are_missing_unknown_or_of_a_wrong_kind_are_refused(world):
    refuse_all(world.shop.client, field_cases())


def test_items_that_are_wrong_are_refused_by_name(world):
    refuse_all(world.shop.client, item_cases())


def test_what_does_not_exist_or_cannot_be_is_refused(world):
    refuse_all(world.shop.client, meaning_cases())


def test_a_body_over_64_kib_is_refused(world):
    shop = world.shop
    at = settle(shop.client)
    wrong = []
    for path in GOOD:
        big = json.dumps({**GOOD[path], "padding": "x" * 65_536}).encode()
        reply = shop.client.request("POST", path, body=big)
        check(reply, path, (413, "body-too-large", None), wrong)
        shop.client.close()
        chunk = b"%x\r\n%s\r\n" % (len(big), big)
        answer = raw_exchange(
            shop.port, b"POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n" % (path.encode(), chunk))
        if not answer.startswith(b"HTTP/1.1 413"):
            wrong.append(f"{path} in chunks -> {answer[:200]!r}")
    padded = json.dumps(GOOD[STORE]).encode()
    shop.client.request("POST", STORE, body=padded + b" " * (65_536 - len(padded))).expect(201)
    assert head(shop.client) == at + 1, "exactly 64 KiB is taken, nothing else"
    assert not wrong, "\n".join(wrong)


def test_a_body_that_only_drips_is_refused_and_cut_off(world):
    shop = world.shop
    at = settle(shop.client)
    with socket.create_connection(("127.0.0.1", shop.port), timeout=0.3) as connection:
        connection.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n"
                           % ORDERS.encode())
        received, deadline, is_open = b"", time.monotonic() + 20, True
        while is_open and time.monotonic() < deadline:
            try:
                connection.sendall(b" ")
                part = connection.recv(65536)
                received, is_open = received + part, bool(part)
            except TimeoutError:
                pass
            except ConnectionError:
                is_open = False
        connection.settimeout(0.3)
        try:
            received += connection.recv(65536)
        except OSError:
            pass
    assert received.startswith(b"HTTP/1.1 408"), received
    assert b"/problems/request-timeout" in received, received
    assert not is_open, "the connection is still open"
    assert head(shop.client) == at


def test_queries_refuse_bad_parameters(world):
    client = world.shop.client
    at = settle(client)
    orders, events = "/cqrs/queries/orders", "/event-store/api/v1/events"
    wrong = []
    cases = [
        (f"{orders}/{GHOST}", (404, "not-found", None)),
        (f"{orders}/not%20an%20id", invalid("order_id")),
        (f"{orders}/%7B%22$gt%22:%22%22%7D", invalid("order_id")),
        (f"{orders}/a%00b", None),
        (f"{orders}/status/nonsense", None),
        ("/cqrs/queries/inventory/999999", (404, "not-found", None)),
        ("/cqrs/queries/inventory/abc", None),
        ("/cqrs/queries/inventory/0", None),
        ("/cqrs/queries/users/999999/summary", (404, "not-found", None)),
        ("/cqrs/queries/users/abc/orders", None),
        ("/cqrs/queries/users/456/orders?status=nonsense", None),
        ("/cqrs/queries/statistics/orders?start_date=yesterday", None),
        ("/cqrs/queries/statistics/orders?end_date=2026-13-01", None),
        (f"/saga/order/{GHOST}", (404, "not-found", None)),
        ("/saga/nonsense", (404, "not-found", None)),
        ("/sagas?state=%7B%22$gt%22:%22%22%7D", invalid("state")),
        (f"{events}/aggregate/orders/{GHOST}", (404, "not-found", None)),
        (f"{events}/aggregate/orders/{GHOST}?from_version=0", invalid("from_version")),
        (f"{events}/correlation/nonsense", invalid("correlation_id")),
        (f"{events}?after=-1", invalid("after")),
        (f"{events}?after=x", wrong_type("after")),
        (f"{events}?offset=-1", invalid("offset")),
        (f"{events}?order=sideways", invalid("order")),
        (f"{events}?limit=1&limit=2", invalid("limit")),
        (f"/event-store/api/v1/replay/aggregate/orders/{GHOST}", (404, "not-found", None)),
        ("/event-store/events/replay?aggregate_id=x", missing("aggregate_type")),
        ("/nowhere", (404, "unknown-route", None)),
    ]
    for path in (
        f"{orders}/recent", f"{orders}/status/confirmed", "/cqrs/queries/users/456/orders",
        "/cqrs/queries/customers/top", "/cqrs/queries/inventory",
        "/cqrs/queries/inventory/low-stock", "/sagas", events, f"{events}/type/OrderInitiated",
    ):
        for limit in ("0", "-1", "1001", "2147483648"):
            cases.append((f"{path}?limit={limit}", invalid("limit")))
        for limit in ("ten", "1.0", "1e2", "9" * 30, "%7B%22$gt%22:1%7D"):
            cases.append((f"{path}?limit={limit}", wrong_type("limit")))
    for path in (f"{orders}/recent", "/cqrs/queries/inventory", "/cqrs/queries/users/456/orders"):
        for cursor in ("nonsense", "e30", "%7B%7D", "a" * 3000):
            cases.append((f"{path}?cursor={cursor}", invalid("cursor")))
    for path in (f"{orders}/{GHOST}", f"{orders}/recent", "/cqrs/queries/inventory/101"):
        cases.append((f"{path}?min_position=-1", invalid("min_position")))
        cases.append((f"{path}?min_position=x", wrong_type("min_position")))
    for path, expected in cases:
        check(client.get(path), path, expected, wrong)
    assert head(client) == at
    assert not wrong, f"{len(wrong)} of {len(cases)}:\n  " + "\n  ".join(wrong[:25])


def test_a_position_that_nobody_has_reached_is_not_waited_for_for_ever(world):
    client = world.shop.client
    reply = client.get(f"/cqrs/queries/orders/recent?min_position={head(client) + 1000}")
    assert reply.status == 503 and reply.is_problem and reply.seconds < 15, reply
    assert reply.json["type"] == "/problems/read-model-behind", reply


def test_wrong_methods_and_strange_headers_are_refused(world):
    shop = world.shop
    client = shop.client
    at = settle(client)
    wrong = []
    reply = client.request("DELETE", ORDERS)
    check(reply, "DELETE", (405, "method-not-allowed", None), wrong)
    assert "POST" in reply.headers["Allow"], reply.headers
    check(client.get(ORDERS), "GET", (405, "method-not-allowed", None), wrong)
    good = json.dumps(GOOD[ORDERS]).encode()
    for headers in (
        {"Idempotency-Key": ""}, {"Idempotency-Key": "x" * 256}, {"Idempotency-Key": "\xe9"}):
        check(client.request("POST", ORDERS, body=good, headers=headers), headers, None, wrong)
    check(client.request("POST", ORDERS, body=good, headers={
        "Content-Type": "multipart/form-data; boundary=x"}), "multipart",
        (415, "unsupported-media-type", None), wrong)
    assert head(client) == at, "a refused request wrote something"
    assert not wrong, "\n".join(wrong)
    # A preference that cannot be read is ignored (RFC 7240); it must never stop the server.
    for preference in (";", ",", "=", "wait", "wait=", "wait=;", ";;,;", "wait=-1", "wait=x"):
        reply = client.request("POST", ORDERS, body=good, headers={"Prefer": preference})
        reply.expect(202)
    for request in (
        b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\xa5\x01\x00\x00", b"GET\r\n\r\n",
        b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n" % ORDERS.encode(),
        b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}"
        % ORDERS.encode(),
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 200_000 + b"\r\n\r\n",
    ):
        answer = raw_exchange(shop.port, request, timeout=2)
        assert not answer.startswith(b"HTTP/1.1 5"), (request[:60], answer[:200])
    client.close()
    wait_confirmed(client, place(client).id)
