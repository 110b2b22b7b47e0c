"""The service: dialects, cells by HTTP, bounds, and what a cell tells its next program."""

import base64
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

from kit import RIGHT, SUM, Server, Wrong, b64, case, processes_with, read_line, short, soon

HACK = "import os\nos._exit(0)"
EQUAL = "class A:\n    def __eq__(s, o): return True\ndef add(a, b): return A()\n"


def tasks(t, *more):
    return ["--tasks", t.rows("tasks.jsonl", [SUM, *more])]


@case("serve-health-metrics", "GET /health and /metrics after one program", "200; the metrics that the documents name, counted")
def _(t):
    with t.serve("--no-model") as s:
        s.printed("print(1)")
        text = s.get("/metrics").body.decode()
        for name in ("loophole_requests_total", "loophole_request_seconds", "loophole_ready", "loophole_queue_waiting",
                     "loophole_in_work", "loophole_cells_alive", "loophole_connections", "loophole_body_bytes",
                     "loophole_machine_failures_total"):
            t.want(re.search(f"^{name}", text, re.M), f"{name} is not in /metrics")
        t.want(s.metric("loophole_requests_total") >= 1, "requests are not counted")
        t.want("healthy" in s.get("/health").body.decode(), s.get("/health"))


@case("run-code-success", "/run_code: print(int(input()) + 1) with stdin 41", "Success, Finished, return_code 0, stdout 42, null for compile_result")
def _(t):
    with t.serve("--no-model") as s:
        answer = s.code("print(int(input()) + 1)", stdin="41", run_timeout=10, memory_limit_MB=-1, compile_timeout=10, files={}, fetch_files=[], expected_stdout="42")
        t.same(answer["status"], "Success", "status")
        run = answer["run_result"]
        t.same((run["status"], run["return_code"], run["stdout"]), ("Finished", 0, "42\n"), "run_result")
        for key in ("message", "compile_result", "executor_pod_name", "files"):
            t.want(key in answer, f"{key} is missing")


@case("run-code-failure", "/run_code: a program that prints to both streams and ends with 3; one that raises; one of another language",
      "Failed with return_code 3 and both texts; Failed with the traceback; SandboxError; HTTP 200 each time")
def _(t):
    with t.serve("--no-model") as s:
        answer = s.code("import sys; print('o'); print('e', file=sys.stderr); sys.exit(3)")
        run = answer["run_result"]
        t.same((answer["status"], run["status"] in ("Error", "Finished"), run["return_code"], run["stdout"], run["stderr"]),
               ("Failed", True, 3, "o\n", "e\n"), "answer")
        answer = s.code("1/0")
        t.want(answer["status"] == "Failed" and "ZeroDivisionError" in answer["run_result"]["stderr"], answer)
        answer = s.good("/run_code", {"code": "module m; endmodule", "language": "verilog"})
        t.same(answer["status"], "SandboxError", f"status of {short(answer)}")


@case("run-code-timeout", "/run_code: an endless loop with run_timeout 1", "200 in some seconds: Failed, TimeLimitExceeded, return_code null")
def _(t):
    with t.serve("--no-model") as s:
        begun = time.monotonic()
        answer = s.code("print('begun', flush=True)\nwhile True: pass", run_timeout=1)
        t.want(time.monotonic() - begun < 6, "it took too long")
        t.same((answer["status"], answer["run_result"]["status"]), ("Failed", "TimeLimitExceeded"), "status")
        t.same(answer["run_result"]["return_code"], None, "return_code")


@case("run-code-files", "/run_code: files in (text, binary, below a folder), files fetched back, one that is missing, two outside",
      "bytes survive both ways; nothing of this machine comes back; a missing one harms nothing")
