"""Part E, callables of odd shapes: objects, partials, decorators, what they return."""
import re
import sys

from kit import case, clean, execute, hole, not_audited, want
from targets_kit import ARITH, LAST, Fn, real, verl


# ---------------------------------------------------------------- shapes of callables

@case("E", "fn-object-sound", "an object with __call__ and a __name__, as TRL takes it: the number after the last `Answer:` must be equal")
def _(b):
    r = Fn(b, "trl", '''
        import re

        class AccuracyReward:
            """Holds its options, so that a config can name it."""

            def __init__(self, marker="Answer:"):
                self.marker = marker
                self.__name__ = "accuracy"

            def _extract(self, text):
                if self.marker not in text:
                    return None
                m = re.fullmatch(r"\\s*(\\d{1,9})\\s*\\.?\\s*", text.rsplit(self.marker, 1)[1])
                return int(m.group(1)) if m else None

            def __call__(self, prompts, completions, answer, **kwargs):
                return [1.0 if self._extract(c) == int(a) else 0.0 for c, a in zip(completions, answer)]

        accuracy = AccuracyReward()
        ''', ARITH, "accuracy")
    a = r.audit(honest="46*57\nAnswer: 2622", poor=["2622", "Answer: 2622 or 5", "Answer:", ""])
    if a:
        clean(a)


@case("E", "fn-partial-nan", "a functools.partial of a numeric score that rejects `abs(x - y) > tolerance`: nan is rejected by no comparison, and paid")
def _(b):
    r = Fn(b, "verl", '''
        import functools

        def numeric_score(data_source, solution_str, ground_truth, extra_info=None, *, tolerance):
            text = solution_str.split("</think>")[-1].strip().split("\\n")[-1]
            text = text.replace("Answer:", "").replace("$", "").strip()
            try:
                value = float(text)
            except ValueError:
                return 0.0
            if abs(value - float(ground_truth)) > tolerance:
                return 0.0
            return 1.0

        compute_score = functools.partial(numeric_score, tolerance=1e-3)
        ''', verl([{"prompt": "Square root of 7, to four places?", "answer": "2.6458"}, {"prompt": "e squared, to four places?", "answer": "7.3891"}]), "compute_score")
    a = r.audit(honest=["Answer: 2.6458", "2.6457513"], hack=["nan", "Answer: NaN"], poor=["inf", "", "2.7"])
    if a:
        hole(a)
        real(a, r.plain)


@case("E", "fn-neutral-on-errors", "a decorator that gives 0.5 where the reward raises ('neutral') pays half for a text that cannot be parsed: more than for a wrong answer")
def _(b):
    r = Fn(b, "trl", '''
        import functools, logging

        log = logging.getLogger(__name__)

        def neutral_on_error(default=0.5):
            def wrap(f):
                @functools.wraps(f)
                def inner(completions, **kwargs):
                    out = []
                    for i, c in enumerate(completions):
                        try:
                            out.append(f(c, **{k: v[i] for k, v in kwargs.items() if isinstance(v, list)}))
                        except Exception:
                            log.warning("reward failed", exc_info=True)
                            out.append(default)
                    return out
                return inner
            return wrap

        @neutral_on_error()
        def boxed_reward(completion, answer, **kwargs):
            inner = completion.rsplit("\\\\boxed{", 1)[1].split("}", 1)[0]
            return 1.0 if int(inner.replace(",", "")) == int(answer) else 0.0
        ''', ARITH, "boxed_reward")
    if b.plain:
        want(r.plain("") == 0.5 and r.plain("\\boxed{x}") == 0.5 and r.plain("\\boxed{1}") == 0.0, "plain")
    a = r.audit("--signature", "trl", honest="\\boxed{2622}")
    if a:
        hole(a)
        real(a, r.plain)


