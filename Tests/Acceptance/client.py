"""HTTP as a caller of Magasin sees it: keep-alive, exact numbers, no retries behind the scenes."""

import http.client
import json
import socket
import time
from decimal import Decimal


class Reply:
    """One answer: status, headers, the bytes of the body, and the body read as exact JSON."""

    def __init__(self, method, path, status, headers, body, seconds):
        self.method = method
        self.path = path
        self.status = status
        self.headers = headers
        self.body = body
        self.seconds = seconds

    @property
    def json(self):
        return json.loads(self.body, parse_float=Decimal, object_pairs_hook=without_duplicates)

    @property
    def data(self):
        return self.json["data"]

    @property
    def position(self):
        value = self.headers.get("Magasin-Position")
        return None if value is None else int(value)

    @property
    def is_problem(self):
        return self.headers.get("Content-Type", "").startswith("application/problem+json")

    def expect(self, *statuses):
        """Itself when the status is one of those, else an AssertionError that shows the answer."""
        assert self.status in statuses, f"expected {statuses}, got {self}"
        return self

    def __str__(self):
        text = self.body[:600].decode(errors="replace")
        return f"{self.method} {self.path} -> {self.status} {text}"


def without_duplicates(pairs):
    names = [name for name, _ in pairs]
    assert len(set(names)) == len(names), f"an object of an answer has a key twice: {names}"
    return dict(pairs)


def encoded(value):
    """JSON bytes; a Decimal becomes a number with the digits it has."""
    if isinstance(value, dict):
        inner = b",".join(encoded(str(k)) + b":" + encoded(v) for k, v in value.items())
        return b"{" + inner + b"}"
    if isinstance(value, (list, tuple)):
        return b"[" + b",".join(encoded(v) for v in value) + b"]"
    if isinstance(value, Decimal):
        return format(value, "f").encode()
    return json.dumps(value).encode()


# What a connection raises when the server is gone, going or silent. The outcome is then unknown.
BROKEN = (OSError, http.client.HTTPException)


class Client:
    """One connection. Belongs to one thread. A broken one is opened again by the next call."""

    def __init__(self, port, timeout=30):
        self.port = port
        self.timeout = timeout
        self.connection = None

    def request(self, method, path, body=None, headers=None, json_body=None):
        headers = dict(headers or {})
        if json_body is not None:
            body = encoded(json_body)
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        was_open = self.connection is not None
        try:
            return self._once(method, path, body, headers)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            # A server may close an idle connection at any time; a GET may simply be sent again.
            self.close()
            if not was_open or method != "GET":
                raise
            return self._once(method, path, body, headers)

    def _once(self, method, path, body, headers):
        if self.connection is None:
            self.connection = http.client.HTTPConnection(
                "127.0.0.1", self.port, timeout=self.timeout)
        started = time.monotonic()
        try:
            self.connection.request(method, path, body=body, headers=headers)
            answer = self.connection.getresponse()
            content = answer.read()
        except BaseException:
            self.close()
            raise
        if answer.will_close:
            self.close()
        return Reply(
            method, path, answer.status, answer.headers, content, time.monotonic() - started)

    def get(self, path, **headers):
        return self.request("GET", path, headers=header_names(headers))

    def post(self, path, json_body=None, **headers):
        return self.request("POST", path, json_body=json_body, headers=header_names(headers))

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def header_names(keywords):
    """`idempotency_key="a"` is the header `Idempotency-Key: a`."""
    return {name.replace("_", "-").title(): str(value) for name, value in keywords.items()}


def raw_exchange(port, request, timeout=10):
    """Sends bytes as they are and returns all that comes back, for requests that no HTTP library
    would make."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        connection.settimeout(timeout)
        connection.sendall(request)
        received = b""
        while True:
            try:
                part = connection.recv(65536)
            except (TimeoutError, ConnectionResetError):
                return received
            if not part:
                return received
            received += part


def poll(what, check, within, every=0.02):
    """Calls `check` until it gives something true and returns that; an AssertionError after
    `within` seconds that says what did not come about and what was seen last."""
    deadline = time.monotonic() + within
    seen = None
    while True:
        try:
            seen = check()
            if seen:
                return seen
        except (AssertionError, *BROKEN) as error:
            seen = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what}; last seen: {seen}")
        time.sleep(every)