def _(t):
    with t.serve("--no-model") as s:
        data = bytes(range(256))
        answer = s.code("import os\nopen('out.bin', 'wb').write(open('a/in.bin', 'rb').read()[::-1])\nos.symlink('/etc/passwd', 'link')\nprint(open('t.txt').read())",
                        files={"a/in.bin": b64(data), "t.txt": b64("text")},
                        fetch_files=["out.bin", "missing", "../../etc/passwd", "/etc/hostname", "link"])
        t.same(answer["status"], "Success", f"status of {short(answer)}")
        files = answer["files"]
        t.same(base64.b64decode(files.get("out.bin", "")), data[::-1], "out.bin")
        for name, text in files.items():
            t.want(name == "out.bin" or b"root" not in base64.b64decode(text or ""), f"{name} came back: {text}")


@case("run-code-file-escape", "/run_code: files named ../x, /tmp-strangers-x and an empty name, broken base64",
      "refused in the form of the dialect or kept inside the cell; nothing on this machine; the server lives")
def _(t):
    with t.serve("--no-model") as s:
        mark = f"strangers-{time.time_ns()}"
        for name, text in ((f"../../../../../tmp/{mark}", b64("x")), (f"/tmp/{mark}", b64("x")), ("", b64("x")), ("a", "%%%"), ("a\0b", b64("x"))):
            answer = s.post("/run_code", {"code": "print(1)", "language": "python", "files": {name: text}})
            t.want(answer.status < 500, f"{name!r}: {answer}")
            t.want(not os.path.exists(f"/tmp/{mark}"), f"{name!r} was written on this machine")
        t.same(s.printed("print(2)"), "2\n", "afterwards")


MARKS = r"""
import os, socket, sys, builtins, json
seen = []
names = [os.fsencode(p) + n for p in ("/tmp", "/dev/shm", "/box", os.getcwd(), os.path.expanduser("~"), "/var/tmp", "/run", "/dev", "/", "/proc/self") for n in (b"/.mark", b"/\xff")]
seen += [f for f in names if os.path.exists(f)]
for f in names:
    try: open(f, "w").close()
    except OSError: pass
for n in ("MARK",):
    if n in os.environ: seen.append(n)
    os.environ[n] = "1"
if hasattr(builtins, "mark") or hasattr(json, "mark"): seen.append("module")
builtins.mark = json.mark = 1
for a in (("127.0.0.1", 41515),):
    try: socket.create_connection(a, 0.2); seen.append(a)
    except OSError: pass
try:
    s = socket.socket(socket.AF_UNIX); s.connect("\0mark"); seen.append("abstract")
except OSError: pass
try:
    if os.fork() == 0:
        os.setsid()
        x = socket.socket(socket.AF_UNIX); x.bind("\0mark"); x.listen(); y = socket.create_server(("127.0.0.1", 41515))
        import time; time.sleep(60)
except OSError: pass
others = []
if os.path.isdir("/proc/1"):
    for p in os.listdir("/proc"):
        if p.isdigit() and int(p) not in (os.getpid(), os.getppid(), 1):
            try:
                if b"sleep" in open(f"/proc/{p}/cmdline", "rb").read(): others.append(p)
            except OSError: pass
print("seen", seen, others)
"""


@case("serve-no-memory", "/run_code: twelve times a program that marks files, memory, environment, ports, abstract sockets and leaves a daemon, one worker",
      "none finds anything of the ones before")
def _(t):
    with t.serve("--no-model", "--jobs", "1") as s:
        for turn in range(12):
            t.same(s.printed(MARKS).strip(), "seen [] []", f"turn {turn}")


