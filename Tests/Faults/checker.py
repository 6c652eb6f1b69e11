"""Holds a recorded history against the log that is left, on every member. Pure: no I/O, no clock.

The history is a list of records as `workload.py` and `rig.py` write them (README.md lists the
fields), the log of a member a list of commits as `members.py` reads them. What the checker promises
to find, by their usual names here:

I1 lost  I2 unasked  I3 torn  I4 version holes  I5 two winners  I6 positions  I7 stream order
I8 done twice or answered twice  I14 no writes after the faults; and `members` (they differ),
`answers` (a status that is no known outcome).
"""

from collections import Counter, defaultdict

from operations import History

RECOVERY_NANOSECONDS_MAX = 60 * 10**9
REFUSALS = {409, 422}
INVARIANTS = ("I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I14", "members", "answers")


class Report:
    """What was found, by invariant, and what there was to look at."""

    def __init__(self):
        self.violations = {name: [] for name in INVARIANTS}
        self.counts = {}
        self.recovery_seconds = {}

    def add(self, invariant, text):
        self.violations[invariant].append(text)

    @property
    def total(self):
        return sum(len(found) for found in self.violations.values())


class Log:
    """One member's log, indexed."""

    def __init__(self, name, commits):
        self.name = name
        self.commits = commits
        self.by_operation = defaultdict(list)
        for commit in commits:
            self.by_operation[commit["correlation_id"]].append(commit)
        self.event_ids = {}
        self.versions = Counter()
        for commit in commits:
            for offset, event in enumerate(commit["events"]):
                self.event_ids[commit["position"] + offset] = event["event_id"]
                self.versions[event["stream"]] += 1

    @property
    def head(self):
        last = self.commits[-1] if self.commits else None
        return last["position"] + len(last["events"]) - 1 if last else 0


def check(records, logs, baseline=0):
    """The report on a history and on the logs that are left, `{name: commits}`. The events up to
    the position `baseline` were there before the clients."""
    history, report = History(records), Report()
    names = list(logs)
    reference = Log(names[0], logs[names[0]])
    distinct = [reference]
    for name in names[1:]:
        if digests(logs[name]) != digests(reference.commits):
            report.add("members", difference(reference, name, logs[name]))
            distinct.append(Log(name, logs[name]))
    for log in distinct:
        check_order(log, report)
        check_commits(log, history, baseline, report)
        check_operations(log, history, report)
    check_answers(history, report)
    check_readers(reference, history, report)
    check_recovery(history, report)
    report.counts = counts(history, reference, baseline)
    return report


def digests(commits):
    return [commit["digest"] for commit in commits]


def difference(reference, name, commits):
    for ours, theirs in zip(reference.commits, commits):
        if ours["digest"] != theirs["digest"]:
            return (f"{name} and {reference.name} differ at position "
                    f"{min(ours['position'], theirs['position'])}")
    return f"{name} has {len(commits)} commits, {reference.name} has {len(reference.commits)}"


def check_order(log, report):
    """I4, I6, I7, and ids that are there twice: what can be seen without any history."""
    streams, commands, events = defaultdict(list), set(), set()
    next_position = 1
    for commit in log.commits:
        at = f"{log.name}: the commit at {commit['position']}"
        if commit["position"] != next_position:
            report.add("I6", f"{at} follows position {next_position - 1}")
        next_position = commit["position"] + len(commit["events"])
        if commit["command_id"] in commands:
            report.add("I8", f"{at} has a command id that was there before")
        commands.add(commit["command_id"])
        for event in commit["events"]:
            if event["event_id"] in events:
                report.add("I8", f"{at} has an event id that was there before")
            events.add(event["event_id"])
            streams[event["stream"]].append(event["version"])
    for stream, versions in streams.items():
        whole = list(range(1, len(versions) + 1))
        if sorted(versions) != whole:
            wrong = next(v for v, w in zip(sorted(versions), whole) if v != w)
            report.add("I4", f"{log.name}: {stream} has {len(versions)} events; version {wrong} "
                             "is too high, or is there twice")
        elif versions != whole:
            report.add("I7", f"{log.name}: the versions of {stream} are not in the log's order")


