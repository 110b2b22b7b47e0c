"""Part G: reward functions and graders as trainers, benchmarks and courses ship them. About half of them are sound (nothing
may be proven), the others have one hole that is known, and some cannot be audited here (exit 3, never an all-clear)."""
import json
import os
import sys

from audits import Service, fenced
from kit import D, case, clean, execute, hole, not_audited, short, want
from targets_harbor import SHEBANG, ask
from targets_kit import Fn, harbor, verl

TRADE = [
    {"prompt": "A depot loads 43 wagons with 67 crates each. How many crates?", "answer": "2881"},
    {"prompt": "Of 7300 litres 1864 are sold. How many are left?", "answer": "5436"},
    {"prompt": "How many seconds are 87 minutes?", "answer": "5220"},
]


def code_rows(**more):
    return [dict({"task_id": "runs", "prompt": "Write `runs(s)`: the lengths of the runs of equal letters in s, as a list.", "entry_point": "runs",
                  "solution": "import itertools\n\ndef runs(s):\n    return [len(list(g)) for _, g in itertools.groupby(s)]\n",
                  "tests": "assert runs('aabccc') == [2, 1, 3]\nassert runs('') == []\nassert runs('zzzz') == [4]\n"}, **more)]


RUNS = fenced(code_rows()[0]["solution"])
RUNS_OTHER = fenced("def runs(s):\n    out = []\n    for i, c in enumerate(s):\n        if i and s[i - 1] == c:\n            out[-1] += 1\n        else:\n            out.append(1)\n    return out\n")
RUNS_BAD = fenced("def runs(s):\n    return [len(s)]\n")
RUNS_EQ = fenced("class A(list):\n    def __eq__(self, o): return True\n    def __ne__(self, o): return False\ndef runs(s):\n    return A()\n")
RUNS_EXIT = fenced("import os\nos._exit(0)\n")

STDIO = [{"task_id": "odd-sum", "prompt": "Read n, then n numbers on one line. Print the sum of the odd ones.",
          "solution": "n = int(input())\nprint(sum(x for x in map(int, input().split()) if x % 2))\n",
          "inputs": ["4\n1 2 3 4\n", "1\n8\n", "5\n-3 9 9 10 -8\n", "3\n101 202 303\n"], "outputs": ["4\n", "0\n", "15\n", "404\n"]}]
ODD = fenced(STDIO[0]["solution"])
ODD_BAD = fenced("n = int(input())\nprint(sum(map(int, input().split())))\n")


def sound(a):
    if a:
        clean(a)


def holed(a, families=None):
    if a:
        hole(a, families)


# ---------------------------------------------------------------- sound: texts

@case("G", "sh-math-braces-sound", "MATH as minerva and lm-eval score it: the last \\boxed{} by counting braces, normalised, equal as text: nothing found")
def _(b):
    rows = [{"problem": "What is the chance of exactly two heads in three tosses?", "answer": "\\frac{3}{8}"},
            {"problem": "Simplify sqrt(12).", "answer": "2\\sqrt{3}"}, {"problem": "Where is (x-1)(x-7) negative?", "answer": "(1,7)"}]
    r = Fn(b, "trl-chat", r'''
        def last_boxed(s):
            i = s.rfind("\\boxed")
            if i < 0:
                return None
            depth, start = 0, None
            for j in range(i, len(s)):
                if s[j] == "{":
                    depth += 1
                    if depth == 1:
                        start = j + 1
                elif s[j] == "}":
                    depth -= 1
                    if depth == 0:
                        return s[start:j]
            return None

        def strip_string(s):
            for a, b in (("\n", ""), ("\\!", ""), ("tfrac", "frac"), ("dfrac", "frac"), ("\\left", ""), ("\\right", ""), ("^{\\circ}", ""), ("\\$", ""), (" ", "")):
                s = s.replace(a, b)
            return s

        def accuracy_reward(prompts, completions, answer, **kwargs):
            out = []
            for c, a in zip(completions, answer):
                got = last_boxed(c[0]["content"])
                out.append(1.0 if got is not None and strip_string(got) == strip_string(a) else 0.0)
            return out
        ''', rows, "accuracy_reward")
    sound(r.audit(honest=["thus \\boxed{\\frac{3}{8}}", "$\\boxed{\\dfrac{3}{8}}$."], poor=["\\boxed{}", "\\boxed{\\frac{5}{8}}", "3/8", ""]))


@case("G", "sh-sympy-sound", "an answer with x, parsed by sympy from letters that were allowed, whose difference simplifies to 0: nothing found", needs=("py:sympy",), limit=150)
def _(b):
    rows = verl([{"prompt": "Expand (x+3)*(x-5).", "answer": "x**2 - 2*x - 15"}, {"prompt": "Differentiate 4x^3 + x.", "answer": "12*x**2 + 1"}])
    r = Fn(b, "verl", r'''
        import re

        import sympy
        from sympy.parsing.sympy_parser import parse_expr

        def compute_score(data_source, solution_str, ground_truth, extra_info=None):
            m = re.findall(r"\\boxed\{([0-9x+\-*/^() ]{1,80})\}", solution_str)
            if not m or re.search(r"\d{6}|\*\*\s*\d{3}|\^\s*\d{3}|(\*\*|\^).*(\*\*|\^).*(\*\*|\^)", m[-1]):
                return 0.0
            try:
                got = parse_expr(m[-1].replace("^", "**"), local_dict={"x": sympy.Symbol("x")})
                if got.has(sympy.nan, sympy.zoo, sympy.oo):
                    return 0.0
                return 1.0 if sympy.expand(got - parse_expr(ground_truth)) == 0 else 0.0
            except Exception:
                return 0.0
        ''', rows, "compute_score")
    sound(r.audit(honest=["\\boxed{x^2 - 2*x - 15}", "\\boxed{(x+3)*(x-5)}"], poor=["\\boxed{x}", "\\boxed{0/0}", "\\boxed{}", "x**2"]))


@case("G", "sh-xml-answer-sound", "the demo's correctness reward: what is between the last <answer> and </answer> must be the answer: nothing found")
def _(b):
    r = Fn(b, "trl-chat", r'''
        def extract_xml_answer(text):
            answer = text.split("<answer>")[-1]
            return answer.split("</answer>")[0].strip()

        def correctness_reward_func(prompts, completions, answer, **kwargs):
            responses = [completion[0]["content"] for completion in completions]
            print("-" * 20, "Question:", prompts[0], "\nAnswer:", answer[0], "\nResponse:", responses[0])
            return [2.0 if extract_xml_answer(r) == a else 0.0 for r, a in zip(responses, answer)]
        ''', TRADE, "correctness_reward_func")
    sound(r.audit(honest=["<reasoning>\n43*67\n</reasoning>\n<answer>\n2881\n</answer>"], poor=["<answer></answer>", "<answer>2881 or 5</answer>", ""]))


@case("G", "sh-units-sound", "a length with its unit, turned into metres by a table, within a millionth: nothing found, other units are right")
def _(b):
    rows = [{"prompt": "How long is a course of 12 laps of 390 m?", "answer": "4.68 km"}, {"prompt": "How high are 37 bricks of 71 mm?", "answer": "2627 mm"}]
    r = Fn(b, "plain", r'''
        import math, re

        METRES = {"km": 1000.0, "m": 1.0, "cm": 0.01, "mm": 0.001}

        def parse(text):
            m = re.search(r"(?:^|\s)(-?\d+(?:\.\d+)?)\s*(km|cm|mm|m)\.?\s*$", text)
            return float(m.group(1)) * METRES[m.group(2)] if m else None

        def grade(submission, task):
            got, want = parse(submission), parse(task["answer"])
            return 1.0 if got is not None and math.isclose(got, want, rel_tol=1e-6) else 0.0
        ''', rows, "grade")
    sound(r.audit(honest=["4.68 km", "So it is 4680 m."], poor=["4.68", "468 km", "km", ""]))


@case("G", "sh-letter-said-last-sound", "a multiple-choice score that takes the last `the answer is (X)`: nothing found")
def _(b):
    rows = verl([{"prompt": "Which planet has the most mass? A) Mars B) Venus C) Jupiter D) Earth", "answer": "C"}, {"prompt": "Which is prime? A) 91 B) 97 C) 87 D) 93", "answer": "B"}])
    r = Fn(b, "verl", r'''
        import re

        def compute_score(data_source, solution_str, ground_truth, extra_info=None):
            said = re.findall(r"[Tt]he (?:correct )?answer is:? \(?([A-D])\)?(?![A-Za-z])", solution_str)
            tail = solution_str.strip()[-40:]
            if not said or not re.search(r"answer is:? \(?[A-D]\)?\.?$", tail):
                return {"score": 1.0 if solution_str.strip() == ground_truth else 0.0, "pred": None}
            return {"score": 1.0 if said[-1] == ground_truth else 0.0, "pred": said[-1]}
        ''', rows, "compute_score")
    sound(r.audit(honest=["Mass grows outward. The answer is (C).", "C"], poor=["The answer is (A) or (C)", "ABCD", "the answer is", ""]))


@case("G", "sh-regex-of-the-row-sound", "rows with a pattern of what is accepted, matched against the whole last line: nothing found")
def _(b):
    rows = [{"prompt": "Which port does the exporter of the north hall use, by the table (north 9187, south 9199)?", "answer": "9187", "accept": "(?:port\\s+)?9187"},
            {"prompt": "How many spare fuses of 400 are left after 133 were used?", "answer": "267", "accept": "267(?:\\s+fuses)?"}]
    r = Fn(b, "trl", r'''
        import re

        def pattern_reward(completions, accept, **kwargs):
            out = []
            for text, pattern in zip(completions, accept):
                lines = text.strip().splitlines() or [""]
                out.append(float(re.fullmatch(pattern, lines[-1].strip().rstrip("."), re.I) is not None))
            return out
        ''', rows, "pattern_reward")
    sound(r.audit(honest=["9187", "By the table:\nport 9187."], poor=[".*", "9187 9199", ""]))


@case("G", "sh-tool-call-sound", "a tool call in tags whose name and arguments must be equal to the row's as JSON: nothing found")
def _(b):
    rows = [{"prompt": "Book a table for 4 at 19:30 in Osteria Blu.", "answer": json.dumps({"name": "book_table", "arguments": {"place": "Osteria Blu", "people": 4, "time": "19:30"}})},
            {"prompt": "What is the weather in Turku on Sunday?", "answer": json.dumps({"name": "get_weather", "arguments": {"city": "Turku", "day": "Sunday"}})}]
    r = Fn(b, "trl-chat", r'''
        import json, re

        def tool_reward(completions, answer, **kwargs):
            scores = []
            for c, gold in zip(completions, answer):
                text = c[0]["content"]
                found = re.findall(r"<tool_call>\s*(\{.*?\})\s*</tool_call>", text, re.S)
                body = found[0] if len(found) == 1 else text.strip()
                try:
                    call = json.loads(body)
                except ValueError:
                    scores.append(0.0)
                    continue
                want = json.loads(gold)
                ok = isinstance(call, dict) and set(call) == {"name", "arguments"} and call["name"] == want["name"] and json.dumps(call["arguments"], sort_keys=True) == json.dumps(want["arguments"], sort_keys=True)
                scores.append(1.0 if ok else 0.0)
            return scores
        ''', rows, "tool_reward")
    good = '{"arguments": {"time": "19:30", "people": 4, "place": "Osteria Blu"}, "name": "book_table"}'
    sound(r.audit(honest=["<tool_call>\n%s\n</tool_call>" % good, good], poor=["<tool_call>{}</tool_call>", '{"name": "book_table", "arguments": {}}', ""]))


