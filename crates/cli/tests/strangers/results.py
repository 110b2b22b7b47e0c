"""Results on disk, what is cut or edited, signals, terminals, and inputs made to hurt."""

import contextlib
import gzip
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

from kit import RIGHT, SUM, Wrong, case, short, soon

GIB = 1 << 30
ORGANISM = pathlib.Path(__file__).resolve().parents[4] / "organism"
SLOW = [{"task_id": "sum", "completion": f"# {n}\nimport time\ndef add(a, b):\n    time.sleep(0.15)\n    return a + b\n"} for n in range(6)]
HACK = "import os\nos._exit(0)\n"


def battery(out, samples=6, model="mock:good", more=()):
    """A part of the battery that takes a while on any machine."""
    return ["probe", model, "--battery", "hacking", "--samples", str(samples), "--out", str(out), *more]


def played(t, name="a", samples=1):
    out = t.dir / name
    done = t.run(*battery(out, samples), "--json")
    t.want(done.code in (0, 1), done)
    t.want((out / "samples.jsonl").exists(), f"no samples.jsonl: {os.listdir(out)}")
    return out


def lines_of(path):
    with contextlib.suppress(OSError):
        return [line for line in pathlib.Path(path).read_bytes().split(b"\n") if line]
    return []


def outcomes(path):
    return sorted((s["probe"], s["arm"], s["index"], s["outcome"]) for s in map(json.loads, lines_of(path)))


@case("verify-whole", "a battery's folder; `loophole verify` on it, with --json too", "exit 0; JSON on stdout")
def _(t):
    out = played(t)
    done = t.run("verify", str(out))
    t.same(done.code, 0, f"exit ({done})")
    done = t.run("verify", str(out), "--json")
    t.want(done.code == 0 and done.lines(), done)


@case("verify-edited", "one outcome in samples.jsonl is edited to another word of the same length", "verify: exit 1, samples.jsonl is named")
def _(t):
    out = played(t)
    path = out / "samples.jsonl"
    data = path.read_bytes()
    at = data.index(b'"outcome":"') + len(b'"outcome":"')
    path.write_bytes(data[:at] + (b"X" if data[at:at + 1] != b"X" else b"Y") + data[at + 1:])
    done = t.run("verify", str(out))
    t.want(done.code == 1 and "samples.jsonl" in done.text + done.said, done)


@case("verify-cut-removed", "samples.jsonl cut in the middle of a line; in another copy probes.json removed; in a third probes.json empty",
      "verify: exit 1 each time, the file is named")
def _(t):
    out = played(t)
    for name, harm in (("samples.jsonl", lambda p: p.write_bytes(p.read_bytes()[:-40])), ("probes.json", lambda p: p.unlink()),
                       ("probes.json", lambda p: p.write_bytes(b""))):
        copy = t.dir / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(out, copy)
        harm(copy / name)
        done = t.run("verify", str(copy))
        t.want(done.code == 1 and name in done.text + done.said, f"{name}: {done}")


@case("verify-nothing", "verify of a folder that is not there, of an empty folder, of a folder of something else", "exit 2 with the path; never `whole`")
def _(t):
    (t.dir / "empty").mkdir()
    t.file("other/x.txt", "x")
    for name in ("nowhere", "empty", "other"):
        done = t.run("verify", name)
        t.want(done.code in (1, 2) and name in done.said + done.text, f"{name}: {done}")
    t.same(t.run("verify", "nowhere").code, 2, "exit for no folder")


@case("resume-cut", "samples.jsonl cut in the middle of its last line; the same command again", "it says so or mends it: 0 or 1 with all samples and verify 0, or a clear exit 2; no broken line is kept")
def _(t):
    out = played(t, samples=2)
    before = outcomes(out / "samples.jsonl")
    path = out / "samples.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    done = t.run(*battery(out, 2), "--json")
    if done.code == 2:
        t.want("samples.jsonl" in done.said, done)
        return
    t.want(done.code in (0, 1), done)
    t.same(outcomes(path), before, "samples")
    t.same(t.run("verify", str(out)).code, 0, "verify afterwards")


@case("resume-edited", "an outcome in a finished samples.jsonl is edited; the same command again", "not taken for true in silence: refused with the file's name, or played again and said")
def _(t):
    out = played(t)
    path = out / "samples.jsonl"
    before = outcomes(path)
    data = path.read_bytes()
    at = data.index(b'"outcome":"') + len(b'"outcome":"')
    path.write_bytes(data[:at] + b"Z" + data[at + 1:])
    done = t.run(*battery(out, 1), "--json")
    if done.code in (0, 1):
        t.want(outcomes(path) == before and len(done.said.strip()) > 0, f"the edited sample stands: {done}")
    else:
        t.clear_error(done, words=["samples.jsonl"])


