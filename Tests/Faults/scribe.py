"""Writes a sound history and the log that belongs to it, for the checker's own test to break."""

import copy
import uuid

MEMBERS = ("m1/majority", "m1/local", "m2/majority", "m3/majority")
SECOND = 10**9
BASELINE = 2


class Scribe:
    """Writes a sound history and its log in memory, in the shapes that the rig records."""

    def __init__(self):
        self.time = 0
        self.records = []
        self.commits = []
        self.versions = {}
        self.position = 0
        self.commit("before", "products/1", ["ProductAdded", "ProductRestocked"], {})

    def tick(self):
        self.time += SECOND // 10
        return self.time

    def record(self, kind, **fields):
        self.records.append({"time": self.tick(), "process": "w1", "kind": kind, **fields})
        return self.records[-1]

    def commit(self, operation, stream, types, data):
        command = str(uuid.uuid5(uuid.NAMESPACE_OID, operation))
        events = []
        for number, kind in enumerate(types, 1):
            self.versions[stream] = self.versions.get(stream, 0) + 1
            events.append({
                "event_id": f"{command}/{number}", "type": kind, "stream": stream,
                "version": self.versions[stream], "data": dict(data)})
        self.commits.append({
            "position": self.position + 1, "command_id": command, "correlation_id": operation,
            "digest": f"digest of {operation}", "events": events})
        self.position += len(events)

    def invoke(self, operation, stream="notes/a", attempt=1, types=("Written",), server="s1",
               **fields):
        return self.record(
            "invoke", op=operation, attempt=attempt, key=fields.pop("key", operation),
            action="note", server=server, stream=stream, event_types=list(types),
            count=len(types), data={"token": operation}, **fields)

    def write(self, operation, stream="notes/a", types=("Written",)):
        self.commit(operation, stream, types, {"token": operation})

    def ok(self, operation, attempt=1, **fields):
        commit = next(one for one in self.commits if one["correlation_id"] == operation)
        told = {
            "status": 201, "position": commit["position"] + len(commit["events"]) - 1,
            "version": commit["events"][-1]["version"], "answer": f"answer of {operation}"}
        return self.record("ok", op=operation, attempt=attempt, **{**told, **fields})

    def done(self, operation, stream="notes/a", types=("Written",), server="s1", **fields):
        self.invoke(operation, stream, types=types, server=server, **fields)
        self.write(operation, stream, types)
        self.ok(operation)

    def refused(self, operation, attempt=1, status=409, problem="version-conflict", **fields):
        self.record("fail", op=operation, attempt=attempt, status=status, outcome="refused",
                    problem=problem, **fields)

    def read(self, after, count, process="r1"):
        events = [
            [commit["position"] + offset, event["event_id"]]
            for commit in self.commits for offset, event in enumerate(commit["events"])]
        self.record("read", process=process, server="s1", after=after,
                    events=[one for one in events if after < one[0] <= after + count])
        self.records[-1]["process"] = process


def sound():
    """(records, logs): some of everything that a run may hold."""
    scribe = Scribe()
    scribe.done("first", expected=0)
    scribe.read(0, 3)
    # Two race for version 1 and one wins.
    scribe.invoke("winner", expected=1)
    scribe.invoke("loser", expected=1, server="s2")
    scribe.write("winner")
    scribe.ok("winner")
    scribe.refused("loser", actual=2)
    scribe.done("pair", "notes/b", types=("Opened", "Written"))
    scribe.done("other", "notes/c", server="s2")
    # Cut off, sent again, and it had been done; a third time for good measure.
    scribe.invoke("cut")
    scribe.write("cut")
    scribe.record("unknown", op="cut", attempt=1, reason="timed out")
    scribe.invoke("cut", attempt=2, server="s2")
    scribe.ok("cut", attempt=2)
    scribe.invoke("cut", attempt=3)
    scribe.ok("cut", attempt=3)
    # The same key with another body.
    scribe.invoke("reuser", key="cut", reuses="cut")
    scribe.refused("reuser", status=422, problem="idempotency-key-reused")
    # Never known, and it was done; never known, and it was not; not done as was said.
    scribe.invoke("ghost", "notes/b")
    scribe.write("ghost", "notes/b")
    scribe.record("unknown", op="ghost", attempt=1, reason="outcome-unknown", status=503)
    scribe.invoke("vanished")
    scribe.invoke("undone")
    scribe.record("fail", op="undone", attempt=1, outcome="not_done", status=503)
    scribe.record("fault", name="primary-kill", phase="begin")
    scribe.record("faults_over")
    scribe.read(3, 100)
    scribe.done("late", "notes/c")
    scribe.done("last", "notes/c", server="s2")
    scribe.read(0, 100, process="r2")
    return scribe.records, {name: copy.deepcopy(scribe.commits) for name in MEMBERS}