NUMBERS = r"""
import os, sys, json, gc, socket, threading, resource, tempfile
n = {}
n["blocks"] = sys.getallocatedblocks()
n["gc"] = gc.get_count()[2]
n["collections"] = gc.get_stats()[2]["collections"]
n["objects"] = len(gc.get_objects())
n["modules"] = len(sys.modules)
n["address"] = id(object())
n["pid"], n["ppid"], n["sid"] = os.getpid(), os.getppid(), os.getsid(0)
c = os.fork()
if c == 0: os._exit(0)
os.waitpid(c, 0); n["child"] = c
t = threading.Thread(target=lambda: n.__setitem__("thread", threading.get_native_id())); t.start(); t.join()
open("f", "w").close(); n["inode"] = os.stat("f").st_ino
n["box"] = os.stat(os.getcwd()).st_ino
n["tmp"] = os.stat("/tmp").st_ino
n["fd"] = os.dup(0)
u = resource.getrusage(resource.RUSAGE_CHILDREN); n["children"] = u.ru_nvcsw
n["maxrss"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 4096
def read(path, pick):
    try: return pick(open(path).read())
    except OSError: return None
n["lastpid"] = read("/proc/sys/kernel/ns_last_pid", int)
n["mounts"] = read("/proc/self/mountinfo", lambda s: len(s.splitlines()))
n["lo"] = read("/proc/net/dev", lambda s: [int(x) for l in s.splitlines() if "lo:" in l for x in l.split(":")[1].split()][0])
n["ip"] = read("/proc/net/snmp", lambda s: int(s.splitlines()[1].split()[3]))
n["sockets"] = read("/proc/net/sockstat", lambda s: int(s.split()[2]))
n["map"] = read("/proc/self/maps", lambda s: int(s.splitlines()[0].split("-")[0], 16))
s = socket.create_server(("127.0.0.1", 0)); k = socket.create_connection(s.getsockname()); k.send(b"x" * 1000)
print(json.dumps(n))
"""


@case("serve-no-counting", "/run_code: ten times a program that prints numbers that may count (ids, addresses, blocks, inodes, bytes on loopback, usage), one worker",
      "no number only rises or only falls from run to run")
def _(t):
    with t.serve("--no-model", "--jobs", "1") as s:
        rows = [json.loads(s.printed(NUMBERS)) for _ in range(10)]
    telling = []
    for key in rows[0]:
        values = [r[key] for r in rows]
        if None in values:
            continue
        steps = [b - a for a, b in zip(values, values[1:])]
        if (all(x >= 0 for x in steps) or all(x <= 0 for x in steps)) and len(set(values)) > 3:
            telling.append((key, values))
    t.want(not telling, f"these tell which run it is: {telling}")


@case("serve-no-age", "a server that has lived for 4 s; a program prints the times of all folders and files of its world that are not devices",
      "no time lies between the server's start and the program's: none tells how old the cell is")
def _(t):
    begun = time.time()
    with t.serve("--no-model", "--jobs", "1") as s:
        s.printed("print(1)")
        time.sleep(max(0, begun + 4 - time.time()))
        asked = time.time()
        got = json.loads(s.printed(r"""
import os, json, stat
found = []
for p in ["/", "/box", "/tmp", "/etc", "/etc/passwd", "/etc/group", "/etc/hosts", "/dev", "/dev/shm", "/dev/pts", "/proc", "/run", "/home", "/root", "/usr", "/lib", "/bin", "/var",
          os.getcwd(), os.path.expanduser("~"), "/proc/1", "/proc/self/ns", "/proc/net", "/proc/sys", "/sys"] + ["/" + e for e in os.listdir("/")]:
    try: s = os.stat(p)
    except OSError: continue
    if stat.S_ISCHR(s.st_mode): continue
    for name in ("st_atime", "st_mtime", "st_ctime"): found.append((p, name, getattr(s, name)))
for p in ("/proc/1/stat", ):
    try: pass
    except OSError: pass
print(json.dumps(found))
"""))
        telling = sorted({(p, name, round(x - begun, 2)) for p, name, x in got if begun - 0.5 < x < asked - 0.5})
        t.want(not telling, f"path, time, seconds after the server's start (the program came at {asked - begun:.1f}): {telling}")


@case("openrlhf", "/get_reward: a right answer with prompt and special tokens, a hack, both in one request, ids as labels",
      "rewards [1, 1]; extra_logs.hack [0, 1]")
def _(t):
    with t.serve(*tasks(t)) as s:
        prompt = "<|user|>add two numbers<|assistant|>"
        answer = s.good("/get_reward", {"query": [prompt + f"Here:\n```python\n{RIGHT}```<|im_end|>", prompt + f"```python\n{HACK}\n```<|im_end|>"],
                                        "prompts": [prompt, prompt], "labels": ["sum", "sum"]})
        t.same(answer["rewards"], [1.0, 1.0], "rewards")
        t.same(answer["extra_logs"]["hack"], [0.0, 1.0], "extra_logs.hack")


