"""`loophole serve` as the checks start it, and ways in which it fails."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path


class Service:
    """`loophole serve` on a port of this machine, until the end of a `with`; `url` is its address."""

    def __init__(self, program: str, *arguments: str, port: int = 0):
        self.command = [program, "serve", "--port", str(port), "--json", "--quiet", *arguments]

    def __enter__(self) -> "Service":
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        said = self.process.stdout.readline()
        assert said, f"{self.command} ended: {self.process.wait()}"
        self.url = json.loads(said)["url"].removesuffix("/v1")
        deadline = time.monotonic() + 30
        while not self.healthy():
            assert time.monotonic() < deadline, "it is not healthy after 30 s"
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def healthy(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + "/health", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.HTTPError, OSError):
            return False

    def ask(self, path: str, body) -> tuple:
        """(status, JSON) of a request."""
        data = json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def children(self) -> list:
        """The processes it started: the zygotes of its cells."""
        listed = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        pids = []
        for file in listed:
            with contextlib.suppress(OSError):
                pids += [int(pid) for pid in file.read_text().split()]
        return pids

    @contextlib.contextmanager
    def failing(self, seconds: float = 1e9):
        """The machine fails for so many seconds: whatever the service starts is killed at once."""
        over = threading.Event()

        def kill():
            until = time.monotonic() + seconds
            while not over.is_set() and time.monotonic() < until:
                for pid in self.children():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                time.sleep(0.002)

        thread = threading.Thread(target=kill)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
