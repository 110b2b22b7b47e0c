"""What the cases are told with: a case, the program, a server, a terminal.

A case is a function with an id, what it does and what a correct program must do. It raises `Wrong` with
what it got. `run.py` runs them.
"""

import base64
import contextlib
import http.client
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

CASES = []
MISTAKEN = {
    "cell-proc-own": "the kernel closes the pipe that Popen waits for a moment before it changes the name in comm",
    "serve-queue-full": "docs/serve.md: a full queue is 504 in /run_code, the one status that verl's client asks again after",
    "template-bomb": "a folder with the organism's marks is spoken to in the organism's own form; its template is not used",
}


class Wrong(Exception):
    """The program did something else than it must."""


class Case:
    def __init__(self, name, does, must, body):
        self.name, self.does, self.must, self.body = name, does, must, body


def case(name, does, must):
    """Adds a case. `must` is decided before the program is run."""

    def add(body):
        assert all(other.name != name for other in CASES), name
        CASES.append(Case(name, does, must, body))
        return body

    return add


class Done:
    """What a run of the program came to."""

    def __init__(self, code, out, err, seconds, peak):
        self.code, self.out, self.err, self.seconds, self.peak = code, out, err, seconds, peak

    @property
    def text(self):
        return self.out.decode("utf-8", "replace")

    @property
    def said(self):
        return self.err.decode("utf-8", "replace")

    def lines(self):
        """Stdout as JSON, a value a line."""
        found = []
        for line in self.out.splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                raise Wrong(f"stdout holds what is not JSON: {line[:120]!r}; exit {self.code}; stderr {short(self.said)}")
        return found

    def __str__(self):
        return f"exit {self.code} in {self.seconds:.1f} s, stdout {short(self.text)}, stderr {short(self.said)}"


def short(text, most=260):
    text = " ".join(str(text).split())
    return repr(text if len(text) <= most else text[: most // 2] + " ... " + text[-most // 2 :])


class Try:
    """One try of one case: its own temporary folder, its own deadline."""

    def __init__(self, program, seconds=30):
        self.program = program
        self.end = time.monotonic() + seconds
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="strangers-"))
        self.started = []

    def left(self):
        left = self.end - time.monotonic()
        if left <= 0:
            raise Wrong("the case ran out of its 30 seconds")
        return left

    def close(self):
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()
        for folder, names, _ in os.walk(self.dir):
            for name in names:
                with contextlib.suppress(OSError):
                    os.chmod(os.path.join(folder, name), 0o700)
        shutil.rmtree(self.dir, ignore_errors=True)

    # What is asked for and what came.

    def want(self, true, got):
        if not true:
            raise Wrong(str(got))

    def same(self, got, wanted, what):
        if got != wanted:
            raise Wrong(f"{what}: {short(got)} instead of {short(wanted)}")

    # Files.

    def file(self, name, text):
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    def rows(self, name, rows):
        return self.file(name, "".join(json.dumps(row) + "\n" for row in rows))

    # The program.

    def environment(self, more=None):
        keep = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TERM")}
        keep.update({"NO_COLOR": "1", "TERM": "xterm"})
        keep.update(more or {})
        return keep

    def start(self, *args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=None, cwd=None):
        process = subprocess.Popen(
            [self.program, *args], stdin=stdin, stdout=stdout, stderr=stderr, env=self.environment(env), cwd=cwd or self.dir
        )
        self.started.append(process)
        return process

    def run(self, *args, stdin=b"", env=None, cwd=None, within=None, panics=False):
        """Runs the program to its end; a panic is always wrong, and so is not coming to an end."""
        begun = time.monotonic()
        with open(self.dir / ".out", "wb+") as out, open(self.dir / ".err", "wb+") as err:
            process = self.start(*args, stdin=subprocess.PIPE, stdout=out, stderr=err, env=env, cwd=cwd)

            def feed():
                with contextlib.suppress(OSError):
                    process.stdin.write(stdin)
                with contextlib.suppress(OSError):
                    process.stdin.close()

            threading.Thread(target=feed, daemon=True).start()
            limit = min(within or 25, self.left())
            usage = None
            while usage is None:
                pid, status, used = os.wait4(process.pid, os.WNOHANG)
                if pid:
                    usage = used
                    process.returncode = os.waitstatus_to_exitcode(status) if hasattr(os, "waitstatus_to_exitcode") else status >> 8
                elif time.monotonic() - begun > limit:
                    process.kill()
                    process.wait()
                    raise Wrong(f"not ended within {limit:.0f} s: loophole {short(' '.join(map(repr, args)), 160)}")
                else:
                    time.sleep(0.005)
            seconds = time.monotonic() - begun
            out.seek(0), err.seek(0)
            done = Done(process.returncode, out.read(), err.read(), seconds, usage.ru_maxrss * 1024)
        if not panics and (b"panicked at" in done.err or b"Traceback" in done.err and b"loophole" in done.err):
            raise Wrong(f"it panicked: {short(done.said, 400)}")
        return done

    def exec(self, *args, stdin=b"", flags=(), env=None, within=None):
        """The record of one program in a cell."""
        done = self.run("exec", "--json", *flags, "--", *args, stdin=stdin, env=env, within=within)
        if done.code != 0:
            raise Wrong(f"exec itself: {done}")
        lines = done.lines()
        self.want(len(lines) == 1, f"{len(lines)} values on stdout")
        return lines[0]

    def python(self, source, *args, **more):
        return self.exec("python3", "-c", source, *args, **more)

    def said_ok(self, record):
        """The program in the cell printed `ok` and ended with 0."""
        self.want(
            record["verdict"] == "exit" and record["code"] == 0 and record["stdout"].strip().endswith("ok"),
            f"verdict {record['verdict']}, code {record['code']}, stdout {short(record['stdout'])}, "
            f"stderr {short(record['stderr'])}, refused {record.get('refused')}",
        )

    def clear_error(self, done, codes=(2,), words=()):
        """An error that a person can use: the right exit code, a sentence on stderr, nothing on stdout."""
        self.want(done.code in codes, f"exit {done.code} instead of {' or '.join(map(str, codes))}: {done}")
        self.want(len(done.said.strip()) > 8, f"no message: {done}")
        for word in words:
            self.want(word.lower() in done.said.lower(), f"{word!r} is not in {short(done.said)}")

    def grade(self, tasks, submissions, *flags, codes=(0, 1), env=None, within=None):
        """Records and summary."""
        done = self.run(
            "grade", "--json", "--tasks", self.rows("tasks.jsonl", tasks), "--submissions",
            self.rows("submissions.jsonl", submissions), *flags, env=env, within=within,
        )
        self.want(done.code in codes, done)
        lines = done.lines()
        self.want(lines and "summary" in lines[-1], f"no summary: {done}")
        return lines[:-1], lines[-1]["summary"]

    def terminal(self, *args, env=None):
        """What a terminal gets, stdout and stderr together."""
        outer, inner = pty.openpty()
        process = self.start(*args, stdout=inner, stderr=inner, env=env)
        os.close(inner)
        got = b""
        while True:
            ready, _, _ = select.select([outer], [], [], min(20, self.left()))
            if not ready:
                break
            try:
                piece = os.read(outer, 65536)
            except OSError:
                break
            if not piece:
                break
            got += piece
        os.close(outer)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        return process.returncode, got

    @contextlib.contextmanager
    def serve(self, *args, ready=True):
        process = self.start("serve", "--json", "--port", "0", *args, stderr=open(self.dir / "serve.err", "wb"))
        server = None
        try:
            line = read_line(process.stdout, min(20, self.left()))
            if not line:
                raise Wrong(f"it did not listen: exit {process.poll()}, {short((self.dir / 'serve.err').read_text())}")
            server = Server(self, process, json.loads(line))
            if ready:
                server.until_ready()
            yield server
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(timeout=8)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            said = (self.dir / "serve.err").read_text(errors="replace")
            if "panicked at" in said:
                raise Wrong(f"the server panicked: {short(said, 400)}")


