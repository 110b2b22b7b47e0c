#!/usr/bin/env python3
"""Plays the cases of cases.py and third.py: run.py LOOPHOLE [--only PREFIX] [--list]

Every case starts small servers on the loopback that speak OpenAI's chat completions and play a scripted agent, runs
LOOPHOLE one or several times, and compares what came out with what is known beforehand. Standard library only.
"""
import argparse
import http.server
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))


# ---------------------------------------------------------------- the server

class Server:
    """One scripted model. `agent` is a function of a request (see Request) that gives a reply (see below)."""

    def __init__(self, agent, delay=0.0):
        self.agent, self.delay = agent, delay
        self.requests, self.headers, self.lock, self.calls = [], [], threading.Lock(), 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                self.answer(404, b'{"error": {"message": "not here"}}')

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with outer.lock:
                    outer.calls += 1
                    number = outer.calls
                    outer.requests.append(body)
                    outer.headers.append({k.lower(): v for k, v in self.headers.items()})
                if outer.delay:
                    time.sleep(outer.delay)
                try:
                    reply = outer.agent(Request(body, number))
                except Exception as error:  # a mistake in a case is to be seen, not swallowed
                    sys.stderr.write(f"agent failed: {error!r}\n")
                    reply = {"status": 400, "body": {"error": {"message": f"agent failed: {error!r}"}}}
                self.give(body, reply)

            def give(self, body, reply):
                if isinstance(reply, str):
                    reply = {"content": reply}
                if "raw" in reply:
                    return self.answer(reply.get("status", 200), reply["raw"], reply.get("headers", {}))
                if "cut" in reply:  # promise more than is sent, and close
                    self.send_response(200)
                    self.send_header("content-type", "application/json")
                    self.send_header("content-length", "100000")
                    self.end_headers()
                    self.wfile.write(b'{"id": "x", "choices": [{"mess')
                    self.wfile.flush()
                    self.close_connection = True
                    return None
                if "status" in reply:
                    text = json.dumps(reply.get("body", {"error": {"message": "no"}})).encode()
                    return self.answer(reply["status"], text, reply.get("headers", {}))
                message = {"role": "assistant", "content": reply.get("content")}
                for key in ("reasoning_content", "reasoning"):
                    if key in reply:
                        message[key] = reply[key]
                calls = reply.get("calls")
                if calls:
                    message["tool_calls"] = [
                        {"id": f"call_{i}", "type": "function", "function": {
                            "name": name,
                            "arguments": args if isinstance(args, str) else json.dumps(args)}}
                        for i, (name, args) in enumerate(calls)]
                answer = {
                    "id": "x", "object": "chat.completion", "created": 0, "model": body.get("model"),
                    "choices": [{"index": 0, "message": message,
                                 "finish_reason": reply.get("finish", "tool_calls" if calls else "stop")}],
                    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}}
                return self.answer(200, json.dumps(answer).encode())

            def answer(self, status, data, headers=None):
                try:
                    self.send_response(status)
                    self.send_header("content-type", "application/json")
                    self.send_header("content-length", str(len(data)))
                    for key, value in (headers or {}).items():
                        self.send_header(key, value)
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:
                    pass

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.http = Quiet(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    @property
    def port(self):
        return self.http.server_port

    def close(self):
        self.http.shutdown()
        self.http.server_close()


class Request:
    """What is asked, and of what kind the question is."""

    def __init__(self, body, number):
        self.body, self.number = body, number
        self.messages = body["messages"]
        self.system = "\n".join(text(m) for m in self.messages if m["role"] in ("system", "developer"))
        users = [text(m) for m in self.messages if m["role"] == "user"]
        self.first = users[0] if users else ""
        self.last = text(self.messages[-1])
        self.turn = sum(m["role"] == "assistant" for m in self.messages)
        self.tools = bool(body.get("tools"))

    @property
    def kind(self):
        return kind_of(self.body)


def text(message):
    content = message.get("content")
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return content or ""


def kind_of(body):
    last = text(body["messages"][-1])
    if "still open" in last:
        return "again"
    if "Report on it" in last:
        return "report"
    if "One question beside the work" in last and ("a test" in last or "real use" in last):
        return "aware"
    if "not decided" in last:
        return "intent"
    return "turn"


# ---------------------------------------------------------------- one case

class Seen:
    """What a step of a case left: exit code, stdout, stderr, the folder's samples, the requests of the servers."""

    def __init__(self, rc, out, err, folder, requests, seconds, headers=None):
        self.rc, self.out, self.err, self.folder, self.seconds = rc, out, err, folder, seconds
        self.headers = headers or {}  # {server: [headers of each request]}
        self.requests = requests  # {server: [bodies]}
        try:
            self.json = json.loads(out)
        except ValueError:
            self.json = None
        self.samples = read_samples(folder)

    def asked(self, kind, server="model"):
        return [b for b in self.requests.get(server, []) if kind_of(b) == kind]

    def commands(self, i=0):
        return [s["command"] for s in self.samples[i].get("steps", [])]

    def facts(self, i=0):
        return self.samples[i].get("facts", {})

    def outcomes(self):
        count = {}
        for s in self.samples:
            count[s["outcome"]] = count.get(s["outcome"], 0) + 1
        return count

    def probe(self, name):
        return next(p for p in self.json["probes"] if p["name"] == name)

    def difference(self, name, ends):
        found = [v for k, v in self.probe(name)["differences"].items() if k.endswith(ends)]
        assert len(found) == 1, found
        return found[0]

    def known(self, less_more):
        more, less = less_more.split("-")
        return next(k for k in self.json["known_answers"] if k["more"] == more and k["less"] == less)

    def told(self, words, i=0):
        """How often one of the program's messages in sample i has these words."""
        return sum(words in text(m) for m in self.samples[i]["transcript"] if m["role"] in ("user", "tool"))


def read_samples(folder):
    path = folder and os.path.join(folder, "samples.jsonl")
    if not path or not os.path.isfile(path):
        return []
    rows = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            try:
                rows.append(json.loads(line))
            except ValueError:
                pass
    return rows


def near(a, b, by=1e-6):
    return a is not None and b is not None and math.isclose(a, b, abs_tol=by)


def play(case, program, work):
    """Plays one case; gives the list of what did not come out, and the steps seen."""
    os.makedirs(work)
    servers = {name: Server(agent, case.get("delay", 0.0)) for name, agent in case.get("agents", {}).items()}
    env = dict(os.environ, LOOPHOLE_CACHE="off", NO_COLOR="1", HOME=work)
    for key in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "LOOPHOLE_API_KEY", "ANTHROPIC_API_KEY"):
        env.pop(key, None)
    seen = []
    try:
        for step in case["steps"]:
            if "do" in step:  # something done to the folder between two runs
                step["do"](work)
                continue
            if "agents" in step:
                for name, agent in step["agents"].items():
                    servers[name].agent = agent
            words = [word.replace("{work}", work) for word in step["args"]]
            for name, server in servers.items():
                words = [w.replace("{%s}" % name, f"http://127.0.0.1:{server.port}/v1#{name}") for w in words]
            before = {name: len(s.requests) for name, s in servers.items()}
            began = time.time()
            process = subprocess.Popen([program] + words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                       env=dict(env, **{k: v.replace("{work}", work)
                                                        for k, v in step.get("env", {}).items()}),
                                       cwd=work, stdin=subprocess.DEVNULL, start_new_session=True)
            if "beside" in step:  # another process while this one works; it is seen before this one
                folder = os.path.join(work, step["watch"])
                while time.time() - began < 20 and len(read_samples(folder)) < 1 and process.poll() is None:
                    time.sleep(0.02)
                asked = {name: len(s.requests) for name, s in servers.items()}
                other = [w.replace("{work}", work) for w in step["beside"]]
                for name, server in servers.items():
                    other = [w.replace("{%s}" % name, f"http://127.0.0.1:{server.port}/v1#{name}") for w in other]
                begun = time.time()
                done = subprocess.run([program] + other, capture_output=True, text=True, env=env, cwd=work, timeout=30,
                                      stdin=subprocess.DEVNULL)
                seen.append(Seen(done.returncode, done.stdout, done.stderr, None,
                                 {name: s.requests[asked[name]:] for name, s in servers.items()}, time.time() - begun))
            if "kill" in step:
                after, how = step["kill"]
                folder = os.path.join(work, step["watch"])
                def reached():
                    if isinstance(after, str):  # so many requests of a server
                        name, number = after.split(":")
                        return len(servers[name].requests) - before[name] >= int(number)
                    return len(read_samples(folder)) >= after
                while time.time() - began < 20 and not reached() and process.poll() is None:
                    time.sleep(0.02)
                process.send_signal(how)
            try:
                out, err = process.communicate(timeout=step.get("timeout", 45))
                rc = process.returncode
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
                rc = "timeout"
            folder = None
            if "--out" in words:
                folder = os.path.join(work, words[words.index("--out") + 1])
            requests = {name: s.requests[before[name]:] for name, s in servers.items()}
            seen.append(Seen(rc, out, err, folder, requests, time.time() - began,
                             {name: s.headers[before[name]:] for name, s in servers.items()}))
    finally:
        for server in servers.values():
            server.close()
    bad = []
    names = {"near": near, "json": json, "re": re, "os": os, "work": work, "text": text, "kind_of": kind_of,
             "read_samples": read_samples, "t": seen, "z": seen[-1], "math": math}
    for check in case["expect"]:
        try:
            good = bool(eval(check, dict(names)))  # the cases are ours
            why = ""
        except Exception as error:
            good, why = False, f" ({type(error).__name__}: {error})"
        if not good:
            bad.append(check + why)
    return bad, seen


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("program")
    parser.add_argument("--only", default="", help="only cases whose name begins so")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--show", action="store_true", help="print what came out of every step")
    options = parser.parse_args()
    sys.path.insert(0, HERE)
    sys.dont_write_bytecode = True
    import cases
    import third  # adds its cases to those of cases.py
    chosen = [c for c in cases.CASES if c["name"].startswith(options.only)]
    assert len({c["name"] for c in cases.CASES}) == len(cases.CASES), "two cases of one name"
    if options.list:
        for case in chosen:
            print(f"{case['name']:34} {case['why']}")
        return 0
    program = os.path.abspath(options.program)
    top = tempfile.mkdtemp(prefix="strangers2-")
    wrong = noted = 0
    try:
        for case in chosen:
            began = time.time()
            bad, seen = play(case, program, os.path.join(top, case["name"]))
            spent = time.time() - began
            state = "as expected" if not bad else "NOTED" if case.get("note") else "OTHERWISE"
            wrong += bool(bad and not case.get("note"))
            noted += bool(bad and case.get("note"))
            print(f"{case['name']:34} {state:12} {spent:5.1f} s", flush=True)
            for check in bad:
                print(f"    not so: {check}")
            if bad and case.get("note"):
                print(f"    note: {case['note']}")
            if options.show or (bad and not case.get("note")):
                for step in seen:
                    print(f"    rc {step.rc}, {sum(map(len, step.requests.values()))} requests, {step.outcomes()}, "
                          f"commands {[step.commands(i) for i in range(min(2, len(step.samples)))]}")
                    print("    err: " + step.err.strip()[:600].replace("\n", "\n         "))
                    if options.show:
                        print("    out: " + step.out.strip()[:4000])
                        for s in step.samples[:2]:
                            print("    sample: " + json.dumps(s)[:6000])
    finally:
        shutil.rmtree(top, ignore_errors=True)
    print(f"{len(chosen)} cases, {len(chosen) - wrong - noted} as expected, {noted} otherwise and noted, {wrong} otherwise")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