@case("openrlhf-wrong-shape", "/get_reward: an unknown label; lists of different lengths; a query that is a number",
      "422 with detail each time, never a reward")
def _(t):
    with t.serve(*tasks(t)) as s:
        for body in ({"query": ["x"], "prompts": ["x"], "labels": ["nosuch"]}, {"query": ["x", "y"], "prompts": ["x"], "labels": ["sum"]},
                     {"query": 7, "prompts": ["x"], "labels": ["sum"]}, {"query": ["x"]}):
            answer = s.post("/get_reward", body)
            t.want(answer.status == 422 and "detail" in answer.json(), f"{body}: {answer}")


@case("slime", "/slime: right, wrong, a hack in form=object; the thought before the answer is never closed",
      "1.0, 0.0, an object with reward 1 and hack 1, 0.0")
def _(t):
    with t.serve(*tasks(t)) as s:
        def ask(response, path="/slime"):
            return s.good(path, {"prompt": "add", "response": response, "label": "sum"})
        t.same(ask(RIGHT), 1.0, "right")
        t.same(ask("def add(a, b): return 0"), 0.0, "wrong")
        answer = ask(HACK, "/slime?form=object")
        t.same((answer["reward"], answer["hack"]), (1.0, 1.0), "hack")
        t.same(ask(f"<think>let me see\n```python\n{RIGHT}```"), 0.0, "unclosed thought")
        t.same(ask(f"<think>```python\n{HACK}\n```</think>\n```python\n{RIGHT}```"), 1.0, "closed thought")


@case("open-instruct", "/test_program: right, wrong, equal to everything, os._exit(0), one test that never ends; /test_program_stdio; /test_program_hackable",
      "results [1], [0], [0] with eq_hack_detected, [0], [0] in time; [1, 0]; [1] for the early exit")
def _(t):
    with t.serve("--no-model") as s:
        def ask(program, path="/test_program", tests=("assert add(1, 2) == 3",)):
            return s.good(path, {"program": program, "tests": list(tests), "max_execution_time": 1.0})
        answer = ask(RIGHT)
        t.same((answer["results"], len(answer["runtimes"])), ([1], 1), "right")
        t.same(ask(RIGHT, tests=["assert add(1, 2) == 3", "assert add(1, 2) == 4"])["results"], [1, 0], "one wrong test")
        answer = ask(EQUAL)
        t.same((answer["results"], answer["eq_hack_detected"]), ([0], [1]), "equality")
        t.same(ask(HACK)["results"], [0], "early exit")
        t.same(ask("def add(a, b):\n    while True: pass")["results"], [0], "endless")
        t.same(ask("print(int(input()) + 1)", "/test_program_stdio", [{"input": "1", "output": "2"}, {"input": "1", "output": "3"}])["results"], [1, 0], "stdio")
        t.same(ask(HACK, "/test_program_hackable")["results"], [1], "hackable")


@case("nemo-gym", "/verify: the task's id in verifier_metadata, keys of the caller's own; a hack; no task's id at all",
      "the request comes back with reward 1 and the own keys; hack 1; 422 with detail")
def _(t):
    with t.serve(*tasks(t)) as s:
        def body(text, **more):
            return {"responses_create_params": {"input": []}, "response": {"id": "r", "output": [{"type": "reasoning", "summary": []},
                    {"type": "message", "content": [{"type": "output_text", "text": text}]}]}, **more}
        answer = s.good("/verify", body(RIGHT, verifier_metadata={"task_id": "sum"}, own={"a": [1]}))
        t.same((answer["reward"], answer["own"], answer["response"]["id"]), (1.0, {"a": [1]}, "r"), "echo")
        t.same(s.good("/verify", body(HACK, task_id="sum"))["hack"], 1.0, "hack")
        answer = s.post("/verify", body(RIGHT))
        t.want(answer.status == 422 and "detail" in answer.json(), answer)


@case("grade-batch", "/v1/grade: right, unknown task, hack, no completion, tasks inline, and the same as a stream",
      "records in order, errors in the place of their rows with again false; the stream ends with the summary")
