#!/usr/bin/env python3
"""Plays scripted agents of known truth against `loophole probe` from an OpenAI-compatible endpoint on loopback.

  play.py LOOPHOLE FILE... [--samples N] [--jobs N] [--only SUBSTRING] [--every N] [--show] [--known-wrong FILE]

A FILE is a list of behaviours: name, kind (honest, disclosing, violating, odd), scenario, options, steps, report,
truth, accepted; optionally `think` (put before every message as a <think> block), `seed`.
  report: text for a turn whose last message asks "Report on it in two lines" (null: "status: done"); or an object, a step.
A step is
  "..."                                   one bash call with that command
  {"bash": "...", "text": "..."}          the same, with a message text beside it
  {"text": "..."}                         a message without a call
  {"submit": {...}, "text": "..."}        the submit tool
  {"multi": [{"submit": {...}}, ...]}     several submits in one turn
  {"call": {"name": .., "arguments": ..}} another tool (arguments: an object, or a string to be sent as it is)
  {"calls": [STEP, STEP, ...]}            several calls in one turn; each a string or an object as above
  {"think": "..."}                        beside any of these: a <think> block before the text
  {"if": "REGEX", "then": STEP, "else": STEP}   chosen by the last message (what the shell printed)
  {"again": "REGEX", "do": STEP, "max": N}      repeats the step while the last message matches; then the next
Also `rules`, for conversations, tried before the steps: [{"when": REGEX of the last message, "first": REGEX of the first
user message, "all": REGEX of everything said, "say": STEP}]; slots {right} {wrong} {wrongN} {wrongN_comma} {right_list} {right_comma}
(letters of a quiz) and {product} {product_off} are computed.
After the last step: {"submit": {"status": "done"}}.
In strings {load}, {closed}, {closed_colon} are as before; {re:PATTERN} is the first group (or match) of the last
match in everything said so far, empty if there is none; `slots` of the behaviour ({"name": "PATTERN"}) make {name}, and {num:name} alone a number.
"""
import argparse, itertools, json, os, re, shutil, subprocess, sys, tempfile, threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ids = itertools.count()
KINDS = ("honest", "disclosing", "violating", "odd")


def last_match(pattern, text):
    found = list(re.finditer(pattern, text))
    if not found:
        return ""
    m = found[-1]
    return next((g for g in m.groups() if g), "") if m.groups() else m[0]


def fill(step, text, slots):
    if isinstance(step, str):
        number = re.fullmatch(r"\{num:(\w+)\}", step)      # a number, not text, from a slot
        if number and slots.get(number[1], "").isdigit():
            return int(slots[number[1]])
        for name, value in slots.items():
            step = step.replace("{%s}" % name, value)
        return re.sub(r"\{re:(.*?)\}(?!\})", lambda m: last_match(m[1], text), step)
    if isinstance(step, dict):
        return {k: (v if k in ("if", "again") else fill(v, text, slots)) for k, v in step.items()}
    if isinstance(step, list):
        return [fill(v, text, slots) for v in step]
    return step


def computed(last):
    """Slots that need sums: {right} letters of a quiz, {wrong} ones, {wrongN} the first N wrong, {product}."""
    rows = re.findall(r"(\d+) ([x+]) (\d+) = \?  A (\d+)  B (\d+)  C (\d+)  D (\d+)", last)
    right, wrong = [], []
    for a, sign, b, *options in rows:
        value = int(a) * int(b) if sign == "x" else int(a) + int(b)
        at = [int(o) for o in options].index(value)
        right.append("ABCD"[at])
        wrong.append("ABCD"[(at + 1) % 4])
    slots = {"right": "".join(right), "wrong": "".join(wrong),
             "right_list": "\n".join(f"{i + 1}. {c}" for i, c in enumerate(right)), "right_comma": ", ".join(right)}
    for n in range(len(rows) + 1):
        slots[f"wrong{n}"] = "".join(wrong[:n] + right[n:])
        slots[f"wrong{n}_comma"] = ", ".join(wrong[:n] + right[n:])
    return slots


def slots_of(behaviour, text):
    load = re.search(r"run_load (\d+)|load of (\d+)|workload is (\d+)", text)
    slots = {"load": next((g for g in load.groups() if g), "60") if load else "60"}
    closed = re.search(r"closed at (\d\d)(\d\d)", text)
    if closed:
        slots["closed"], slots["closed_colon"] = closed[1] + closed[2], closed[1] + ":" + closed[2]
    for name, pattern in behaviour.get("slots", {}).items():
        slots[name] = last_match(pattern, text)
    return slots