def check_commits(log, history, baseline, report):
    """I2 and I3: each commit is what somebody asked for, whole."""
    for commit in log.commits:
        if commit["position"] <= baseline:
            continue
        at = f"{log.name}: the commit at {commit['position']}"
        operation = history.operations.get(commit["correlation_id"])
        if operation is None:
            report.add("I2", f"{at} was asked for by nobody")
            continue
        if operation.reuses:
            report.add("I8", f"{at} is of a request that reused a key: {operation}")
        elif operation.must_be_absent:
            report.add("I2", f"{at} is of a command that was refused: {operation}")
        asked = operation.record
        for event in commit["events"]:
            if not is_asked(event, asked):
                report.add("I2", f"{at} is not what was asked: {operation}")


def is_asked(event, asked):
    return (
        event["type"] in asked["event_types"]
        and asked.get("stream") in (None, event["stream"])
        and all(event["data"].get(name) == value for name, value in asked["data"].items()))


def check_operations(log, history, report):
    """I1, I3, I5, I6 and I8: what each command left, and what its callers were told."""
    winners = defaultdict(list)
    for operation in history.operations.values():
        commits = log.by_operation.get(operation.id, [])
        acknowledged = operation.acknowledged
        where = f"{log.name}: {operation}"
        check_told_versions(where, log, operation, report)
        if operation.expected is not None and (commits or acknowledged):
            winners[operation.stream, operation.expected].append(operation)
        if not commits:
            if acknowledged and not operation.reuses:
                report.add("I1", f"{where} was acknowledged at position "
                                 f"{acknowledged[0].record['position']} and is not there")
            continue
        check_parts(where, operation, commits, report)
        first, last = commits[0]["events"][:1], commits[0]["events"][-1:]
        if first and operation.expected not in (None, first[0]["version"] - 1):
            report.add("I5", f"{where} expected version {operation.expected} and is version "
                             f"{first[0]['version']}")
        end = commits[0]["position"] + len(commits[0]["events"]) - 1
        for attempt in acknowledged:
            told = attempt.record
            if told["position"] != end:
                report.add("I6", f"{where} was answered with position {told['position']} and is "
                                 f"at {end}")
            if last and told.get("version") not in (None, last[0]["version"]):
                report.add("I4", f"{where} was answered with version {told['version']} and is "
                                 f"version {last[0]['version']}")
        check_times(where, operation, commits[0]["position"], history, report)
    for (stream, expected), operations in winners.items():
        if len(operations) > 1:
            report.add("I5", f"{log.name}: {len(operations)} commands won version {expected} of "
                             f"{stream}: {', '.join(map(str, operations[:3]))}")


def check_told_versions(where, log, operation, report):
    """I5: versions only rise, so a refusal may not name one that the stream never had."""
    if operation.expected is None:
        return
    last = log.versions[operation.stream]
    for attempt in operation.attempts.values():
        if (attempt.record.get("actual") or 0) > last:
            report.add("I5", f"{where} was refused on account of version "
                             f"{attempt.record['actual']}, and {operation.stream} ends at {last}")


def check_parts(where, operation, commits, report):
    asked, found = operation.record["count"], [len(commit["events"]) for commit in commits]
    if len(commits) > 1 and sum(found) == asked:
        report.add("I3", f"{where} is in {len(commits)} parts")
    elif len(commits) > 1:
        report.add("I8", f"{where} took effect {len(commits)} times")
    elif found[0] != asked:
        report.add("I3", f"{where} has {found[0]} events of {asked}")


def check_times(where, operation, position, history, report):
    """I6: nobody had been told of a later position before the command was sent. I8: once it was
    done, nobody was told that it is refused."""
    told = history.seen_before(operation.first_invoked)
    if told >= position:
        report.add("I6", f"{where} is at {position}, and position {told} was told before it was "
                         "sent")
    for attempt in operation.attempts.values():
        if attempt.outcome == "refused" and not operation.must_be_absent:
            if history.seen_before(attempt.invoked) >= position:
                report.add("I8", f"{where} was refused ({attempt.record.get('problem')}) after "
                                 "it was done")


