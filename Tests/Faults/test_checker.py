#!/usr/bin/env python3
"""A checker that finds nothing in a history that was broken on purpose is itself broken.

    python3 -m unittest discover Tests/Faults        (or run this file)
"""

import copy
import unittest

import checker
from scribe import BASELINE, SECOND, sound


def commit_of(commits, operation):
    return next(one for one in commits if one["correlation_id"] == operation)


def renumbered(commits):
    """Positions without a hole again: hides a break from the numbering's check."""
    position = 1
    for commit in commits:
        commit["position"] = position
        position += len(commit["events"])


class CheckerTest(unittest.TestCase):
    def setUp(self):
        self.records, self.logs = sound()

    def report(self):
        return checker.check(self.records, self.logs, BASELINE)

    def everywhere(self, change):
        """Breaks the log in the same way on every member."""
        for commits in self.logs.values():
            change(commits)

    def record(self, kind, operation, attempt=1):
        return next(
            one for one in self.records if one["kind"] == kind and one.get("op") == operation
            and one["attempt"] == attempt)

    def finds(self, invariant, *words):
        found = self.report().violations
        self.assertTrue(found[invariant], f"{invariant} not found, but {found}")
        for word in words:
            self.assertTrue(
                any(word in text for text in found[invariant]), f"{word!r}: {found[invariant]}")

    def test_a_sound_history_has_no_violation(self):
        report = self.report()
        self.assertEqual(report.total, 0, report.violations)
        self.assertEqual(report.counts["acknowledged"], 7)
        self.assertEqual(report.counts["refused"], 3)
        self.assertEqual(report.counts["unresolved"], 2)
        self.assertEqual(report.counts["unknown, then acknowledged"], 1)
        self.assertEqual(report.counts["faults"], {"primary-kill": 1})
        self.assertEqual(sorted(report.recovery_seconds), ["s1", "s2"])

    # I1

    def test_an_acknowledged_commit_lost_everywhere(self):
        for operation in ("first", "winner", "pair", "cut", "last"):
            self.setUp()
            self.everywhere(lambda commits: commits.remove(commit_of(commits, operation)))
            self.finds("I1", operation)

    def test_a_loss_that_the_numbering_hides(self):
        def cut(commits):
            commits.remove(commit_of(commits, "other"))
            renumbered(commits)
        self.everywhere(cut)
        self.finds("I1", "other")
        self.finds("I6")

    def test_a_cut_tail(self):
        self.everywhere(lambda commits: commits.pop())
        self.finds("I1", "last")

    def test_a_commit_lost_on_one_member_only(self):
        self.logs["m3/majority"].pop()
        self.finds("I1", "m3/majority", "last")
        self.finds("members", "m3/majority")

    def test_a_member_with_another_document(self):
        self.logs["m2/majority"][3]["digest"] = "another"
        self.finds("members", "m2/majority")

    # I2

    def test_a_commit_that_nobody_asked_for(self):
        def forge(commits):
            commits[-1]["correlation_id"] = "nobody"
        self.everywhere(forge)
        self.finds("I2", "nobody")

    def test_a_refused_command_that_is_there(self):
        for operation in ("loser", "undone"):
            self.setUp()
            self.append(operation)
            self.finds("I2", operation)

    def test_a_commit_that_is_not_what_was_asked(self):
        for change in ({"data": {"token": "x"}}, {"type": "Erased"}, {"stream": "notes/z"}):
            self.setUp()
            self.everywhere(lambda commits: commits[-1]["events"][0].update(change))
            self.finds("I2", "last")

    # I3

    def test_half_a_commit(self):
        self.everywhere(lambda commits: commit_of(commits, "pair")["events"].pop())
        self.finds("I3", "pair")

    def test_a_commit_in_two_parts(self):
        def split(commits):
            commit = commit_of(commits, "pair")
            rest = copy.deepcopy(commit)
            rest["position"] += 1
            rest["command_id"] = "rest"
            rest["events"] = [commit["events"].pop()]
            commits.insert(commits.index(commit) + 1, rest)
        self.everywhere(split)
        self.finds("I3", "pair")

    # I4

    def test_a_hole_in_the_versions(self):
        def skip(commits):
            commit_of(commits, "last")["events"][0]["version"] += 1
        self.everywhere(skip)
        self.finds("I4", "notes/c")

    def test_a_version_twice(self):
        def twice(commits):
            commit_of(commits, "last")["events"][0]["version"] -= 1
        self.everywhere(twice)
        self.finds("I4", "notes/c")

    def test_another_version_than_was_answered(self):
        self.record("ok", "last")["version"] = 9
        self.finds("I4", "last")

    # I5

    def test_two_winners_of_one_version(self):
        self.append("loser")
        self.finds("I5", "notes/a")

    def test_two_acknowledged_for_one_version_though_one_is_lost(self):
        fail = self.record("fail", "loser")
        self.records[self.records.index(fail)] = {
            "time": fail["time"], "process": "w1", "kind": "ok", "op": "loser", "attempt": 1,
            "status": 201, "position": 4, "version": 2, "answer": "x"}
        self.finds("I5", "notes/a")
        self.finds("I1", "loser")

    def test_a_version_that_was_not_the_expected_one(self):
        self.record("invoke", "late")["expected"] = 0
        self.finds("I5", "late")

    def test_refused_though_the_version_was_right(self):
        self.record("fail", "loser")["actual"] = 1
        self.finds("I5", "loser")

    def test_refused_on_account_of_a_version_that_never_was(self):
        self.record("fail", "loser")["actual"] = 77
        self.finds("I5", "loser", "77")

    # I6

    def test_a_hole_in_the_positions(self):
        def shift(commits):
            for commit in commits[-2:]:
                commit["position"] += 1
        self.everywhere(shift)
        self.finds("I6", "follows position")

    def test_two_commits_swapped(self):
        def swap(commits):
            commits[-5], commits[-4] = commits[-4], commits[-5]
            renumbered(commits)
        self.everywhere(swap)
        self.finds("I6", "answered with position")

    def test_a_reader_that_saw_another_event_there(self):
        read = next(one for one in self.records if one["kind"] == "read" and one["after"])
        read["events"][0][1] = "another"
        self.finds("I6", "another event")

    def test_a_reader_that_saw_what_is_gone(self):
        self.records[-1]["events"].append([self.records[-1]["events"][-1][0] + 1, "gone"])
        self.finds("I6", "not there any more")

    def test_a_reader_that_was_shown_a_hole(self):
        del self.records[-1]["events"][4]
        self.finds("I6", "reader r2")

    def test_a_reader_ahead_of_a_later_command(self):
        """An event at or below what was read, of a command sent after the reading."""
        self.record("invoke", "ghost")["time"] = self.records[-1]["time"] + SECOND
        self.record("unknown", "ghost")["time"] = self.records[-1]["time"] + 2 * SECOND
        self.finds("I6", "ghost")

    def test_acknowledged_before_it_was_sent_yet_later_in_the_log(self):
        first, second = self.record("invoke", "winner"), self.record("ok", "other")
        first["time"] = second["time"] + 1
        self.record("ok", "winner")["time"] = second["time"] + 2
        self.finds("I6", "winner")

    def test_done_though_it_was_called_not_done_before_the_repeat(self):
        """The repeat is acknowledged, at a position from before it was sent."""
        self.record("unknown", "cut").update(kind="fail", outcome="not_done", status=503)
        told = self.record("ok", "other")
        told["time"] = self.record("invoke", "cut", 2)["time"] - 2
        read = next(one for one in self.records if one["kind"] == "read")
        events = [[commit["position"] + offset, event["event_id"]]
                  for commit in self.logs["m1/majority"]
                  for offset, event in enumerate(commit["events"])]
        read.update(time=self.record("invoke", "cut", 2)["time"] - 1, after=0, events=events)
        self.finds("I6", "cut")

    # I7

    def test_versions_against_the_order_of_the_log(self):
        def swap(commits):
            one, two = (commit_of(commits, name)["events"][0] for name in ("late", "last"))
            one["version"], two["version"] = two["version"], one["version"]
        self.everywhere(swap)
        self.finds("I7", "notes/c")

    # I8

    def test_a_command_done_twice(self):
        self.append("cut", command="again")
        self.finds("I8", "2 times")

    def test_a_command_id_twice(self):
        self.everywhere(lambda commits: commits[-1].update(command_id=commits[3]["command_id"]))
        self.finds("I8", "command id")

    def test_an_event_id_twice(self):
        def twice(commits):
            commits[-1]["events"][0]["event_id"] = commits[3]["events"][0]["event_id"]
        self.everywhere(twice)
        self.finds("I8", "event id")

    def test_another_answer_for_a_repeat(self):
        for field, value in (("answer", "x"), ("status", 200), ("position", 4)):
            self.setUp()
            self.record("ok", "cut", 3)[field] = value
            self.finds("I8", "different answers")

    def test_a_repeat_that_was_refused(self):
        told = self.record("ok", "cut", 3)
        told.update(kind="fail", outcome="refused", status=409, problem="version-conflict")
        self.finds("I8", "and then refused")

    def test_a_first_answer_that_denies_what_was_done(self):
        """Nobody saw it succeed, yet others had seen it before the repeat was refused."""
        for attempt in (2, 3):
            self.record("ok", "cut", attempt).update(
                kind="fail", outcome="refused", status=409, problem="refused")
        self.record("invoke", "cut", 3)["time"] = self.records[-1]["time"] + 1
        self.record("fail", "cut", 3)["time"] = self.records[-1]["time"] + 2
        self.finds("I8", "after it was done")

    def test_a_reused_key_that_was_accepted(self):
        self.record("fail", "reuser").update(kind="ok", status=201, position=8, answer="x")
        self.finds("I8", "reuser")

    def test_a_reused_key_that_took_effect(self):
        self.append("reuser")
        self.finds("I8", "reuser")

    def test_a_reused_key_refused_for_another_reason(self):
        self.record("fail", "reuser").update(status=409, problem="insufficient-stock")
        self.finds("I8", "reuser")

    def test_a_key_of_its_own_that_is_called_reused(self):
        self.record("fail", "loser").update(status=422, problem="idempotency-key-reused")
        self.finds("I8", "loser")

    # I14 and the answers

    def test_a_server_that_takes_no_writes_after_the_faults(self):
        told = self.record("ok", "last")
        told["time"] += 61 * SECOND
        self.finds("I14", "s2")
        self.records.remove(told)
        self.finds("I14", "s2")

    def test_a_status_that_is_no_outcome(self):
        self.record("unknown", "ghost")["status"] = 500
        self.finds("answers", "ghost")
        self.record("fail", "loser")["status"] = 400
        self.finds("answers", "loser")

    def append(self, operation, command=None):
        """Puts a commit of a command at the end of the log, sound in itself."""
        def add(commits):
            last = commits[-1]
            streams = [event for commit in commits for event in commit["events"]
                       if event["stream"] == "notes/a"]
            commits.append({
                "position": last["position"] + len(last["events"]),
                "command_id": command or f"command of {operation}",
                "correlation_id": operation, "digest": f"second digest of {operation}",
                "events": [{
                    "event_id": f"new {operation}", "type": "Written", "stream": "notes/a",
                    "version": len(streams) + 1, "data": {"token": operation}}]})
        self.everywhere(add)


if __name__ == "__main__":
    unittest.main()
