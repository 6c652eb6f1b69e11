"""Read models are rebuilt while the shop goes on: nobody waits for it, nobody sees it, and a rebuild
that is killed harms nothing."""

import random
import signal
import time

from client import poll
from roles import Customers, READ_MODELS, REBUILD_SECONDS_MAX, RebuildCommand, RolesStack

ORDER = 104
ORDERS_A_SECOND = 100


def roles(world):
    return world.shared("roles", RolesStack)


def start_rebuild(driver, name):
    return driver.client.post(f"/projections/{name}/rebuild", {"expect_same": True})


def wait_rebuilt(driver, name):
    def finished():
        report = driver.client.get(f"/projections/{name}/rebuild").expect(200).json
        return report if report["state"] != "running" else None
    report = poll(f"{name} is rebuilt", finished, REBUILD_SECONDS_MAX)
    assert report["state"] == "completed" and report["failure"] is None, report
    assert report["differences"] == [] and report["percent"] == 100, report
    assert report["rows"] > 0 and report["finished_at"], report


def test_read_models_are_rebuilt_under_load_and_nobody_notices(world):
    stack = roles(world)
    with stack.drivers("driver") as (driver,):
        driver.start_and_wait()
        driver.settle()
        before = driver.projections()
        with Customers(
            stack, ORDERS_A_SECOND, looked_at=[driver.port], workers=20, reads_own_writes=True
        ) as customers:
            poll("orders come in", lambda: customers.placed > 100, within=60)
            for _ in range(world.count(2, 1)):
                start_rebuild(driver, "orders").expect(202)
                wait_rebuilt(driver, "orders")
                customers.check()
                RebuildCommand(stack, "orders").finish()
                customers.check()
        driver.settle()
        stack.check_rows()
        after = driver.projections()
        for name in READ_MODELS:
            rebuilds = world.count(5, 3) if name == "orders" else 1
            assert after[name]["generation"] == before[name]["generation"] + rebuilds, after[name]
            assert after[name]["position"] > before[name]["position"], after[name]
        check_collections(stack, after)


def check_collections(stack, shown):
    serving = sorted(projection["collection"] for projection in shown.values())
    poll("the old rows are dropped", lambda: stack.read_models() == serving, within=15)


def test_a_rebuild_that_is_killed_leaves_the_old_rows_serving(world):
    stack = roles(world)
    seed = random.randrange(2 ** 32)
    print(f"  seed {seed}", flush=True)
    chance = random.Random(seed)
    with stack.drivers("driver") as (driver,):
        driver.start_and_wait()
        driver.settle()
        with Customers(stack, rate=30) as customers:
            for _ in range(world.count(4, 2)):
                before = driver.projections()["orders"]
                command = RebuildCommand(stack, "orders")
                command.wait_until_it_runs(before["generation"])
                time.sleep(chance.uniform(0, 0.4))
                command.kill()
                after = driver.projections()["orders"]
                assert after["generation"] >= before["generation"]
                placed = customers.placed
                poll("orders go on", lambda: customers.placed > placed + 5, within=30)
                poll("so do the rows", lambda: (
                    driver.projections()["orders"]["position"] > after["position"]), within=30)
                customers.check()
            # The last one is killed when its rows serve and the old ones are not dropped yet.
            before = driver.projections()["orders"]
            command = RebuildCommand(stack, "orders")
            poll("the new rows serve", lambda: (
                driver.projections()["orders"]["generation"] > before["generation"]), within=60)
            command.kill()
            assert before["collection"] in stack.read_models()
        driver.settle()
        stack.check_rows()
        check_collections(stack, driver.projections())


def test_a_read_model_is_rebuilt_by_one_at_a_time(world):
    stack = roles(world)
    with stack.drivers("driver") as (driver,):
        driver.start_and_wait()
        driver.settle()
        start_rebuild(driver, "orders").expect(202)
        check_refused(start_rebuild(driver, "orders"))
        wait_rebuilt(driver, "orders")
        before = driver.projections()["orders"]
        command = RebuildCommand(stack, "orders")
        command.wait_until_it_runs(before["generation"])
        # It stands still, so that it is running whatever this machine does.
        command.process.send(signal.SIGSTOP)
        code, printed = stack.rebuild("orders")
        assert code not in (0, None) and "orders is being rebuilt by" in printed, (code, printed)
        check_refused(start_rebuild(driver, "orders"))
        command.process.send(signal.SIGCONT)
        command.finish()


def check_refused(reply):
    assert reply.status == 409 and reply.json["type"] == "/problems/rebuild-running", reply


def test_wrong_words_to_the_commands_are_refused_by_name(world):
    stack = roles(world)
    before = stack.read_models()
    for arguments, word in [
        (("rebuild",), "--all"), (("rebuild", "orders", "--all"), "--all"),
        (("rebuild", "nonsense"), "no read model 'nonsense'"),
        (("rebuild", "orders", "--readers", "0"), "--readers"),
        (("rebuild", "orders", "--sideways"), "--sideways"),
        (("skip", "orders", "--position", "abc", "--reason", "a test"), "abc"),
        (("skip", "nonsense", "--position", "1", "--reason", "a test"), "'nonsense'"),
        (("skip", "--position", "1", "--reason", "a test"), "name"),
        (("resume", "nonsense", "--reason", "a test"), "'nonsense'"),
        (("resume", "orders"), "--reason"), (("resume", "orders", "--reason", ""), "reason"),
        (("resume", "orders", "--reason", "a test"), "orders has not stopped"),
    ]:
        code, printed = stack.run("projections", *arguments, "--mongodb", stack.uri)
        assert code not in (0, None) and word in printed, f"{arguments}: {code} {printed}"
        assert "Fatal" not in printed and len(printed) < 2000, printed
    code, printed = stack.run("projections", "sideways")
    assert code not in (0, None) and "sideways" in printed, printed
    code, printed = stack.run("projections", "status", "--mongodb", "nonsense")
    assert code != 0 and "connection string" in printed, printed
    assert stack.read_models() == before
