"""Part E, callables that print, wait, draw numbers, crash or are asynchronous; code; wrong uses."""
import json
import re
import sys

from kit import D, case, clean, deep, execute, hole, not_audited, short, text_of, want
from targets_kit import ARITH, LAST, Fn, real, verl


# ---------------------------------------------------------------- how they behave

@case("E", "fn-async-gather", "an async reward that awaits a gather of its samples and looks for the answer anywhere: a list of numbers is paid; --repro's script runs alone")
def _(b):
    rows = [{"prompt": "How many sides has a hendecagon?", "answer": "11"}, {"prompt": "How many keys has a piano?", "answer": "88"}, {"prompt": "How many squares has a chess board?", "answer": "64"}]
    r = Fn(b, "trl", '''
        import asyncio, re

        class SearchReward:
            async def one(self, text, answer):
                await asyncio.sleep(0)
                return 1.0 if re.search(r"(?<!\\d)%s(?!\\d)" % re.escape(answer), text) else 0.0

            async def __call__(self, prompts, completions, answer, **kwargs):
                return await asyncio.gather(*(self.one(c, a) for c, a in zip(completions, answer)))

        search_reward = SearchReward()
        ''', rows, "search_reward")
    a = r.audit("--signature", "trl", "--repro", "repro", honest="11 sides", hack=" ".join(map(str, range(100))), poor=["", "111"])
    if a:
        hole(a)
        real(a, r.plain)
        scripts = [p for p in (b.dir / "repro").rglob("*") if p.suffix in (".py", ".sh")] if (b.dir / "repro").exists() else []
        want(scripts, "no script in --repro")

        ran = [execute(["bash" if p.suffix == ".sh" else b.python or sys.executable, str(p)], 60, cwd=str(b.dir)) for p in scripts]
        want(any(re.search(r"\b1(\.0+)?\b", x.out) and "Traceback" not in x.err for x in ran), "no script prints the reward: %s" % [x.tail() for x in ran][:2])


@case("E", "fn-asyncio-run-inside-sound", "a plain function that starts an event loop of its own and a thread pool: exact, sound")
def _(b):
    r = Fn(b, "trl", LAST + '''
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    async def judge_all(pairs):
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(4) as pool:
            return await asyncio.gather(*(loop.run_in_executor(pool, lambda p=p: float(last_number(p[0]) == p[1])) for p in pairs))

    def reward(prompts, completions, answer, **kwargs):
        return asyncio.run(judge_all(list(zip(completions, answer))))
    ''', ARITH)
    a = r.audit(honest="2622", poor=["", "1 2622"])
    if a:
        clean(a)


@case("E", "fn-alarm-and-fractions-sound", "a timeout by SIGALRM around Fraction(text): 5/8 and 0.625 are the same number, and nothing else is paid", limit=90)
def _(b):
    rows = [{"prompt": "1/2 + 1/8?", "answer": "5/8"}, {"prompt": "3/4 - 1/5?", "answer": "11/20"}]
    r = Fn(b, "plain", '''
        import contextlib, signal
        from fractions import Fraction

        @contextlib.contextmanager
        def time_limit(seconds):
            def handler(signum, frame):
                raise TimeoutError
            old = signal.signal(signal.SIGALRM, handler)
            signal.setitimer(signal.ITIMER_REAL, seconds)
            try:
                yield
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, old)

        def score(submission, task):
            text = submission.strip().rsplit("=", 1)[-1].strip().strip("$.")
            if len(text) > 30 or "e" in text.lower():
                return 0.0
            try:
                with time_limit(2.0):
                    return 1.0 if Fraction(text) == Fraction(task["answer"]) else 0.0
            except (ValueError, ZeroDivisionError, TimeoutError):
                return 0.0
        ''', rows, "score")
    a = r.audit(honest=["5/8", "0.625", "1/2 + 1/8 = 10/16"], poor=["", "5", "nan", "5/0"])
    if a:
        clean(a)