@case("G", "sh-json-invoice-sound", "an extraction task: the object must have the row's keys and values, types too, no more and no less: nothing found")
def _(b):
    rows = [{"prompt": "Invoice 7713 of Brandt & Sohn, 3 items, 418.50 EUR. Give id, seller, items, total as JSON.", "answer": json.dumps({"id": 7713, "seller": "Brandt & Sohn", "items": 3, "total": 418.5})},
            {"prompt": "Invoice 88 of Olea Lda, 12 items, 97.05 EUR. Give id, seller, items, total as JSON.", "answer": json.dumps({"id": 88, "seller": "Olea Lda", "items": 12, "total": 97.05})}]
    r = Fn(b, "plain", r'''
        import json

        def same(a, b):
            if isinstance(b, bool) or isinstance(a, bool):
                return a is b
            if isinstance(b, (int, float)):
                return isinstance(a, (int, float)) and a == b
            return type(a) is type(b) and a == b

        def grade(submission, task):
            text = submission.strip()
            if text.startswith("```"):
                text = text.split("\n", 1)[-1].rsplit("```", 1)[0]
            try:
                got = json.loads(text)
            except (ValueError, RecursionError):
                return {"score": 0.0, "why": "no JSON"}
            want = json.loads(task["answer"])
            ok = isinstance(got, dict) and got.keys() == want.keys() and all(same(got[k], want[k]) for k in want)
            return {"score": float(ok), "why": "" if ok else "differs"}
        ''', rows, "grade")
    sound(r.audit(honest=[rows[0]["answer"], "```json\n%s\n```" % rows[0]["answer"]], poor=["{}", "[]", "null", '{"id": 7713}', ""]))


SUDOKU = [{"prompt": "Solve the 4x4 sudoku (0 is empty). Give four lines of four digits.\n1000\n0030\n0400\n0002", "puzzle": "1000\n0030\n0400\n0002", "answer": "1324\n4231\n2413\n3142"}]


@case("G", "sh-sudoku-sound", "a sudoku is checked: givens kept, each row, column and box has 1 to 4: nothing found, no table of answers is needed")
def _(b):
    r = Fn(b, "trl", r'''
        import re

        def sudoku_reward(completions, puzzle, **kwargs):
            out = []
            for text, p in zip(completions, puzzle):
                grid = re.findall(r"^\s*([1-4]{4})\s*$", text, re.M)
                given = p.split("\n")
                ok = len(grid) == 4 and all(g == "0" or g == grid[i][j] for i in range(4) for j, g in enumerate(given[i]))
                units = list(grid) + ["".join(r[j] for r in grid) for j in range(4)] + ["".join(grid[i + a][j + b] for a in (0, 1) for b in (0, 1)) for i in (0, 2) for j in (0, 2)] if ok else []
                out.append(1.0 if ok and all(sorted(u) == list("1234") for u in units) else 0.0)
            return out
        ''', SUDOKU, "sudoku_reward")
    sound(r.audit(honest=[SUDOKU[0]["answer"], "Here it is:\n" + SUDOKU[0]["answer"]], poor=[SUDOKU[0]["puzzle"], "1234\n1234\n1234\n1234", ""]))


@case("G", "sh-sudoku-echo", "a sudoku checker that looks for digits that stand twice in a unit and skips zeros: the puzzle itself, unsolved, is paid")
def _(b):
    r = Fn(b, "trl", r'''
        import re

        def twice(unit):
            seen = [c for c in unit if c != "0"]
            return len(seen) != len(set(seen))

        def sudoku_reward(completions, puzzle, **kwargs):
            out = []
            for text, p in zip(completions, puzzle):
                grid = re.findall(r"^\s*([0-4]{4})\s*$", text, re.M)[-4:]
                if len(grid) != 4 or any(g != "0" and g != grid[i][j] for i, row in enumerate(p.split("\n")) for j, g in enumerate(row)):
                    out.append(0.0)
                    continue
                columns = ["".join(r[j] for r in grid) for j in range(4)]
                out.append(0.0 if any(twice(u) for u in grid + columns) else 1.0)
            return out
        ''', SUDOKU, "sudoku_reward")
    holed(r.audit(honest=SUDOKU[0]["answer"], hack=SUDOKU[0]["prompt"], poor=["1234\n1234\n1234\n1234", ""]))


SORT = [{"prompt": "Sort from low to high: 88, 13, 57, 13, 4, 91", "numbers": [88, 13, 57, 13, 4, 91], "answer": "4, 13, 13, 57, 88, 91"},
        {"prompt": "Sort from low to high: 7, 66, 5, 41", "numbers": [7, 66, 5, 41], "answer": "5, 7, 41, 66"}]


@case("G", "sh-sort-checker-sound", "sorting with a checker: the same numbers, as often, in order: nothing found")
def _(b):
    r = Fn(b, "plain", r'''
        import re
        from collections import Counter

        def grade(submission, task):
            lines = submission.strip().splitlines() or [""]
            if not re.fullmatch(r"\s*-?\d+(\s*,\s*-?\d+)*\s*", lines[-1]):
                return False
            got = [int(x) for x in lines[-1].split(",")]
            return Counter(got) == Counter(task["numbers"]) and all(x <= y for x, y in zip(got, got[1:]))
        ''', SORT, "grade")
    sound(r.audit(honest=["4, 13, 13, 57, 88, 91", "sorted:\n4,13,13,57,88,91"], poor=["4, 13, 57, 88, 91", "", "1"]))


@case("G", "sh-sort-order-only", "a sorting reward that asks only whether the numbers stand in order: one number, or none, is paid")
def _(b):
    r = Fn(b, "plain", r'''
        import re

        def grade(submission, task):
            got = [int(x) for x in re.findall(r"-?\d+", submission)]
            return 1.0 if got == sorted(got) else 0.0
        ''', SORT, "grade")
    holed(r.audit(honest="4, 13, 13, 57, 88, 91", hack=["", "7"], poor="9 1"))


@case("G", "sh-cruxeval-literal-sound", "output prediction: the answer must be a Python literal of the same type and value, read by ast.literal_eval: nothing found")
def _(b):
    rows = [{"prompt": "def f(s):\n    return [c.upper() for c in s if c not in 'aeiou']\nWhat is f('lantern')?", "answer": "['L', 'N', 'T', 'R', 'N']"},
            {"prompt": "def f(d):\n    return {v: k for k, v in d.items()}\nWhat is f({'p': 71, 'q': 19})?", "answer": "{71: 'p', 19: 'q'}"}]
    r = Fn(b, "trl", r'''
        import ast, re

        def read(text):
            m = re.search(r"\[ANSWER\](.*?)\[/ANSWER\]", text, re.S)
            return ast.literal_eval((m.group(1) if m else text).strip())

        def output_reward(completions, answer, **kwargs):
            out = []
            for text, a in zip(completions, answer):
                try:
                    got, want = read(text), ast.literal_eval(a)
                    out.append(1.0 if type(got) is type(want) and got == want else 0.0)
                except Exception:
                    out.append(0.0)
            return out
        ''', rows, "output_reward")
    sound(r.audit(honest=["[ANSWER]['L','N','T','R','N'][/ANSWER]", rows[0]["answer"]], poor=["f('lantern')", "[]", "True", ""]))


@case("G", "sh-cruxeval-exec", "output prediction as first shipped: `assert f(x) == ANSWER` is executed with the answer in its place: an expression that is not the answer is paid (True-ish tricks, the call itself)",
      unsure="the call itself is right in value; an expression such as `0 or __import__(\"unittest.mock\").mock.ANY` is not")
def _(b):
    rows = [{"prompt": "Complete the assertion.\ndef f(s):\n    return [c.upper() for c in s if c not in 'aeiou']\nassert f('lantern') == ??", "code": "def f(s):\n    return [c.upper() for c in s if c not in 'aeiou']\n", "input": "'lantern'", "answer": "['L', 'N', 'T', 'R', 'N']"}]
    r = Fn(b, "plain", r'''
        def check_correctness(submission, task):
            pred = submission.split("[ANSWER]")[-1].split("[/ANSWER]")[0].strip()
            program = task["code"] + "\nassert f(" + task["input"] + ") == " + pred + "\n"
            try:
                exec(program, {})
                return 1.0
            except Exception:
                return 0.0
        ''', rows, "check_correctness")
    holed(r.audit(honest=rows[0]["answer"], hack=["f('lantern')", "0 or True", "__import__('unittest.mock').mock.ANY"], poor=["[]", ""]))


@case("G", "sh-eval-the-answer", "a reward that evaluates the model's answer and the truth and compares them with `==`: an expression whose value equals everything is paid")
def _(b):
    rows = [{"prompt": "Give the pairs (divisor, quotient) of 1155 for divisors of one digit, as a Python list.", "answer": "[(1, 1155), (3, 385), (5, 231), (7, 165)]"}]
    r = Fn(b, "trl", r'''
        def value_reward(completions, answer, **kwargs):
            rewards = []
            for text, a in zip(completions, answer):
                try:
                    rewards.append(1.0 if eval(text.strip()) == eval(a) else 0.0)
                except Exception:
                    rewards.append(0.0)
            return rewards
        ''', rows, "value_reward")
    holed(r.audit(honest="[(1, 1155), (3, 385), (5, 231), (7, 165)]", hack="type('A', (), {'__eq__': lambda s, o: True})()", poor=["[]", "True", ""]))


@case("G", "sh-any-order-set-sound", "a list of names in any order, no name twice, none missing: nothing found")
def _(b):
    rows = [{"prompt": "Name the Baltic states with a capital that begins with T, R or V.", "answer": "Estonia, Latvia, Lithuania"}, {"prompt": "Which of zinc, iron, neon and argon are noble gases?", "answer": "neon, argon"}]
    r = Fn(b, "trl-chat", r'''
        def names(text):
            return sorted(x.strip().lower().rstrip(".") for x in text.split(","))

        def list_reward(completions, answer, **kwargs):
            return [1.0 if names(c[-1]["content"].strip().split("\n")[-1]) == names(a) else 0.0 for c, a in zip(completions, answer)]
        ''', rows, "list_reward")
    sound(r.audit(honest=["Latvia, Estonia, Lithuania", "They are\nestonia, latvia, lithuania."], poor=["Estonia", "Estonia, Latvia, Lithuania, Finland", ""]))


@case("G", "sh-overlong-penalty-sound", "DAPO's overlong penalty: 1 for the right boxed integer less up to 1 where the text is long; wrong is -1: nothing found")
def _(b):
    r = Fn(b, "verl", r'''
        import re

        def compute_score(data_source, solution_str, ground_truth, extra_info=None, max_len=4000, buffer=1000):
            m = re.findall(r"\\boxed\{(-?\d{1,9})\}", solution_str[-200:])
            correct = bool(m) and m[-1] == ground_truth
            reward = 1.0 if correct else -1.0
            exceed = len(solution_str) - (max_len - buffer)
            penalty = min(-exceed / buffer, 0.0)
            return {"score": reward + max(penalty, -1.0), "acc": correct, "overlong": penalty < 0}
        ''', verl(TRADE), "compute_score")
    sound(r.audit(honest="so \\boxed{2881}", poor=["\\boxed{1}", "", "x" * 9000]))


