#!/usr/bin/env python3
"""Makes one table of what scripts/bench measured: medians, ratios, and the bars they must reach.

    table.py FIGURES [JSON]

FIGURES has a line `ROUND NAME VALUE UNIT` for each measurement. JSON, if named, is given one more
line for each figure. Exits 1 when a bar is missed.
"""

import json
import statistics
import sys
from collections import defaultdict
from typing import NamedTuple, Optional


class Row(NamedTuple):
    """A figure. Its bar is for the ratio where it is compared with another, else for its value."""

    name: str
    text: str
    against: Optional[str] = None
    least: Optional[float] = None
    most: Optional[float] = None
    source: Optional[str] = None  # the measurement, where it is not `name`


ROWS = [
    Row("append.ceiling", "C: ordered insertMany, 1,000 a batch, 1 in flight"),
    Row("append.transaction", "C: counter and 500 inserts in a transaction"),
    Row("append.naive", "C: 50 threads, one insert a request"),
    Row("append.insert", "C: 1 thread, one insert a request: latency, median"),
    Row("append.insert.p99", "its latency, 99th percentile"),
    Row("append.library", "library, 1,000 callers", "append.ceiling", least=0.9),
    Row("append.library.rival", "the same", "append.transaction", least=1.2,
        source="append.library"),
    Row("append.library.p50", "its latency, median"),
    Row("append.library.p99", "its latency, 99th percentile"),
    Row("append.single", "library, 1 caller: latency, median", "append.insert", most=1.2),
    Row("append.single.p99", "its latency, 99th percentile"),
    Row("append.writers3", "library, 3 processes together", "append.library", least=0.8),
    Row("append.writers3.least", "the slowest one's share", least=0.2),
    Row("append.http64", "POST an order, 64 connections", "append.naive", least=3),
    Row("append.http64.p50", "its latency, median"),
    Row("append.http64.p99", "its latency, 99th percentile"),
    Row("append.http256", "POST an order, 256 connections", "append.naive", least=4),
    Row("append.http256.p50", "its latency, median"),
    Row("append.http256.p99", "its latency, 99th percentile"),
    Row("append.http64.allroles", "POST an order, every role on", "append.naive", least=1.5),
    Row("append.http64.allroles.p50", "its latency, median"),
    Row("append.http64.allroles.p99", "its latency, 99th percentile"),
    Row("append.http64.allroles.sagas", "sagas begun meanwhile"),
    Row("append.spread", "POST a reservation, 1,000 products, 256 connections"),
    Row("append.spread.p50", "its latency, median"),
    Row("append.spread.p99", "its latency, 99th percentile"),
    Row("append.hot", "POST a reservation, one product", "append.spread", least=0.5),
    Row("append.hot.p50", "its latency, median"),
    Row("append.hot.p99", "its latency, 99th percentile"),
    Row("append.ceiling.bytes", "one commit of the C programs"),
    # Smaller commits would be no match for the ceiling's.
    Row("append.library.bytes", "of the library benchmark", "append.ceiling.bytes", least=0.9),
    Row("append.http64.bytes", "of a placed order", "append.ceiling.bytes", least=0.9),
    Row("append.growth.start", "library, on a log of 100,000 events"),
    Row("append.growth", "library, on the long log", "append.growth.start", least=0.8),
    Row("append.growth.rss", "memory of the process that filled it", most=250),
    Row("append.growth.scan", "C: the long log read from end to end"),
    Row("overload.capacity", "POST an order, 256 connections, closed loop"),
    Row("overload.sent", "sent at an offer of 3 times that", "overload.capacity"),
    Row("overload.rate", "accepted of it", "overload.capacity", least=0.8),
    Row("overload.p50", "latency of the accepted, median"),
    Row("overload.p99", "latency of the accepted, 99th percentile"),
    Row("overload.refused", "answered 503 with Retry-After: without any it was no flood", least=1),
    Row("overload.refused.p99", "latency of the refused, 99th percentile", most=500),
    Row("overload.rss", "memory of the server", most=400),
    Row("overload.recovered", "accepted in the second afterwards", least=1),
    Row("log.scan", "C: the log of orders read from end to end"),
    Row("rebuild.statistics", "statistics built from the log", "log.scan", least=0.3),
    Row("upsert.rate", "C: 1,000 upserts a batch, two secondary indexes"),
    Row("upsert.bytes", "one row of them, as the orders' rows are"),
    Row("rebuild.orders", "orders built from the log", "upsert.rate", least=4),
    Row("rebuild.orders.naive", "row read, event applied, row written: one event at a time"),
    Row("rebuild.orders.rival", "orders built from the log", "rebuild.orders.naive", least=10,
        source="rebuild.orders"),
    Row("rebuild.growth", "orders built from the long log", "rebuild.orders", least=0.8),
    Row("rebuild.rss", "memory of a process that rebuilds, the most", most=500),
    Row("get.constant", "GET a constant JSON of an order's size, 64 connections"),
    Row("get.constant.p50", "its latency, median"),
    Row("get.constant.p99", "its latency, 99th percentile"),
    Row("get.order", "GET an order, 64 connections", "get.constant", least=0.4),
    Row("get.order.p50", "its latency, median"),
    Row("get.order.p99", "its latency, 99th percentile"),
    Row("get.bytes", "the JSON of an order"),
    Row("lag.rate", "POST an order, open loop, while the lag is measured"),
    Row("lag.p50", "from acknowledged to visible, median", most=10),
    Row("lag.p99", "from acknowledged to visible, 99th percentile", most=60),
    Row("rebuild.live", "queries answered while statistics and orders were built anew", least=1),
    Row("rebuild.live.p50", "from acknowledged to visible meanwhile, median"),
    Row("rebuild.live.p99", "from acknowledged to visible meanwhile, 99th percentile"),
    Row("rebuild.live.rss", "memory of a process that rebuilds meanwhile, the most", most=500),
    Row("replay.snapshot", "an aggregate of 100,000 events, out of its snapshot", most=20),
    Row("saga.latency.p50", "POST an order until it is confirmed, one at a time, median", most=30),
    Row("saga.latency.p99", "POST until confirmed, one at a time, 99th percentile"),
    Row("saga.cancelled.p50", "POST an order until it is cancelled, its card declined, median"),
    Row("saga.cancelled.p99", "POST until cancelled, its card declined, 99th percentile"),
    Row("saga.commits", "one order's commits in the log, all told"),
    Row("saga.latency300.rate", "POST an order, every role on, open loop"),
    Row("saga.latency300.p50", "POST until confirmed at that rate, median"),
    Row("saga.latency300.p99", "POST until confirmed at that rate, 99th percentile", most=150),
    Row("saga.throughput", "orders confirmed, every role on, open loop", least=1000),
    Row("saga.offered", "orders offered meanwhile"),
    Row("saga.accepted", "orders accepted meanwhile"),
    Row("saga.refused", "orders offered and not accepted"),
    Row("saga.backlog.quarter", "placed and not confirmed, after a quarter of the time"),
    Row("saga.backlog.half", "after half of it"),
    Row("saga.backlog.three_quarters", "after three quarters"),
    Row("saga.backlog", "placed and not confirmed, at the end", most=1000),
    Row("saga.unconfirmed", "accepted and not confirmed a minute later", most=0),
    Row("saga.throughput.p50", "POST until confirmed meanwhile, median"),
    Row("saga.throughput.p99", "POST until confirmed meanwhile, 99th percentile"),
    Row("saga.throughput.cpu", "processor time of the server meanwhile, of one core"),
    Row("saga.throughput.cpu.mongod", "of mongod"),
    Row("saga.throughput.cpu.payments", "of the payment service"),
    Row("saga.throughput.cpu.load", "of the program that offers the orders"),
    Row("saga.idle.sagas", "sagas that wait while the provider is dead", least=10000),
    Row("saga.idle.cpu", "processor time of their server, of one core", most=2),
    Row("saga.idle.mongod", "of mongod"),
    Row("saga.idle.commits", "what they wrote to the log in 30 s"),
    Row("saga.idle.rss", "memory of their server"),
]


