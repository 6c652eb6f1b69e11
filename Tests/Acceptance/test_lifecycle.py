"""One command starts everything, Ctrl-C ends everything, and the next start finds everything."""

from threading import Thread

from client import Client, poll
from server import DevStack
from shopping import (
    LAPTOP, LAPTOP_PRICE, head, order_row, place, send_order, settle, stock, wait_confirmed)

ORDER = 110


def test_a_second_start_finds_everything_as_it_was(world):
    shop = world.open(DevStack)
    client = shop.client
    assert stock(client, LAPTOP, head(client)) == (1000, 0), "the demo stock of the laptop"
    placed = place(client)
    row = wait_confirmed(client, placed.id)
    assert row["total_amount"] == LAPTOP_PRICE, row
    at = settle(client)
    assert all(helper.is_running for helper in shop.helpers.values()), shop.pids
    assert shop.pids["server"] == shop.server.pid, shop.pids

    code, seconds = shop.interrupt(within=10, everyone=True)
    assert code == 0, f"exit code {code} after {seconds} s\n{shop.tails()}"
    poll("mongod and payments are gone", lambda: not shop.has_helpers, within=2)

    shop.start()
    assert settle(client) == at, "the second start wrote something"
    assert order_row(client, placed.id) == row
    assert stock(client, LAPTOP) == (999, 1)
    wait_confirmed(client, place(client).id)
    at = settle(client)
    answers = []
    waiting = Thread(target=lambda: answers.append(send_order(
        Client(shop.port), headers={"Prefer": "wait=30"}, payment_method="test_slow")))
    waiting.start()
    poll("the order of who waits is accepted", lambda: head(client) > at, within=5)
    code, seconds = shop.interrupt(within=10, everyone=False)
    waiting.join()
    assert [answer.status for answer in answers] == [202], answers
    assert code == 0, f"exit code {code} after {seconds} s\n{shop.tails()}"
    poll("mongod and payments are gone", lambda: not shop.has_helpers, within=2)
