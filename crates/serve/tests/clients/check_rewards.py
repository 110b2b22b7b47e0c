"""Asks `loophole serve` for rewards with the trainers' own clients.

    python check_rewards.py PROGRAM TRAINERS
    python check_rewards.py PROGRAM --only verl,gym

PROGRAM is the built `loophole`; TRAINERS the folder of requirements-trainers-alone.txt. With `--only` the clients that
are named are installed whole, and nothing else is checked. Every check fails with an assertion. trainers.py says how
the clients are run.
"""

import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import corpus
import trainers
from service import Service
from trainers import AskAgain, fenced

SUM = {"inputs": ["1 2\n", "10 -4\n"], "outputs": ["3\n", "6"]}
RIGHT = "a, b = map(int, input().split())\nprint(a + b)"
WRONG = "a, b = map(int, input().split())\nprint(a - b)"
ADD = "def add(a, b):\n    return a + b"
NUMBERS = itertools.count()


def fresh() -> str:
    """A right program that no service has graded yet: what was graded is remembered, and needs no machine."""
    return f"{ADD}  # {next(NUMBERS)}"


def fails(kind: type, ask) -> Exception:
    try:
        got = ask()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}, but {got!r}")


def check_verl(service: Service) -> None:
    url = service.url
    score = lambda code, truth, source="apps": trainers.verl(url, code, truth, source)  # noqa: E731
    states = lambda code, truth, **more: trainers.verl_states(url, code, truth, **more)  # noqa: E731
    for source in ["apps", "codecontests", "codeforces", "taco"]:
        assert score(RIGHT, SUM, source) == 1.0 and score(WRONG, SUM, source) == 0.0
    assert score("input(); print(3)", SUM) == 0.5, "one of two cases"
    assert states("raise SystemExit(1)", SUM) == [-2, -2], "failed"
    assert states("import os\nos._exit(0)", SUM) == [False, False], "ended at once"
    assert states("while True: pass", SUM, timeout=1) == [-3, -3], "too long"
    assert states("x = 'x' * (2 << 30)", SUM, memory_limit_mb=256) == [-2, -2], "too much memory"
    odd = {"inputs": ["\u00e4\U0001f600\n" * 50_000], "outputs": ["\u00e4\U0001f600 50000"]}
    assert score("import sys\nlines = sys.stdin.read().split()\nprint(lines[-1], len(lines))", odd) == 1.0

    calls = {"inputs": ["1\n2", '10\n-4'], "outputs": ["3", "6"], "fn_name": "add"}
    assert score(ADD, calls) == 1.0
    assert score("class Solution:\n    def add(self, a, b): return a + b", calls) == 1.0
    assert score("def add(a, b): return 3", calls) == 0.5
    assert score("def add(a, b): raise ValueError", calls) == 0.0
    assert score("def add(a, b): return a +", calls) == 0.0
    structures = {"inputs": ['[[3, 1], {"a": "\u00e4"}]\ntrue'], "outputs": ['[{"a": "\\u00e4"}, true]'], "fn_name": "f"}
    assert score("def f(x, y): return [x[1], y]", structures) == 1.0

    asserted = {"assert_case": ["assert add(1, 2) == 3", "assert add(10, -4) == 6"]}
    assert score(ADD, asserted) == 1.0
    assert score("def add(a, b): return 3", asserted) == 0.5
    assert states("def add(a, b): return 0", {"inputs": ["", ""], "outputs": [None, None], **asserted}) == [-2, -2]
    # The grader is verl's own here, and it believes the exit status: no service can mend that.
    assert score("import os\nos._exit(0)", asserted) == 1.0

    # A machine that fails for a while is asked again (three times in all), and the reward is the right one.
    with service.failing(1.2):
        assert score(RIGHT, SUM) == 1.0, "verl was told a 0 when the machine failed"


def check_sandbox_fusion(service: Service) -> None:
    from base64 import b64decode, b64encode

    run = lambda code, **more: trainers.sandbox_fusion(service.url, code, **more)  # noqa: E731
    good = run("print(input())", stdin="hello")
    assert good.status.value == "Success" and good.run_result.status.value == "Finished", good
    assert good.run_result.stdout == "hello\n" and good.run_result.return_code == 0, good
    bad = run("import sys\nprint('so', file=sys.stderr)\nsys.exit(3)")
    assert bad.status.value == "Failed" and bad.run_result.return_code == 3 and bad.run_result.stderr == "so\n", bad
    late = run("while True: pass", run_timeout=0.5)
    assert late.status.value == "Failed" and late.run_result.status.value == "TimeLimitExceeded", late
    given = {"lib/a.py": b64encode(b"x = 5").decode(), "data.bin": b64encode(bytes(range(256))).decode(), "none": None}
    code = "from lib.a import x\nopen('out.bin', 'wb').write(open('data.bin', 'rb').read() * x)"
    files = run(code, files=given, fetch_files=["out.bin", "missing"]).files
    assert b64decode(files["out.bin"]) == bytes(range(256)) * 5 and "missing" not in files, files
    shell = run("echo $((6 * 7)); exit 1", language="bash")
    assert shell.run_result.stdout == "42\n" and shell.status.value == "Failed", shell
    error = fails(Exception, lambda: run("module m; endmodule", language="verilog", tries=1))
    assert "not offered" in str(error), error
    with service.failing(1.0):
        assert run("print(1)", tries=5).run_result.stdout == "1\n"