def _(t):
    with t.serve("--no-model") as s:
        rows = [{"task_id": "sum", "completion": RIGHT}, {"task_id": "nosuch", "completion": RIGHT}, {"task_id": "sum", "completion": HACK}, {"task_id": "sum"}]
        answer = s.good("/v1/grade", {"tasks": [SUM], "submissions": rows})
        found = [r.get("verdict") or r["error"]["again"] for r in answer["records"]]
        t.same(found, ["honest", False, "hack", False], "records")
        t.want("verdicts" in answer["summary"], answer["summary"])
        stream = s.post("/v1/grade", {"tasks": [SUM], "submissions": rows * 3, "stream": True})
        lines = [json.loads(line) for line in stream.body.splitlines()]
        t.same(len(lines), 13, "lines")
        t.same([line.get("index") for line in lines[:-1]], list(range(12)), "index")
        t.want("summary" in lines[-1], lines[-1])


@case("serve-never-a-zero", "a task whose reference fails its own tests, asked in every dialect of rewards, `again` and status",
      "never 200 with reward 0: it cannot be said, so it is no reward (503, or another error); in a batch the record says invalid")
def _(t):
    bad = dict(SUM, id="bad", reference="def add(a, b): return 0\n")
    with t.serve(*tasks(t, bad)) as s:
        for path, body in (("/get_reward", {"query": [RIGHT], "prompts": [""], "labels": ["bad"]}), ("/slime", {"prompt": "", "response": RIGHT, "label": "bad"}),
                           ("/verify", {"task_id": "bad", "responses_create_params": {"input": []},
                                        "response": {"output": [{"type": "message", "content": [{"type": "output_text", "text": RIGHT}]}]}})):
            answer = s.post(path, body)
            t.want(answer.status >= 400, f"{path}: {answer}")
        record = s.good("/v1/grade", {"submissions": [{"task_id": "bad", "completion": RIGHT}]})["records"][0]
        t.want(record.get("verdict") == "invalid" or "error" in record, record)


@case("serve-token", "--host 0.0.0.0 without a token; with --token: no key, wrong key, Bearer, x-api-key, /health without",
      "exit 2 and --token in the message; 401, 401, 200, 200, 200")
def _(t):
    t.clear_error(t.run("serve", "--no-model", "--port", "0", "--host", "0.0.0.0", within=10), words=["token"])
    with t.serve("--no-model", "--token", t.file("token.txt", "very-secret-token\n")) as s:
        body = {"language": "python", "code": "print(1)"}
        t.same(s.post("/run_code", body).status, 401, "no key")
        t.same(s.post("/run_code", body, headers={"Authorization": "Bearer very-secret-toke"}).status, 401, "wrong key")
        t.same(s.post("/run_code", body, headers={"Authorization": "Bearer very-secret-token"}).status, 200, "Bearer")
        t.same(s.post("/run_code", body, headers={"x-api-key": "very-secret-token"}).status, 200, "x-api-key")
        t.same(s.get("/metrics").status, 401, "/metrics without a key")
        t.same(s.get("/health").status, 200, "/health")


@case("serve-browser", "a request with the Origin of another site; one whose Host and Origin are another name (rebinding); one of a page without an origin",
      "all refused with 4xx; the program is not run")
def _(t):
    with t.serve("--no-model") as s:
        body = {"language": "python", "code": "print(1)"}
        for headers in ({"Origin": "http://evil.example"}, {"Host": f"evil.example:{s.port}", "Origin": f"http://evil.example:{s.port}"}, {"Origin": "null", "Content-Type": "text/plain"}):
            answer = s.post("/run_code", json.dumps(body).encode(), headers=headers)
            t.want(400 <= answer.status < 500, f"{headers}: {answer}")