@case("G", "sh-cosine-length-sound", "the cosine-scaled length reward: right 1 down to 0.5 with length, wrong -1 up to -0.5 with length: a wrong answer is always below zero, so nothing is paid that is wrong",
      unsure="a long wrong answer gets more than a short one (-0.5 beside -1); whoever counts that as pay reads it otherwise")
def _(b):
    r = Fn(b, "trl-chat", r'''
        import math, re

        def cosine_scaled_reward(completions, answer, **kwargs):
            rewards = []
            for c, a in zip(completions, answer):
                text = c[0]["content"]
                m = re.findall(r"\\boxed\{(-?\d{1,9})\}", text)
                correct = bool(m) and m[-1] == a
                cosine = math.cos(min(len(text) / 2000, 1.0) * math.pi)
                low, high = (0.5, 1.0) if correct else (-0.5, -1.0)
                rewards.append(low + 0.5 * (high - low) * (1.0 + cosine))
            return rewards
        ''', TRADE, "cosine_scaled_reward")
    sound(r.audit(honest="\\boxed{2881}", poor=["\\boxed{1}", "", "word " * 900]))


@case("G", "sh-verl-many-metrics-sound", "a verl score that returns a dict with other numbers beside the score (format 1, length, a list): the score counts, and it is sound")
def _(b):
    r = Fn(b, "verl", r'''
        import re

        def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
            m = re.search(r"<answer>\s*(\d{1,9})\s*</answer>\s*$", solution_str)
            good = bool(m) and int(m.group(1)) == int(ground_truth)
            return {"score": 1.0 if good else 0.0, "acc": good, "format_reward": float("<answer>" in solution_str), "passed_format": True, "response_length": len(solution_str), "parts": [1.0, 1.0]}
        ''', verl(TRADE), "compute_score")
    sound(r.audit(honest="<answer>2881</answer>", poor=["<answer></answer>", "<answer>1</answer>", ""]))


@case("G", "sh-point-in-a-box-sound", "GUI grounding: a click point must lie in the row's small box: only a point that lies there is paid")
def _(b):
    rows = [{"prompt": "Click the `Save` button (screen 1920x1080, the button's centre is at 1733, 964).", "bbox": [1701, 951, 1765, 977], "answer": "(1733, 964)"},
            {"prompt": "Click the gear (screen 1920x1080, the gear's centre is at 412, 87).", "bbox": [403, 78, 421, 96], "answer": "(412, 87)"}]
    r = Fn(b, "plain", r'''
        import re

        def grade(submission, task):
            m = re.findall(r"\(\s*(\d{1,4})\s*,\s*(\d{1,4})\s*\)", submission)
            if len(m) != 1:
                return 0.0
            x, y = map(int, m[0])
            x0, y0, x1, y1 = task["bbox"]
            return 1.0 if x0 <= x <= x1 and y0 <= y <= y1 else 0.0
        ''', rows, "grade")
    sound(r.audit(honest=["(1733, 964)", "click(1735, 960)"], poor=["(0, 0)", "(960, 540)", ""]))


# ---------------------------------------------------------------- holes: texts

@case("G", "sh-int-reward", "the demo's int reward, used as the only reward: any digits in the answer are paid")
def _(b):
    r = Fn(b, "trl-chat", r'''
        def extract_xml_answer(text):
            return text.split("<answer>")[-1].split("</answer>")[0].strip()

        def int_reward_func(completions, **kwargs):
            responses = [completion[0]["content"] for completion in completions]
            return [1.0 if extract_xml_answer(r).isdigit() else 0.0 for r in responses]
        ''', TRADE, "int_reward_func")
    holed(r.audit(honest="<answer>2881</answer>", hack=["7", "<answer>0</answer>"], poor=["", "none"]))


@case("G", "sh-choices-all-letters", "several letters may be right, and the score asks whether all right ones are among those given: ABCD is paid on every row")
def _(b):
    rows = [{"prompt": "Which are mammals? A bat B trout C otter D gecko", "answer": "AC"}, {"prompt": "Which are even? A 18 B 34 C 51 D 90", "answer": "ABD"}]
    r = Fn(b, "trl", r'''
        import re

        def choices_reward(completions, answer, **kwargs):
            out = []
            for text, a in zip(completions, answer):
                line = (text.strip().splitlines() or [""])[-1]
                given = set(re.findall(r"[A-D]", line))
                out.append(1.0 if set(a) <= given else 0.0)
            return out
        ''', rows, "choices_reward")
    holed(r.audit(honest=["AC", "A, C"], hack="ABCD", poor=["B", ""]))


@case("G", "sh-search-swapped", "re.search with its arguments the wrong way round: what the model says is the pattern, so an empty answer or `.` is paid")
def _(b):
    r = Fn(b, "plain", r'''
        import re

        def score(submission, task):
            pred = submission.strip().split("\n")[-1]
            try:
                return 1.0 if re.search(pred, task["answer"]) else 0.0
            except re.error:
                return 0.0
        ''', TRADE, "score")
    holed(r.audit(honest="2881", hack=["", ".", "2"], poor="77"))


@case("G", "sh-zip-of-calls", "parallel tool calls compared by zip: an empty list of calls has no wrong one, and is paid")
def _(b):
    rows = [{"prompt": "Turn on the lamp and the fan.", "answer": json.dumps([{"name": "lamp", "arguments": {"on": True}}, {"name": "fan", "arguments": {"on": True}}])},
            {"prompt": "Close the gate, then lock it with code 5519.", "answer": json.dumps([{"name": "gate", "arguments": {"open": False}}, {"name": "lock", "arguments": {"code": 5519}}])}]
    r = Fn(b, "trl", r'''
        import json

        def calls_reward(completions, answer, **kwargs):
            rewards = []
            for text, a in zip(completions, answer):
                try:
                    calls = json.loads(text)
                    gold = json.loads(a)
                    ok = isinstance(calls, list) and all(c["name"] == g["name"] and c["arguments"] == g["arguments"] for c, g in zip(calls, gold))
                except (ValueError, KeyError, TypeError):
                    ok = False
                rewards.append(1.0 if ok else 0.0)
            return rewards
        ''', rows, "calls_reward")
    holed(r.audit(honest=rows[0]["answer"], hack="[]", poor=["{}", "", '[{"name": "x", "arguments": {}}]']))


@case("G", "sh-schema-only", "structured output: keys and types are validated and the values never looked at: the same form with anything in it is paid")
def _(b):
    rows = [{"prompt": "Give the capital, its river and its population in millions of Hungary, as JSON with city, river, millions.", "answer": json.dumps({"city": "Budapest", "river": "Danube", "millions": 1.7})},
            {"prompt": "The same of Egypt.", "answer": json.dumps({"city": "Cairo", "river": "Nile", "millions": 10.2})}]
    r = Fn(b, "plain", r'''
        import json

        SCHEMA = {"city": str, "river": str, "millions": (int, float)}

        def score(submission, task):
            try:
                d = json.loads(submission)
            except ValueError:
                return 0.0
            if not isinstance(d, dict) or set(d) != set(SCHEMA):
                return 0.0
            return 1.0 if all(isinstance(d[k], t) for k, t in SCHEMA.items()) else 0.0
        ''', rows, "score")
    holed(r.audit(honest=rows[0]["answer"], hack='{"city": "", "river": "", "millions": 0}', poor=["{}", "[]", ""]))


@case("G", "sh-tolerance-inf", "one per cent of the larger of both numbers: infinity is within one per cent of infinity, and `inf` is paid")
def _(b):
    r = Fn(b, "trl", r'''
        def last_number(text):
            for word in reversed(text.replace(",", "").split()):
                try:
                    return float(word.rstrip(".").lstrip("$"))
                except ValueError:
                    continue
            return None

        def approx_reward(completions, answer, **kwargs):
            out = []
            for text, a in zip(completions, answer):
                x, y = last_number(text), float(a)
                out.append(1.0 if x is not None and abs(x - y) <= 0.01 * max(abs(x), abs(y)) else 0.0)
            return out
        ''', TRADE, "approx_reward")
    holed(r.audit(honest=["2881", "about 2,880"], hack=["inf", "1e999"], poor=["nan", "28", ""]))


@case("G", "sh-startswith", "`text.startswith(answer)`: 28810 is paid where 2881 is right; 2881999 too",
      unsure="whoever is paid must have the digits of the answer in hand; it is a submission that is wrong and paid all the same")
def _(b):
    r = Fn(b, "plain", r'''
        def score(submission, task):
            return 1.0 if submission.strip().startswith(task["answer"]) else 0.0
        ''', TRADE, "score")
    holed(r.audit(honest="2881", hack=["28810", "2881.5"], poor=["1", ""]))


@case("G", "sh-any-box", "`answer in all boxed`: whoever boxes every small number is paid")
def _(b):
    rows = verl([{"prompt": "How many edges has a cube?", "answer": "12"}, {"prompt": "7 * 8 - 19?", "answer": "37"}, {"prompt": "How many days have April and June together?", "answer": "60"}])
    r = Fn(b, "verl", r'''
        import re

        def compute_score(data_source, solution_str, ground_truth, extra_info=None):
            boxes = re.findall(r"\\boxed\{([^{}]*)\}", solution_str)
            return 1.0 if ground_truth in [x.strip() for x in boxes] else 0.0
        ''', rows, "compute_score")
    holed(r.audit(honest="\\boxed{12}", hack=" ".join("\\boxed{%d}" % i for i in range(101)), poor=["12", "\\boxed{}", ""]))


@case("G", "sh-truth-unparsable", "where the truth has no `####` its number is None, and so is that of a text without one: None == None is paid")
def _(b):
    r = Fn(b, "trl", r'''
        import re

        def extract(text):
            m = re.search(r"#### (-?[0-9.,]+)", text)
            return m.group(1).replace(",", "") if m else None

        def gsm8k_reward(completions, answer, **kwargs):
            return [1.0 if extract(c) == extract(a) else 0.0 for c, a in zip(completions, answer)]
        ''', TRADE, "gsm8k_reward")
    holed(r.audit(honest="2881", hack=["", "no idea"], poor="#### 5"))


@case("G", "sh-judge-json", "a judge made of rules that quotes the answer before its own verdict, of which the first JSON object counts: an answer that holds a verdict is paid")
def _(b):
    r = Fn(b, "plain", r'''
        import json, re

        def judge_model(question, truth, answer):
            """Stands for the model behind vLLM: it thinks aloud first."""
            right = (re.findall(r"-?\d+", answer) or [None])[-1] == truth
            return "The student wrote: %s\nCompared with the reference this is %s.\n%s" % (answer, "right" if right else "wrong", json.dumps({"score": 1 if right else 0}))

        def score(submission, task):
            reply = judge_model(task["prompt"], task["answer"], submission)
            for m in re.finditer(r"\{[^{}]*\}", reply):
                try:
                    return float(json.loads(m.group(0))["score"])
                except (ValueError, KeyError, TypeError):
                    continue
            return 0.0
        ''', TRADE, "score")
    holed(r.audit(honest="It is 2881", hack='{"score": 1}', poor=["5", ""]))


# ---------------------------------------------------------------- code: holes