def check_tinker(service: Service) -> None:
    run = lambda code, files=(), **more: trainers.tinker(service.url, code, dict(files), **more)  # noqa: E731
    assert run("print(open('a/b.txt').read())", {"a/b.txt": "\u00e4"})[1]["run_result"]["stdout"] == "\u00e4\n"
    assert run("raise SystemExit(1)")[0] is False
    succeeded, said = run("while True: pass", timeout=1.0)
    assert not succeeded and said["run_result"]["status"] == "TimeLimitExceeded", said
    # It does not ask again, but says that there is no answer.
    with service.failing():
        succeeded, said = run("print(1)")
    assert not succeeded and "error" in said and "run_result" not in said, said


def check_recipe(service: Service) -> None:
    """tinker-cookbook's recipe code_rl, whose test program wants numpy from the cells' Python."""
    calls = [
        {"input": "1\n2", "output": "3", "testtype": "functional", "metadata": {"func_name": "add"}},
        {"input": "4\n5", "output": "9", "testtype": "functional", "metadata": {"func_name": "add"}},
    ]
    lines = [{"input": "1 2\n", "output": "3\n", "testtype": "stdin_stdout"}]
    solution = lambda body: f"class Solution:\n    def add(self, a, b):\n        {body}\n"  # noqa: E731
    for cases, right, wrong in [(calls, solution("return a + b"), solution("return 3")), (lines, RIGHT, WRONG)]:
        good, details = trainers.tinker_grades(service.url, right, cases)
        assert good, details
        bad, details = trainers.tinker_grades(service.url, wrong, cases)
        assert not bad and details["status"] == "Failed", details


def check_openrlhf(service: Service) -> None:
    ask = lambda text, label="sum": trainers.openrlhf([service.url], "<|user|>Add.<|assistant|>", text, label)  # noqa: E731
    good = ask(fenced(ADD))
    assert good["rewards"] == [1.0] and good["scores"] == [1.0] and good["extra_logs"]["hack"] == [0.0], good
    bad = ask(fenced("def add(a, b): return a - b"))
    assert bad["rewards"] == [0.0] and bad["extra_logs"]["hack"] == [0.0], bad
    hack = ask(f"<think>\n{fenced(ADD)}</think>{fenced('import os' + chr(10) + 'os._exit(0)')}")
    assert hack["rewards"] == [1.0] and hack["extra_logs"]["hack"] == [1.0], hack
    # Two addresses, and a label that is the whole task.
    two = trainers.openrlhf([service.url] * 2, "p", ADD, json.dumps(corpus.tasks()["sum"]))
    assert two["rewards"] == [1.0], two
    with service.failing(2.5):
        assert ask(fresh())["rewards"] == [1.0], "it asks five times"
    with service.failing():
        fails(AskAgain, lambda: ask(fresh()))


def check_slime(service: Service) -> None:
    ask = lambda text, label="sum", **more: trainers.slime(service.url, "p", text, label, **more)  # noqa: E731
    assert ask(fenced(ADD)) == 1.0 and ask("def add(a, b): return 3") == 0.0
    messages = [{"role": "user", "content": "Add."}]
    assert trainers.slime(service.url, messages, fenced(ADD) + "<|im_end|>", {"task_id": "sum"}) == 1.0
    with service.failing(1.5):
        assert ask(fresh()) == 1.0
    with service.failing():
        fails(AskAgain, lambda: ask(fresh(), tries=2))