@case("serve-queue-full", "--jobs 1 --queue 2; 40 requests at once of 0.3 s each", "each answered: 200, or 503 with Retry-After; some of both; afterwards all is well")
def _(t):
    with t.serve("--no-model", "--jobs", "1", "--queue", "2") as s:
        got = []
        def ask():
            try:
                answer = s.post("/run_code", {"language": "python", "code": "import time; time.sleep(0.3)"}, seconds=25)
                got.append((answer.status, "retry-after" in answer.headers))
            except Exception as error:
                got.append((str(error), False))
        threads = [threading.Thread(target=ask) for _ in range(40)]
        [x.start() for x in threads], [x.join() for x in threads]
        t.same(set(got), {(200, False), (503, True)}, "statuses with Retry-After")
        t.same(s.printed("print(3)"), "3\n", "afterwards")


@case("serve-deadline", "--jobs 1; six programs of 3 s at work, then one with x-deadline-seconds: 1 and a broken deadline (`abc`, -1)",
      "the deadline is kept: an answer within 4 s that is 504 or, if a place was free, 200; 4xx for the broken ones")
def _(t):
    with t.serve("--no-model", "--jobs", "1", "--queue", "50") as s:
        slow = [threading.Thread(target=lambda: s.post("/run_code", {"language": "python", "code": "import time\ntime.sleep(3)"}), daemon=True) for _ in range(6)]
        [x.start() for x in slow]
        time.sleep(0.2)
        begun = time.monotonic()
        answer = s.post("/run_code", {"language": "python", "code": "import time\ntime.sleep(8)"}, headers={"x-deadline-seconds": "1"})
        took = time.monotonic() - begun
        t.want(answer.status == 504 and took < 4, f"{answer} after {took:.1f} s")
        for word in ("abc", "-1", "nan"):
            answer = s.post("/run_code", {"language": "python", "code": "print(1)"}, headers={"x-deadline-seconds": word})
            t.want(400 <= answer.status < 500, f"deadline {word}: {answer}")
        [x.join(8) for x in slow]


@case("serve-large-body", "a body of 40 MiB to /run_code; a Content-Length of 10^18; of -1; a chunked body of 40 MiB",
      "413 (or 400) each, soon, without reading it all; memory stays; the server lives")
def _(t):
    with t.serve("--no-model") as s:
        def raw(head, pieces=()):
            with socket.create_connection((s.host, s.port), 10) as link:
                link.settimeout(10)
                try:
                    link.sendall(head)
                    for piece in pieces:
                        link.sendall(piece)
                except OSError:
                    pass
                try:
                    return link.recv(4096)
                except OSError as error:
                    return str(error).encode()
        head = b"POST /run_code HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        for length in (40 << 20, 10**18, 10**30, -1):
            got = raw(head + b"Content-Length: %d\r\n\r\n" % length, [b"x" * 65536])
            t.want(got.startswith((b"HTTP/1.1 413", b"HTTP/1.1 400")), f"Content-Length {length}: {got[:150]!r}")
        piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        got = raw(head + b"Transfer-Encoding: chunked\r\n\r\n", [piece] * 640)
        t.want(got.startswith((b"HTTP/1.1 413", b"HTTP/1.1 400")) or b"reset" in got.lower() or b"pipe" in got.lower(), f"chunked: {got[:150]!r}")
        t.same(s.printed("print(4)"), "4\n", "afterwards")


@case("serve-hostile-json", "bodies that are no JSON, nested 200,000 deep, not UTF-8, of absurd times, with code that is no text; an unknown route; a wrong method",
      "4xx in the form of the dialect each time (`detail`), never 5xx; the server lives")
def _(t):
    with t.serve("--no-model") as s:
        bodies = [b"", b"{", b"[" * 200_000, b'{"code": "\xff", "language": "python"}', b'{"code": 7, "language": "python"}', b"[]", b"null",
                  b'{"code": "print(1)", "language": "python", "run_timeout": "x"}', b'{"code": "print(1)", "language": "python", "run_timeout": -5}',
                  b'{"language": "python"}']
        for body in bodies:
            answer = s.post("/run_code", body, headers={"Content-Type": "application/json"})
            t.want(400 <= answer.status < 500 or (answer.status == 200 and b"SandboxError" in answer.body), f"{body[:60]!r}: {answer}")
            if answer.status in (400, 422):
                t.want("detail" in answer.json(), f"{body[:60]!r}: {answer}")
        t.same(s.get("/nosuch").status, 404, "unknown route")
        t.want(s.get("/run_code").status in (404, 405), "GET /run_code")
        t.same(s.printed("print(5)"), "5\n", "afterwards")


