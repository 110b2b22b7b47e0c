"""Three `loophole serve` and a client that knows all of them; one is killed in the middle of a batch.

    python check_three.py PROGRAM [SUBMISSIONS]

No submission may be lost or told twice, and each must get the verdict that a single service gives it. Says how much
slower it was than with three services that live. Needs nothing but Python.
"""

import contextlib
import json
import sys
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

import corpus
from service import Service

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "scripts"))
from grade_client import Services  # noqa: E402


def batch(count: int, name: str) -> list:
    """The corpus again and again, each text one of its own: nothing can be answered from memory."""
    entries = corpus.entries()
    return [
        {"task_id": entry["task"], "completion": f"{entry['solution']}\n# {name} {number}\n"}
        for number in range(count)
        for entry in [entries[number % len(entries)]]
    ]


def graded(services: list, submissions: list, kill: "Service | None" = None) -> tuple:
    """(records, seconds, client). With `kill`, that service is killed when a third of the records is there."""
    client = Services([service.url for service in services], connections=2, batch=8)
    if kill:
        threading.Thread(target=killer, args=(client, kill, len(submissions) // 3), daemon=True).start()
    began = time.monotonic()
    records = client.grade(submissions, grader="script")
    return records, time.monotonic() - began, client


def killer(client: Services, service: Service, after: int) -> None:
    while client.graded < after:
        time.sleep(0.005)
    service.process.kill()
    print(f"killed one of three when {client.graded} submissions were graded")


def worked(service: Service) -> int:
    """Verdicts the service has given, by its metrics."""
    with urllib.request.urlopen(service.url + "/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith("loophole_verdicts_total{"))


def check(records: list, expected: list, what: str) -> None:
    assert len(records) == len(expected), f"{what}: {len(records)} records of {len(expected)} submissions"
    assert [record["index"] for record in records] == list(range(len(expected))), f"{what}: lost, doubled or out of order"
    told = lambda record: (record["task_id"], record["verdict"], record["reward"], record["family"])  # noqa: E731
    wrong = [(told(one), told(other)) for one, other in zip(records, expected) if told(one) != told(other)]
    assert not wrong, f"{what}: {len(wrong)} verdicts differ: {wrong[:3]}"
    assert all(record["reward"] is not None for record in records), f"{what}: a reward is missing"


def main() -> None:
    program = str(Path(sys.argv[1]).resolve())
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 600
    serve = lambda: Service(program, "--tasks", str(corpus.HERE / "tasks.jsonl"), "--jobs", "1")  # noqa: E731
    with serve() as alone:
        graded([alone], batch(20, "warm"))
        expected, seconds, _ = graded([alone], batch(count, "alone"))
        assert worked(alone) == 20 + count
    verdicts = Counter(record["verdict"] for record in expected)
    print(f"one service: {count} submissions in {seconds:.1f} s: {dict(verdicts)}")
    assert len(verdicts) >= 5 and "invalid" not in verdicts, verdicts
    with contextlib.ExitStack() as stack:
        services = [stack.enter_context(serve()) for _ in range(3)]
        for service in services:
            graded([service], batch(20, "warm"))
        before = [worked(service) for service in services]
        records, whole, client = graded(services, batch(count, "whole"))
        check(records, expected, "three services")
        assert not client.failed and client.sent_again == 0, client.failed
        shares = [worked(service) - was for service, was in zip(services, before)]
        assert sum(shares) == count and min(shares) > 0, shares
        print(f"three services: {whole:.1f} s, each graded {shares}")

        before = [worked(service) for service in services]
        records, broken, client = graded(services, batch(count, "broken"), kill=services[1])
        check(records, expected, "one of three killed")
        assert services[1].process.poll() is not None and client.failed.get(services[1].url), "it was not killed in time"
        others = [worked(service) - was for service, was in zip(services, before) if service.process.poll() is None]
        print(
            f"one of three killed: {broken:.1f} s ({broken / whole:.2f} x), {client.sent_again} sent again, "
            f"the others graded {others}, {sum(map(len, client.failed.values()))} requests failed"
        )

        # And the one that is back is used again.
        port = int(services[1].url.rsplit(":", 1)[1])
        began = time.monotonic()
        with Service(program, "--tasks", str(corpus.HERE / "tasks.jsonl"), "--jobs", "1", port=port) as again:
            print(f"started again and healthy after {time.monotonic() - began:.1f} s")
            records, _, client = graded([services[0], again, services[2]], batch(60, "back"))
            check(records, expected[:60], "the third is back")
            assert worked(again) > 0 and not client.failed, client.failed


if __name__ == "__main__":
    main()
