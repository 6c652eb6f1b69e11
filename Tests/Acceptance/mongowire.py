"""As much of MongoDB's wire protocol (OP_MSG) as it takes to look at stored documents and to change
them behind the log's back."""

import hashlib
import socket
import struct
import uuid
from datetime import datetime, timedelta, timezone

EPOCH = datetime.fromtimestamp(0, timezone.utc)
DUPLICATE_KEY = 11000


class Int32(int):
    """An integer that is stored in four bytes."""


def bson(document):
    """Integers as int64 unless they are Int32; text; times; UUIDs; bytes; documents; lists."""
    body = b"".join(element(key, value) for key, value in document.items()) + b"\0"
    return struct.pack("<i", len(body) + 4) + body


def element(key, value):
    kind, content = encoded(value)
    return kind + key.encode() + b"\0" + content


def encoded(value):
    """(type, content)"""
    if isinstance(value, bool):
        return b"\x08", bytes([value])
    if isinstance(value, Int32):
        return b"\x10", struct.pack("<i", value)
    if isinstance(value, int):
        return b"\x12", struct.pack("<q", value)
    if isinstance(value, str):
        text = value.encode() + b"\0"
        return b"\x02", struct.pack("<i", len(text)) + text
    if isinstance(value, datetime):
        return b"\x09", struct.pack("<q", (value - EPOCH) // timedelta(milliseconds=1))
    if isinstance(value, uuid.UUID):
        return b"\x05", struct.pack("<iB", 16, 4) + value.bytes
    if isinstance(value, bytes):
        return b"\x05", struct.pack("<iB", len(value), 0) + value
    if isinstance(value, list):
        return b"\x04", bson({str(index): item for index, item in enumerate(value)})
    return b"\x03", bson(value)


def decoded(data, start=0):
    """The document that begins there. Types that nobody here looks at are left as bytes."""
    document = {}
    at = start + 4
    while data[at]:
        kind = data[at]
        end = data.index(0, at)
        name = data[at + 1:end].decode()
        document[name], at = value_at(data, end + 1, kind)
    return document


def value_at(data, at, kind):
    """(value, where the next element begins)"""
    if kind in (0x03, 0x04):
        inner = decoded(data, at)
        return inner if kind == 0x03 else list(inner.values()), at + size_at(data, at)
    if kind in (0x02, 0x05):
        begin = at + (4 if kind == 0x02 else 5)
        end = begin + size_at(data, at)
        return (data[begin:end - 1].decode() if kind == 0x02 else data[begin:end]), end
    size = {0x01: 8, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8, 0x13: 16}[kind]
    content = data[at:at + size]
    form = {0x01: "<d", 0x08: "<?", 0x10: "<i", 0x12: "<q"}.get(kind)
    return (struct.unpack(form, content)[0] if form else content), at + size


def size_at(data, at):
    return struct.unpack_from("<i", data, at)[0]


def received(connection, count):
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        assert part, "mongod closed the connection"
        data += part
    return data


def run(port, command):
    """Runs a command; what mongod answered."""
    message = struct.pack("<i", 0) + b"\0" + bson(command)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(struct.pack("<iiii", len(message) + 16, 1, 0, 2013) + message)
        length = struct.unpack("<i", received(connection, 4))[0]
        reply = decoded(received(connection, length - 4), 17)
    assert reply["ok"] == 1, reply
    return reply


def write(port, command):
    """Runs a command that writes; how many documents it changed."""
    reply = run(port, command)
    assert "writeErrors" not in reply, reply
    return reply["n"]


def set_field(port, database, position, field, value):
    return write(port, {
        "update": "log",
        "updates": [{"q": {"_id": position}, "u": {"$set": {field: value}}}], "$db": database})


def delete_commit(port, database, position):
    return write(port, {
        "delete": "log", "deletes": [{"q": {"_id": position}, "limit": 1}], "$db": database})


def find_one(port, database, collection, query, **options):
    """A document; None when there is none."""
    batch = run(port, {
        "find": collection, "filter": query, "limit": 1, **options, "$db": database,
    })["cursor"]["firstBatch"]
    return batch[0] if batch else None


def collections(port, database):
    """The names of all collections."""
    reply = run(port, {
        "listCollections": 1, "nameOnly": True, "cursor": {"batchSize": 1000}, "$db": database})
    return {entry["name"] for entry in reply["cursor"]["firstBatch"]}


def append_event(port, database, category, identifier, kind, data, version=1):
    """Writes a sound commit of one event to the end of the log, chained to the one before, which
    no command would write; its position."""
    while True:
        last = find_one(port, database, "log", {}, sort={"_id": -1})
        command = uuid.uuid4()
        commit = {
            "_id": last["_id"] + len(last["events"]), "command_id": command,
            "correlation_id": command, "timestamp": datetime.now(timezone.utc),
            "service_name": "acceptance", "metadata": {},
            "events": [{
                "event_id": uuid.UUID(int=command.int ^ 1), "event_type": kind,
                "schema": Int32(1), "aggregate_type": category, "aggregate_id": identifier,
                "version": version, "data": data}]}
        commit["hash"] = hashlib.sha256(last["hash"] + bson(commit)).digest()
        reply = run(port, {"insert": "log", "documents": [commit], "$db": database})
        # Somebody else may have taken the position.
        if reply["n"] == 1:
            return commit["_id"]
        assert reply["writeErrors"][0]["code"] == DUPLICATE_KEY, reply