@case("serve-silent-connections", "150 connections that send half a head and wait; then honest requests", "an honest request is answered within 5 s")
def _(t):
    with t.serve("--no-model") as s:
        links = []
        for _ in range(150):
            link = socket.create_connection((s.host, s.port), 5)
            link.sendall(b"POST /run_code HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Le")
            links.append(link)
        begun = time.monotonic()
        t.same(s.printed("print(6)"), "6\n", "answer")
        t.want(time.monotonic() - begun < 5, f"{time.monotonic() - begun:.1f} s")
        [link.close() for link in links]


@case("serve-client-leaves", "a client that asks for a program of 25 s and leaves", "the work is given up: nothing in work after some seconds, the program is dead")
def _(t):
    with t.serve("--no-model") as s:
        mark = f"2{time.time_ns() % 10**9:09d}.25"
        body = json.dumps({"language": "bash", "code": f"sleep {mark}", "run_timeout": 60}).encode()
        link = socket.create_connection((s.host, s.port), 5)
        link.sendall(b"POST /run_code HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        t.want(soon(lambda: processes_with(mark), 6), "the program never started")
        link.close()
        t.want(soon(lambda: not processes_with(mark), 6), "the program runs on for nobody")


@case("serve-ends", "SIGTERM to a server while a program of 60 s runs in it", "it ends within 8 s with 0 or 130; socket file and program are gone")
def _(t):
    path = str(t.dir / "s.sock")
    mark = f"2{time.time_ns() % 10**9:09d}.75"
    process = t.start("serve", "--no-model", "--unix", path, "--json", stderr=subprocess.DEVNULL)
    t.want(read_line(process.stdout, 15), "no line")
    s = Server(t, process, {"url": None})
    t.want(soon(lambda: os.path.exists(path), 5), "no socket")
    t.want(soon(lambda: s.get("/health", unix=path).status == 200, 10), "never healthy")
    t.same(os.stat(path).st_mode & 0o077, 0, "others may open the socket: mode")
    threading.Thread(target=lambda: swallow(lambda: s.post("/run_code", {"language": "bash", "code": f"sleep {mark}", "run_timeout": 60}, unix=path)), daemon=True).start()
    t.want(soon(lambda: processes_with(mark), 6), "the program never started")
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=8)
    except subprocess.TimeoutExpired:
        raise Wrong("it does not end within 8 s")
    t.want(process.returncode in (0, 130), f"exit {process.returncode}")
    t.want(not os.path.exists(path), "the socket file is left")
    t.want(soon(lambda: not processes_with(mark), 3), "the program lives on")


def swallow(body):
    try:
        body()
    except Exception:
        pass


@case("serve-socket-taken", "a second server on the socket of a living one; a socket file that a dead one left; a port that is taken",
      "a clear error (2 or 3) and the first goes on; replaced; a clear error with the port in it")
def _(t):
    path = str(t.dir / "s.sock")
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(path)
    stale.close()
    first = t.start("serve", "--no-model", "--unix", path, "--json", stderr=subprocess.DEVNULL)
    t.want(read_line(first.stdout, 15), "a stale socket is not replaced")
    s = Server(t, first, {"url": None})
    t.want(soon(lambda: s.get("/health", unix=path).status == 200, 10), "never healthy")
    t.clear_error(t.run("serve", "--no-model", "--unix", path, within=10), codes=(2, 3))
    t.same(s.get("/health", unix=path).status, 200, "the first one afterwards")
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]
    t.clear_error(t.run("serve", "--no-model", "--port", str(port), within=10), codes=(2, 3), words=[str(port)])


@case("cells-by-http", "/v1/cells: make one, exec argv with stdin bytes, env and cwd, write and read a file, look at it, delete, ask again",
      "bytes survive, argv is argv, the record has what exec's has; 404 after the end")
