"""Somebody changes the stored log behind the shop's back: `magasin verify` names the place. And a
log can be written out and restored, the same to the byte."""

import json
from pathlib import Path

from mongowire import delete_commit, set_field
from shopping import place, settle, wait_confirmed

ORDER = 115


class Log:
    """A log in a database of its own, next to the shop's."""

    def __init__(self, stack, name):
        self.stack = stack
        self.name = name
        self.port = stack.port_of("mongod")
        self.uri = stack.uri.replace("/magasin?", f"/{name}?")

    def run(self, *arguments):
        return self.stack.run(*arguments, "--mongodb", self.uri)

    def run_checked(self, *arguments):
        code, printed = self.run(*arguments)
        assert code == 0, f"magasin {' '.join(map(str, arguments))} ended with {code}:\n{printed}"
        return printed

    def verify(self, *options):
        """(exit code, the result)"""
        code, printed = self.run("verify", "--json", *options)
        return code, json.loads(next(line for line in printed.splitlines() if line.startswith("{")))

    def expect_fault(self, position, kind, *options):
        code, result = self.verify(*options)
        assert code == 1 and result["clean"] is False, result
        assert result["position"] == position, result
        assert kind in [fault["kind"] for fault in result["faults"]], result
        code, printed = self.run("verify", *options)
        assert code == 1 and f"corrupt at position {position}: " in printed, printed

    def export(self, path, *options):
        self.run_checked("events", "export", "--output", path, *options)
        return Path(path).read_bytes()


def test_a_log_is_restored_to_the_byte_and_every_change_to_it_is_named(world):
    shop = world.shop
    wait_confirmed(shop.client, place(shop.client).id)
    settle(shop.client)
    folder = shop.folder
    original = Log(shop, "magasin")
    # The shop goes on writing, so what is compared is what an export holds.
    exported = original.export(folder / "log.jsonl")
    copy = Log(shop, "copy")
    printed = copy.run_checked("events", "import", folder / "log.jsonl")
    assert "imported" in printed, printed
    assert copy.export(folder / "copy.jsonl") == exported
    copy.export(folder / "copy.cloudevents", "--format", "cloudevents")
    second = Log(shop, "second")
    second.run_checked("events", "import", folder / "copy.cloudevents")
    assert second.export(folder / "second.jsonl") == exported

    head = folder / "head.json"
    code, clean = copy.verify("--export-head", head)
    assert code == 0 and clean["clean"] is True, clean
    kept = json.loads(head.read_text())
    assert {key: kept[key] for key in ("position", "hash", "commits")} == {
        key: clean[key] for key in ("position", "hash", "commits")}, (kept, clean)
    for log in (original, second):
        code, result = log.verify("--head", head)
        assert code == 0, result

    code, printed = copy.run("events", "import", folder / "copy.cloudevents")
    assert code == 0 and "there already" in printed, printed
    damaged = folder / "damaged.jsonl"
    lines = exported.splitlines(keepends=True)
    damaged.write_bytes(b"".join(
        [*lines[:20], lines[20].replace(b'"version":1,', b'"version":7,'), *lines[21:]]))
    third = Log(shop, "third")
    code, printed = third.run("events", "import", damaged)
    assert code == 1 and "line 21: " in printed, printed
    code, result = third.verify()
    assert code == 0 and result["events"] == 0, result

    positions = [json.loads(line)["_id"] for line in lines]
    assert delete_commit(second.port, second.name, positions[-1]) == 1
    code, result = second.verify()
    assert code == 0, result
    second.expect_fault(positions[-1], "head", "--head", head)

    at = positions[100]
    assert set_field(copy.port, copy.name, at, "events.0.data.forged", "yes") == 1
    copy.expect_fault(at, "chain", "--head", head)
    assert delete_commit(copy.port, copy.name, positions[50]) == 1
    copy.expect_fault(positions[50], "order")
    code, printed = copy.run("events", "export", "--output", folder / "none.jsonl")
    assert code == 1 and f"position {positions[50]}" in printed, printed
    assert list(folder.glob("none.jsonl*")) == []
    code, printed = copy.run("events", "import", folder / "log.jsonl")
    assert code == 1 and "not empty" in printed, printed
