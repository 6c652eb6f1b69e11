"""Read models are folds of the log: built again they are the same, and nobody waits for it."""

import threading

from client import Client, poll
from shopping import order_row, place, settle, wait_confirmed

ORDER = 100
NAMES = {"orders", "stock", "statistics", "user_summaries", "sagas"}


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
    before = client.get(path).expect(200).body
    stop = threading.Event()
    wrong, asked = [], [0]

    def ask():
        with Client(shop.port) as reader:
            last = 0
            while not stop.is_set():
                reply = reader.get(path)
                asked[0] += 1
                if reply.status != 200 or row_of(reply) != row_of(first) or reply.position < last:
                    wrong.append(str(reply))
                last = reply.position

    first = client.get(path).expect(200)
    reader = threading.Thread(target=ask)
    reader.start()
    try:
        generations = {name: projection(client, name)["generation"] for name in NAMES}
        for name in sorted(NAMES):
            client.post(f"/projections/{name}/rebuild").expect(200, 202)
        for name in NAMES:
            poll(f"{name} is rebuilt", lambda name=name: (
                projection(client, name)["generation"] > generations[name]), within=90)
    finally:
        stop.set()
        reader.join()
    assert not wrong, f"{len(wrong)} of {asked[0]} answers during the rebuild: {wrong[0]}"
    assert asked[0] > 0
    assert before and row_of(client.get(path).expect(200)) == row_of(first)
    assert order_row(client, placed.id)["status"] == "confirmed"


def row_of(reply):
    return reply.json["data"]


def projection(client, name):
    found = client.get("/projections").expect(200).json["projections"]
    return next(entry for entry in found if entry["name"] == name)
