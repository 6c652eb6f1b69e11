"""An event that a read model cannot apply stops that read model, loudly, and no other; its queries
go on answering. An operator has it left out, and the log says who and why."""

import re
import uuid

from client import poll
from mongowire import append_event
from roles import READ_MODELS, RebuildCommand, read_models_that_are
from server import PartsStack
from shopping import head, order_row, place, settle, stream, wait_confirmed

ORDER = 118
ALL = set(READ_MODELS)
SECONDS_MAX = 20


def poisoned(world):
    """A shop of its own: what goes into its log is no command's doing."""
    return world.shared("poisoned shop", PartsStack)


def append_poison(stack, category, kind, version=1):
    """An event without any of its fields, of an order that nobody has placed."""
    order = uuid.uuid4()
    prefix = {"orders": "order", "notifications": "notification"}[category]
    return append_event(
        stack.mongod_port, "magasin", category, f"{prefix}_{order}", kind, {}, version)


def shown(client, name):
    return client.get(f"/projections/{name}").expect(200).json


def wait_for_stop(client, name, position):
    """What is shown of the read model once it has stopped there."""
    def check():
        report = shown(client, name)
        parked = report["parked"]
        return report if parked and parked["position"] == position else None
    report = poll(f"{name} stops at {position}", check, SECONDS_MAX)
    assert report["state"] == "stopped" and report["position"] == position - 1, report
    assert str(position) in report["failure"], report
    return report


def wait_for_run(client, name, position):
    def check():
        report = shown(client, name)
        return report if report["position"] >= position else None
    report = poll(f"{name} goes on to {position}", check, SECONDS_MAX)
    assert report["state"] == "running" and report["failure"] is None, report
    assert report["parked"] is None, report
    return report


def cli(stack, word, *arguments):
    return stack.run("projections", word, *arguments, "--mongodb", stack.uri)


def test_a_poisonous_event_stops_one_read_model_loudly(world):
    stack = poisoned(world)
    client = stack.client
    before = place(client)
    wait_confirmed(client, before.id)
    settle(client)
    row = order_row(client, before.id)
    position = append_poison(stack, "notifications", "NotificationSent")
    after = place(client)
    assert after.position > position
    report = wait_for_stop(client, "orders", position)
    parked = report["parked"]
    assert parked["event_type"] == "NotificationSent" and parked["reason"], parked
    assert parked["aggregate_type"] == "notifications" and parked["since"], parked
    for name in ALL - {"orders"}:
        wait_for_run(client, name, after.position)
    poll("the saga of a later order ends", lambda: client.get(
        f"/saga/order/{after.id}").expect(200).json["state"] == "completed", SECONDS_MAX)
    check_it_is_loud(stack, position)
    check_queries_answer_as_before(client, before.id, row, after, position)


def check_it_is_loud(stack, position):
    client = stack.client
    assert read_models_that_are(client, "stopped") == {"orders"}
    ready = client.get("/health/ready").expect(503)
    assert b"projection orders" in ready.body and b"stopped" in ready.body, ready
    lines = [
        line for line in stack.server.log.read_text(errors="replace").splitlines()
        if "critical" in line and "orders" in line and str(position) in line]
    assert lines, "no line of the log tells of it"
    code, printed = cli(stack, "status")
    assert code == 0 and f"at position {position}" in printed, printed
    assert "NotificationSent" in printed, printed


def check_queries_answer_as_before(client, order, row, later, position):
    path = f"/cqrs/queries/orders/{order}"
    reply = client.get(path).expect(200)
    assert reply.data == row and reply.position == position - 1, reply
    client.get("/cqrs/queries/orders/recent").expect(200)
    client.get(f"/cqrs/queries/orders/{later.id}").expect(404)
    reply = client.get(path, magasin_position=later.position).expect(503)
    assert reply.json["type"] == "/problems/read-model-behind", reply
    assert reply.json["position"] == reply.position == position - 1, reply


def test_a_stopped_read_model_stays_stopped_over_a_restart(world):
    stack = poisoned(world)
    client = stack.client
    before = parked_of(client, "orders")
    stack.server.kill()
    client.close()
    stack.server = stack.serve(stack.server, "server", stack.port)
    # Ready it is not: it has stopped.
    stack.wait_ready(stack.server, path="/health/live")
    report = wait_for_stop(client, "orders", before["position"])
    assert report["parked"] == before, (report, before)


def parked_of(client, name):
    parked = shown(client, name)["parked"]
    assert parked, f"{name} has not stopped: an earlier test has failed"
    return parked


