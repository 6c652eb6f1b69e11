"""The records of a history, put together: what each command was, and what its callers were told."""

from bisect import bisect_left
from collections import Counter


class Attempt:
    """One request of an operation."""

    def __init__(self, invoked, server):
        self.invoked = invoked
        self.server = server
        self.ended = None
        self.outcome = "unknown"  # also when the client never saw an end
        self.record = {}


class Operation:
    """A command that a client wanted done: its first request and all repeats under one key."""

    def __init__(self, record):
        self.id = record["op"]
        self.record = record
        self.attempts = {}
        self.reuses = record.get("reuses")
        self.expected = record.get("expected")
        self.stream = record.get("stream")

    @property
    def first_invoked(self):
        """The earliest request that may have done it: a denial says that it did nothing."""
        every = self.attempts.values()
        undenied = [one for one in every if one.outcome not in ("refused", "not_done")]
        return min(attempt.invoked for attempt in undenied or every)

    @property
    def acknowledged(self):
        """The attempts that were answered with success, the earliest answer first."""
        found = [one for one in self.attempts.values() if one.outcome == "ok"]
        return sorted(found, key=lambda attempt: attempt.ended)

    @property
    def must_be_absent(self):
        """Every request was answered, and every answer says that nothing was done."""
        return all(one.outcome in ("refused", "not_done") for one in self.attempts.values())

    def __str__(self):
        return f"{self.record['action']} {self.id}"


class History:
    """The records, put together by operation."""

    def __init__(self, records):
        self.operations = {}
        self.reads = []
        self.faults = []
        self.end_of_faults = None
        self.statuses = Counter()
        for record in sorted(records, key=lambda record: record["time"]):
            self.take(record)
        self.seen = self.positions_seen()

    def take(self, record):
        kind = record["kind"]
        if kind == "invoke":
            operation = self.operations.setdefault(record["op"], Operation(record))
            operation.attempts[record["attempt"]] = Attempt(record["time"], record["server"])
        elif kind in ("ok", "fail", "unknown"):
            attempt = self.operations[record["op"]].attempts[record["attempt"]]
            attempt.ended = record["time"]
            attempt.record = record
            attempt.outcome = record["outcome"] if kind == "fail" else kind
            self.statuses[record.get("status") or "no answer"] += 1
        elif kind == "read":
            self.reads.append(record)
        elif kind == "fault":
            self.faults.append(record["name"])
        elif kind == "faults_over":
            self.end_of_faults = record["time"]

    def positions_seen(self):
        """(times, positions): the highest position that anybody had been told of, over time."""
        known = [
            (attempt.ended, attempt.record["position"])
            for operation in self.operations.values() for attempt in operation.acknowledged]
        known += [
            (read["time"], read["events"][-1][0]) for read in self.reads if read["events"]]
        times, positions = [], []
        for time, position in sorted(known):
            times.append(time)
            positions.append(max(position, positions[-1]) if positions else position)
        return times, positions

    def seen_before(self, time):
        """The highest position that somebody had been told of before that time."""
        times, positions = self.seen
        index = bisect_left(times, time)
        return positions[index - 1] if index else 0