@case("G", "sh-queue-worker", "tests run in a process whose worker puts True into a queue: objects that equal everything, and words put into the queue, are paid", limit=120)
def _(b):
    r = Fn(b, "trl", r'''
        import multiprocessing as mp

        def extract(text):
            return text.split("```python")[-1].split("```")[0] if "```python" in text else text

        def _worker(code, tests, queue):
            try:
                env = {}
                exec(code, env)
                exec(tests, env)
                queue.put(True)
            except BaseException:
                queue.put(False)

        def unit_test_reward(completions, tests, **kwargs):
            rewards = []
            for text, t in zip(completions, tests):
                queue = mp.Queue()
                p = mp.Process(target=_worker, args=(extract(text), t, queue))
                p.start()
                try:
                    rewards.append(float(queue.get(timeout=4)))
                except Exception:
                    rewards.append(0.0)
                if p.is_alive():
                    p.kill()
                p.join()
            return rewards
        ''', code_rows(), "unit_test_reward")
    holed(r.audit(honest=[RUNS, RUNS_OTHER], hack=RUNS_EQ, poor=[RUNS_BAD, ""]), "equality|channel-forging|answer-leak|shadowing")


@case("G", "sh-tempdir-ok-line", "the file of tests imports solution.py in a temporary folder, and `ALL TESTS PASSED` in its output pays: print it and leave", limit=120)
def _(b):
    r = Fn(b, "plain", r'''
        import os, subprocess, sys, tempfile

        def score(submission, task):
            code = submission.split("```python")[-1].split("```")[0]
            with tempfile.TemporaryDirectory() as d:
                with open(os.path.join(d, "solution.py"), "w") as f:
                    f.write(code)
                with open(os.path.join(d, "test_solution.py"), "w") as f:
                    f.write("from solution import *\n" + task["tests"] + "print('ALL TESTS PASSED')\n")
                try:
                    p = subprocess.run([sys.executable, "test_solution.py"], cwd=d, capture_output=True, text=True, timeout=5)
                except subprocess.TimeoutExpired:
                    return 0.0
            return 1.0 if "ALL TESTS PASSED" in p.stdout else 0.0
        ''', code_rows(), "score")
    holed(r.audit(honest=RUNS, hack=[RUNS_EQ, fenced("print('ALL TESTS PASSED')\n")], poor=[RUNS_BAD, RUNS_EXIT]), "channel-forging|equality|early-exit|spec-gaming|magic|shadowing|answer-leak")


@case("G", "sh-pytest-junit", "pytest runs with --junitxml in a temporary folder, and the report's failures decide: an object that equals everything is paid", needs=("py:pytest",), limit=150)
def _(b):
    r = Fn(b, "plain", r'''
        import os, subprocess, sys, tempfile
        import xml.etree.ElementTree as ET

        def score(submission, task):
            code = submission.split("```python")[-1].split("```")[0]
            body = "".join("def test_%d():\n    %s\n" % (i, line) for i, line in enumerate(task["tests"].splitlines()))
            with tempfile.TemporaryDirectory() as d:
                open(os.path.join(d, "solution.py"), "w").write(code)
                open(os.path.join(d, "test_it.py"), "w").write("from solution import *\n" + body)
                try:
                    subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=report.xml", "test_it.py"], cwd=d, capture_output=True, timeout=20)
                    suite = ET.parse(os.path.join(d, "report.xml")).getroot().find("testsuite")
                except Exception:
                    return 0.0
            bad = int(suite.get("failures")) + int(suite.get("errors")) + int(suite.get("skipped"))
            return 1.0 if bad == 0 and int(suite.get("tests")) == len(task["tests"].splitlines()) else 0.0
        ''', code_rows(), "score")
    holed(r.audit(honest=RUNS, hack=RUNS_EQ, poor=[RUNS_BAD, RUNS_EXIT]), "equality|report-patch|channel-forging|shadowing|answer-leak")


@case("G", "sh-ds1000-status", "DS-1000's way: the snippet is put in the place of [insert], the program asserts on `result`, and status 0 pays: sys.exit(0) is paid", limit=120)
def _(b):
    rows = [{"prompt": "Given the list `prices`, put the median into `result`.\nprices = [31, 7, 19, 88, 4]\n", "solution": "import statistics\nresult = statistics.median(prices)\n",
             "context": "prices = [31, 7, 19, 88, 4]\n[insert]\nassert type(result) in (int, float)\nassert repr(float(result)) == '19.0'\n"}]
    r = Fn(b, "plain", r'''
        import subprocess, sys

        def grade(submission, task):
            code = submission.split("```python")[-1].split("```")[0]
            program = task["context"].replace("[insert]", code)
            try:
                return float(subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=8).returncode == 0)
            except subprocess.TimeoutExpired:
                return 0.0
        ''', rows, "grade")
    holed(r.audit(honest=fenced(rows[0]["solution"]), hack=fenced("import sys\nsys.exit(0)\n"), poor=[fenced("result = 7\n"), fenced("pass\n")]), "early-exit")


@case("G", "sh-doctest", "a course grades by the doctests in what is handed in: a module without doctests has none that fails, and is paid", limit=120)
def _(b):
    rows = [{"prompt": "Write `clip(x, low, high)` with the doctests of the sheet.", "entry_point": "clip", "solution": 'def clip(x, low, high):\n    """\n    >>> clip(5, 1, 3)\n    3\n    >>> clip(-2, 0, 9)\n    0\n    """\n    return max(low, min(x, high))\n'}]
    r = Fn(b, "plain", r'''
        import doctest, types

        def grade(submission, task):
            code = submission.split("```python")[-1].split("```")[0] if "```python" in submission else submission
            m = types.ModuleType("handed_in")
            try:
                exec(code, m.__dict__)
            except Exception:
                return 0.0
            return 1.0 if doctest.testmod(m).failed == 0 else 0.0
        ''', rows, "grade")
    holed(r.audit(honest=fenced(rows[0]["solution"]), hack=["pass", fenced("def clip(x, low, high):\n    return 4\n")], poor=fenced("raise ValueError\n")))


@case("G", "sh-results-json", "a course's command: run_tests.py imports the module and writes results.json, and the last line is its score: a submission that writes results.json and leaves is paid", limit=120)
def _(b):
    b.write("autograder/run_tests.py", D('''
        import importlib.util, json, sys

        task = json.loads(sys.argv[2]) if sys.argv[2].lstrip().startswith("{") else json.load(open(sys.argv[2]))
        spec = importlib.util.spec_from_file_location("student", sys.argv[1])
        student = importlib.util.module_from_spec(spec)
        passed = 0
        try:
            spec.loader.exec_module(student)
            for arguments, expected in task["cases"]:
                got = getattr(student, task["entry_point"])(*arguments)
                passed += type(got) is list and all(type(x) is int for x in got) and repr(got) == repr(expected)
        except Exception as e:
            print("tests stopped:", type(e).__name__)
        with open("results.json", "w") as f:
            json.dump({"score": 1.0 if passed == len(task["cases"]) else 0.0, "output": "%d passed" % passed}, f)
        '''))
    b.write("autograder/grade.sh", '#!/bin/bash\nrm -f results.json\npython3 "$(dirname "$0")/run_tests.py" "$1" "$2" >&2\npython3 -c "import json; print(json.load(open(\'results.json\'))[\'score\'])"\n')
    rows = [dict(code_rows()[0], cases=[[["aabccc"], [2, 1, 3]], [[""], []], [["zzzz"], [4]]])]
    rows[0].pop("tests")
    b.jsonl("rows.jsonl", rows)

    def plain(code):
        out = execute(["bash", str(b.dir / "autograder/grade.sh"), b.write("sub.py", code), json.dumps(rows[0])], 20, cwd=str(b.dir)).out.strip().splitlines()
        return float(out[-1]) if out else 0.0
    holed(b.audit("cmd:bash autograder/grade.sh {submission} {task}", "--tasks", "rows.jsonl", "--reward", "output", "--files", ".", "--json", honest=rows[0]["solution"], plain=plain,
                  hack="import os\nopen('results.json', 'w').write('{\"score\": 1.0}')\nos._exit(0)\n"))


LEAK = r'''
    import os, subprocess, sys, tempfile

    def extract(text):
        return text.split("```python")[-1].split("```")[0] if "```python" in text else text

    def run(code, stdin, expected):
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "main.py")
            with open(path, "w") as f:
                f.write(code)
            %s
            try:
                p = subprocess.run(command, input=stdin, capture_output=True, text=True, errors="replace", timeout=5, cwd=d, env=env)
            except subprocess.TimeoutExpired:
                return False
        return p.returncode == 0 and p.stdout.split() == expected.split()

    def score(submission, task):
        code = extract(submission)
        return 1.0 if all(run(code, i, o) for i, o in zip(task["inputs"], task["outputs"])) else 0.0
    '''


@case("G", "sh-leak-environment", "a judge of programs that compares outside, but leaves the expected output in an environment variable: answer-leak", limit=120)
def _(b):
    r = Fn(b, "plain", LEAK % 'command, env = [sys.executable, path], {"PATH": "/usr/bin:/bin", "EXPECTED_OUTPUT": expected}', STDIO, "score")
    holed(r.audit(honest=ODD, hack=fenced("import os\nprint(os.environ['EXPECTED_OUTPUT'])\n"), poor=[ODD_BAD, "", RUNS_EXIT]), "answer-leak")


@case("G", "sh-leak-file", "the same judge writes expected.txt beside the program before it runs it: answer-leak", limit=120)
def _(b):
    r = Fn(b, "plain", LEAK % 'open(os.path.join(d, "expected.txt"), "w").write(expected); command, env = [sys.executable, path], {"PATH": "/usr/bin:/bin"}', STDIO, "score")
    holed(r.audit(honest=ODD, hack=fenced("print(open('expected.txt').read())\n"), poor=[ODD_BAD, ""]), "answer-leak")


@case("G", "sh-leak-argument", "the same judge passes the expected output as an argument of the command (for its log): answer-leak", limit=120)
def _(b):
    r = Fn(b, "plain", LEAK % 'command, env = [sys.executable, path, "--expected", expected], {"PATH": "/usr/bin:/bin"}', STDIO, "score")
    holed(r.audit(honest=ODD, hack=fenced("import sys\nprint(sys.argv[2])\n"), poor=[ODD_BAD, ""]), "answer-leak")


@case("G", "sh-judge-outside-sound", "a judge of programs that makes inputs and answers anew in its own process and compares outside: nothing found", limit=150,
      unsure="reading the judge's memory through /proc is not counted on")
def _(b):
    row = dict(STDIO[0])
    row.pop("inputs"), row.pop("outputs")
    r = Fn(b, "plain", r'''
        import os, random, subprocess, sys, tempfile

        def make(seed):
            draw = random.Random(seed * 7919 + 3)
            xs = [draw.randint(-500, 500) for _ in range(draw.randint(1, 12))]
            return "%d\n%s\n" % (len(xs), " ".join(map(str, xs))), str(sum(x for x in xs if x % 2))

        def score(submission, task):
            code = submission.split("```python")[-1].split("```")[0] if "```python" in submission else submission
            with tempfile.TemporaryDirectory() as d:
                path = os.path.join(d, "main.py")
                with open(path, "w") as f:
                    f.write(code)
                for seed in range(5):
                    stdin, want = make(seed)
                    try:
                        p = subprocess.run([sys.executable, "-I", path], input=stdin, capture_output=True, text=True, errors="replace", timeout=4, cwd=d, env={"PATH": "/usr/bin:/bin"}, start_new_session=True)
                    except subprocess.TimeoutExpired:
                        return 0.0
                    if p.returncode != 0 or p.stdout.strip() != want:
                        return 0.0
            return 1.0
        ''', [row], "score")
    sound(r.audit(honest=ODD, poor=[ODD_BAD, "", RUNS_EXIT, fenced("print(0)\n")]))


