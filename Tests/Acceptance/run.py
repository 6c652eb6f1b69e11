#!/usr/bin/env python3
"""Magasin's acceptance test: the bars, over HTTP, against the real binary and a real mongod.

    python3 Tests/Acceptance/run.py --binary .build/debug/magasin [--only NAME] [--keep] [--quick]

Prints a line per test and ends with `N passed, M failed`. Needs Python 3.11 and nothing else.
"""

import argparse
import importlib
import signal
import sys
import time
import traceback
from pathlib import Path

import server
from world import NotRunning, World

HERE = Path(__file__).resolve().parent


def tests_of(module):
    """Its test functions, in the order in which they stand in the file."""
    return [
        function for name, function in vars(module).items()
        if name.startswith("test_") and callable(function)
        and function.__module__ == module.__name__]


def discover(only):
    modules = [importlib.import_module(path.stem) for path in HERE.glob("test_*.py")]
    modules.sort(key=lambda module: (module.ORDER, module.__name__))
    found = [test for module in modules for test in tests_of(module)]
    return [
        test for test in found
        if only is None or only in test.__name__ or only in test.__module__]


def run_one(test, world):
    """None, or why it failed."""
    try:
        test(world)
    except NotRunning as error:
        return f"  {error}"
    except Exception:
        return f"{traceback.format_exc()}\n{world.tails()}"
    return None


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, required=True)
    parser.add_argument("--only", metavar="NAME", help="tests whose or whose file's name has this")
    parser.add_argument("--keep", action="store_true", help="leave the folders and their logs")
    parser.add_argument("--quick", action="store_true", help="fewer orders at once")
    return parser.parse_args()


def main():
    arguments = options()
    tests = discover(arguments.only)
    mongod = server.find_mongod()
    for problem, is_so in [
        (f"there is no test named {arguments.only}", not tests),
        (f"there is no binary {arguments.binary}: build it first", not arguments.binary.exists()),
        ("there is no mongod: run scripts/setup, or name one in MAGASIN_MONGOD", not mongod),
    ]:
        if is_so:
            print(problem)
            return 2
    # So that the processes we started are ended on SIGTERM too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    failed = []
    began = time.monotonic()
    with World(arguments.binary.resolve(), mongod, arguments.keep, arguments.quick) as world:
        for test in tests:
            started = time.monotonic()
            reason = run_one(test, world)
            words = test.__name__.removeprefix("test_").replace("_", " ")
            mark = "ok  " if reason is None else "FAIL"
            print(f"{mark} {time.monotonic() - started:6.1f} s  {words}", flush=True)
            if reason is not None:
                failed.append(words)
                print(reason, flush=True)
    for words in failed:
        print(f"failed: {words}")
    print(f"took {time.monotonic() - began:.0f} s")
    print(f"{len(tests) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