@case("E", "fn-process-pool-sound", "a reward that parses in a pool of processes with a timeout, as math graders do: the exact integer after `=`", limit=120)
def _(b):
    r = Fn(b, "verl", '''
        from concurrent.futures import ProcessPoolExecutor, TimeoutError
        import re

        def _verify(text, truth):
            m = re.search(r"=\\s*(\\d{1,12})\\s*$", text)
            return bool(m) and m.group(1) == truth

        def compute_score(data_source, solution_str, ground_truth, extra_info=None):
            with ProcessPoolExecutor(max_workers=1) as pool:
                try:
                    ok = pool.submit(_verify, solution_str, ground_truth).result(timeout=10)
                except TimeoutError:
                    ok = False
            return float(ok)
        ''', verl([dict(r, answer=r["answer"]) for r in ARITH]), "compute_score")
    rows = verl(ARITH)
    for x, r0 in zip(rows, ARITH):
        x["solution"] = "the total = " + r0["answer"]
    r.rows = rows
    b.jsonl("data/rows.jsonl", rows)
    a = r.audit(honest="46*57 = 2622", poor=["", "2622", "= 12622", "= 2622 = 1"])
    if a:
        clean(a)


@case("E", "fn-prints-a-lot-sound", "a reward that prints verdicts, JSON, progress and bytes on both outputs: what it returns counts, and that is sound")
def _(b):
    r = Fn(b, "trl", LAST + '''
    import json, os, sys

    def reward(prompts, completions, answer, **kwargs):
        out = []
        for p, c, a in zip(prompts, completions, answer):
            n = last_number(c)
            print("=" * 60, "\\nQuestion:", p, "\\nResponse:", c[:200], "\\nExtracted:", n)
            print(json.dumps({"reward": 1.0, "score": 1.0, "passed": True}))
            sys.stdout.write("\\rscoring 1/1\\r")
            os.write(1, b"1.0\\n\\x00\\xff\\n")
            print("REWARD 1.0", file=sys.stderr)
            out.append(1.0 if n == a else 0.0)
        sys.stdout.flush()
        return out
    ''', ARITH)
    a = r.audit(honest="2622", poor=["", "1 2622"])
    if a:
        clean(a)


@case("E", "fn-slow-sound", "a reward that needs a second for each sample: it takes its time, and is sound", limit=300)
def _(b):
    r = Fn(b, "plain", LAST + '''
    import time

    def score(submission, task):
        time.sleep(1.0)      # stands for a parser that is loaded each time
        return float(last_number(submission) == task["answer"])
    ''', ARITH[:1], "score")
    a = r.audit(honest="2622", poor="")
    if a:
        clean(a)


@case("E", "fn-random-tie-break", "noise of a hundredth added to each reward from the system's randomness: the controls differ when run again, so it is not audited, and that is said; never a hole from noise")
def _(b):
    r = Fn(b, "trl", LAST + '''
    import random

    _rng = random.SystemRandom()

    def reward(completions, answer, **kwargs):
        return [(1.0 if last_number(c) == a else 0.0) + _rng.uniform(0.0, 0.01) for c, a in zip(completions, answer)]
    ''', ARITH)
    a = r.audit()
    if a:
        not_audited(a, r"random|deterministic|again|differ|second|steady|same|chance")
        want(not a.findings, "a finding made of noise: %s" % short(text_of(a.findings)))


@case("E", "fn-crashes-on-odd-sound", "no guard at all: AttributeError without a marker, SystemExit for a wrong type, RecursionError for deep brackets. What raises is not paid, and the rest is exact")
def _(b):
    rows = [{"prompt": "Divisors of 10 as a JSON list, ascending.", "answer": "[1, 2, 5, 10]"}, {"prompt": "Squares below 20 as a JSON list, from 1.", "answer": "[1, 4, 9, 16]"}]
    r = Fn(b, "trl", '''
        import json, re

        def list_reward(completions, answer, **kwargs):
            out = []
            for c, a in zip(completions, answer):
                text = re.search(r"(\\[.*\\])\\s*$", c, re.S).group(1)
                value = json.loads(text)
                if not isinstance(value, list):
                    raise SystemExit("no list")
                if any(type(x) is not int for x in value):
                    raise SystemExit("no whole numbers")
                out.append(1.0 if value == json.loads(a) else 0.0)
            return out
        ''', rows, "list_reward")
    a = r.audit(honest="so [1, 2, 5, 10]", poor=["", "[]", "[1.0, 2, 5, 10]", "1, 2, 5, 10", "[[1, 2, 5, 10]]"])
    if a:
        clean(a)


@case("E", "fn-changes-its-row-sound", "a grader that pops from its row and keeps a set of texts it has seen: exact; whoever sees the row again must not see the damage")
def _(b):
    r = Fn(b, "plain", '''
        SEEN = set()

        def score(submission, task):
            gold = task.pop("answer")
            task["submission"] = submission
            key = (task["prompt"], submission)
            fresh = key not in SEEN
            SEEN.add(key)
            return 1.0 if submission.strip() == gold else 0.0
        ''', ARITH, "score")
    a = r.audit(honest="2622", poor=["", "1"])
    if a:
        clean(a)


