"""Operators: see what sagas wait for, help them, and be told when one hangs or needs a person."""

import json
import re
import uuid

from client import poll
from mongowire import append_event
from roles import read_models_that_are
from server import PartsStack
from shopping import (
    head, new_key, place, saga_of, settle, stream, wait_cancelled, wait_confirmed)

ORDER = 119
# Long enough that no order of these tests is given up by itself.
DEADLINE = 600
SECONDS_MAX = 20


class OperatorsStack(PartsStack):
    """A shop of its own: what goes into its log is no command's doing. Its payment service is dead
    when a test says so, and stays dead for the next one."""

    provider_is_dead = False

    def revive(self):
        if not self.provider_is_dead:
            super().revive()

    def kill_provider(self):
        self.provider_is_dead = True
        self.payments.kill()

    def revive_provider(self):
        self.provider_is_dead = False
        self.start_payments()


def stack_of(world):
    return world.shared("operators' shop", OperatorsStack, "--payment-deadline", DEADLINE)


def sagas(stack, *arguments):
    return stack.run("sagas", *arguments, "--mongodb", stack.uri)


def wait_saga(client, order, state):
    def check():
        saga = saga_of(client, order)
        return saga if saga["state"] == state else None
    return poll(f"{order} is {state}", check, SECONDS_MAX)


def metric(client, name):
    text = client.get("/metrics").expect(200).body.decode()
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)
    return float(found[1]) if found else None


def check(stack, *arguments):
    """(exit code, the report)"""
    code, printed = sagas(stack, "check", "--json", *arguments)
    assert code in (0, 1), printed
    # What the driver has to say stands before it, now and then.
    return code, json.loads(printed[printed.index("{"):])


def test_orders_wait_for_a_dead_provider_and_are_shown(world):
    stack = stack_of(world)
    client = stack.client
    placed = place(client)
    wait_confirmed(client, placed.id)
    settle(client)
    code, report = check(stack)
    assert code == 0 and report["well"] and report["sagas"] == 0, report
    stack.kill_provider()
    orders = [place(client).id for _ in range(4)]
    for order in orders:
        wait_saga(client, order, "charging")
    code, printed = sagas(stack, "list")
    assert code == 0 and all(order in printed for order in orders), printed
    assert placed.id not in printed and "the payment service's answer" in printed, printed
    code, printed = sagas(stack, "list", "--state", "completed", "--json")
    assert code == 0 and placed.id in printed, printed
    code, printed = sagas(stack, "show", orders[0])
    assert code == 0, printed
    for words in ("charging", "waits for the payment service's answer, since",
                  "next timer: deadline of charging", "reserve forward succeeded", "SagaStarted",
                  f"/saga/saga_{orders[0]}"):
        assert words in printed, f"{words}:\n{printed}"
    code, printed = sagas(stack, "show", f"saga_{orders[0]}", "--json")
    assert code == 0 and json.loads(printed) == saga_of(client, orders[0]), printed
    assert sagas(stack, "show", uuid.uuid4())[0] not in (0, None)
    # They wait with a timer: nothing hangs.
    code, report = check(stack, "--older-than", 0)
    assert code == 0 and report["sagas"] == 4, report
    poll("the gauges tell", lambda: metric(client, 'magasin_sagas{state="charging"}') == 4, 20)
    assert metric(client, 'magasin_saga_oldest_seconds{state="charging"}') > 0
    assert metric(client, "magasin_saga_timers") == 4
    assert metric(client, "magasin_saga_timer_lag_seconds") == 0
    for name in "magasin_sagas_blocked", "magasin_sagas_suspended", "magasin_saga_dispatch_unsent":
        assert metric(client, name) == 0, name
    for name in "magasin_saga_commands_resent_total", "magasin_append_conflicts_total":
        assert metric(client, name) is not None, name


