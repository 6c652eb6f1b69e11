"""Health that tells the truth, metrics that parse, the API's description."""

import re
import signal

from client import Client, poll
from shopping import place, wait_confirmed

ORDER = 60
# The text format of Prometheus: https://prometheus.io/docs/instrumenting/exposition_formats/
SAMPLE = re.compile(
    r'^[a-zA-Z_:][a-zA-Z0-9_:]*'
    r'(\{([a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\["\\n])*",?)*\})?'
    r' ([+-]?(\d+(\.\d+)?([eE][+-]?\d+)?|Inf)|NaN)( -?\d+)?$')
COMMENT = re.compile(
    r'^# (HELP [a-zA-Z_:][a-zA-Z0-9_:]* .*'
    r'|TYPE [a-zA-Z_:][a-zA-Z0-9_:]* (counter|gauge|histogram|summary|untyped)|EOF)$')


def test_ready_turns_503_while_mongod_stands_still(world):
    parts = world.parts
    parts.client.get("/health/ready").expect(200)
    parts.mongod.send(signal.SIGSTOP)
    try:
        with Client(parts.port, timeout=20) as client:
            poll("ready says 503", lambda: client.get("/health/ready").status == 503, within=30)
            client.get("/health/live").expect(200)
    finally:
        parts.mongod.send(signal.SIGCONT)
    poll("ready says 200 again", lambda: (
        parts.client.get("/health/ready").status == 200), within=30)
    placed = place(parts.client)
    wait_confirmed(parts.client, placed.id)


def test_metrics_parse_and_count(world):
    client = world.shop.client

    def count():
        text = client.get("/metrics").expect(200).body.decode()
        lines = [line for line in text.splitlines() if line]
        for line in lines:
            assert (COMMENT if line.startswith("#") else SAMPLE).match(line), line
        mine = [line for line in lines if line.startswith("http_requests_total{")
                and "/cqrs/commands/orders\"" in line and 'status="202"' in line]
        names = {re.split(r"[{ ]", line)[0] for line in lines if not line.startswith("#")}
        assert any(name.startswith("http_request_duration_seconds") for name in names), names
        return sum(float(line.rpartition(" ")[2]) for line in mine)

    before = count()
    place(client)
    assert count() == before + 1


def test_the_api_describes_itself(world):
    client = world.shop.client
    reply = client.get("/openapi.yaml").expect(200)
    text = reply.body.decode()
    assert text.startswith("openapi: 3"), text[:100]
    for path in (
        "/cqrs/commands/orders", "/cqrs/queries/orders/{order_id}", "/event-store/api/v1/events",
        "/saga/order/{order_id}", "/health/ready", "/metrics"):
        assert re.search(rf"^\s+[\"']?{re.escape(path)}[\"']?:", text, re.M), path