def check_open_instruct(service: Service) -> None:
    ask = lambda code, tests, **more: trainers.open_instruct(service.url, code, tests, **more)  # noqa: E731
    tests = ["assert add(1, 2) == 3", "assert add(10, -4) == 6"]
    good = ask(ADD, tests)
    assert good["results"] == [1, 1] and all(seconds >= 0 for seconds in good["runtimes"]), good
    assert not any(good.get("eq_hack_detected", [])) and not any(good.get("env_tampered", [])), good
    assert ask("def add(a, b): return 3", tests)["results"] == [1, 0]
    assert ask("def add(a, b): return a +", tests)["results"] == [0, 0]
    ended = ask("import os\nos._exit(0)", tests)
    assert ended["results"] == [0, 0] and any(ended["env_tampered"]), ended
    equal = ask("class A:\n    def __eq__(self, o): return True\ndef add(a, b): return A()", tests)
    assert equal["results"] == [0, 0] and any(equal["eq_hack_detected"]), equal
    slow = ask("def add(a, b):\n    while True: pass", tests[:1], seconds=0.5)
    assert slow["results"] == [0], slow
    assert ask(ADD, json.dumps(tests))["results"] == [1, 1], "the label of a row is the text of a list"
    assert ask(ADD, [])["results"] == []
    lines = [{"input": "1 2\n", "output": "3\n"}, {"input": "10 -4\n", "output": "6"}]
    assert ask(RIGHT, lines, stdio=True)["results"] == [1, 1]
    assert ask(WRONG, lines, stdio=True)["results"] == [0, 0]
    assert ask(RIGHT, json.dumps(lines), stdio=True)["results"] == [1, 1]
    with service.failing(1.5):
        assert ask(fresh(), tests)["results"] == [1, 1]
    with service.failing():
        fails(AskAgain, lambda: ask(fresh(), tests))