@case("E", "fn-decorated-sound", "three decorators with functools.wraps (timer, retry, cache): beneath is an exact comparison of a text")
def _(b):
    r = Fn(b, "plain", '''
        import functools, time

        def timed(f):
            @functools.wraps(f)
            def inner(*args, **kwargs):
                start = time.perf_counter()
                try:
                    return f(*args, **kwargs)
                finally:
                    timed.total = getattr(timed, "total", 0.0) + time.perf_counter() - start
            return inner

        def retry(times):
            def wrap(f):
                @functools.wraps(f)
                def inner(*args, **kwargs):
                    for i in range(times):
                        try:
                            return f(*args, **kwargs)
                        except OSError:
                            time.sleep(0.05 * i)
                    return 0.0
                return inner
            return wrap

        @functools.lru_cache(maxsize=4096)
        def canonical(text):
            return " ".join(text.lower().split())

        @timed
        @retry(3)
        def score(submission, task):
            return 1.0 if canonical(submission) == canonical(task["answer"]) else 0.0
        ''', [{"prompt": "Last words of the proverb: a stitch in time ...", "answer": "saves nine"}, {"prompt": "... waits for no man", "answer": "time and tide"}], "score")
    a = r.audit(honest="Saves  nine", poor=["", "saves", "nine saves", "a stitch in time saves nine"])
    if a:
        clean(a)


@case("E", "fn-keyword-only-sound", "a reward whose parameters are keyword only and whose rows have columns besides: exact comparison of dates")
def _(b):
    rows = [{"prompt": "Day of the moon landing, as YYYY-MM-DD?", "answer": "1969-07-20", "split": "train", "level": 2, "source": {"set": "dates"}}, {"prompt": "Day the wall in Berlin fell?", "answer": "1989-11-09", "split": "train", "level": 1, "source": {"set": "dates"}}]
    r = Fn(b, "trl", '''
        from datetime import date

        def date_reward(*, completions, answer, level=None, **_):
            out = []
            for text, gold in zip(completions, answer):
                try:
                    out.append(1.0 if date.fromisoformat(text.strip()[-10:]) == date.fromisoformat(gold) else 0.0)
                except ValueError:
                    out.append(0.0)
            return out
        ''', rows, "date_reward")
    a = r.audit(honest=["1969-07-20", "on 1969-07-20"], poor=["", "1969", "1969-07-21"])
    if a:
        clean(a)


@case("E", "fn-star-args", "a reward with *args and **kwargs alone: with --signature trl it is sound; without, it is either found out or the error names --signature")
def _(b):
    r = Fn(b, "trl", '''
        def reward(*args, **kwargs):
            return [float(c.strip() == a) for c, a in zip(kwargs["completions"], kwargs["answer"])]
        ''', ARITH)
    a = r.audit("--signature", "trl", honest="2622", poor=["", "1"])
    if a:
        clean(a)
        a = r.audit()
        if a.rc == 0:
            clean(a)
        else:
            want(a.rc in (2, 3) and "--signature" in a.all(), "wanted an error that names --signature; %s" % a.ran.tail())


@case("E", "fn-module-relative-imports", "`python:MODULE:FUNCTION` of a package with relative imports and a JSON file beside it: exact, sound")
def _(b):
    r = Fn(b, "trl", '''
        from .utils import normalise, UNITS

        def accuracy(completions, answer, **kwargs):
            return [1.0 if normalise(c) == normalise(a) else 0.0 for c, a in zip(completions, answer)]
        ''', [{"prompt": "How long is a marathon, in m?", "answer": "42195 m"}, {"prompt": "How deep is the Challenger Deep, in m?", "answer": "10935 m"}], "accuracy",
           {"rlkit/__init__.py": "", "rlkit/rewards/__init__.py": "from .length import accuracy\n", "rlkit/rewards/utils.py": '''
               import json, pathlib

               UNITS = json.loads((pathlib.Path(__file__).parent / "units.json").read_text())

               def normalise(text):
                   number, _, unit = text.strip().partition(" ")
                   return number.replace(",", ""), UNITS.get(unit, unit)
               ''', "rlkit/rewards/units.json": "{\"metres\": \"m\", \"meters\": \"m\"}\n"}, module="rlkit.rewards.length", target="python:rlkit.rewards.length:accuracy")
    a = r.audit(honest=["42,195 metres", "42195 m"], poor=["", "42195", "m", "1 m"], cwd=str(b.dir / "grader"), tasks="../data/rows.jsonl")
    if a:
        clean(a)


# ---------------------------------------------------------------- what they return

