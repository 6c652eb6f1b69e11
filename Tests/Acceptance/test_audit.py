"""At the very end: every log that the tests left behind, at every prefix, and the money in it."""

from invariants import check_log
from shopping import settle
from test_outages import money_of_the_provider

ORDER = 120


def test_the_log_of_the_shop_is_sound_at_every_prefix(world):
    settle(world.shop.client)
    check_log(world.shop.client)


def test_the_log_of_the_killed_shop_is_sound_at_every_prefix(world):
    settle(world.parts.client)
    check_log(world.parts.client)


def test_the_providers_ledger_agrees_with_the_log_to_the_cent(world):
    for stack in (world.shop, world.parts):
        settle(stack.client)
        orders = check_log(stack.client).orders
        kept = {
            name: order.captured - order.refunded for name, order in orders.items()
            if order.captured != order.refunded}
        with stack.payments_client() as provider:
            assert money_of_the_provider(provider) == kept
            summary = provider.get("/ledger/summary").expect(200).json
        assert summary["by_currency"]["CAD"]["net"] == sum(kept.values()), summary


def test_the_log_of_the_shop_verifies(world):
    settle(world.shop.client)
    code, printed = world.shop.verify()
    assert code == 0 and "clean" in printed, f"exit code {code}:\n{printed}"