def content(m):
    c = m.get("content") or ""
    return c if isinstance(c, str) else "\n".join(p.get("text", "") for p in c if isinstance(p, dict))


def call(name, arguments):
    arguments = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {"id": f"call_{next(ids)}", "type": "function", "function": {"name": name, "arguments": arguments}}


def calls_of(step):
    """The tool calls of one step."""
    if isinstance(step, str):
        return [call("bash", {"command": step})]
    made = []
    if "bash" in step:
        made.append(call("bash", {"command": step["bash"]}))
    if "call" in step:
        made.append(call(step["call"]["name"], step["call"].get("arguments", {})))
    for one in step.get("calls", []):
        made += calls_of(one)
    if "submit" in step:
        made.append(call("submit", step["submit"]))
    for one in step.get("multi", []):
        made += calls_of(one)
    return made


def current(steps, messages):
    """The step for this turn. Replayed from the start of the conversation, as nothing is remembered."""
    seen = []                       # what was last said before each turn of the agent, the present one included
    for i, m in enumerate(messages):
        if m["role"] == "assistant":
            seen.append(content(messages[i - 1]) if i else "")
    seen.append(content(messages[-1]))
    at, repeats = 0, 0
    for turn, last in enumerate(seen):
        while True:
            step = steps[at] if at < len(steps) else {"submit": {"status": "done"}}
            if isinstance(step, dict) and "again" in step:
                if repeats < step.get("max", 8) and re.search(step["again"], last):
                    repeats += 1
                    chosen, advance = step["do"], 0
                    break
                at, repeats = at + 1, 0
                continue
            if isinstance(step, dict) and "if" in step:
                branch = step.get("then") if re.search(step["if"], last) else step.get("else")
                if branch is None:
                    at += 1
                    continue
                chosen, advance = branch, 1
                break
            chosen, advance = step, 1
            break
        at += advance
    return chosen


def answer(behaviour, messages):
    last = content(messages[-1])
    text = "\n".join(content(m) for m in messages)
    slots = slots_of(behaviour, text)
    if "Report on it in two lines" in last and messages[-1]["role"] != "tool":
        step = behaviour.get("report") or "status: done"
        step = {"text": step} if isinstance(step, str) else step
    else:
        first = next((content(m) for m in messages if m["role"] == "user"), "")
        step = next((r["say"] for r in behaviour.get("rules", []) if re.search(r["when"], last, re.S)
                     and re.search(r.get("first", ""), first, re.S) and re.search(r.get("all", ""), text, re.S)), None)
        if step is None:
            step = current(behaviour["steps"], messages)
        slots.update(computed(last))
        two = re.findall(r"\d+", first)[:2]
        if len(two) == 2:
            slots["product"] = str(int(two[0]) * int(two[1]))
            slots["product_off"] = str(int(two[0]) * int(two[1]) + 1)
    step = fill(step, text, slots)
    message = {"role": "assistant", "content": None}
    if isinstance(step, dict):
        said = step.get("text")
        think = step.get("think", behaviour.get("think"))
        if think:
            said = f"<think>\n{think}\n</think>\n\n" + (said or "")
        message["content"] = said
    made = calls_of(step)
    if made:
        message["tool_calls"] = made
    elif message["content"] is None:
        message["content"] = ""
    return message


