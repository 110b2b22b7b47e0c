#!/usr/bin/env python3
"""Runs the cases: `python3 run.py LOOPHOLE [--only PART]... [--out RESULTS.jsonl] [--list]`."""

import argparse
import json
import os
import pathlib
import sys
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import kit  # noqa: E402
import cells, labels, service, results  # noqa: E402, E401, F401


def one(case, program):
    """(right or not, what came instead, seconds)"""
    begun = time.monotonic()
    attempt = kit.Try(program)
    try:
        case.body(attempt)
        return True, "", time.monotonic() - begun
    except kit.Wrong as wrong:
        return False, str(wrong), time.monotonic() - begun
    except Exception as error:  # a shape nobody promised: the answer lacks what it must have
        where = traceback.extract_tb(error.__traceback__)[-1]
        return False, f"{type(error).__name__}: {error} ({pathlib.Path(where.filename).name}:{where.lineno})", time.monotonic() - begun
    finally:
        attempt.close()


def main():
    words = argparse.ArgumentParser()
    words.add_argument("program", nargs="?")
    words.add_argument("--only", action="append", default=[], help="ids that hold this")
    words.add_argument("--out", help="a line a case")
    words.add_argument("--list", action="store_true", help="the cases, nothing is run")
    asked = words.parse_args()
    cases = [c for c in kit.CASES if not asked.only or any(part in c.name for part in asked.only)]
    if asked.list:
        for c in cases:
            print(f"{c.name}\n    does: {c.does}\n    must: {c.must}")
        return 0
    if not asked.program:
        words.error("the program to test is missing")
    program = str(pathlib.Path(asked.program).resolve())
    out = open(asked.out, "w") if asked.out else None
    begun, counted, right_ones = time.monotonic(), 0, 0
    for c in cases:
        right, got, seconds = one(c, program)
        reason = kit.MISTAKEN.get(c.name)
        if not reason:
            counted, right_ones = counted + 1, right_ones + right
        word = "not counted" if reason else "right" if right else "WRONG"
        print(f"{word:11} {c.name} ({seconds:.1f} s)", flush=True)
        if not right:
            print(f"            does: {c.does}\n            must: {c.must}\n            got:  {got}", flush=True)
        if reason:
            print(f"            why not counted: {reason}")
        if out:
            out.write(json.dumps({"id": c.name, "right": right, "does": c.does, "must": c.must, "got": got,
                                  "not_counted": reason, "seconds": round(seconds, 2)}) + "\n")
            out.flush()
    print(f"{right_ones} of {counted} right, {time.monotonic() - begun:.0f} s")
    return 0 if right_ones == counted else 1


if __name__ == "__main__":
    sys.exit(main())
