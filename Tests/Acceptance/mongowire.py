"""As much of MongoDB's wire protocol (OP_MSG) as it takes to change stored documents behind the
log's back."""

import socket
import struct


def bson(document):
    """Integers as int64; text; documents; lists."""
    body = b"".join(element(key, value) for key, value in document.items()) + b"\0"
    return struct.pack("<i", len(body) + 4) + body


def element(key, value):
    name = key.encode() + b"\0"
    if isinstance(value, int):
        return b"\x12" + name + struct.pack("<q", value)
    if isinstance(value, str):
        text = value.encode() + b"\0"
        return b"\x02" + name + struct.pack("<i", len(text)) + text
    if isinstance(value, list):
        return b"\x04" + name + bson({str(index): item for index, item in enumerate(value)})
    return b"\x03" + name + bson(value)


def received(connection, count):
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        assert part, "mongod closed the connection"
        data += part
    return data


def write(port, command):
    """Runs a command that writes; how many documents it changed."""
    message = struct.pack("<i", 0) + b"\0" + bson(command)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(struct.pack("<iiii", len(message) + 16, 1, 0, 2013) + message)
        length = struct.unpack("<i", received(connection, 4))[0]
        reply = received(connection, length - 4)
    assert b"\x01ok\0" + struct.pack("<d", 1) in reply and b"writeErrors" not in reply, reply
    return struct.unpack_from("<i", reply, reply.index(b"\x10n\0") + 3)[0]


def set_field(port, database, position, field, value):
    return write(port, {
        "update": "log",
        "updates": [{"q": {"_id": position}, "u": {"$set": {field: value}}}], "$db": database})


def delete_commit(port, database, position):
    return write(port, {
        "delete": "log", "deletes": [{"q": {"_id": position}, "limit": 1}], "$db": database})
