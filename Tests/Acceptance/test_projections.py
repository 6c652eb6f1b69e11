"""Read models are folds of the log: built again they are the same, and nobody waits for it."""

import threading

from client import Client, poll
from shopping import place, settle, wait_confirmed

ORDER = 100
NAMES = {"orders", "stock", "statistics", "user_summaries", "sagas", "choreographies"}


def test_every_read_model_rebuilt_is_the_same(world):
    parts = world.parts
    settle(parts.client)
    code, printed = parts.run("projections", "rebuild", "--all", "--mongodb", parts.uri)
    assert code == 0, f"exit code {code}:\n{printed}"
    for name in NAMES:
        lines = [line for line in printed.splitlines() if name in line and "rows" in line]
        assert lines and "identical" in lines[-1], f"{name}:\n{printed}"
    code, printed = parts.run("projections", "list", "--mongodb", parts.uri)
    assert code == 0 and all(name in printed for name in NAMES), printed
    code, printed = parts.run("projections", "rebuild", "nonsense", "--mongodb", parts.uri)
    assert code != 0, printed


def test_the_shop_goes_on_after_a_rebuild(world):
    parts = world.parts
    placed = place(parts.client)
    wait_confirmed(parts.client, placed.id)
    settle(parts.client)


def test_queries_answer_during_a_rebuild_over_http(world):
    shop = world.shop
    client = shop.client
    placed = place(client)
    wait_confirmed(client, placed.id)
    settle(client)
    path = f"/cqrs/queries/orders/{placed.id}"
    row = client.get(path).expect(200).data
    stop = threading.Event()
    wrong, asked = [], [0]

    def ask():
        with Client(shop.port) as reader:
            last = 0
            while not stop.is_set():
                reply = reader.get(path)
                asked[0] += 1
                if reply.status != 200 or reply.data != row or reply.position < last:
                    wrong.append(str(reply))
                    return
                last = reply.position

    reader = threading.Thread(target=ask)
    reader.start()
    try:
        for name in sorted(NAMES):
            rebuild(client, name)
    finally:
        stop.set()
        reader.join()
    assert not wrong, f"answer {asked[0]} during the rebuilds: {wrong[0]}"
    assert asked[0] > 10, asked
    assert client.get(path).expect(200).data == row


def rebuild(client, name):
    """Rebuilds one read model over HTTP: the rows are the same, and new ones serve."""
    before = projection(client, name)
    reply = client.post(f"/projections/{name}/rebuild").expect(202)

    def finished():
        report = client.get(reply.headers["Location"]).expect(200).json
        return report if report["state"] != "running" else None
    report = poll(f"{name} is rebuilt", finished, within=60)
    assert report["state"] == "completed" and report["percent"] == 100, report
    assert report["differences"] == [] and report["rows"] > 0, report
    after = projection(client, name)
    assert after["generation"] == before["generation"] + 1, (before, after)
    assert after["position"] >= before["position"] and after["failure"] is None, after


def projection(client, name):
    found = client.get("/projections").expect(200).json["projections"]
    return next(entry for entry in found if entry["name"] == name)
