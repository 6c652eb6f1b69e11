"""The recorded history: one file of JSON lines for each process, one record a line."""

import json
import threading
import time


class Recorder:
    """Writes records with the time, on a clock that all processes of this machine share."""

    def __init__(self, path):
        self.file = open(path, "a", encoding="utf-8", buffering=1)  # a line at a time
        self.lock = threading.Lock()

    def write(self, kind, process, **fields):
        record = {"time": time.monotonic_ns(), "process": process, "kind": kind, **fields}
        line = json.dumps(record, separators=(",", ":")) + "\n"
        with self.lock:
            self.file.write(line)

    def close(self):
        with self.lock:
            self.file.close()


def load(paths, sizes=None):
    """The records of all files in the order of time; with `sizes`, those that came after the files
    had these sizes, but for the one that was being written."""
    records = []
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            if sizes is not None:
                lines.seek(sizes.get(path, 0))
                lines.readline()
            records += [json.loads(line) for line in lines if line.endswith("\n")]
    return sorted(records, key=lambda record: record["time"])