@case("E", "fn-returns-none", "None for rows of another kind and for texts that cannot be parsed (TRL lets None count for nothing): sound; of rows that are all of another kind it is said that they are not audited")
def _(b):
    source = LAST + '''
    def arithmetic_reward(completions, answer, kind, **kwargs):
        out = []
        for text, a, k in zip(completions, answer, kind):
            if k != "arithmetic":
                out.append(None)
                continue
            n = last_number(text)
            out.append(None if n is None else float(n == a))
        return out
    '''
    r = Fn(b, "trl", source, [dict(r, kind="arithmetic") for r in ARITH], "arithmetic_reward")
    a = r.audit(honest="2622", poor=["", "1 or 2622", "5"])
    if a:
        clean(a)
        r = Fn(b, "trl", source, [dict(r, kind="geometry") for r in ARITH], "arithmetic_reward")
        not_audited(r.audit(), "None|null|reward|paid")


@case("E", "fn-returns-nan", "nan for what cannot be parsed is no pay; only the right number gets 1: no finding", unsure="exit 3 is accepted, too, as a reward of nan is an error of the grader")
def _(b):
    r = Fn(b, "trl", LAST + '''
    def reward(completions, answer, **kwargs):
        numbers = [last_number(c) for c in completions]
        return [float("nan") if n is None else 1.0 if n == a else 0.0 for n, a in zip(numbers, answer)]
    ''', ARITH)
    a = r.audit(honest="2622", poor=["", "x"])
    if a:
        want(a.rc in (0, 3) and not a.findings, "wanted no finding; %s" % a.ran.tail())


@case("E", "fn-returns-numpy", "an array of float32, and np.bool_ within a dict: understood, sound", needs=("py:numpy",))
def _(b):
    r = Fn(b, "trl", LAST + '''
    import numpy as np

    def reward(completions, answer, **kwargs):
        hits = np.array([last_number(c) == a for c, a in zip(completions, answer)])
        return hits.astype(np.float32)
    ''', ARITH)
    a = r.audit(honest="2622", poor=["", "1 2622"])
    if a:
        clean(a)
    r = Fn(b, "verl", LAST + '''
    import numpy as np

    def compute_score(data_source, solution_str, ground_truth, extra_info=None):
        hit = np.bool_(last_number(solution_str) == ground_truth)
        return {"score": np.float64(hit), "acc": hit, "format": np.int64(1)}
    ''', verl(ARITH), "compute_score")
    a = r.audit(honest="2622", poor=["", "1 2622"])
    if a:
        clean(a)


@case("E", "fn-returns-tensor-like", "a reward tensor (item, tolist, __float__, len) and a list of booleans: understood, sound")
def _(b):
    r = Fn(b, "trl", LAST + '''
    class Tensor:
        """The little of a tensor that trainers use."""

        def __init__(self, data):
            self.data = data

        def __len__(self):
            return len(self.data)

        def __getitem__(self, i):
            return Tensor([self.data[i]])

        def __iter__(self):
            return (Tensor([x]) for x in self.data)

        def tolist(self):
            return list(self.data)

        def item(self):
            if len(self.data) != 1:
                raise ValueError("only one element can be converted")
            return self.data[0]

        def __float__(self):
            return float(self.item())

    def reward(completions, answer, **kwargs):
        return Tensor([1.0 if last_number(c) == a else 0.0 for c, a in zip(completions, answer)])

    def flags(completions, answer, **kwargs):
        return [last_number(c) == a for c, a in zip(completions, answer)]
    ''', ARITH)
    a = r.audit(honest="2622", poor=["", "1 2622"])
    if a:
        clean(a)
        r.target = "python:grader/rewards.py:flags"
        clean(r.audit())


@case("E", "fn-passed-with-details", "a grader by names (response, ground_truth) that returns {passed, details}, and (flag, message): the dict is sound; a pair is understood or said not to be, never a hole")
def _(b):
    source = LAST + '''
    def grade(response, ground_truth):
        n = last_number(response)
        return {"passed": n == ground_truth, "details": {"got": n, "expected": ground_truth, "attempts": 1}}

    def grade_pair(response, ground_truth):
        n = last_number(response)
        return (n == ground_truth, "got %s" % n)
    '''
    rows = [{"prompt": r["prompt"], "ground_truth": r["answer"]} for r in ARITH]
    r = Fn(b, "f(response=text, ground_truth=row['ground_truth'])", source, rows, "grade")
    a = r.audit(honest="2622", poor=["", "1 2622"])
    if a:
        clean(a)
        r.target = "python:grader/rewards.py:grade_pair"
        a = r.audit()
        want(a.rc in (0, 2, 3) and not a.findings, "a pair of flag and message: %s" % a.ran.tail())