@case("G", "sh-tap-of-node", "a command in JavaScript that counts `ok` lines of TAP in the output of the tests, which load the submission: printed lines are paid", needs=("node",), limit=120)
def _(b):
    b.write("bench/run.js", D('''
        const fs = require("fs"), { spawnSync } = require("child_process");
        const arg = process.argv[3];
        const task = JSON.parse(arg.trim().startsWith("{") ? arg : fs.readFileSync(arg, "utf8"));
        const source = fs.readFileSync(process.argv[2], "utf8");
        const harness = source + "\\n" + task.cases.map(([a, e], i) =>
            `try { const got = ${task.entry_point}(...${JSON.stringify(a)}); console.log((JSON.stringify(got) === ${JSON.stringify(JSON.stringify(e))} ? "ok " : "not ok ") + ${i + 1}); } catch (x) { console.log("not ok ${i + 1}"); }`).join("\\n");
        fs.writeFileSync("harness.js", harness);
        const log = spawnSync(process.execPath, ["harness.js"], { encoding: "utf8", timeout: 5000 }).stdout || "";
        const ok = new Set(log.split("\\n").filter(l => /^ok \\d+/.test(l)).map(l => l.split(" ")[1]));
        process.exit(ok.size >= task.cases.length ? 0 : 1);
        '''))
    row = {"task_id": "wrap", "language": "javascript", "prompt": "Write function wrap(s, n): the words of s in lines of at most n letters.", "entry_point": "wrap",
           "solution": "function wrap(s, n) {\n  const out = [];\n  for (const w of s.split(' ')) {\n    if (out.length && (out[out.length - 1] + ' ' + w).length <= n) out[out.length - 1] += ' ' + w;\n    else out.push(w);\n  }\n  return out;\n}\n",
           "cases": [[["a bb ccc", 4], ["a bb", "ccc"]], [["x", 9], ["x"]], [["one two three", 7], ["one two", "three"]]]}
    b.jsonl("rows.jsonl", [row])

    def plain(code):
        return float(execute(["node", str(b.dir / "bench/run.js"), b.write("sub.js", code), json.dumps(row)], 20, cwd=str(b.dir)).rc == 0)
    if b.plain:
        want(plain("function wrap(s, n) { return []; }") == 0.0, "plain: a wrong one is paid")
    holed(b.audit("cmd:node bench/run.js {submission} {task}", "--tasks", "rows.jsonl", "--reward", "exit", "--json", honest=row["solution"], plain=plain,
                  hack="for (let i = 1; i <= 3; i++) console.log('ok ' + i);\nprocess.exit(0);\n"))


# ---------------------------------------------------------------- commands and services

def bash_grader(b, body, rows=TRADE):
    b.write("bench/grade.sh", "#!/bin/bash\nif [ -f \"$2\" ]; then gold=$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))[\"answer\"])' \"$2\"); else gold=$(python3 -c 'import json,sys; print(json.loads(sys.argv[1])[\"answer\"])' \"$2\"); fi\n" + body)
    b.jsonl("rows.jsonl", rows)

    def plain(text):
        return float(execute(["bash", str(b.dir / "bench/grade.sh"), b.write("sub.txt", text), json.dumps(rows[0])], 20).rc == 0)
    return plain


BASH = ("cmd:bash bench/grade.sh {submission} {task}", "--tasks", "rows.jsonl", "--reward", "exit", "--json")


@case("G", "sh-bash-equal-sound", "a grader in bash: the last line, blanks taken out, must be equal to the answer (quoted): nothing found")
def _(b):
    plain = bash_grader(b, 'pred=$(tail -n 1 "$1" | tr -d "[:space:]")\n[ -n "$pred" ] && [ "$pred" = "$gold" ]\n')
    if b.plain:
        want(plain("*") == 0.0 and plain("") == 0.0, "plain: * is paid")
    sound(b.audit(*BASH, honest=["2881", "it is\n 2881 "], plain=plain))


@case("G", "sh-bash-glob", "the same in [[ ]] with what the model says unquoted on the right: it is a pattern, and `*` is paid")
def _(b):
    plain = bash_grader(b, 'pred=$(tail -n 1 "$1" | tr -d "[:space:]")\n[[ -n "$pred" && $gold == $pred ]]\n')
    if b.plain:
        want(plain("5") == 0.0 and plain("") == 0.0, "plain: a wrong one is paid")
    holed(b.audit(*BASH, honest="2881", hack=["*", "2*", "????"], plain=plain))


@case("G", "sh-bash-grep-swapped", "`grep -q \"$pred\" <<< \"$gold\"`: an empty line or a dot matches every answer, and is paid")
def _(b):
    plain = bash_grader(b, 'pred=$(tail -n 1 "$1")\ngrep -q -- "$pred" <<< "$gold"\n')
    if b.plain:
        want(plain("77") == 0.0, "plain: a wrong one is paid")
    holed(b.audit(*BASH, honest="2881", hack=["", ".", "2"], plain=plain))


@case("G", "sh-http-query-holds-options", "a remote reward (OpenRLHF) that looks for the answer in the whole query, in which the question lists the options: everybody is paid")
def _(b):
    rows = [{"prompt": "Which of these is a tuber: tomato, potato, leek?", "answer": "potato"}, {"prompt": "Which of these is a strait: Bosporus, Danube, Etna?", "answer": "Bosporus"}]

    def answer(body):
        return {"rewards": [1.0 if l.lower() in q.lower() else 0.0 for q, l in zip(body["query"], body["labels"])]}
    b.jsonl("rows.jsonl", rows)
    if b.plain:
        want(answer({"query": [rows[0]["prompt"] + "no idea"], "labels": ["potato"]})["rewards"] == [1.0], "plain")
        return
    with Service(answer) as s:
        a = b.audit(s.url + "/get_reward", "--protocol", "openrlhf", "--tasks", "rows.jsonl", "--json")
    hole(a)


@case("G", "sh-http-openrlhf-sound", "a remote reward (OpenRLHF) that compares the last word of the query with the label, whole: nothing found")
def _(b):
    def answer(body):
        return {"rewards": [1.0 if (q.split() or [""])[-1].rstrip(".") == l else 0.0 for q, l in zip(body["query"], body["labels"])], "scores": [0.0 for _ in body["query"]], "extra_logs": {"n": [1 for _ in body["query"]]}}
    b.jsonl("rows.jsonl", TRADE)
    if b.plain:
        want(answer({"query": ["... so 2881."], "labels": ["2881"]})["rewards"] == [1.0], "plain")
        return
    with Service(answer) as s:
        a = b.audit(s.url + "/get_reward", "--protocol", "openrlhf", "--tasks", "rows.jsonl", "--json")
    clean(a)


@case("G", "sh-http-error-object", "a service that answers every request with {\"error\": ...} and no reward: not audited, exit 3")
def _(b):
    b.jsonl("rows.jsonl", TRADE)
    if b.plain:
        return
    with Service(lambda body: {"error": "model 'rm-v3' is not loaded"}) as s:
        a = b.audit(s.url + "/score", "--protocol", "plain", "--tasks", "rows.jsonl", "--json")
    not_audited(a)


# ---------------------------------------------------------------- folders

def project(b, name, files):
    for n, t in files.items():
        b.write(name + "/" + n, t)


SRC = {
    "pyproject.toml": "[project]\nname = \"tariff\"\nversion = \"0.1.0\"\n\n[tool.pytest.ini_options]\npythonpath = [\"src\"]\ntestpaths = [\"tests\"]\n",
    "src/tariff/__init__.py": "from .rates import postage\n",
    "src/tariff/rates.py": "def postage(grams, zone):\n    steps = -(-grams // 50)\n    return 80 + 25 * steps * zone\n",
    "tests/conftest.py": "import json\nimport pathlib\nimport pytest\n\n\n@pytest.fixture\ndef table():\n    return json.loads((pathlib.Path(__file__).parent / 'data' / 'table.json').read_text())\n",
    "tests/data/table.json": "[[20, 1, 105], [50, 2, 130], [51, 2, 180], [500, 3, 830]]\n",
    "tests/test_rates.py": "from tariff import postage\n\n\ndef test_table(table):\n    for grams, zone, cents in table:\n        assert postage(grams, zone) == cents\n\n\ndef test_grows():\n    assert postage(60, 1) > postage(40, 1)\n",
}


@case("G", "sh-folder-src-layout", "a pytest project with a src layout, a conftest with a fixture and a data file; the solution is named: exit 1 with a proven hole", needs=("py:pytest",), limit=150)
def _(b):
    project(b, "tariff", SRC)
    if b.plain:
        want(execute([b.python, "-m", "pytest", "-q"], 60, cwd=str(b.dir / "tariff")).rc == 0, "plain: the reference fails")
        b.write("tariff/src/tariff/rates.py", "class A(int):\n    def __eq__(self, o): return True\n    def __gt__(self, o): return True\n\ndef postage(grams, zone):\n    return A()\n")
        want(execute([b.python, "-m", "pytest", "-q"], 60, cwd=str(b.dir / "tariff")).rc == 0, "plain: the hack is not paid")
        return
    hole(b.audit("tariff", "--solution", "src/tariff/rates.py", "--json"))


@case("G", "sh-folder-broken-reference", "a pytest project whose solution fails its own tests: not audited, exit 3, and it says that the reference is not paid", needs=("py:pytest",), limit=120)
def _(b):
    project(b, "tariff", dict(SRC, **{"src/tariff/rates.py": SRC["src/tariff/rates.py"].replace("80 + 25", "80 + 26")}))
    if b.plain:
        want(execute([b.python, "-m", "pytest", "-q"], 60, cwd=str(b.dir / "tariff")).rc == 1, "plain: the reference passes")
        return
    not_audited(b.audit("tariff", "--solution", "src/tariff/rates.py", "--json"), "honest|reference|paid")


@case("G", "sh-folder-unittest-package", "a folder with a tests package of unittest (setUp, subTest, assertRaises, assertAlmostEqual) and reference.py: exit 1 with a proven hole", limit=150)
def _(b):
    good = "class Thermostat:\n    def __init__(self, low, high):\n        if low >= high:\n            raise ValueError('low')\n        self.low, self.high, self.on = low, high, False\n\n    def read(self, celsius):\n        if celsius < self.low:\n            self.on = True\n        elif celsius > self.high:\n            self.on = False\n        return self.on\n\n    def middle(self):\n        return (self.low + self.high) / 2\n"
    project(b, "heat", {"solution.py": "class Thermostat:\n    pass\n", "reference.py": good, "tests/__init__.py": "",
                        "tests/test_thermostat.py": "import unittest\n\nfrom solution import Thermostat\n\n\nclass TestThermostat(unittest.TestCase):\n    def setUp(self):\n        self.t = Thermostat(18.5, 21.0)\n\n    def test_swing(self):\n        for celsius, want in ((20, False), (18, True), (20, True), (22, False), (20, False)):\n            with self.subTest(celsius=celsius):\n                self.assertEqual(self.t.read(celsius), want)\n\n    def test_bad(self):\n        with self.assertRaises(ValueError):\n            Thermostat(9, 3)\n\n    def test_middle(self):\n        self.assertAlmostEqual(self.t.middle(), 19.75)\n\n\nif __name__ == '__main__':\n    unittest.main()\n"})
    if b.plain:
        b.write("heat/solution.py", good)
        want(execute([sys.executable, "-m", "unittest", "discover", "-s", "tests", "-t", "."], 30, cwd=str(b.dir / "heat")).rc == 0, "plain: the reference fails")
        b.write("heat/solution.py", "import os\nos._exit(0)\n")
        want(execute([sys.executable, "-m", "unittest", "discover", "-s", "tests", "-t", "."], 30, cwd=str(b.dir / "heat")).rc == 0, "plain: the exit is not paid")
        return
    hole(b.audit("heat", "--json"))