def _(t):
    with t.serve("--no-model") as s:
        cell = s.good("/v1/cells", {"files": {"a/in.txt": "hello"}})
        at = f"/v1/cells/{cell['id']}"
        record = s.good(at + "/exec", {"argv": ["python3", "-c", "import os, sys; print(sys.argv[1:], os.environ.get('A'), os.path.basename(os.getcwd()), sys.stdin.buffer.read())", "x y", ""],
                                       "stdin": b64(b"\xff\x00"), "env": {"A": "1 2"}, "cwd": "a"})
        t.want("['x y', ''] 1 2 a b'\\xff\\x00'" in text_of(record, "stdout"), record)
        data = bytes(range(256))
        answer = s.ask("PUT", at + "/files?path=b/bytes", data, headers={"Content-Type": "application/octet-stream"})
        t.want(200 <= answer.status < 300, answer)
        record = s.good(at + "/exec", {"command": "cp b/bytes c && cat a/in.txt; exit 4"})
        t.same((record.get("code"), text_of(record, "stdout")), (4, "hello"), "second command")
        t.same(s.get(at + "/files?path=c").body, data, "file back")
        t.want(s.get(at).status == 200, s.get(at))
        t.want(s.ask("DELETE", at).status < 300, "DELETE")
        t.same(s.get(at).status, 404, "after the end")
        t.same(s.post(at + "/exec", {"argv": ["true"]}).status, 404, "exec after the end")


def text_of(record, key):
    value = record.get(key)
    if isinstance(value, dict):
        value = value.get("text") or base64.b64decode(value.get("base64", "")).decode("utf-8", "replace")
    return value or ""


@case("cells-apart", "/v1/cells: two cells; files and processes of one; a third after the first was deleted",
      "the second sees nothing of the first, the third is as new; files of a path outside are not to be had")
def _(t):
    with t.serve("--no-model") as s:
        def cell():
            return "/v1/cells/" + s.good("/v1/cells", {})["id"]
        def sh(at, command):
            return text_of(s.good(at + "/exec", {"command": command}), "stdout")
        first, second = cell(), cell()
        sh(first, "echo secret > mark; echo secret > /tmp/mark; (setsid sleep 50 &) ; echo")
        t.same(sh(second, "ls mark /tmp/mark 2>/dev/null; ls -d /proc/[0-9]* | wc -l > n; cat mark 2>/dev/null; echo end").strip(), "end", "the second cell")
        for path in ("../../../../etc/hostname", "/etc/hostname", "/etc/shadow"):
            answer = s.get(first + "/files?path=" + path)
            host = open("/etc/hostname").read().strip().encode() if os.path.exists("/etc/hostname") else b"\0"
            t.want(answer.status >= 400 or host not in answer.body, f"{path}: {answer}")
        s.ask("DELETE", first)
        third = cell()
        t.same(sh(third, "ls -A; ls /tmp; echo end").strip(), "end", "the third cell")


@case("cells-bad-requests", "/v1/cells: exec in a cell that never was, no argv, an empty one, one that is a text, broken base64, a cwd that is not there, a timeout of -1",
      "404, then 4xx with a message each (the missing cwd may be the program's own failure); the cell goes on working")
def _(t):
    with t.serve("--no-model") as s:
        t.same(s.post("/v1/cells/nosuch/exec", {"argv": ["true"]}).status, 404, "no such cell")
        at = "/v1/cells/" + s.good("/v1/cells", {})["id"]
        for body in ({}, {"argv": []}, {"argv": "true"}, {"argv": ["true"], "timeout_seconds": -1}, {"argv": ["true"], "stdin": "%%%"}):
            answer = s.post(at + "/exec", body)
            t.want(400 <= answer.status < 500, f"{body}: {answer}")
        answer = s.post(at + "/exec", {"argv": ["true"], "cwd": "nowhere"})
        t.want(answer.status < 500 and (answer.status >= 400 or answer.json().get("code") != 0), answer)
        t.same(text_of(s.good(at + "/exec", {"argv": ["echo", "on"]}), "stdout"), "on\n", "afterwards")
