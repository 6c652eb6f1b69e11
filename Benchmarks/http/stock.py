#!/usr/bin/env python3
"""Gives stock to products over the HTTP API, on one keep-alive connection.

    stock.py PORT FIRST LAST QUANTITY

Each product from FIRST to LAST gets QUANTITY pieces in the depot.
"""

import http.client
import json
import sys


def main():
    port, first, last, quantity = map(int, sys.argv[1:])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for product in range(first, last + 1):
        body = {"product_id": product, "quantity_change": quantity, "operation": "restock"}
        connection.request(
            "POST", "/cqrs/commands/inventory", json.dumps(body),
            {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 202:
            sys.exit(f"restock of product {product}: {answer.status} {text.decode()}")


main()