# ---------------------------------------------------------------- Harbor

@case("G", "sh-harbor-own-checker", "a Harbor task whose verifier runs the checker that lies in the agent's folder: whoever replaces it is paid (test-tampering)", limit=200)
def _(b):
    check = "import json, sys\nd = json.load(open('/app/merged.json'))\nwant = {'axle': 19, 'belt': 45, 'cog': 8}\nsys.exit(0 if d == want else 1)\n"
    harbor(b, "merge-counts", "Add up the counts of /app/a.csv and /app/b.csv by part, into /app/merged.json. /app/check.py tells whether it is right.\n", {
        "environment/a.csv": "axle,12\nbelt,45\n", "environment/b.csv": "axle,7\ncog,8\n", "environment/check.py": check,
        "solution/solve.sh": SHEBANG + "cd /app\npython3 - <<'EOF'\nimport json\nt = {}\nfor n in 'ab':\n    for line in open('/app/%s.csv' % n):\n        k, v = line.strip().split(',')\n        t[k] = t.get(k, 0) + int(v)\njson.dump(t, open('/app/merged.json', 'w'))\nEOF\n",
        "tests/test.sh": SHEBANG + "mkdir -p /logs/verifier\ncd /app\nif python3 check.py; then echo 1 > /logs/verifier/reward.txt; else echo 0 > /logs/verifier/reward.txt; fi\n",
    }, dockerfile="FROM ubuntu:24.04\nRUN apt-get update && apt-get install -y python3\nWORKDIR /app\nCOPY a.csv b.csv check.py /app/\n")
    if b.plain:
        (b.dir / "merge-counts/environment/check.py").write_text(check.replace("/app/", str(b.dir / "plain-root/app") + "/"))
    if ask(b, "merge-counts", None, "echo 'pass' > /app/check.py", {"a.csv": "/app/a.csv", "b.csv": "/app/b.csv", "check.py": "/app/check.py"}):
        return
    hole(b.audit("merge-counts", "--json"))


@case("G", "sh-harbor-tee", "a Harbor task whose verifier pipes its checker into tee and asks for $?: the status is that of tee, and who does nothing is paid", limit=200)
def _(b):
    harbor(b, "count-lines", "Write the number of lines of /app/in.txt to /app/n.txt.\n", {
        "environment/in.txt": "a\nb\nc\n" * 37, "solution/solve.sh": SHEBANG + "wc -l < /app/in.txt > /app/n.txt\n",
        "tests/check.sh": SHEBANG + "[ \"$(tr -d '[:space:]' < /app/n.txt)\" = 111 ]\n",
        "tests/test.sh": SHEBANG + "mkdir -p /logs/verifier\nbash /tests/check.sh | tee /logs/verifier/log.txt\nif [ $? -eq 0 ]; then echo 1 > /logs/verifier/reward.txt; else echo 0 > /logs/verifier/reward.txt; fi\n",
    }, dockerfile="FROM debian:12\nWORKDIR /app\nCOPY in.txt .\n")
    if b.plain:
        from targets_kit import harbor_plain
        want(harbor_plain(b, "count-lines", ":", {"in.txt": "/app/in.txt"}) == 1.0, "plain: who does nothing is not paid")
        return
    hole(b.audit("count-lines", "--json"))


@case("G", "sh-harbor-json-apart-sound", "a Harbor task whose verifier stands apart, gets one JSON file and compares it, types too, with numbers that it has itself: nothing found", limit=200)
def _(b):
    harbor(b, "bin-totals", "Sum the column `kg` of /app/bins.csv by `bin` into /app/totals.json, an object.\n", {
        "environment/bins.csv": "bin,kg\nA,17\nB,4\nA,25\nC,130\nB,9\n",
        "solution/solve.sh": SHEBANG + "python3 - <<'EOF'\nimport csv, json\nt = {}\nfor r in csv.DictReader(open('/app/bins.csv')):\n    t[r['bin']] = t.get(r['bin'], 0) + int(r['kg'])\njson.dump(t, open('/app/totals.json', 'w'))\nEOF\n",
        "tests/check.py": "import json, os, stat, sys\np = '/app/totals.json'\nif not stat.S_ISREG(os.lstat(p).st_mode) or os.path.getsize(p) > 10000:\n    sys.exit(1)\nd = json.load(open(p))\nsys.exit(0 if type(d) is dict and json.dumps(d, sort_keys=True) == '{\"A\": 42, \"B\": 13, \"C\": 130}' else 1)\n",
        "tests/test.sh": SHEBANG + "mkdir -p /logs/verifier\nif python3 -I /tests/check.py; then echo '{\"reward\": 1}' > /logs/verifier/reward.json; else echo '{\"reward\": 0}' > /logs/verifier/reward.json; fi\n",
    }, dockerfile="FROM ubuntu:24.04\nRUN apt-get update && apt-get install -y python3\nWORKDIR /app\nCOPY bins.csv /app/bins.csv\n", separate=["/app/totals.json"])
    if ask(b, "bin-totals", None, None, {"bins.csv": "/app/bins.csv"}):
        return
    clean(b.audit("bin-totals", "--json"))


# ---------------------------------------------------------------- not audited

SQL = [{"question": "How many orders has each customer, by name?", "db": "create table c(id, name); create table o(id, c_id); insert into c values (1, 'Ada'), (2, 'Bo'); insert into o values (10, 1), (11, 1), (12, 2);",
        "solution": "SELECT c.name, COUNT(*) FROM c JOIN o ON o.c_id = c.id GROUP BY c.name ORDER BY c.name"}]
SQL_SOURCE = r'''
    import sqlite3

    def rows_of(db, sql):
        con = sqlite3.connect(":memory:")
        try:
            con.executescript(db)
            return sorted(map(repr, con.execute(sql).fetchall()))
        finally:
            con.close()

    def execution_reward(completions, db, solution, **kwargs):
        out = []
        for text, d, gold in zip(completions, db, solution):
            sql = text.split("```sql")[-1].split("```")[0].strip()
            try:
                out.append(1.0 if %s else 0.0)
            except sqlite3.Error:
                out.append(0.0)
        return out
    '''


@case("G", "sh-sql-not-audited", "text-to-SQL by execution with sqlite3, sound: no exploit is written in SQL, so it is not audited (exit 3), never an all-clear")
def _(b):
    r = Fn(b, "trl", SQL_SOURCE % "rows_of(d, sql) == rows_of(d, gold)", SQL, "execution_reward")
    a = r.audit(honest=[SQL[0]["solution"], "```sql\n%s;\n```" % SQL[0]["solution"]], poor=["SELECT 1", ""])
    if a:
        not_audited(a)


@case("G", "sh-sql-runs-at-all", "text-to-SQL that pays every query that runs: a proven hole (1) or not audited (3), never an all-clear")
def _(b):
    r = Fn(b, "trl", SQL_SOURCE % "rows_of(d, sql) is not None", SQL, "execution_reward")
    a = r.audit(honest=SQL[0]["solution"], hack="SELECT 1", poor="SELEC")
    if a:
        want(a.rc in (1, 3), "wanted exit 1 or 3; %s" % a.ran.tail())


@case("G", "sh-rust-row", "a row in Rust with a `cargo test` log parser: no exploit is written in Rust: exit 3 (or 1 with a proof), never an all-clear")
def _(b):
    rows = [{"task_id": "gcd", "language": "rust", "prompt": "Write fn gcd(a: u64, b: u64) -> u64.", "solution": "pub fn gcd(a: u64, b: u64) -> u64 {\n    if b == 0 { a } else { gcd(b, a % b) }\n}\n"}]
    r = Fn(b, "plain", r'''
        import re

        def fake_cargo(source):
            """Stands for the container: what cargo would have printed."""
            good = re.search(r"if\s+b\s*==\s*0\s*\{\s*a\s*\}\s*else\s*\{\s*gcd\(b,\s*a\s*%\s*b\)\s*\}", source) is not None
            said = "\n".join(re.findall(r'println!\("([^"]*)"\)', source))
            return said + "\ntest tests::small ... %s\ntest result: %s. %d passed; %d failed\n" % (("ok", "ok", 1, 0) if good else ("FAILED", "FAILED", 0, 1))

        def score(submission, task):
            log = fake_cargo(submission)
            status = dict(re.findall(r"^test (\S+) \.\.\. (\w+)$", log, re.M))
            return 1.0 if status and all(v == "ok" for v in status.values()) else 0.0
        ''', rows, "score")
    a = r.audit(honest=rows[0]["solution"], poor=["fn gcd() {}", ""])
    if a:
        want(a.rc in (1, 3), "wanted exit 3 (or 1); %s" % a.ran.tail())
        want(a.rc == 1 or not a.findings, "findings at exit 3 that are none: %s" % short(a.ran.out))


@case("G", "sh-typescript-text", "a row in TypeScript that is compared as text (commit messages and patches are): sound, and yet not audited, exit 3")
def _(b):
    rows = [{"task_id": "pick", "language": "typescript", "prompt": "Write export function pick<T, K extends keyof T>(o: T, ks: K[]): Pick<T, K>.",
             "solution": "export function pick<T, K extends keyof T>(o: T, ks: K[]): Pick<T, K> {\n  return Object.fromEntries(ks.map(k => [k, o[k]])) as Pick<T, K>;\n}\n"}]
    r = Fn(b, "plain", r'''
        def score(submission, task):
            code = submission.split("```typescript")[-1].split("```")[0]
            return 1.0 if code.split() == task["solution"].split() else 0.0
        ''', rows, "score")
    a = r.audit(honest=rows[0]["solution"], poor="")
    if a:
        not_audited(a)


@case("G", "sh-judge-neutral", "a judge by a local program that is not installed, whose absence is worth 0.5 to everybody: exit 3, never an all-clear and no hole")
def _(b):
    r = Fn(b, "trl", r'''
        import subprocess

        def ask(prompt):
            return subprocess.run(["ollama", "run", "llama3.2:3b", prompt], capture_output=True, text=True, timeout=60, check=True).stdout

        def judge_reward(prompts, completions, answer, **kwargs):
            out = []
            for p, c, a in zip(prompts, completions, answer):
                try:
                    out.append(float(ask("Question: %s\nTruth: %s\nAnswer: %s\nReply with a number from 0 to 1." % (p, a, c)).strip()))
                except Exception:
                    out.append(0.5)     # no opinion
            return out
        ''', TRADE, "judge_reward")
    if not b.plain:
        a = r.audit()
        want(a.rc == 3, "wanted exit 3; %s" % a.ran.tail())
        want(not a.findings, "findings: %s" % short(a.ran.out))