def test_only_what_has_stopped_is_skipped_with_its_position_and_a_reason(world):
    stack = poisoned(world)
    client = stack.client
    position = parked_of(client, "orders")["position"]
    at = head(client)
    for arguments, word in [
        (("orders", "--position", position + 1, "--reason", "a test"),
         f"has stopped at position {position}"),
        (("orders", "--position", position, "--reason", " "), "reason"),
        (("orders", "--position", position), "--reason"),
        (("orders", "--reason", "a test"), "--position"),
        (("orders", "--position", "abc", "--reason", "a test"), "abc"),
        (("stock", "--position", position, "--reason", "a test"), "stock has not stopped"),
        (("nonsense", "--position", position, "--reason", "a test"), "no read model 'nonsense'"),
    ]:
        code, printed = cli(stack, "skip", *arguments)
        assert code not in (0, None) and word in printed, f"{arguments}: {code} {printed}"
    act = {"position": position, "reason": "a test"}
    for name, body, status, field in [
        ("orders", {**act, "position": position + 1}, 409, "position"),
        ("orders", {**act, "position": 0}, 422, "position"),
        ("orders", {**act, "position": "abc"}, 400, "position"),
        ("orders", {"reason": "a test"}, 400, "position"),
        ("orders", {"position": position}, 400, "reason"),
        ("orders", {**act, "reason": " "}, 422, "reason"),
        ("orders", {**act, "more": 1}, 400, "more"),
        ("stock", act, 409, None), ("nonsense", act, 404, "name"),
    ]:
        reply = client.post(f"/projections/{name}/skip", body)
        assert reply.status == status and reply.is_problem, f"{name} {body}: {reply}"
        assert reply.json.get("field") == field, f"{name} {body}: {reply}"
    reply = client.post("/projections/orders/skip", {**act, "position": position + 1})
    assert reply.json["stopped_at"] == position, reply
    client.post("/projections/stock/resume", {"reason": "a test"}).expect(409)
    code, printed = cli(stack, "resume", "stock", "--reason", "a test")
    assert code not in (0, None) and "stock has not stopped" in printed, printed
    assert head(client) == at, "what was refused has left an event"
    assert parked_of(client, "orders")["position"] == position


def test_tried_again_without_a_mend_it_stops_again_and_skipped_it_goes_on(world):
    stack = poisoned(world)
    client = stack.client
    position = parked_of(client, "orders")["position"]
    told = len(critical_lines(stack))
    code, printed = cli(stack, "resume", "orders", "--reason", "perhaps", "--by", "ann")
    assert code == 0, printed
    poll("it has tried again", lambda: len(critical_lines(stack)) > told, SECONDS_MAX)
    wait_for_stop(client, "orders", position)
    at = head(client)
    code, printed = cli(
        stack, "skip", "orders", "--position", position, "--reason", "a bad sender", "--by", "ben")
    assert code == 0, printed
    report = wait_for_run(client, "orders", at)
    skipped, = report["skipped"]
    assert (skipped["position"], skipped["reason"], skipped["by"]) == (
        position, "a bad sender", "ben"), skipped
    poll("ready again", lambda: client.get("/health/ready").status == 200, SECONDS_MAX)
    assert read_models_that_are(client, "stopped") == set()
    code, printed = cli(stack, "status")
    assert code == 0 and "stopped" not in printed, printed
    assert re.search(rf"skipped position {position}, .* by ben: a bad sender", printed), printed
    resumed, skip = stream(client, "projections", "orders")
    assert resumed["event_type"] == "ProjectionResumed", resumed
    assert (resumed["data"]["by"], resumed["data"]["reason"]) == ("ann", "perhaps"), resumed
    assert skip["event_type"] == "ProjectionEventSkipped", skip
    assert skip["data"]["position"] == position and skip["data"]["event_id"], skip
    client.post("/projections/orders/resume", {"reason": "again"}).expect(409)
    settle(client)
    check_rebuilt(stack, "orders")


def critical_lines(stack):
    return [line for line in stack.server.log.read_text(errors="replace").splitlines()
            if "critical" in line]


def check_rebuilt(stack, *names):
    """Rebuilt they are the same: what was skipped live is skipped there."""
    for command in [RebuildCommand(stack, name, "--expect-same") for name in names]:
        command.finish()


def test_skipped_over_http_by_all_whom_it_stops(world):
    stack = poisoned(world)
    client = stack.client
    position = append_poison(stack, "orders", "OrderConfirmed")
    stopped = {"orders", "statistics", "user_summaries"}
    for name in stopped:
        wait_for_stop(client, name, position)
    assert read_models_that_are(client, "stopped") == stopped
    for name in ALL - stopped:
        wait_for_run(client, name, position)
    # A rebuild of what has stopped ends where the old rows stand, and leaves it stopped.
    check_rebuilt(stack, "statistics")
    wait_for_stop(client, "statistics", position)
    for name in stopped:
        reply = client.post(f"/projections/{name}/skip", {
            "position": position, "reason": "forged", "by": "eve"}).expect(202)
        assert reply.position == reply.json["recorded_at"] > position, reply
        report = wait_for_run(client, name, reply.position)
        assert report["skipped"][-1]["position"] == position, report
        assert report["skipped"][-1]["by"] == "eve", report
        last = stream(client, "projections", name)[-1]
        assert last["position"] == reply.position and last["data"]["by"] == "eve", last
    placed = place(client)
    wait_confirmed(client, placed.id)
    settle(client)
    check_rebuilt(stack, *stopped)
    code, printed = stack.verify()
    assert code == 0, printed