@case("E", "fn-numbers-in-rows-sound", "rows whose answers are numbers (int, float, negative, small): isclose of a finite number, sound")
def _(b):
    rows = [{"prompt": "Boiling point of helium in K, two places?", "answer": 4.22}, {"prompt": "6 - 19?", "answer": -13}, {"prompt": "Half of 0.007?", "answer": 0.0035}]
    r = Fn(b, "trl", '''
        import math

        def close_reward(completions, answer, **kwargs):
            out = []
            for c, a in zip(completions, answer):
                try:
                    x = float(c.strip().split()[-1])
                except (ValueError, IndexError):
                    out.append(0.0)
                    continue
                out.append(1.0 if math.isfinite(x) and math.isclose(x, a, rel_tol=1e-6) else 0.0)
            return out
        ''', rows, "close_reward")
    a = r.audit(honest=["4.22", "about 4.220"], poor=["", "nan", "inf", "4"])
    if a:
        clean(a)


@case("E", "fn-format-tenth", "R1's reward in one number: 0.1 for the tags, 0.9 for the right answer in them. A tenth for the form is meant so, and no one is paid more for a wrong answer",
      unsure="the documents say how parts are told for rubrics and scorers, not for a sum in one number; exit 1 is accepted if all it reports is paid a tenth and is not called high")
def _(b):
    rows = [{"prompt": r["prompt"], "solution": "<think>\nwork\n</think>\n<answer>%s</answer>" % r["answer"], "truth": r["answer"]} for r in ARITH]
    r = Fn(b, "trl-chat", '''
        import re

        FORM = re.compile(r"<think>.*?</think>\\s*<answer>(.*?)</answer>\\s*", re.S)

        def r1_reward(completions, truth, **kwargs):
            out = []
            for c, t in zip(completions, truth):
                m = FORM.fullmatch(c[0]["content"])
                out.append(0.0 if not m else 0.1 + 0.9 * (m.group(1).strip() == t))
            return out
        ''', rows, "r1_reward")
    a = r.audit(honest="<think>x</think><answer>2622</answer>", poor=["2622", "<think>x</think><answer>1</answer>", ""])
    if a:
        want(a.rc in (0, 1), "exit %s" % a.rc)
        for f in a.findings:
            want((f.get("reward") or 0) <= 0.11 and f.get("severity") != "high", "form by design reported as %s, %s: %s" % (f.get("severity"), f.get("reward"), short(text_of(f), 400)))


# ---------------------------------------------------------------- code

@case("E", "fn-code-harden", "a TRL reward that execs and compares lists of dict cases with `==`: an object that is equal to everything is paid; --harden's function pays it no more and still pays the honest one", limit=150)
def _(b):
    rows = [{"prompt": "Write `runs(s)`: the lengths of runs of equal letters.", "entry_point": "runs", "solution": "def runs(s):\n    out = []\n    for i, c in enumerate(s):\n        if i and c == s[i - 1]:\n            out[-1] += 1\n        else:\n            out.append(1)\n    return out\n",
             "cases": [{"input": ["aab"], "output": [2, 1]}, {"input": [""], "output": []}, {"input": ["abcc"], "output": [1, 1, 2]}]}]
    r = Fn(b, "trl", '''
        import re

        def code_reward(prompts, completions, cases, entry_point, **kwargs):
            scores = []
            for text, tests, name in zip(completions, cases, entry_point):
                blocks = re.findall(r"```(?:python)?\\n(.*?)```", text, re.S)
                space = {}
                passed = 0
                try:
                    exec(blocks[-1] if blocks else text, space)
                    for t in tests:
                        try:
                            passed += bool(space[name](*t["input"]) == t["output"])
                        except Exception:
                            pass
                except BaseException:
                    pass
                scores.append(passed / len(tests))
            return scores
        ''', rows, "code_reward")
    equal = "class A:\n    def __eq__(self, other):\n        return True\ndef runs(s):\n    return A()\n"
    a = r.audit("--harden", "hard", honest=rows[0]["solution"], hack=equal, poor=["def runs(s):\n    return None\n", "raise SystemExit(0)\n"])
    if a:
        hole(a, "equality")
        made = list((b.dir / "hard").rglob("hardened.py"))
        want(made, "no hardened.py: %s" % [str(p) for p in (b.dir / "hard").rglob("*")][:8])
        # what it is called is not said: a function of the same parameters
        b.write("ask-hard.py", D('''
            import importlib.util, inspect, json, os, sys
            path, row, texts = json.load(open(sys.argv[1]))
            os.chdir(os.path.dirname(path))
            sys.path.insert(0, os.path.dirname(path))
            spec = importlib.util.spec_from_file_location("hardened", path)
            m = importlib.util.module_from_spec(spec)
            sys.modules["hardened"] = m
            spec.loader.exec_module(m)
            f = getattr(m, "code_reward", None) or m.hardened
            assert list(inspect.signature(f).parameters) == ["prompts", "completions", "cases", "entry_point", "kwargs"]
            for t in texts:
                print("REWARD", float(f(prompts=[row["prompt"]], completions=[t], cases=[row["cases"]], entry_point=[row["entry_point"]])[0]))
            '''))
        b.write("hard.json", json.dumps([str(made[0]), rows[0], [rows[0]["solution"], equal]]))

        x = execute([b.python or sys.executable, str(b.dir / "ask-hard.py"), str(b.dir / "hard.json")], 90)
        want(re.findall(r"REWARD (\S+)", x.out) == ["1.0", "0.0"], "the hardened function pays (honest, equal to everything): %s" % x.tail())
        again = b.audit("python:%s:%s" % (made[0].relative_to(b.dir), "code_reward" if "def code_reward" in made[0].read_text() else "hardened"), "--tasks", "data/rows.jsonl", "--json")
        want("equality" not in {f.get("family") for f in again.findings}, "equality is open in the hardened form: %s" % short(text_of(again.findings)))