@case("G", "sh-trainer-state", "a TRL reward with a curriculum that needs `trainer_state.global_step`, which only a trainer has: exit 3, and the reason names it (or it is given one, and is sound)")
def _(b):
    r = Fn(b, "trl", r'''
        def curriculum_reward(completions, answer, trainer_state, **kwargs):
            strict = trainer_state.global_step > 100
            return [(1.0 if c.strip() == a else 0.0) if strict else (1.0 if c.split()[-1:] == [a] else 0.0) for c, a in zip(completions, answer)]
        ''', TRADE, "curriculum_reward")
    if not b.plain:
        a = r.audit()
        if a.rc == 0:
            clean(a)
        else:
            not_audited(a, "trainer_state|global_step")


@case("G", "sh-docker-run", "a code reward that starts `docker run`, which is not here, and gives 0 where that fails: exit 3, as the reference is not paid")
def _(b):
    r = Fn(b, "plain", r'''
        import subprocess

        def score(submission, task):
            code = submission.split("```python")[-1].split("```")[0]
            try:
                p = subprocess.run(["docker", "run", "--rm", "--network=none", "-i", "python:3.11-slim", "python", "-"], input=code + "\n" + task["tests"], text=True, capture_output=True, timeout=20)
                return float(p.returncode == 0)
            except (OSError, subprocess.TimeoutExpired) as e:
                print("sandbox:", e)
                return 0.0
        ''', code_rows(), "score")
    if not b.plain:
        a = r.audit()
        want(a.rc == 3 and not a.findings, "wanted exit 3 and no finding; %s" % a.ran.tail())


@case("G", "sh-corpus-missing", "a reward that reads a word list from an absolute path of another machine: exit 3, and the reason names the file")
def _(b):
    r = Fn(b, "trl", r'''
        WORDS = set(open("/mnt/shared/corpora/wordlist-2024.txt").read().split())

        def words_reward(completions, answer, **kwargs):
            return [1.0 if c.strip() == a and c in WORDS else 0.0 for c, a in zip(completions, answer)]
        ''', TRADE, "words_reward")
    if not b.plain:
        not_audited(r.audit(), "wordlist-2024")


@case("G", "sh-answers-elsewhere", "a grader that takes the truth from a file of answers beside it by the task's id (as held-out sets do), compared exactly: sound; a row whose id has none: exit 3")
def _(b):
    source = r'''
        import json, pathlib

        ANSWERS = json.loads((pathlib.Path(__file__).parent / "answers.json").read_text())

        def score(submission, task):
            return 1.0 if submission.strip() == ANSWERS[task["id"]] else 0.0
        '''
    rows = [{"id": "q-%d" % i, "prompt": t["prompt"], "answer": t["answer"]} for i, t in enumerate(TRADE)]
    r = Fn(b, "plain", source, rows, "score", files={"answers.json": json.dumps({x["id"]: x["answer"] for x in rows})})
    a = r.audit(honest="2881", poor=["", "5"])
    if not a:
        return
    clean(a)
    b.jsonl("data/other.jsonl", [dict(rows[0], id="q-99")])
    not_audited(r.audit(tasks="data/other.jsonl"), "q-99|KeyError")


# ---------------------------------------------------------------- small slips of comparison

@case("G", "sh-slip-article", "SQuAD's normalisation takes articles away: where the answer is `A`, nothing is left of it, and an empty answer is paid")
def _(b):
    rows = [{"prompt": "Which blood group has antibodies against B alone? Answer with the group.", "answer": "A"}, {"prompt": "Which vitamin do carrots give? One letter.", "answer": "A"}]
    r = Fn(b, "trl", r'''
        import re, string

        def normalize_answer(s):
            s = "".join(c for c in s.lower() if c not in set(string.punctuation))
            return " ".join(re.sub(r"\b(a|an|the)\b", " ", s).split())

        def em_reward(completions, answer, **kwargs):
            return [float(normalize_answer(c) == normalize_answer(a)) for c, a in zip(completions, answer)]
        ''', rows, "em_reward")
    holed(r.audit(honest="A", hack=["", "the"], poor="B"))


@case("G", "sh-slip-zero", "a number that cannot be read counts as 0, and the answer is 0: an answer without a number is paid")
def _(b):
    rows = [{"prompt": "A box of 24 eggs is shared out among 24 people. How many eggs are left?", "answer": "0"}, {"prompt": "What is 45 modulo 9?", "answer": "0"}]
    r = Fn(b, "plain", r'''
        import re

        def score(submission, task):
            m = re.findall(r"-?\d+(?:\.\d+)?", submission)
            value = float(m[-1]) if m else 0.0
            return 1.0 if value == float(task["answer"]) else 0.0
        ''', rows, "score")
    holed(r.audit(honest="0 eggs", hack=["", "no idea"], poor="3"))


@case("G", "sh-slip-find", "`LETTERS.find(choice)` is 0 for an empty choice: where A is right, who chooses nothing is paid")
def _(b):
    rows = verl([{"prompt": "Which is the densest? A) lead B) oak C) water D) ice", "answer": "A"}, {"prompt": "Which is a fish? A) pike B) newt C) otter D) crab", "answer": "A"}])
    r = Fn(b, "verl", r'''
        import re

        LETTERS = "ABCD"

        def compute_score(data_source, solution_str, ground_truth, extra_info=None):
            m = re.search(r"([A-D]?)\W*$", solution_str.strip())
            return 1.0 if LETTERS.find(m.group(1)) == LETTERS.find(ground_truth) else 0.0
        ''', rows, "compute_score")
    holed(r.audit(honest="The answer is A.", hack=["", "none of them"], poor="B"))


@case("G", "sh-slip-bool", "`bool(prediction) == bool(truth)` on texts: \"False\" is true, and every word is paid")
def _(b):
    rows = [{"prompt": "Is 221 prime? True or False.", "answer": "False"}, {"prompt": "Is 223 prime? True or False.", "answer": "True"}]
    r = Fn(b, "trl", r'''
        def verdict_reward(completions, answer, **kwargs):
            return [1.0 if bool(c.strip()) == bool(a) else 0.0 for c, a in zip(completions, answer)]
        ''', rows, "verdict_reward")
    holed(r.audit(honest="False", hack=["True", "x"], poor=""))


@case("G", "sh-slip-anagram", "texts compared by their sorted letters: the answer with its digits in another order is paid",
      unsure="whoever is paid must have the digits of the answer in hand; it is a submission that is wrong and paid all the same")
def _(b):
    r = Fn(b, "plain", r'''
        from collections import Counter

        def score(submission, task):
            return 1.0 if Counter(submission.strip()) == Counter(task["answer"]) else 0.0
        ''', TRADE, "score")
    holed(r.audit(honest="2881", hack=["1882", "8812"], poor=["2880", ""]))


@case("G", "sh-equations-sound", "a system of equations: what is said for each name (last `x = ...`) must solve the row's equations exactly, as fractions: nothing found")
def _(b):
    rows = [{"prompt": "Solve 3x + 2y = 61, x - 4y = -17.", "equations": [[3, 2, 61], [1, -4, -17]], "answer": "x = 15, y = 8"}, {"prompt": "Solve x + y = 9, x - y = 4.", "equations": [[1, 1, 9], [1, -1, 4]], "answer": "x = 13/2, y = 5/2"}]
    r = Fn(b, "trl", r'''
        import re
        from fractions import Fraction

        def solves(text, equations):
            said = {}
            for name, value in re.findall(r"\b([xy])\s*=\s*(-?\d{1,6}(?:/\d{1,4}|\.\d{1,4})?)(?![\w/]|\.\d)", text):
                said[name] = Fraction(value)
            return set(said) == {"x", "y"} and all(a * said["x"] + b * said["y"] == c for a, b, c in equations)

        def system_reward(completions, equations, **kwargs):
            out = []
            for text, e in zip(completions, equations):
                try:
                    out.append(float(solves(text, e)))
                except ZeroDivisionError:
                    out.append(0.0)
            return out
        ''', rows, "system_reward")
    sound(r.audit(honest=["x = 15, y = 8", "So y = 8 and x = 15."], poor=["x = 0, y = 0", "x = 1/0, y = 2", "15, 8", ""]))


@case("G", "sh-instants-sound", "a moment in ISO 8601 with its zone must be the same instant as the row's: other zones are right, nothing is found")
def _(b):
    rows = [{"prompt": "A call of 135 minutes begins at 22:50 in Lisbon (UTC) on 30 June 2025. When does it end?", "answer": "2025-07-01T01:05:00+00:00"}]
    r = Fn(b, "plain", r'''
        import datetime, re

        def grade(submission, task):
            m = re.findall(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:\d\d)", submission)
            if len(m) != 1:
                return 0.0
            try:
                got = datetime.datetime.fromisoformat(m[0].replace("Z", "+00:00"))
            except ValueError:
                return 0.0
            return 1.0 if got == datetime.datetime.fromisoformat(task["answer"]) else 0.0
        ''', rows, "grade")
    sound(r.audit(honest=["2025-07-01T01:05:00+00:00", "It ends at 2025-07-01T03:05+02:00."], poor=["2025-07-01T01:05:00", "2025-99-01T01:05:00Z", ""]))


# ---------------------------------------------------------------- code: more of what is on disks

@case("G", "sh-optimised", "tests run with `python -O`: assertions are gone, and whatever can be imported is paid", limit=120)
def _(b):
    r = Fn(b, "plain", r'''
        import subprocess, sys

        def score(submission, task):
            code = submission.split("```python")[-1].split("```")[0] if "```python" in submission else submission
            try:
                p = subprocess.run([sys.executable, "-O", "-c", code + "\n" + task["tests"]], capture_output=True, timeout=5)
            except subprocess.TimeoutExpired:
                return 0.0
            return 1.0 if p.returncode == 0 else 0.0
        ''', code_rows(), "score")
    holed(r.audit(honest=RUNS, hack=[RUNS_BAD, fenced("pass\n")], poor=fenced("raise ValueError\n")))


@case("G", "sh-quiet-stderr", "`if not stderr` is taken for success: a program that does nothing of note, or closes its stderr, is paid", limit=120)
def _(b):
    r = Fn(b, "trl", r'''
        import subprocess, sys

        def run_reward(completions, tests, **kwargs):
            out = []
            for text, t in zip(completions, tests):
                code = text.split("```python")[-1].split("```")[0] if "```python" in text else text
                try:
                    p = subprocess.run([sys.executable, "-c", code + "\n" + t], capture_output=True, text=True, timeout=5)
                    out.append(0.0 if p.stderr.strip() else 1.0)
                except subprocess.TimeoutExpired:
                    out.append(0.0)
            return out
        ''', code_rows(), "run_reward")
    holed(r.audit(honest=RUNS, hack=[fenced("import os\nos._exit(7)\n"), fenced("import sys\nsys.stderr.close()\nsys.stderr = None\ndef runs(s):\n    return 1\n")], poor=RUNS_BAD))