def read(path):
    values, units = defaultdict(list), {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            _, name, value, unit = line.split()
            values[name].append(float(value))
            units[name] = unit
    return values, units


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"


def judged(row, median, ratio):
    """What the table says of a figure's ratio and bar, and whether the bar was missed."""
    said = [] if ratio is None else [f"{ratio:.2f} of {row.against}"]
    judge = median if row.against is None else ratio
    if judge is None or row.least is row.most is None:
        return ", ".join(said), False
    missed = judge < row.least if row.least is not None else judge > row.most
    bar = f"at least {row.least}" if row.least is not None else f"at most {row.most}"
    said.append(bar + (": MISSED" if missed else ""))
    return ", ".join(said), missed


def main():
    values, units = read(sys.argv[1])
    table = [("figure", "median", "unit", "lowest to highest", "ratio and bar", "what")]
    records, missed = [], []
    for row in ROWS:
        source = row.source or row.name
        if source not in values:
            continue
        found = values[source]
        median = statistics.median(found)
        ratio = None
        if row.against in values:
            ratio = median / statistics.median(values[row.against])
        said, is_missed = judged(row, median, ratio)
        if is_missed:
            missed.append(row.name)
        span = f"{number(min(found))} to {number(max(found))}"
        table.append((row.name, number(median), units[source], span, said, row.text))
        records.append(
            {
                "name": row.name,
                "value": round(median, 3),
                "unit": units[source],
                "against": None if ratio is None else row.against,
                "ratio": None if ratio is None else round(ratio, 3),
            }
        )

    widths = [max(len(cells[i]) for cells in table) for i in range(len(table[0]))]
    for cells in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip())
    if len(sys.argv) > 2:
        with open(sys.argv[2], "a", encoding="utf-8") as file:
            for record in records:
                file.write(json.dumps(record) + "\n")
    if missed:
        print(f"bars missed: {', '.join(missed)}")
        sys.exit(1)


main()