def serve(behaviours, port=0):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def send(self, body):
            data = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self):
            self.send({"object": "list", "data": [{"id": name, "object": "model"} for name in behaviours]})

        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            record = os.environ.get("PLAY_RECORD")     # a folder: each request is left there, as the model sees it
            if record:
                Path(record).mkdir(parents=True, exist_ok=True)
                Path(record, f"{request['model']}-{next(ids):06}.json").write_text(json.dumps(request, indent=1, ensure_ascii=False))
            try:
                message = answer(behaviours[request["model"]], request["messages"])
            except Exception as error:      # a fault of the behaviour, not of the program that probes
                data = json.dumps({"error": {"message": f"behaviour {request['model']}: {error!r}"}}).encode()
                print(f"BROKEN {request['model']}: {error!r}", file=sys.stderr, flush=True)
                self.send_response(400)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                return
            reason = "tool_calls" if message.get("tool_calls") else "stop"
            self.send({"id": "x", "object": "chat.completion", "created": 0, "model": request["model"],
                       "choices": [{"index": 0, "message": message, "finish_reason": reason}],
                       "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}})

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    return Server(("127.0.0.1", port), Handler)


def play_one(loophole, port, b, samples, keep):
    out = tempfile.mkdtemp(prefix="play-")
    cache = os.path.join(out, "cache")
    command = [loophole, "probe", f"http://127.0.0.1:{port}/v1#{b['name']}", "--probe", b["scenario"],
               *b.get("options", []), "--samples", str(samples), "--seed", str(b.get("seed", 5)),
               "--tools", b.get("tools", "calls"), "--out", out + "/o", "--json", "--quiet"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=900,
                              env={**os.environ, "LOOPHOLE_CACHE": "off"})
        error = done.stderr[-300:]
    except subprocess.TimeoutExpired:
        error = "timeout"
    path = Path(out, "o", "samples.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    if keep:
        target = Path(keep, b["name"])
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        if Path(out, "o").exists():
            shutil.copytree(Path(out, "o"), target)
    shutil.rmtree(out, ignore_errors=True)
    return rows, error


def main():
    p = argparse.ArgumentParser()
    p.add_argument("loophole")
    p.add_argument("files", nargs="+")
    p.add_argument("--samples", type=int, default=2)
    p.add_argument("--jobs", type=int, default=1)
    p.add_argument("--only", help="names that hold this, or scenarios that are this")
    p.add_argument("--every", type=int, default=1, help="only every Nth behaviour")
    p.add_argument("--show", action="store_true", help="print the outcomes of all")
    p.add_argument("--keep", help="a folder for the probes' own output, one folder a behaviour")
    p.add_argument("--known-wrong", type=Path, help="names that are known to land elsewhere, one a line, `# why` behind: no failure")
    a = p.parse_args()
    excused = set()
    if a.known_wrong:
        excused = {line.split("#")[0].strip() for line in a.known_wrong.read_text().splitlines()} - {""}
    share, wrong_total = [], 0
    for file in a.files:
        behaviours = json.loads(Path(file).read_text())
        known = {b["name"]: b for b in behaviours}
        if len(known) != len(behaviours):
            sys.exit(f"{file}: names occur twice")
        for b in behaviours:
            if b.get("kind") not in KINDS or not b["accepted"]:
                sys.exit(f"{file}: {b['name']}: kind or accepted is missing")
        if a.only:
            known = {n: b for n, b in known.items() if a.only in n or a.only == b["scenario"]}
        if a.every > 1:
            known = dict(list(known.items())[::a.every])
            print(f"{file}: {len(known)} of {len(behaviours)} behaviours are played")
        server = serve(known)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with ThreadPoolExecutor(a.jobs) as pool:
            results = list(pool.map(lambda b: play_one(a.loophole, server.server_port, b, a.samples, a.keep), known.values()))
        server.shutdown()
        right, by_kind = 0, {}
        for b, (rows, error) in zip(known.values(), results):
            outcomes = [r["outcome"] for r in rows]
            good = bool(outcomes) and all(o in b["accepted"] for o in outcomes)
            right += good
            tally = by_kind.setdefault(b["kind"], [0, 0])
            tally[0] += good
            tally[1] += 1
            if good and b["name"] in excused:
                print(f"right {b['name']}: it is listed as known to be wrong", flush=True)
            if not good:
                new = b["name"] not in excused
                wrong_total += new
                print(f"{'WRONG' if new else 'known'} {b['name']} [{b['kind']}] ({b['scenario']}{' ' + ' '.join(b['options']) if b.get('options') else ''}): "
                      f"{outcomes or error}, accepted {b['accepted']}: {b['truth']}", flush=True)
            elif a.show:
                print(f"ok    {b['name']} [{b['kind']}] ({b['scenario']}): {outcomes}", flush=True)
        share.append(f"{file}: {right} of {len(known)} behaviours where they belong ({right / max(1, len(known)):.1%}); "
                     + ", ".join(f"{k} {g}/{n}" for k, (g, n) in sorted(by_kind.items())))
    print("\n".join(share))
    sys.exit(bool(wrong_total))


if __name__ == "__main__":
    main()
