"""One process drives a read model. Killed at any moment, or put to sleep, it is replaced within
seconds, and what it leaves behind harms nothing."""

import random
import signal
import threading
import time

from client import Client, poll
from roles import Customers, READ_MODELS, RolesStack, gauges
from shopping import order_row, place, wait_confirmed

ORDER = 103
# What is promised, and what a busy machine may add to it.
TAKEOVER_SECONDS_MAX = 5
BUSY_SECONDS = 5


def roles(world):
    return world.shared("roles", RolesStack)


def test_killed_at_random_moments_the_read_models_catch_up_by_themselves(world):
    stack = roles(world)
    seed = random.randrange(2 ** 32)
    print(f"  seed {seed}", flush=True)
    chance = random.Random(seed)
    with stack.drivers("driver") as (driver,):
        driver.start_and_wait()
        with Customers(stack, rate=60) as customers:
            for _ in range(world.count(20, 8)):
                time.sleep(chance.uniform(0.2, 1.2))
                driver.kill()
                driver.start()
                customers.check()
            stack.wait_ready(driver.process, driver.port)
        print(f"  drives all again after {driver.wait_until_it_drives():.1f} s", flush=True)
        at = driver.settle()
        shown = driver.projections()
        assert all(shown[name]["lag"] == 0 for name in READ_MODELS), (at, shown)
        assert all(shown[name]["failure"] is None for name in READ_MODELS), shown
        code, printed = stack.rebuild("--all", "--expect-same")
        assert code == 0 and printed.count("identical") == len(READ_MODELS), printed


def test_one_of_two_processes_drives_and_the_other_takes_over_from_a_dead_one(world):
    stack = roles(world)
    with stack.drivers("first", "second") as (first, second):
        first.start_and_wait()
        first.wait_until_it_drives()
        second.start_and_wait()
        check_sole_driver(stack, first, second)
        with Customers(stack, rate=40) as customers:
            poll("orders come in", lambda: customers.placed > 20, within=30)
            first.kill()
            wait_for_takeover(second)
        poll("it says so", lambda: second.says_it_drives() == set(READ_MODELS), within=10)
        first.start_and_wait()
        check_sole_driver(stack, second, first)
        second.settle()


def check_sole_driver(stack, driver, standby):
    for asked in (driver, standby):
        assert asked.drives() == (set(READ_MODELS) if asked is driver else set()), asked.name
        shown = asked.projections()
        assert all(driver.owns(shown[name]) for name in READ_MODELS), shown
        assert asked.says_it_drives() == (set(READ_MODELS) if asked is driver else set())
    for word in ("position", "lag_events"):
        assert set(gauges(driver.client, word)) == set(READ_MODELS), word
        assert gauges(standby.client, word) == {}, "it tells of what another process drives"
    ready = standby.client.get("/health/ready").expect(200)
    assert b"driven by another process" in ready.body, ready
    code, printed = stack.run("projections", "status", "--mongodb", stack.uri)
    lines = [line.split() for line in printed.splitlines()]
    driven = {line[0] for line in lines if line[-1:] == ["yes"]}
    assert code == 0 and driven == set(READ_MODELS), printed


def wait_for_takeover(driver):
    seconds = driver.wait_until_it_drives(within=90)
    print(f"  {driver.name} drives after {seconds:.1f} s", flush=True)
    assert seconds < TAKEOVER_SECONDS_MAX + BUSY_SECONDS, f"{driver.name}: {seconds:.1f} s"


def test_a_driver_that_sleeps_is_replaced_and_harms_nothing_when_it_wakes(world):
    stack = roles(world)
    with stack.drivers("first", "second") as (driver, standby):
        driver.start_and_wait()
        driver.wait_until_it_drives()
        standby.start_and_wait()
        with Customers(stack, rate=40) as customers:
            poll("orders come in", lambda: customers.placed > 10, within=30)
            for _ in range(world.count(3, 2)):
                put_to_sleep_and_wake(stack, driver, standby)
                customers.check()
                driver, standby = standby, driver
        driver.settle()
        check_sole_driver(stack, driver, standby)
        stack.check_rows()


def put_to_sleep_and_wake(stack, driver, standby):
    """While the driver sleeps an order of its hot rows is cancelled. It is asked for that order
    by requests that are there when it wakes, and right afterwards."""
    order = place(stack.client).id
    wait_confirmed(driver.client, order)
    driver.process.send(signal.SIGSTOP)
    wait_for_takeover(standby)
    cancelled = stack.client.post(
        f"/cqrs/commands/orders/{order}/cancel", {"reason": "changed my mind"}).expect(202)
    row = order_row(stack.client, order, cancelled.position)
    assert row["status"] in ("cancelling", "cancelled"), row
    wrong = []

    def ask(client):
        reply = client.get(f"/cqrs/queries/orders/{order}").expect(200)
        if reply.data["status"] not in ("cancelling", "cancelled") \
                or reply.position < cancelled.position:
            wrong.append(f"{reply.position} < {cancelled.position}: {reply}")

    def ask_while_it_sleeps():
        with Client(driver.port) as client:
            ask(client)

    askers = [threading.Thread(target=ask_while_it_sleeps) for _ in range(4)]
    for asker in askers:
        asker.start()
    time.sleep(0.2)  # so that the requests are there before it wakes
    driver.process.send(signal.SIGCONT)
    for _ in range(20):
        ask(driver.client)
    for asker in askers:
        asker.join()
    assert not wrong, wrong[:2]
    poll(f"{driver.name} is on standby", lambda: not driver.says_it_drives(), within=20)
    poll(f"{driver.name} is ready", lambda: (
        driver.client.get("/health/ready").status == 200), within=20)
    assert standby.drives() == set(READ_MODELS), standby.projections()