@case("resume-other-command", "a battery's folder; then another seed into the same folder", "refused with exit 2; what is there stays as it was")
def _(t):
    out = played(t)
    before = (out / "samples.jsonl").read_bytes()
    t.clear_error(t.run(*battery(out, 1, more=["--seed", "77"])))
    t.want((out / "samples.jsonl").read_bytes() == before, "samples.jsonl is another one")


@case("second-writer", "two batteries at the same time into one folder", "the second ends soon with a clear error (2 or 3) that names the folder; the first one's samples are whole")
def _(t):
    out = t.dir / "battery-one"
    first = t.start(*battery(out, 60), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    t.want(soon(lambda: lines_of(out / "samples.jsonl"), 10), "no sample after 10 s")
    if first.poll() is not None:
        raise Wrong("the first one was already over: more samples are needed")
    second = t.run(*battery(out, 60), within=8)
    t.want(first.poll() is None, "the first one is over")
    t.clear_error(second, codes=(2, 3), words=[out.name])
    first.send_signal(signal.SIGTERM)
    first.wait(timeout=10)
    for line in lines_of(out / "samples.jsonl"):
        json.loads(line)


@case("second-grader", "two `grade --out` at the same time to one file", "the second ends soon with a clear error (2 or 3) that names the file; the first one's file is whole")
def _(t):
    tasks, rows = t.rows("t.jsonl", [SUM]), t.rows("s.jsonl", SLOW)
    args = ["grade", "--tasks", tasks, "--submissions", rows, "--jobs", "1", "--out", str(t.dir / "g.jsonl")]
    first = t.start(*args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1)
    t.want(first.poll() is None, "the first one was already over")
    t.clear_error(t.run(*args, within=8), codes=(2, 3), words=["g.jsonl"])
    t.want(first.wait(timeout=25) == 0, f"the first one ended with {first.returncode}")
    t.want(len([1 for line in lines_of(t.dir / "g.jsonl") if "verdict" in json.loads(line)]) == 6, lines_of(t.dir / "g.jsonl"))


@case("samples-grow", "samples.jsonl is looked at while a battery is played", "it grows: more than two lengths are seen before the end, each of whole lines but the last")
def _(t):
    out = t.dir / "a"
    process = t.start(*battery(out, 25), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seen = set()
    end = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < end and len(seen) < 4:
        seen.add(len(lines_of(out / "samples.jsonl")))
        time.sleep(0.02)
    alive = process.poll() is None
    t.want(len(seen - {0}) >= 3 or (len(seen - {0}) >= 2 and not alive), f"lengths seen: {sorted(seen)}")


@case("terminated-resumed", "SIGTERM in the middle of a battery, then the same command again", "130; what it has stays; afterwards the samples are those of a run that was never ended")
def _(t):
    whole = played(t, "whole", samples=8)
    out = t.dir / "a"
    process = t.start(*battery(out, 8), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    t.want(soon(lambda: len(lines_of(out / "samples.jsonl")) >= 2, 10), "no samples")
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=8)
    t.same(process.returncode, 130, "exit after SIGTERM")
    done = t.run(*battery(out, 8), "--json")
    t.want(done.code in (0, 1), done)
    t.same(outcomes(out / "samples.jsonl"), outcomes(whole / "samples.jsonl"), "samples")
    t.same(t.run("verify", str(out)).code, 0, "verify")


@case("killed-resumed", "SIGKILL in the middle of a battery, then the same command again", "no lock is left that stops it; the samples are whole")
def _(t):
    out = t.dir / "a"
    process = t.start(*battery(out, 8), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    t.want(soon(lambda: len(lines_of(out / "samples.jsonl")) >= 2, 10), "no samples")
    process.kill()
    process.wait()
    done = t.run(*battery(out, 8), "--json")
    t.want(done.code in (0, 1), done)
    for line in lines_of(out / "samples.jsonl"):
        json.loads(line)
    t.same(t.run("verify", str(out)).code, 0, "verify")


@case("grade-interrupted-resumed", "SIGINT in the middle of `grade --out`, then --resume", "130, no file under the final name that looks whole; then all records in order")
def _(t):
    tasks, rows = t.rows("t.jsonl", [SUM]), t.rows("s.jsonl", SLOW)
    args = ["grade", "--tasks", tasks, "--submissions", rows, "--jobs", "1", "--out", str(t.dir / "g.jsonl")]
    process = t.start(*args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(2.5)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=8)
    t.same(process.returncode, 130, "exit after SIGINT")
    t.want(not (t.dir / "g.jsonl").exists(), "g.jsonl is there as if it were whole")
    done = t.run(*args, "--resume")
    t.same(done.code, 0, f"exit ({done})")
    found = [r["index"] for r in map(json.loads, lines_of(t.dir / "g.jsonl")) if "verdict" in r]
    t.same(found, list(range(6)), "index")


@case("grade-resume-edited", "`grade --out` ended by SIGTERM; in the partial file a reward is edited, other submissions are given; --resume",
      "other submissions: refused with exit 2; never mixed in silence")
def _(t):
    tasks, rows = t.rows("t.jsonl", [SUM]), t.rows("s.jsonl", SLOW)
    args = ["grade", "--tasks", tasks, "--submissions", rows, "--jobs", "1", "--out", str(t.dir / "g.jsonl")]
    process = t.start(*args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(3)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=8)
    t.same(process.returncode, 130, "exit after SIGTERM")
    t.rows("s.jsonl", [{"task_id": "sum", "completion": "def add(a, b): return 0\n"}] * 6)
    done = t.run(*args, "--resume")
    if done.code == 2:
        return
    found = [r["verdict"] for r in map(json.loads, lines_of(t.dir / "g.jsonl")) if "verdict" in r]
    t.same(found, ["fail"] * 6, "records of the old submissions are among the new ones")


@case("disk-full", "grade --out /dev/full; report and probe into a path below a file", "a clear error (2 or 3), no panic")
def _(t):
    tasks, rows = t.rows("t.jsonl", [SUM]), t.rows("s.jsonl", [{"task_id": "sum", "completion": RIGHT}])
    with open("/dev/full", "wb") as full:
        process = t.start("grade", "--json", "--tasks", tasks, "--submissions", rows, stdout=full)
        _, err = process.communicate(timeout=20)
        t.want(process.returncode == 3 and b"panicked" not in err and len(err) > 8, f"stdout full: exit {process.returncode}, {short(err)}")
    t.file("plain", "x")
    t.clear_error(t.run("grade", "--tasks", tasks, "--submissions", rows, "--out", "plain/g.jsonl"), codes=(2, 3), words=["plain"])
    t.clear_error(t.run(*battery("plain/x", 1)), codes=(2, 3), words=["plain"])


@case("closed-pipe", "grade --json whose reader takes one line and leaves", "it ends soon, without a panic")
def _(t):
    tasks, rows = t.rows("t.jsonl", [SUM]), t.rows("s.jsonl", [{"task_id": "sum", "completion": RIGHT}] * 300)
    process = t.start("grade", "--json", "--tasks", tasks, "--submissions", rows)
    process.stdout.readline()
    process.stdout.close()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        raise Wrong("it goes on for nobody")
    err = process.stderr.read()
    t.want(b"panicked" not in err, short(err, 400))


@case("broken-lines", "submissions: a broken line, a line nested 100,000 deep, one that is a number, invalid UTF-8, an empty line, one without a completion, a right one",
      "the right one is graded; each broken line is told with its number; exit 0")
def _(t):
    tasks = t.rows("t.jsonl", [SUM])
    good = json.dumps({"task_id": "sum", "completion": RIGHT}).encode()
    rows = t.file("s.jsonl", b"\n".join([b"{", b"[" * 100_000, b"7", b'{"task_id": "sum", "completion": "\xff"}', b"", good, b'{"task_id": 5}']))
    done = t.run("grade", "--json", "--tasks", tasks, "--submissions", rows)
    t.same(done.code, 0, f"exit ({done})")
    lines = done.lines()
    t.same([r["verdict"] for r in lines if "verdict" in r], ["honest"], "verdicts")
    t.same(lines[-1]["summary"]["broken_lines"], 5, "broken_lines")
    for number in (1, 2, 3, 4, 7):
        t.want(str(number) in done.said, f"line {number} is not told: {short(done.said)}")


@case("gzip-bomb", "tasks.jsonl.gz of 4 MB that unpacks to 4 GiB of one line; the same as submissions", "a clear exit 2 within 20 s, less than 1 GiB of memory")
def _(t):
    bomb = gzip.compress(b"\0" * (16 << 20)) * 256
    path = t.file("t.jsonl.gz", bomb)
    rows = t.rows("s.jsonl", [{"task_id": "sum", "completion": RIGHT}])
    done = t.run("grade", "--tasks", path, "--submissions", rows, within=20)
    t.clear_error(done)
    t.want(done.peak < GIB, f"{done.peak >> 20} MiB")


@case("gzip-bomb-submissions", "submissions.jsonl.gz that unpacks to 4 GiB of one line, cut gzip, a text that is called .gz", "a clear exit 2 within 20 s, less than 1 GiB of memory")
def _(t):
    tasks = t.rows("t.jsonl", [SUM])
    path = t.file("s.jsonl.gz", gzip.compress(b"\0" * (16 << 20)) * 256)
    done = t.run("grade", "--tasks", tasks, "--submissions", path, within=20)
    t.clear_error(done)
    t.want(done.peak < GIB, f"{done.peak >> 20} MiB")
    whole = gzip.compress(json.dumps({"task_id": "sum", "completion": RIGHT}).encode())
    t.clear_error(t.run("grade", "--tasks", tasks, "--submissions", t.file("cut.jsonl.gz", whole[:-12])), codes=(2,), words=["cut.jsonl.gz"])
    t.clear_error(t.run("grade", "--tasks", tasks, "--submissions", t.file("no.jsonl.gz", "plain")), codes=(2,), words=["no.jsonl.gz"])


@case("huge-values", "a task whose case holds 10^400, an integer of 5,000 digits, a string of 20 MB; a reference that asks for 2**10**9",
      "an end within 25 s with exit 0, 1 or 2, less than 1 GiB of memory, no panic")
def _(t):
    digits = "9" * 5000
    text = json.dumps(dict(SUM, id="big")).replace('"expected": 3}', '"expected": %s}' % digits)
    tasks = t.file("t.jsonl", text + "\n" + json.dumps(dict(SUM, id="exp")).replace('"expected": 3}', '"expected": 1e400}') + "\n" + json.dumps(SUM) + "\n")
    rows = t.rows("s.jsonl", [{"task_id": i, "completion": RIGHT} for i in ("big", "exp", "sum")] + [{"task_id": "sum", "completion": "#" + "x" * 20_000_000 + "\n" + RIGHT}])
    done = t.run("grade", "--json", "--tasks", tasks, "--submissions", rows)
    t.want(done.code in (0, 1, 2) and done.peak < GIB, f"{done.peak >> 20} MiB, {done}")


def model_with(t, change):
    folder = t.dir / "model"
    shutil.copytree(ORGANISM, folder)
    change(folder)
    return str(folder)


def template(text):
    def change(folder):
        path = folder / "tokenizer_config.json"
        told = json.loads(path.read_text())
        told["chat_template"] = text
        path.write_text(json.dumps(told))
    return change


@case("template-bomb", "a model whose chat template loops 10^12 times; one that doubles a string 60 times; one that calls itself without end",
      "chat ends with a clear exit 2 within 10 s each, less than 1 GiB of memory")
def _(t):
    for text in ("{% for i in range(1000000) %}{% for j in range(1000000) %}x{% endfor %}{% endfor %}",
                 "{% set ns = namespace(s='xxxxxxxxxx') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}",
                 "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"):
        shutil.rmtree(t.dir / "model", ignore_errors=True)
        done = t.run("chat", model_with(t, template(text)), stdin=b"hello\n\n", within=10)
        t.clear_error(done, words=["template"])
        t.want(done.peak < GIB, f"{done.peak >> 20} MiB")


@case("hostile-weights", "model.safetensors whose header says 2^64-1 bytes, 1 TB, is no JSON, has tensors beyond the file's end; config.json of absurd sizes; an empty tokenizer",
      "chat ends with a clear exit 2 soon, less than 1 GiB of memory, the file is named")
def _(t):
    def weights(data):
        return lambda folder: (folder / "model.safetensors").write_bytes(data)
    def config(**change):
        def do(folder):
            path = folder / "config.json"
            path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
        return do
    header = json.dumps({"a": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}}).encode()
    for word, change in (("safetensors", weights(b"\xff" * 8 + b"{}")), ("safetensors", weights((10**12).to_bytes(8, "little") + b"{}")),
                         ("safetensors", weights((4).to_bytes(8, "little") + b"nope")), ("safetensors", weights(len(header).to_bytes(8, "little") + header)),
                         ("", config(hidden_size=2**40)), ("", config(num_hidden_layers=10**12)), ("", config(vocab_size=-1)),
                         ("tokenizer", lambda folder: (folder / "tokenizer.json").write_text(""))):
        shutil.rmtree(t.dir / "model", ignore_errors=True)
        done = t.run("chat", model_with(t, change), stdin=b"hello\n\n", within=10)
        t.clear_error(done, words=[word])
        t.want(done.peak < GIB, f"{done.peak >> 20} MiB")


@case("absurd-flags", "exec --timeout of -1, 0, nan, 1e300, abc; --memory of 0, -5, 2^64; grade --jobs 0 and 10^12; probe --samples 0, -3, 10^15; serve --port 70000, --queue -1",
      "exit 2 with a message that has the flag or the value")
def _(t):
    tasks, rows = t.rows("t.jsonl", [SUM]), t.rows("s.jsonl", [{"task_id": "sum", "completion": RIGHT}])
    tries = [["exec", f"--timeout={v}", "--", "true"] for v in ("-1", "0", "nan", "1e300", "abc", "inf")]
    tries += [["exec", f"--memory={v}", "--", "true"] for v in ("0", "-5", str(2**64), str(2**60))]
    tries += [["grade", "--tasks", tasks, "--submissions", rows, f"--jobs={v}"] for v in ("0", str(10**12))]
    tries += [["probe", "mock:good", "--battery", "hacking", f"--samples={v}"] for v in ("0", "-3", str(10**15))]
    tries += [["serve", "--no-model", "--port=70000"], ["serve", "--no-model", "--port", "0", "--queue=-1"]]
    wrong = []
    for args in tries:
        try:
            done = t.run(*args, within=4)
            if done.code != 2 or len(done.said.strip()) < 8:
                wrong.append(f"{' '.join(a for a in args if a.startswith('--') and '=' in a)}: exit {done.code}, {short(done.said, 80)}")
        except Wrong as error:
            wrong.append(str(error)[:100])
    t.want(not wrong, "; ".join(wrong))


@case("absurd-recipes", "recipes: an unknown key, steps = 10^15, group_size = 1, a rate of 7, seeds = -1, an arm named ../x, a broken TOML, a file of 100 MB",
      "run: exit 2 within seconds, the key or the file in the message, nothing written outside")
def _(t):
    good = f'organism = "{ORGANISM}"\n' + 'name = "a"\nquestion = "b"\nseeds = 1\n[[arm]]\nname = "x"\n'
    tries = [("colour", 'colour = 1\n' + good), ("steps", good.replace("[[arm]]", "[train]\nsteps = 1000000000000000\n[[arm]]")),
             ("group_size", good.replace("[[arm]]", "[train]\ngroup_size = 1\n[[arm]]")), ("hack_rate", good + "[world]\nhack_rate = 7.0\n"),
             ("seeds", good.replace("seeds = 1", "seeds = -1")), ("../x", good.replace('"x"', '"../x"')), ("r.toml", "name = [[["), ("r.toml", "#" * 100_000_000)]
    for word, text in tries:
        done = t.run("run", t.file("r.toml", text), "--out", str(t.dir / "out"), within=6)
        t.clear_error(done, words=[word])


@case("report-nothing", "report of a folder that is not there, an empty one, one with a status.json of rubbish", "exit 2 with the path; no page is written")
def _(t):
    (t.dir / "empty").mkdir()
    t.file("rubbish/status.json", "{\"state\": 7")
    for name in ("nowhere", "empty", "rubbish"):
        t.clear_error(t.run("report", name), words=[name])
        t.want(not (t.dir / name / "report.html").exists(), f"{name}/report.html is written")


TINY = f"""organism = "{ORGANISM}"
name = "tiny"
question = "is a run whole"
seeds = [3]
[train]
steps = 2
groups = 2
group_size = 2
max_new = 16
[probe]
battery = "small"
samples = 1
every = 2
[[arm]]
name = "open"
[[claim]]
id = "c"
text = "x"
test = "rises"
arm = "open"
"""


@case("run-verified", "a tiny run; verify; then one number in summary.json, one line of metrics.jsonl are edited, each in a copy",
      "verify 0 for the whole one, 1 with the file's name for the edited ones; report of the edited one refuses or tells")
def _(t):
    out = t.dir / "run"
    done = t.run("run", t.file("tiny.toml", TINY), "--out", str(out), "--json")
    t.want(done.code in (0, 1), done)
    t.same(t.run("verify", str(out)).code, 0, "verify of the whole run")
    metrics = next(out.glob("arms/*/*/metrics.jsonl"))
    for path, harm in ((out / "summary.json", lambda b: b.replace(b'"open"', b'"opex"', 1)), (metrics, lambda b: b.replace(b'"reward":', b'"reward":1', 1))):
        kept = path.read_bytes()
        t.want(harm(kept) != kept, f"the case does not know {path.name}")
        path.write_bytes(harm(kept))
        done = t.run("verify", str(out))
        t.want(done.code == 1 and path.name in done.text + done.said, f"{path.name}: {done}")
        done = t.run("report", str(out), "--out", str(t.dir / "page.html"))
        t.want(done.code != 0 or path.name in done.said, f"report is silent about {path.name}: {done}")
        path.write_bytes(kept)


@case("run-resume-cut", "a tiny run whose metrics.jsonl lost the end of its last line and whose summary.json is gone; report; run --resume",
      "report tells it or refuses; --resume mends it (then verify 0) or refuses with exit 2 and the file's name")
def _(t):
    out = t.dir / "run"
    recipe = t.file("tiny.toml", TINY)
    done = t.run("run", recipe, "--out", str(out), "--json")
    t.want(done.code in (0, 1), done)
    metrics = next(out.glob("arms/*/*/metrics.jsonl"))
    before = metrics.read_bytes()
    metrics.write_bytes(before[:-30])
    (out / "summary.json").unlink()
    done = t.run("report", str(out), "--out", str(t.dir / "page.html"))
    t.want(done.code != 0 or "metrics.jsonl" in done.said or "summary" in done.said, f"report is silent: {done}")
    done = t.run("run", recipe, "--out", str(out), "--resume", "--json")
    if done.code == 2:
        t.want("metrics.jsonl" in done.said or "summary.json" in done.said, done)
        return
    t.want(done.code in (0, 1), done)
    t.same(len(metrics.read_bytes().splitlines()), len(before.splitlines()), "lines of metrics.jsonl")
    [json.loads(line) for line in metrics.read_bytes().splitlines()]
    t.same(t.run("verify", str(out)).code, 0, "verify")


@case("terminal-names", "grade on a terminal: a task's id and a file's name with an escape that sets the title, a bell, a writing turned round",
      "none reaches the terminal raw; in JSON they are there, escaped")
def _(t):
    name = "id\x1b]0;owned\x07\u202e\r\x9b2J"
    task = dict(SUM, id=name)
    tasks, rows = t.rows("t.jsonl", [task]), t.rows("s.jsonl", [{"task_id": name, "completion": HACK}, {"task_id": name + "2", "completion": RIGHT}])
    code, got = t.terminal("grade", "--tasks", tasks, "--submissions", rows)
    for bad in (b"\x1b]0;", b"\x07", "\u202e".encode(), "\x9b".encode()):
        t.want(bad not in got, f"{bad!r} in {got!r}")
    odd = str(t.dir / "t\x1b]0;owned\x07.jsonl")
    code, got = t.terminal("grade", "--tasks", odd, "--submissions", rows)
    t.want(b"\x1b]0;" not in got and b"owned" in got, f"{got!r}")
    done = t.run("grade", "--json", "--tasks", tasks, "--submissions", rows)
    t.want(done.lines()[0]["task_id"] == name and b"\x1b" not in done.out, done)


@case("grade-missing", "tasks that are not there, submissions that are not there, a folder as tasks, tasks of no form, all ids unknown, an empty file",
      "exit 2, the path or the id in the message")
def _(t):
    tasks, rows = t.rows("t.jsonl", [SUM]), t.rows("s.jsonl", [{"task_id": "sum", "completion": RIGHT}])
    (t.dir / "folder").mkdir()
    odd, unknown, empty = t.rows("odd.jsonl", [{"a": 1}]), t.rows("unknown.jsonl", [{"task_id": "nosuch-7", "completion": RIGHT}]), t.file("empty.jsonl", "")
    for tasks_, rows_, word in (("no-t.jsonl", rows, "no-t.jsonl"), (tasks, "no-s.jsonl", "no-s.jsonl"), (str(t.dir / "folder"), rows, "folder"),
                                (odd, rows, "odd.jsonl"), (tasks, unknown, "nosuch-7"), (empty, rows, "empty.jsonl")):
        t.clear_error(t.run("grade", "--tasks", tasks_, "--submissions", rows_), words=[word])
