"""The event store as a store: events of one's own, versions that are kept, nothing forged."""

import uuid
from decimal import Decimal

from client import poll
from invariants import events_of, walk
from shopping import (
    HAPPY, head, order_row, place, settle, stream, timeline, types, wait_confirmed)

ORDER = 70
STORE = "/event-store/api/v1/events/store"


def note(identifier, text="hello", category="notes", kind="NoteWritten", **more):
    return {"aggregate_type": category, "aggregate_id": identifier, "event_type": kind,
            "data": {"text": text, "weight": Decimal("1.10")}, **more}


def test_events_of_ones_own_are_kept_with_their_versions(world):
    client = world.shop.client
    name = f"note_{uuid.uuid4()}"
    first = client.post(STORE, note(name, expected_version=0)).expect(201)
    assert first.json["version"] == 1 and first.json["position"] == first.position, first
    second = client.post(STORE, note(name, "more", expected_version=1)).expect(201)
    assert second.json["version"] == 2, second
    at = settle(client)
    for wrong in (0, 1, 3):
        reply = client.post(STORE, note(name, expected_version=wrong)).expect(409)
        assert reply.is_problem and reply.json["type"] == "/problems/version-conflict", reply
        assert reply.json["actual_version"] == 2, reply
    assert settle(client) == at, "a refused append wrote something"
    events = stream(client, "notes", name)
    assert [event["data"]["text"] for event in events] == ["hello", "more"], events
    assert '"weight":1.10' in client.get(
        f"/event-store/api/v1/events/aggregate/notes/{name}").body.decode().replace(" ", "")
    replay = client.get(f"/event-store/api/v1/replay/aggregate/notes/{name}").expect(200).json
    assert replay["version"] == 2 and replay["current_state"]["text"] == "more", replay


def test_an_append_by_hand_is_done_once_under_one_key(world):
    client = world.shop.client
    name, key = f"note_{uuid.uuid4()}", str(uuid.uuid4())
    first = client.post(STORE, note(name), idempotency_key=key).expect(201)
    again = client.post(STORE, note(name), idempotency_key=key).expect(201)
    assert first.body == again.body, (first.body, again.body)
    client.post(STORE, note(name, "other"), idempotency_key=key).expect(422)
    assert len(stream(client, "notes", name)) == 1


def test_nobody_forges_what_the_shop_writes(world):
    client = world.shop.client
    placed = place(client, 115)
    wait_confirmed(client, placed.id)
    at = settle(client)
    for category in (
        "orders", "inventory", "payments", "products", "customers", "notifications", "sagas"):
        reply = client.post(STORE, note(placed.id, category=category)).expect(422)
        assert reply.is_problem and reply.json["field"] == "aggregate_type", reply
        assert reply.json["type"] == "/problems/reserved-category", reply
    assert settle(client) == at, "a forged event is in the log"


def test_events_named_like_the_shops_move_nothing_from_another_stream(world):
    client = world.shop.client
    placed = place(client, 115, payment_method="test_slow")
    poll("the payment is asked for", lambda: stream(
        client, "payments", f"payment_{placed.uuid}"), within=10)
    asked = stream(client, "payments", f"payment_{placed.uuid}")[0]["data"]
    ghost = f"order_{uuid.uuid4()}"
    initiated = stream(client, "orders", placed.id)[0]["data"]
    for kind, data in [
        ("PaymentProcessed", {**asked, "transaction_id": "t", "status": "PROCESSED"}),
        ("PaymentInitiated", {**asked, "order_id": ghost, "payment_id": ghost}),
        ("OrderCancellationRequested", {
            "order_id": placed.id, "user_id": 456, "reason": "forged"}),
        ("OrderInitiated", {**initiated, "order_id": ghost}),
    ]:
        client.post(STORE, {
            "aggregate_type": "forgeries", "aggregate_id": ghost, "event_type": kind,
            "data": data, "metadata": {"source_ip": "203.0.113.1"}}).expect(201)
    forged = stream(client, "forgeries", ghost)
    assert {event["metadata"]["source_ip"] for event in forged} == {"127.0.0.1"}, forged
    row = wait_confirmed(client, placed.id)
    settle(client)
    assert timeline(row) == HAPPY, timeline(row)
    assert types(stream(client, "payments", f"payment_{placed.uuid}")) == [
        "PaymentInitiated", "PaymentProcessed"]
    client.get(f"/saga/order/{ghost}").expect(404)
    client.get(f"/cqrs/queries/orders/{ghost}").expect(404)
    with world.shop.payments_client() as provider:
        assert provider.get(f"/payments?order_id={ghost}").expect(200).json["payments"] == []


def test_pages_of_the_log_have_no_seam(world):
    client = world.shop.client
    at = settle(client)
    whole = [event["position"] for event in walk(client)]
    assert whole == list(range(1, at + 1)), "holes, or events twice"
    small, after = [], at - 25
    while True:
        page = client.get(f"/event-store/api/v1/events?limit=7&after={after}").expect(200).json
        small += [event["position"] for event in page["events"]]
        after = page["next_after"]
        if after is None:
            break
    assert small == whole[-25:], small
    newest = events_of(client.get("/event-store/api/v1/events?limit=3&offset=2").expect(200))
    assert [event["position"] for event in newest] == [at - 2, at - 3, at - 4], newest


def test_a_snapshot_changes_no_answer(world):
    client = world.shop.client
    place(client)
    settle(client)
    path = "/event-store/api/v1/replay/aggregate/inventory/101"
    before = client.get(path).expect(200).json
    asked = {"aggregate_type": "inventory", "aggregate_id": "101"}
    taken = client.post("/event-store/events/snapshots", asked).expect(201).json
    assert taken["version"] == before["version"], (taken, before)
    shown = client.get("/event-store/events/snapshots/inventory/101").expect(200).json
    assert shown["event_id"] == taken["event_id"] and shown["state"], shown
    after = client.get(path).expect(200).json
    assert after["current_state"] == before["current_state"], (before, after)
    first = client.get(path + "?version=1").expect(200).json
    assert first["version"] == 1, first
    asked["aggregate_id"] = "999999"
    client.post("/event-store/events/snapshots", asked).expect(404)


def test_both_families_of_paths_show_the_same_log(world):
    client = world.shop.client
    placed = place(client)
    row = wait_confirmed(client, placed.id)
    at = settle(client)
    stream_path = f"aggregate_type=orders&aggregate_id={placed.id}"
    short = client.get(f"/event-store/events?{stream_path}&order=asc").expect(200).json["events"]
    assert short == stream(client, "orders", placed.id), short
    replay = client.get(f"/event-store/events/replay?{stream_path}").expect(200).json
    assert replay["current_state"]["status"] == "confirmed", replay
    for path in ("/event-store/events/statistics", "/event-store/api/v1/statistics"):
        counted = client.get(path).expect(200).json
        assert counted["total_events"] == at, (path, counted["total_events"], at)
    told = client.get(f"/event-store/events/demo/order-lifecycle?order_id={placed.id}")
    story = [entry["event_type"] for entry in told.expect(200).json["timeline"]]
    assert [kind for kind in story if kind in timeline(row)] == HAPPY, story
    demo = client.get(f"/event-store/api/v1/replay/demo/order/{placed.id}").expect(200).json
    assert demo["current_state"]["status"] == "confirmed", demo
    assert head(client) == at and order_row(client, placed.id) == row
    for position in (1, 2):
        replay = client.get(
            f"/event-store/api/v1/replay/aggregate/orders/{placed.id}?version={position}")
        state = replay.expect(200).json["current_state"]
        assert state["status"] == ("initiated", "confirmed")[position - 1], state