def charging(client):
    """The orders that wait for their payments, those first that have waited longest."""
    listed = client.get("/sagas?state=charging").expect(200).json["sagas"]
    assert listed, "an earlier test has failed"
    return [saga["order_id"] for saga in listed][::-1]


def test_a_dry_run_writes_nothing_and_a_reason_is_asked_for(world):
    stack = stack_of(world)
    client = stack.client
    orders = charging(client)
    at = head(client)
    code, printed = sagas(
        stack, "force-compensate", orders[0], "--reason", "a test", "--dry-run")
    assert code == 0 and "would record SagaCompensating" in printed, printed
    code, printed = sagas(stack, "skip", orders[0], "--reason", "a test", "--dry-run")
    assert code == 0 and "refused" in printed and "cannot be skipped" in printed, printed
    code, printed = sagas(stack, "retry", "--all", "--reason", "a test", "--dry-run")
    assert code == 0 and printed.count("sends TakePayment") == len(orders), printed
    for arguments in [
        (orders[0],), (orders[0], "--reason", " "), ("--reason", "a test"),
        (orders[0], "--all", "--reason", "a test"), ("--state", "nope", "--reason", "a test"),
        (orders[0], "--by", "", "--reason", "a test"), (uuid.uuid4(), "--reason", "a test"),
    ]:
        code, printed = sagas(stack, "retry", *arguments)
        assert code not in (0, None), f"{arguments}: {printed}"
    reply = client.post("/sagas/retry", {
        "filter": {"state": "charging"}, "reason": "a test", "dry_run": True}).expect(200)
    assert reply.json["accepted"] == len(orders) and reply.position is None, reply
    assert head(client) == at, "a dry run, or what was refused, has left an event"


def test_retry_and_force_compensation_by_command_line_and_http(world):
    stack = stack_of(world)
    client = stack.client
    first, second, *others = charging(client)
    try:
        check_acts_while_the_provider_is_dead(stack, first, second)
    finally:
        stack.revive_provider()
    for order in first, second:
        wait_cancelled(client, order)
        wait_saga(client, order, "compensated")
    for order in others:
        wait_confirmed(client, order)
    settle(client)
    code, report = check(stack)
    assert code == 0, report


def check_acts_while_the_provider_is_dead(stack, first, second):
    client = stack.client
    code, printed = sagas(
        stack, "retry", first, "--reason", "perhaps it lives", "--by", "ann", "--act-id", "7")
    assert code == 0 and "sends TakePayment" in printed, printed
    at = head(client)
    code, printed = sagas(
        stack, "retry", first, "--reason", "perhaps it lives", "--by", "ann", "--act-id", "7")
    assert code == 0 and head(client) == at, printed
    act = stream(client, "sagas", f"saga_{first}")[-1]
    assert act["event_type"] == "SagaRetried", act
    assert act["data"]["act"].pop("id"), act
    assert act["data"]["act"] == {
        "action": "retry", "reason": "perhaps it lives", "by": "ann"}, act
    # One refuses, the others go on.
    code, printed = sagas(stack, "resume", first, "--reason", "a test")
    assert code == 1 and "refused" in printed, printed
    reply = client.post(f"/sagas/{first}/resume", {"reason": "a test"}).expect(409)
    assert reply.json["type"] == "/problems/saga-act-refused", reply
    key = new_key()
    body = {"reason": "the customer is on the phone", "by": "ben"}
    path = f"/sagas/saga_{first}/force-compensate"
    reply = client.request("POST", path, json_body=body, headers=key).expect(202)
    assert reply.position == reply.json["recorded_at"], reply
    again = client.request("POST", path, json_body=body, headers=key).expect(202)
    assert again.body == reply.body and again.position == reply.position, again
    code, printed = sagas(
        stack, "force-compensate", second, "--reason", "the same", "--by", "ann")
    assert code == 0 and "SagaCompensating" in printed, printed
    for order in first, second:
        saga = wait_saga(client, order, "cancelling")
        assert saga["history"][-1]["by"] in ("ann", "ben"), saga