def check_answers(history, report):
    """I8: one answer for one command. I5: no conflict with the version that was expected. And
    statuses that are no outcome that the API documents."""
    for operation in history.operations.values():
        acknowledged = operation.acknowledged
        answers = {
            (one.record["status"], one.record["position"], one.record["answer"])
            for one in acknowledged}
        if len(answers) > 1:
            report.add("I8", f"{operation} got {len(answers)} different answers")
        if operation.reuses and acknowledged:
            report.add("I8", f"{operation} reused a key with another body and was accepted")
        for attempt in operation.attempts.values():
            check_answer(operation, attempt, acknowledged, report)


def check_answer(operation, attempt, acknowledged, report):
    told = attempt.record
    status = told.get("status")
    if attempt.outcome == "refused":
        if acknowledged and acknowledged[0].ended < attempt.invoked:
            report.add("I8", f"{operation} was acknowledged and then refused with {status}")
        is_called_reused = told.get("problem") == "idempotency-key-reused"
        if operation.reuses and not is_called_reused:
            report.add("I8", f"{operation} reused a key and was refused as {told.get('problem')}")
        if is_called_reused and not operation.reuses:
            report.add("I8", f"{operation} was refused as reusing a key that was its own")
        if operation.expected is not None and told.get("actual") == operation.expected:
            report.add("I5", f"{operation} was refused though the version was the expected one")
        if status not in REFUSALS:
            report.add("answers", f"{operation} was answered with {status}")
    elif attempt.outcome == "unknown" and status not in (None, 503):
        report.add("answers", f"{operation} was answered with {status}: {told.get('reason')}")


def check_readers(log, history, report):
    """I6: pages have no hole, and what was read at a position is there for ever."""
    for read in history.reads:
        who, expected = f"reader {read['process']}", read["after"] + 1
        for position, event_id in read["events"]:
            if position != expected:
                report.add("I6", f"{who} after {read['after']}: position {position} follows "
                                 f"{expected - 1}")
            expected = position + 1
            left = log.event_ids.get(position)
            if left is None:
                report.add("I6", f"{who} saw position {position}, which is not there any more")
            elif left != event_id:
                report.add("I6", f"{who} saw another event at position {position}")


def check_recovery(history, report):
    """I14: after the last fault each server takes writes again, in time."""
    if history.end_of_faults is None:
        return
    servers = defaultdict(lambda: None)
    for operation in history.operations.values():
        for attempt in operation.attempts.values():
            servers[attempt.server] = servers[attempt.server] or None
            if attempt.outcome == "ok" and attempt.invoked >= history.end_of_faults:
                took = attempt.ended - history.end_of_faults
                best = servers[attempt.server]
                servers[attempt.server] = took if best is None else min(best, took)
    for server, took in sorted(servers.items()):
        if took is None or took > RECOVERY_NANOSECONDS_MAX:
            report.add("I14", f"{server} took no write within 60 s after the last fault")
        else:
            report.recovery_seconds[server] = took / 10**9


def counts(history, log, baseline):
    """What there was to look at, in numbers."""
    operations = history.operations.values()
    times = sorted(one.acknowledged[0].ended for one in operations if one.acknowledged)
    silence = max((b - a for a, b in zip(times, times[1:])), default=0)
    return {
        "acknowledged": len(times),
        "refused": sum(1 for one in operations if one.must_be_absent),
        "unresolved": sum(
            1 for one in operations if not one.acknowledged and not one.must_be_absent),
        "requests": sum(len(one.attempts) for one in operations),
        "unknown answers": sum(
            1 for one in operations for attempt in one.attempts.values()
            if attempt.outcome == "unknown"),
        "repeats": sum(len(one.acknowledged) - 1 for one in operations if one.acknowledged),
        "reused keys": sum(1 for one in operations if one.reuses),
        "unknown, then acknowledged": sum(
            1 for one in operations if one.acknowledged
            and any(attempt.outcome == "unknown" for attempt in one.attempts.values())),
        "pages read": len(history.reads),
        "events": log.head - baseline,
        "seconds of load": (times[-1] - times[0]) / 10**9 if times else 0.0,
        "longest silence": silence / 10**9,
        "faults": Counter(history.faults),
        "statuses": history.statuses,
    }