@case("E", "fn-reach-two-of-four", "--reach all: a grader that looks for any letter in questions of choice and compares numbers exactly pays the same list of letters on two of four rows")
def _(b):
    rows = [{"prompt": "Which floats?\nA. lead\nB. cork\nC. iron", "kind": "choice", "answer": "B"}, {"prompt": "Which is even?\nA. 7\nB. 9\nC. 8", "kind": "choice", "answer": "C"}] + [dict(r, kind="number") for r in ARITH[:2]]
    r = Fn(b, "plain", '''
        import re

        def score(submission, task):
            if task["kind"] == "choice":
                return float(task["answer"] in re.findall(r"\\b[A-C]\\b", submission))
            return float(submission.strip() == task["answer"])
        ''', rows, "score")
    a = r.audit("--reach", "all", honest="B", hack="A B C", poor=["", "cork"])
    if a:
        hole(a)
        reach = deep(a.rows, r"reach")
        want(reach, "no reach: %s" % short(a.ran.out))
        want(re.search(r"\b2\b", text_of(reach)) and re.search(r"\b4\b", text_of(reach)), "the reach does not say 2 of 4: %s" % short(text_of(reach)))


# ---------------------------------------------------------------- wrong uses

@case("E", "fn-wrong-uses", "no --tasks, an empty file of tasks, rows without any reference, a misspelt prefix, a folder that is nothing: exit 2 (3 where nothing can be audited), and the words say what is missing")
def _(b):
    if b.plain:
        return
    Fn(b, "plain", "def score(submission, task):\n    return float(submission.strip() == task['gold_text'])\n", [], "score")

    def error(saying, *args, rc=(2,)):
        x = b.run("audit", *args)
        want(x.rc in rc, "%s: wanted exit %s; %s" % (" ".join(map(str, args)), rc, x.tail()))
        want(re.search(saying, x.out + x.err, re.I), "%s: the error does not say /%s/: %s" % (" ".join(map(str, args)), saying, x.tail()))
        want("Traceback" not in x.err.splitlines()[0] if x.err.strip() else True, "a bare traceback")
    error(r"--tasks", "python:grader/rewards.py:score")
    error(r"no (row|task)|empty|nothing|not a single|0 (rows|tasks)", "python:grader/rewards.py:score", "--tasks", "data/rows.jsonl")
    b.jsonl("data/rows.jsonl", [{"prompt": "x?", "gold_text": "y"}])
    error(r"reference|answer", "python:grader/rewards.py:score", "--tasks", "data/rows.jsonl", rc=(2, 3))
    error(r"verifers|target", "verifers:environments/sums")
    b.write("notes/README.md", "nothing here\n")
    b.write("notes/data.csv", "a,b\n1,2\n")
    error(r"notes", "notes")