def read_line(stream, seconds):
    """One line of a pipe, or what has come of it."""
    got, end = b"", time.monotonic() + seconds
    while not got.endswith(b"\n"):
        ready, _, _ = select.select([stream], [], [], max(0, end - time.monotonic()))
        if not ready:
            return b""
        piece = os.read(stream.fileno(), 1)
        if not piece:
            return b""
        got += piece
    return got


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            raise Wrong(f"status {self.status}, a body that is not JSON: {short(self.body[:200])}")

    def __str__(self):
        return f"status {self.status}, {short(self.body.decode('utf-8', 'replace'))}"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Server:
    def __init__(self, on, process, line):
        self.on, self.process, self.line = on, process, line
        match = re.search(r"http://([^:/]+):(\d+)", str(line.get("url")))
        self.host, self.port = (match.group(1), int(match.group(2))) if match else (None, None)

    def until_ready(self):
        end = time.monotonic() + 15
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                if self.get("/health").status == 200:
                    return
            time.sleep(0.05)
        raise Wrong("/health never became 200")

    def ask(self, method, path, body=None, headers=None, seconds=20, unix=None):
        seconds = min(seconds, self.on.left())
        link = UnixConnection(unix, seconds) if unix else http.client.HTTPConnection(self.host, self.port, timeout=seconds)
        headers = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        try:
            link.request(method, path, body=body, headers=headers)
            answer = link.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        except socket.timeout:
            raise Wrong(f"{method} {path}: no answer within {seconds:.0f} s")
        finally:
            link.close()

    def get(self, path, **more):
        return self.ask("GET", path, **more)

    def post(self, path, body, **more):
        return self.ask("POST", path, body, **more)

    def good(self, path, body, **more):
        answer = self.post(path, body, **more)
        self.on.want(200 <= answer.status < 300, f"POST {path}: {answer}")
        return answer.json()

    def code(self, source, **more):
        return self.good("/run_code", {"language": "python", "code": source, **more})

    def printed(self, source, **more):
        """What a program printed that must succeed."""
        answer = self.code(source, **more)
        self.on.want(answer.get("status") == "Success", f"/run_code: {short(answer, 500)}")
        return answer["run_result"]["stdout"]

    def metric(self, name):
        """The sum of a metric over its labels."""
        total, seen = 0.0, False
        for line in self.get("/metrics").body.decode().splitlines():
            if line.startswith(name) and line[len(name)] in " {":
                total, seen = total + float(line.rsplit(" ", 1)[1]), True
        return total if seen else None


def b64(data):
    return base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()


def processes_with(mark):
    """Ids of processes of this machine whose command line holds a mark."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                if mark.encode() in pathlib.Path("/proc", entry, "cmdline").read_bytes():
                    found.append(int(entry))
    return found


def soon(true, seconds=5):
    """Whether something becomes true within some seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.05)
    return bool(true())


SUM = {
    "id": "sum", "entry_point": "add", "params": ["a", "b"], "reference": "def add(a, b):\n    return a + b\n",
    "visible": [{"args": [1, 2], "expected": 3}, {"args": [-4, 9], "expected": 5}, {"args": [20, 22], "expected": 42}],
    "hidden": [{"args": [5, 5], "expected": 10}, {"args": [7, -9], "expected": -2}, {"args": [100, 23], "expected": 123},
               {"args": [0, 17], "expected": 17}],
}
RIGHT = "def add(a, b):\n    return a + b\n"