def poisoned_order(stack):
    """An order that should have a saga, and that nobody can read."""
    order = f"order_{uuid.uuid4()}"
    position = append_event(
        stack.mongod_port, "magasin", "orders", order, "OrderInitiated",
        {"order_id": order, "saga": "orchestrated"}, 1)
    return order, position


def test_a_poisoned_order_suspends_its_saga_and_no_other(world):
    stack = stack_of(world)
    client = stack.client
    order, position = poisoned_order(stack)
    after = place(client)
    saga = wait_saga(client, order, "not_started")
    assert saga["saga_status"] == "suspended" and not saga["is_ended"], saga
    assert saga["suspended"]["position"] == position, saga
    assert "an operator" in saga["waiting_for"], saga
    wait_saga(client, after.id, "completed")
    code, printed = sagas(stack, "list", "--state", "suspended")
    assert code == 0 and order in printed and after.id not in printed, printed
    code, printed = sagas(stack, "check")
    assert code == 1 and "For a person: 1" in printed and order in printed, printed
    # The read model of orders cannot read it either.
    assert "orders has stopped at position" in printed and "Broken: 1" in printed, printed
    poll("the gauge tells", lambda: metric(client, "magasin_sagas_suspended") == 1, 20)
    reply = client.post(f"/sagas/{order}/retry", {"reason": "a test"}).expect(409)
    assert "suspended" in reply.json["detail"], reply


def test_resumed_without_a_mend_it_is_suspended_again_and_skipped_it_ends(world):
    stack = stack_of(world)
    client = stack.client
    listed = client.get("/sagas?state=not_started").expect(200).json["sagas"]
    order = listed[0]["order_id"]
    before = len(stream(client, "sagas", f"saga_{order}"))
    code, printed = sagas(
        stack, "resume", "--state", "suspended", "--reason", "perhaps", "--by", "ann")
    assert code == 0 and "SagaResumed" in printed, printed
    poll("it stops again", lambda: len(
        stream(client, "sagas", f"saga_{order}")) == before + 2, SECONDS_MAX)
    # Which sagas a filter means is found in the read model.
    client.get(f"/sagas?state=suspended&min_position={head(client)}").expect(200)
    reply = client.post("/sagas/skip", {
        "filter": {"state": "suspended"}, "reason": "a bad sender", "by": "ben"}).expect(202)
    assert reply.json["accepted"] == 1, reply

    def ended():
        saga = saga_of(client, order)
        return saga if saga["is_ended"] else None
    saga = poll("it has ended", ended, SECONDS_MAX)
    assert saga["waiting_for"] is None and saga["suspended"] is None, saga
    assert [entry["event"] for entry in saga["history"]] == [
        "SagaSuspended", "SagaResumed", "SagaSuspended", "SagaInputSkipped"], saga
    assert saga["history"][-1]["by"] == "ben", saga
    assert saga["history"][-1]["reason"] == "a bad sender", saga
    for name in read_models_that_are(client, "stopped"):
        stopped = client.get(f"/projections/{name}").expect(200).json["parked"]["position"]
        client.post(f"/projections/{name}/skip", {
            "position": stopped, "reason": "a bad sender"}).expect(202)
    poll("all is well", lambda: check(stack)[0] == 0, SECONDS_MAX)
    code, printed = stack.verify()
    assert code == 0, printed


def test_an_order_that_may_be_on_its_way_is_no_finding(world):
    stack = stack_of(world)
    client = stack.client
    stack.server.end()
    client.close()
    stack.server = stack.serve(
        stack.server, "server", stack.port, "--roles", "commands,queries,projections,reactors")
    stack.wait_ready(stack.server)
    order = place(client).id
    # Nobody runs the role sagas, but the order is younger than a minute.
    code, report = check(stack)
    assert code == 0 and not report["broken"], report
    stack.server.end()
    client.close()
    stack.start_server()
    wait_confirmed(stack.client, order)