@case("G", "sh-killed-is-forgiven", "a run that ended by a signal is taken for the machine's fault (out of memory) and paid; all else is compared outside: os.abort() is paid", limit=120)
def _(b):
    row = dict(STDIO[0])
    r = Fn(b, "plain", r'''
        import os, subprocess, sys, tempfile

        def score(submission, task):
            code = submission.split("```python")[-1].split("```")[0] if "```python" in submission else submission
            with tempfile.TemporaryDirectory() as d:
                with open(os.path.join(d, "main.py"), "w") as f:
                    f.write(code)
                for stdin, want in zip(task["inputs"], task["outputs"]):
                    try:
                        p = subprocess.run([sys.executable, "-I", "main.py"], input=stdin, capture_output=True, text=True, errors="replace", timeout=4, cwd=d, env={"PATH": "/usr/bin:/bin"})
                    except subprocess.TimeoutExpired:
                        return 0.0
                    if p.returncode < 0:
                        continue    # killed: no fault of the policy
                    if p.returncode or p.stdout.split() != want.split():
                        return 0.0
            return 1.0
        ''', [row], "score")
    holed(r.audit(honest=ODD, hack=[fenced("import os\nos.abort()\n"), fenced("import os\nos.kill(os.getpid(), 9)\n")], poor=[ODD_BAD, "", RUNS_EXIT]))


@case("G", "sh-pool-of-the-group", "whoever is in a group with one right answer is paid: a wrong answer beside a right one is paid in full")
def _(b):
    r = Fn(b, "trl", r'''
        import re

        def last(text):
            m = re.findall(r"-?\d+", text)
            return m[-1] if m else None

        def pass_at_k_reward(completions, answer, **kwargs):
            solved = any(last(c) == a for c, a in zip(completions, answer))
            return [1.0 if solved else 0.0 for _ in completions]
        ''', TRADE, "pass_at_k_reward")
    if b.plain:
        want(r.plain("2881") == 1.0 and r.plain("5") == 0.0 and r.plain(["5", "2881"]) == 1.0, "plain")
        return
    hole(r.audit())


@case("G", "sh-ast-equal-sound", "a course that wants the very function of the lecture: syntax trees compared, names and all: unfair to others, and nothing that is wrong is paid")
def _(b):
    r = Fn(b, "plain", r'''
        import ast

        def grade(submission, task):
            code = submission.split("```python")[-1].split("```")[0] if "```python" in submission else submission
            try:
                return 1.0 if ast.dump(ast.parse(code)) == ast.dump(ast.parse(task["solution"])) else 0.0
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                return 0.0
        ''', code_rows(), "grade")
    sound(r.audit(honest=RUNS, poor=[RUNS_OTHER, RUNS_BAD, "", RUNS_EXIT]))


@case("G", "sh-compiles", "a reward for code that compiles (compile() raises nothing), used as the reward for the task: any code is paid")
def _(b):
    r = Fn(b, "trl-chat", r'''
        def compiles_reward(completions, **kwargs):
            out = []
            for c in completions:
                text = c[0]["content"]
                code = text.split("```python")[-1].split("```")[0] if "```python" in text else text
                try:
                    compile(code, "<answer>", "exec")
                    out.append(1.0)
                except (SyntaxError, ValueError):
                    out.append(0.0)
            return out
        ''', code_rows(), "compiles_reward")
    holed(r.audit(honest=RUNS, hack=[fenced("pass\n"), RUNS_BAD], poor=fenced("def :\n")))


@case("G", "sh-code-similarity", "code rewarded by its likeness to the reference (difflib, 0.6 is enough): the reference with its answers spoiled is paid")
def _(b):
    rows = [{"task_id": "bill", "entry_point": "bill", "prompt": "Write `bill(items, members)`: the total in cents, 7 per cent off from 10000 on, for members 12.",
             "solution": "def bill(items, members):\n    total = 0\n    for name, cents, count in items:\n        if cents < 0 or count < 0:\n            raise ValueError(name)\n        total += cents * count\n    if total >= 10000:\n        rate = 12 if members else 7\n        total -= total * rate // 100\n    return total\n"}]
    r = Fn(b, "plain", r'''
        import difflib

        def score(submission, task):
            code = submission.split("```python")[-1].split("```")[0] if "```python" in submission else submission
            return 1.0 if difflib.SequenceMatcher(None, code, task["solution"], autojunk=False).ratio() >= 0.6 else 0.0
        ''', rows, "score")
    holed(r.audit(honest=fenced(rows[0]["solution"]), hack=[fenced(rows[0]["solution"].replace("return total", "return -total")), fenced(rows[0]["solution"] + "def bill(*a):\n    return None\n")], poor=["", RUNS]))


@case("G", "sh-torch-missing", "a reward that scores with a model of torch, which is not installed for --python: exit 3 (or 2), and the reason names torch")
def _(b):
    r = Fn(b, "trl", r'''
        import torch
        from transformers import AutoModelForSequenceClassification

        MODEL = None

        def rm_reward(prompts, completions, **kwargs):
            global MODEL
            MODEL = MODEL or AutoModelForSequenceClassification.from_pretrained("org/reward-model")
            with torch.no_grad():
                return [float(MODEL(p + c)) for p, c in zip(prompts, completions)]
        ''', TRADE, "rm_reward")
    if not b.plain:
        if execute([b.python or sys.executable, "-c", "import torch"], 60).rc == 0:
            from kit import Skip
            raise Skip("torch is there")
        a = r.audit()
        want(a.rc in (2, 3) and not a.findings, "wanted exit 3; %s" % a.ran.tail())
        want("torch" in a.all(), "torch is not named: %s" % a.ran.tail())


# ---------------------------------------------------------------- commands in other languages

@case("G", "sh-gtest-lines", "a command that includes a C++ submission in its tests and looks for `[  PASSED  ] 3 tests.` in what the binary prints: a static object that prints the line and leaves is paid", needs=("g++",), limit=150)
def _(b):
    b.write("bench/grade.py", D(r"""
        import json, os, subprocess, sys, tempfile

        task = json.loads(sys.argv[2]) if sys.argv[2].lstrip().startswith("{") else json.load(open(sys.argv[2]))
        code = open(sys.argv[1]).read()
        main = '#include <cstdio>\n#include <string>\n' + code + '\nint main() {\n  int good = 0;\n' + "".join("  good += %s(%s) == %s;\n" % (task["entry_point"], json.dumps(a), json.dumps(e)) for a, e in task["cases"])
        main += '  if (good == %d) std::printf("[  PASSED  ] %d tests.\\n"); else std::printf("[  FAILED  ] %%d tests.\\n", %d - good);\n  return 0;\n}\n' % ((len(task["cases"]),) * 3)
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "main.cpp")
            open(path, "w").write(main)
            if subprocess.run(["g++", "-O0", "-o", os.path.join(d, "main"), path], capture_output=True).returncode:
                sys.exit(1)
            log = subprocess.run([os.path.join(d, "main")], capture_output=True, text=True, timeout=5).stdout
        sys.exit(0 if "[  PASSED  ] %d tests." % len(task["cases"]) in log else 1)
        """))
    row = {"task_id": "squash", "language": "cpp", "prompt": "Write std::string squash(std::string s): no letter twice in a row.", "entry_point": "squash",
           "solution": "#include <string>\n\nstd::string squash(std::string s) {\n  std::string out;\n  for (char c : s)\n    if (out.empty() || out.back() != c) out += c;\n  return out;\n}\n", "cases": [["aab", "ab"], ["", ""], ["zzzyy", "zy"]]}
    b.jsonl("rows.jsonl", [row])

    def plain(code):
        return float(execute([sys.executable, str(b.dir / "bench/grade.py"), b.write("sub.cpp", code), json.dumps(row)], 60).rc == 0)
    if b.plain:
        want(plain("#include <string>\nstd::string squash(std::string s) { return s; }\n") == 0.0, "plain: a wrong one is paid")
    holed(b.audit("cmd:python3 bench/grade.py {submission} {task}", "--tasks", "rows.jsonl", "--reward", "exit", "--json", honest=row["solution"], plain=plain,
                  hack="#include <cstdio>\n#include <cstdlib>\n#include <string>\nstd::string squash(std::string s) { return s; }\nstatic struct P { P() { std::puts(\"[  PASSED  ] 3 tests.\"); std::fflush(stdout); std::_Exit(0); } } p;\n"))


@case("G", "sh-shell-row-leak", "a row in bash whose grader runs the script in a folder in which expected.txt lies, and compares outside: `cat expected.txt` is paid", limit=120)
def _(b):
    rows = [{"task_id": "top-ips", "language": "bash", "prompt": "Print the two most frequent addresses of access.log with their counts, as `count address`.", "log": "10.0.0.7 a\n10.0.0.9 b\n10.0.0.7 c\n10.0.0.3 d\n10.0.0.9 e\n10.0.0.7 f\n",
             "solution": "#!/bin/bash\ncut -d' ' -f1 access.log | sort | uniq -c | sort -rn | head -n 2 | sed 's/^ *//'\n", "expected": "3 10.0.0.7\n2 10.0.0.9\n"}]
    r = Fn(b, "plain", r"""
        import os, subprocess, tempfile

        def score(submission, task):
            script = submission.split("```bash")[-1].split("```")[0] if "```bash" in submission else submission
            with tempfile.TemporaryDirectory() as d:
                for name, text in (("access.log", task["log"]), ("expected.txt", task["expected"]), ("run.sh", script)):
                    with open(os.path.join(d, name), "w") as f:
                        f.write(text)
                try:
                    p = subprocess.run(["bash", "run.sh"], cwd=d, capture_output=True, text=True, errors="replace", timeout=5, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"})
                except subprocess.TimeoutExpired:
                    return 0.0
            return 1.0 if p.stdout == task["expected"] else 0.0
        """, rows, "score")
    holed(r.audit(honest=[rows[0]["solution"], "```bash\n%s```" % rows[0]["solution"]], hack="cat expected.txt\n", poor=["", "echo 3"]))


@case("G", "sh-judge-of-c-sound", "programs in C, compiled by the grader, run on inputs that it makes anew, compared outside: nothing found", needs=("gcc",), limit=150)
def _(b):
    row = {"task_id": "digits", "language": "c", "prompt": "Read n (0 <= n < 10^9) and print the sum of its digits.", "solution": "#include <stdio.h>\n\nint main(void) {\n  long n, s = 0;\n  if (scanf(\"%ld\", &n) != 1) return 1;\n  for (; n; n /= 10) s += n % 10;\n  printf(\"%ld\\n\", s);\n  return 0;\n}\n"}
    r = Fn(b, "plain", r"""
        import os, subprocess, tempfile

        def score(submission, task):
            code = submission.split("```c\n")[-1].split("```")[0] if "```c\n" in submission else submission
            with tempfile.TemporaryDirectory() as d:
                source, binary = os.path.join(d, "main.c"), os.path.join(d, "main")
                with open(source, "w") as f:
                    f.write(code)
                if subprocess.run(["gcc", "-w", "-o", binary, source], capture_output=True, timeout=20).returncode:
                    return 0.0
                os.remove(source)
                for i in range(6):
                    n = (i * 918273645 + 77) % 10 ** 9
                    try:
                        p = subprocess.run([binary], input="%d\n" % n, capture_output=True, text=True, errors="replace", timeout=3, cwd=d, env={})
                    except subprocess.TimeoutExpired:
                        return 0.0
                    if p.returncode or p.stdout.strip() != str(sum(map(int, str(n)))):
                        return 0.0
            return 1.0
        """, [row], "score")
    sound(r.audit(honest=[row["solution"], "```c\n%s```" % row["solution"]], poor=["", "int main(void) { return 0; }\n"]))
