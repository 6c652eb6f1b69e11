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
    name: str
    text: str
    source: Optional[str] = None  # the measurement, where it is not `name`
    against: Optional[str] = None
    bar: Optional[float] = None


ROWS = [
    Row("append.ceiling", "C: ordered insertMany, 1,000 a batch, 1 in flight"),
    Row("append.naive", "C: 50 threads, one insert a request"),
    Row("append.transaction", "C: counter and 500 inserts in a transaction"),
    Row("append.library", "library, 1,000 callers", None, "append.ceiling", 0.5),
    Row("append.library.rival", "the same", "append.library", "append.transaction"),
    Row("append.http64", "POST an order, 64 connections", None, "append.naive", 1.5),
    Row("append.http64.p50", "its latency, median"),
    Row("append.http64.p99", "its latency, 99th percentile"),
    Row("append.ceiling.bytes", "one commit of the C programs"),
    # Smaller commits would be no match for the ceiling's.
    Row("append.library.bytes", "of the library benchmark", None, "append.ceiling.bytes", 0.9),
    Row("append.http64.bytes", "of a placed order", None, "append.ceiling.bytes", 0.9),
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


def main():
    values, units = read(sys.argv[1])
    head = ("figure", "median", "unit", "lowest to highest", "ratio", "what")
    table, records, missed = [head], [], []
    for row in ROWS:
        source = row.source or row.name
        if source not in values:
            continue
        found = values[source]
        median = statistics.median(found)
        ratio = None
        shown = ""
        if row.against in values:
            ratio = median / statistics.median(values[row.against])
            shown = f"{ratio:.2f} of {row.against}"
        if ratio is not None and row.bar is not None:
            shown += f", bar {row.bar}"
            if ratio < row.bar:
                shown += ": MISSED"
                missed.append(row.name)
        span = f"{number(min(found))} to {number(max(found))}"
        table.append((row.name, number(median), units[source], span, shown, row.text))
        records.append(
            {
                "name": row.name,
                "value": round(median, 2),
                "unit": units[source],
                "against": row.against if ratio is not None else None,
                "ratio": None if ratio is None else round(ratio, 3),
            }
        )

    widths = [max(len(cells[i]) for cells in table) for i in range(len(head))]
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