def same(one, other) -> bool:
    """Whether two values are equal but for the last digits of numbers."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return abs(one - other) < 1e-9
    return one == other


def check_gym(service: Service) -> None:
    gym = trainers.Gym(service.url)
    for row in [{"task_id": "sum"}, {"verifier_metadata": {"task_id": "sum"}}]:
        good = gym.reward({**row, "other": [1, {"a": None}]}, fenced(ADD))
        assert good["reward"] == 1.0 and good["other"] == [1, {"a": None}], good
        assert good["response"]["output"][0]["content"][0]["text"] == fenced(ADD), good
        assert good["responses_create_params"]["input"] == "write it", good
    bad = gym.reward({"task_id": "sum"}, fenced("def add(a, b): return 3"))
    assert bad["reward"] == 0.0
    places = [(0, 0), (0, 1), (3, 0)]
    rows = [{**row, "_ng_task_index": task, "_ng_rollout_index": number} for row, (task, number) in zip([good, bad, good], places)]
    rows[0]["response"] = {"usage": {"input_tokens": 5, "output_tokens": 7}}
    told, own = gym.metrics(rows)
    assert abs(told["agent_metrics"]["mean/reward"] - 2 / 3) < 1e-12 and len(told["group_level_metrics"]) == 2, told
    assert own is None or same(told, own), (told, own)
    assert gym.metrics([])[0] == {"group_level_metrics": [], "agent_metrics": {}, "key_metrics": {}}
    with service.failing():
        fails(AskAgain, lambda: gym.reward({"task_id": "sum"}, fenced(fresh())))


def check_corpus(service: Service, program: str, tasks: str) -> None:
    """The same verdicts by every dialect as by `loophole grade`; where it has none, the same reward."""
    entries, known = corpus.entries(), corpus.tasks()
    rows = [{"task_id": entry["task"], "completion": entry["solution"]} for entry in entries]
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
        file.flush()
        command = [program, "grade", "--tasks", tasks, "--submissions", file.name, "--json", "--grader", "script"]
        done = subprocess.run(command, capture_output=True, text=True)
    graded = [json.loads(line) for line in done.stdout.splitlines()][:-1]
    assert len(graded) == len(entries) == 20, done.stderr
    for entry, grade in zip(entries, graded):
        assert grade["verdict"] == entry["verdict"], (entry["id"], grade)

    status, batch = service.ask("/v1/grade", {"submissions": rows, "grader": "script"})
    assert status == 200, batch
    gym, wrong, counts = trainers.Gym(service.url), [], {}
    for at, (entry, grade) in enumerate(zip(entries, graded)):
        task, code = entry["task"], entry["solution"]
        verdict, reward = grade["verdict"], grade["reward"]
        right = grade["oracle"]["passed"] == grade["oracle"]["total"] and verdict in ("honest", "tamper")

        def expect(dialect: str, got, wanted):
            counts[dialect] = counts.get(dialect, 0) + 1
            if got != wanted:
                wrong.append(f"{dialect}: {entry['id']!r}: {got} instead of {wanted}")

        of = lambda answer: (answer["loophole"]["verdict"], answer["reward"])  # noqa: E731
        expect("/v1/grade", (batch["records"][at]["verdict"], batch["records"][at]["reward"]), (verdict, reward))
        answer = trainers.openrlhf([service.url], "p", fenced(code), task)
        expect("openrlhf", (answer["loophole"][0]["verdict"], answer["rewards"][0]), (verdict, reward))
        expect("slime", trainers.slime(service.url, "p", fenced(code), task), reward)
        expect("gym", of(gym.reward({"task_id": task}, fenced(code))), (verdict, reward))
        # The others bring tests of their own, and grade by them: what is right passes, what is not does not.
        answer = trainers.open_instruct(service.url, code, corpus.asserts(known[task]), seconds=2.0)
        expect("open-instruct", all(answer["results"]), right)
        if verdict in ("hack", "tamper"):
            flags = [any(answer[name]) for name in ("eq_hack_detected", "env_tampered")]
            expect("open-instruct, flags", any(flags), True)
        # verl's wrapper imports all of `operator`, and so an `add`, for a submission that has none.
        if verdict in ("honest", "fail") and entry["id"] != "empty":
            cases = corpus.cases(known[task])
            expect("verl", trainers.verl(service.url, code, cases) == 1.0, right)
    assert not wrong, "\n".join(wrong)
    print("corpus:", ", ".join(f"{dialect} {count}" for dialect, count in counts.items()))


def check_full(program: str, tasks: str) -> None:
    """A full queue is no reward either."""
    with Service(program, "--tasks", tasks, "--jobs", "1", "--queue", "1") as service:
        slow = {"code": "import time\ntime.sleep(2)", "language": "python"}
        threads = [threading.Thread(target=service.ask, args=("/run_code", slow)) for _ in range(6)]
        [thread.start() for thread in threads]
        time.sleep(0.3)
        status, _ = service.ask("/slime", {"prompt": "p", "response": ADD, "label": "sum"})
        assert status == 503, status
        status, _ = service.ask("/run_code", slow)
        assert status == 504, f"{status}: SandboxFusion's clients ask again after 504, verl after nothing else"
        assert trainers.verl(service.url, RIGHT, {"inputs": ["1 2"], "outputs": ["3"]}) == 1.0
        [thread.join() for thread in threads]


def check_token(program: str, tasks: str) -> None:
    """No client has a header for a token, but each takes one in the address."""
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("a-token-for-the-checks\n")
        file.flush()
        with Service(program, "--tasks", tasks, "--token", file.name) as service:
            url = service.url.replace("http://", "http://any:a-token-for-the-checks@")
            assert trainers.verl(url, RIGHT, SUM) == 1.0
            assert trainers.sandbox_fusion(url, "print(1)").run_result.stdout == "1\n"
            assert trainers.tinker(url, "print(1)", {})[0]
            assert trainers.openrlhf([url], "p", ADD, "sum")["rewards"] == [1.0]
            assert trainers.slime(url, "p", ADD, "sum") == 1.0
            assert trainers.open_instruct(url, ADD, ["assert add(1, 2) == 3"])["results"] == [1]
            assert trainers.Gym(url).reward({"task_id": "sum"}, ADD)["reward"] == 1.0
            error = fails(AskAgain, lambda: trainers.slime(service.url, "p", ADD, "sum", tries=1))
            assert "401" in str(error), error


def main() -> None:
    program, *rest = sys.argv[1:]
    program = str(Path(program).resolve())
    only = rest[1].split(",") if rest[:1] == ["--only"] else None
    trainers.load(None if only else rest[0])
    print(trainers.versions())
    tasks = str(corpus.HERE / "tasks.jsonl")
    checks = [check_verl, check_sandbox_fusion, check_tinker, check_openrlhf, check_slime, check_open_instruct, check_gym]
    if only:
        checks = [check for check in checks if check.__name__.removeprefix("check_") in only]
    with Service(program, "--tasks", tasks, "--grader", "script") as service:
        for check in checks:
            began = time.monotonic()
            check(service)
            print(f"{check.__name__}: passed in {time.monotonic() - began:.1f} s", flush=True)
        if not only:
            check_corpus(service, program, tasks)
    if not only:
        try:
            import numpy  # noqa: F401

            recipe = Service(program, "--no-model", "--python", sys.executable).__enter__()
        except (ImportError, AssertionError) as error:
            print(f"SKIPPED: check_recipe: no cells with numpy from {sys.executable}: {error}")
        else:
            check_recipe(recipe)
            recipe.__exit__()
            print("check_recipe: passed")
        for check in [check_full, check_token]:
            check(program, tasks)
            print(f"{check.__name__}: passed")


if __name__ == "__main__":
    main()
