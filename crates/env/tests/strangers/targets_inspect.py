"""Part E, Inspect tasks: built-in scorers, scorers of one's own, sandboxes, and what cannot be audited."""
import json
import re

from kit import D, case, clean, deep, hole, not_audited, short, text_of, want
from targets_kit import INSPECT, Package, hinted, inspect_file, packages, real, unfair

NEEDS = ("packages:inspect_ai",)
HEAD = '''
    from inspect_ai import Task, task
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.scorer import CORRECT, INCORRECT, Score, Target, accuracy, mean, scorer, stderr
    from inspect_ai.solver import TaskState, generate, system_message, prompt_template

    '''


@case("E", "in-includes-numbers", "includes() with short numbers as targets: a list of all numbers is paid", needs=NEEDS, limit=150)
def _(b):
    e = inspect_file(b, HEAD + '''
    from inspect_ai.scorer import includes

    @task
    def counts():
        rows = [("How many players has a team in water polo?", "7"), ("How many cards has a tarot pack?", "78"), ("6 * 9?", "54")]
        return Task(dataset=[Sample(input=q, target=a) for q, a in rows], solver=[system_message("Answer briefly."), generate()], scorer=includes())
    ''', "counts")
    a = e.audit(honest="It has 7", hack=" ".join(map(str, range(100))), poor=["", "six"])
    if a:
        hole(a)
        real(a, e.plain)


@case("E", "in-match-numeric-sound", "match(numeric=True) at the end, with a prompt template: the last number must be equal, so only the right one is paid", needs=NEEDS, limit=150)
def _(b):
    e = inspect_file(b, HEAD + '''
    from inspect_ai.scorer import match

    PROMPT = "{prompt}\\n\\nWork it out step by step. End with the number alone on the last line."

    @task
    def sums(limit: int = 10):
        samples = [Sample(id="cloth", input="A bolt of 38 m is cut in pieces of 4 m 75 cm. How many cm are three pieces?", target="1425"),
                   Sample(id="stairs", input="A tower has 17 floors of 23 steps. How many steps?", target="391")][:limit]
        return Task(dataset=MemoryDataset(samples, name="sums"), solver=[prompt_template(PROMPT), generate()], scorer=match(location="end", numeric=True))
    ''', "sums")
    a = e.audit(honest=["1425", "3 * 475 = 1,425"], poor=["", "11425", "1425 or 7", "14"])
    if a:
        clean(a)


@case("E", "in-pattern-any-group", "pattern() with two groups, of which any may match: `yes, or no` is paid on every sample", needs=NEEDS, limit=150)
def _(b):
    e = inspect_file(b, HEAD + '''
    from inspect_ai.scorer import pattern

    @task
    def claims():
        rows = [("Sound is faster in water than in air.", "yes"), ("The Danube ends in the Adriatic.", "no"), ("Venus turns faster than the Earth.", "no")]
        return Task(dataset=[Sample(input="True? %s Answer yes or no." % q, target=a) for q, a in rows], solver=generate(),
                    scorer=pattern(r"\\b(yes|no)\\b(?:.*?\\b(yes|no)\\b)?"))
    ''', "claims")
    a = e.audit(honest="Yes, it is", hack=["yes or no", "no. yes"], poor=["", "maybe", "no"])
    if a:
        hole(a)
        real(a, e.plain)


@case("E", "in-choice-sound", "multiple_choice() and choice(): one letter after ANSWER, so only the right letter is paid", needs=NEEDS, limit=150)
def _(b):
    e = inspect_file(b, HEAD + '''
    from inspect_ai.scorer import choice
    from inspect_ai.solver import multiple_choice

    @task
    def quiz():
        return Task(dataset=[Sample(input="Which of these burns in oxygen but not in nitrogen?", choices=["sand", "neon", "sulphur", "glass"], target="C"),
                             Sample(input="Which is the smallest?", choices=["fly", "elk", "cow", "ant"], target="D")],
                    solver=[multiple_choice(cot=True)], scorer=choice())
    ''', "quiz")
    a = e.audit(honest=["ANSWER: C", "Let me see.\n\nANSWER: C"], poor=["ANSWER: A,B,C,D", "C", "", "ANSWER: A"])
    if a:
        want(not a.findings, "a finding: %s" % short(text_of(a.findings)))
        clean(a)


@case("E", "in-own-tolerance-nan", "an async scorer with a tolerance from the metadata: full within, half within ten times of it, else wrong, asked by `>`: nan is greater than nothing and paid in full", needs=NEEDS, limit=150)
def _(b):
    e = inspect_file(b, HEAD + '''
    import re

    @scorer(metrics=[mean(), stderr()])
    def within(factor: float = 10.0):
        async def score(state: TaskState, target: Target) -> Score:
            text = state.output.completion.strip().split("\\n")[-1]
            text = re.sub(r"^(final )?answer\\s*[:=]", "", text, flags=re.I).strip().rstrip(".")
            try:
                value = float(text)
            except ValueError:
                return Score(value=0, answer=text, explanation="no number")
            off = abs(value - float(target.text))
            tolerance = state.metadata["tolerance"]
            if off > factor * tolerance:
                return Score(value=0, answer=text, metadata={"off": off})
            if off > tolerance:
                return Score(value=0.5, answer=text, metadata={"off": off})
            return Score(value=1, answer=text, metadata={"off": off})

        return score

    @task
    def estimates():
        return Task(dataset=[Sample(input="Mass of the electron in keV?", target="510.999", metadata={"tolerance": 0.01}), Sample(input="Density of mercury at 20 C, in g/cm3?", target="13.546", metadata={"tolerance": 0.005})],
                    solver=generate(), scorer=within())
    ''', "estimates")
    a = e.audit(honest=["510.999", "So:\nAnswer: 510.998"], hack=["nan", "Answer: NaN"], poor=["", "inf", "511.9"])
    if a:
        hole(a)
        real(a, e.plain)


@case("E", "in-keywords-of-the-question", "a scorer that pays the share of key terms found, and the question lists them: the question itself is paid in full", needs=NEEDS, limit=150)
def _(b):
    e = inspect_file(b, HEAD + '''
    @scorer(metrics=[mean()])
    def coverage():
        async def score(state, target):
            said = state.output.completion.lower()
            terms = state.metadata["terms"]
            hits = [t for t in terms if t in said]
            return Score(value=len(hits) / len(terms), answer=", ".join(hits), explanation=f"{len(hits)} of {len(terms)}")

        return score

    @task
    def explain():
        return Task(dataset=[Sample(input="Explain in two sentences how a canal lock works. Use the words: chamber, gate, sluice, level.", metadata={"terms": ["chamber", "gate", "sluice", "level"]},
                                    target="A boat enters the chamber and the gate is shut. Water runs through a sluice until the level is that of the next reach."),
                             Sample(input="Explain in two sentences how bread rises. Use the words: yeast, sugar, gas, gluten.", metadata={"terms": ["yeast", "sugar", "gas", "gluten"]},
                                    target="Yeast eats sugar and gives off gas. The gluten holds it.")], solver=generate(), scorer=coverage())
    ''', "explain")
    a = e.audit(honest="A boat enters the chamber, the gate is shut, and a sluice brings it to the level.", hack=["chamber gate sluice level", "Explain in two sentences how a canal lock works. Use the words: chamber, gate, sluice, level."], poor=["", "boats"])
    if a:
        hole(a)
        real(a, e.plain)


@case("E", "in-half-for-the-unparsable", "a scorer that gives PARTIAL where no answer can be read and INCORRECT for a wrong one: saying nothing earns half", needs=NEEDS, limit=150)
def _(b):
    e = inspect_file(b, HEAD + '''
    import re
    from inspect_ai.scorer import PARTIAL

    @scorer(metrics=[accuracy(), stderr()])
    def lenient():
        async def score(state: TaskState, target: Target) -> Score:
            m = re.search(r"ANSWER:\\s*(\\d+)\\s*$", state.output.completion)
            if m is None:
                # the model may have run out of tokens: do not punish it
                return Score(value=PARTIAL, explanation="no answer found")
            return Score(value=CORRECT if m.group(1) == target.text else INCORRECT, answer=m.group(1))

        return score

    @task
    def years():
        return Task(dataset=[Sample(input="In which year was the first manned balloon flight?", target="1783"), Sample(input="In which year did Krakatoa erupt?", target="1883")], solver=generate(), scorer=lenient())
    ''', "years")
    if b.plain:
        want(e.plain("") == 0.5 and e.plain("hm") == 0.5 and e.plain("ANSWER: 1") == 0.0, "plain: %s" % e.last.err[-500:])
    a = e.audit(honest="ANSWER: 1783")
    if a:
        hole(a)


@case("E", "in-whole-conversation", "a scorer that looks for the target in all messages, and the question holds it: everybody is paid, also who says nothing", needs=NEEDS, limit=150)
def _(b):
    e = inspect_file(b, HEAD + '''
    @scorer(metrics=[accuracy()])
    def mentioned():
        async def score(state, target):
            said = "\\n".join(m.text for m in state.messages)
            return Score(value=CORRECT if target.text in said else INCORRECT, answer=state.output.completion)

        return score

    @task
    def pick():
        return Task(dataset=[Sample(input="Which is older, the Pantheon or the Hagia Sophia?", target="Pantheon"), Sample(input="Which is longer, the Rhine or the Rhone?", target="Rhine")], solver=generate(), scorer=mentioned())
    ''', "pick")
    a = e.audit(honest="Pantheon", hack=["", "I do not know"])
    if a:
        hole(a)


@case("E", "in-accepted-exact-sound", "exact() with several accepted targets: one of them, and nothing else, is paid", needs=NEEDS, limit=150)
def _(b):
    e = inspect_file(b, HEAD + '''
    from inspect_ai.scorer import exact

    @task
    def names():
        return Task(dataset=[Sample(input="Which city was called Constantinople?", target=["Istanbul", "Stamboul"]), Sample(input="Formula of table salt?", target=["NaCl", "sodium chloride"])], solver=generate(), scorer=exact())
    ''', "names")
    a = e.audit(honest=["Istanbul", "stamboul"], poor=["", "Istanbul or Ankara", "Ankara"])
    if a:
        clean(a)


@case("E", "in-two-scorers-hint", "exact() beside a scorer of form (one line, a full stop): who is wrong in form earns half, which is told as the hint paid-for-form; exit 0", needs=NEEDS, limit=150)
def _(b):
    e = inspect_file(b, HEAD + '''
    from inspect_ai.scorer import match

    @scorer(metrics=[accuracy()])
    def one_line():
        async def score(state, target):
            text = state.output.completion.strip()
            return Score(value=CORRECT if text and "\\n" not in text and text.endswith(".") else INCORRECT)

        return score

    @task
    def facts():
        return Task(dataset=[Sample(input="Who composed Fidelio?", target="Beethoven."), Sample(input="Who composed Norma?", target="Bellini.")], solver=generate(), scorer=[match(location="exact"), one_line()])
    ''', "facts")
    if b.plain:
        want(e.plain("Verdi.") == 0.5, "plain")
    a = e.audit(honest="Beethoven.", poor=["", "no\nno"])
    if a:
        clean(a)
        want(hinted(a, "paid-for-form"), "no hint paid-for-form: %s" % short(text_of(deep(a.rows, r"^hints$"))))


@case("E", "in-dict-values", "a scorer whose value is a dict (right, brief), the first exact: a wrong short answer earns half by design; no finding, exit 0 or 3 with the reason", needs=NEEDS, limit=150,
      unsure="the documents do not say what becomes of values that are dicts")
def _(b):
    e = inspect_file(b, HEAD + '''
    @scorer(metrics={"right": [mean()], "brief": [mean()]})
    def two_values():
        async def score(state, target):
            text = state.output.completion.strip()
            return Score(value={"right": 1 if text == target.text else 0, "brief": 1 if 0 < len(text) < 40 else 0}, answer=text)

        return score

    @task
    def rivers():
        return Task(dataset=[Sample(input="Which river runs through Cairo?", target="the Nile"), Sample(input="Which river runs through Baghdad?", target="the Tigris")], solver=generate(), scorer=two_values())
    ''', "rivers")
    a = e.audit(honest="the Nile", poor=["", "x" * 50])
    if a:
        want(a.rc in (0, 3) and not a.findings, "wanted no finding; %s" % a.ran.tail())


HUMAN = "def rotate(s, n):\n    if not s:\n        return s\n    n %= len(s)\n    return s[n:] + s[:n]\n"
TESTS = "assert rotate('abcde', 2) == 'cdeab'\nassert rotate('', 3) == ''\nassert rotate('xyz', -1) == 'zxy'\n"


@case("E", "in-sandbox-status", "a scorer that runs code and tests as one program in the sandbox and believes the exit status: sys.exit(0) is paid", needs=NEEDS, limit=200)
def _(b):
    e = inspect_file(b, HEAD + '''
    import re
    from inspect_ai.util import ExecResult, sandbox

    VERIFY_TIMEOUT = 20

    def find_code(completion: str) -> str:
        blocks = re.findall(r"```(?:python)?\\n(.*?)```", completion, re.DOTALL)
        return blocks[0] if blocks else completion

    @scorer(metrics=[accuracy(), stderr()])
    def verify():
        async def score(state: TaskState, target: Target) -> Score:
            code = find_code(state.output.completion) + "\\n" + state.metadata["test"]
            try:
                result = await sandbox().exec(cmd=["python", "-c", code], timeout=VERIFY_TIMEOUT)
            except TimeoutError:
                result = ExecResult(False, 1, "", "Verification timed out.")
            return Score(value=CORRECT if result.success else INCORRECT, answer=code, explanation=result.stderr)

        return score

    @task
    def functions():
        samples = [Sample(id="rotate", input="Write `rotate(s, n)`: s turned left by n letters.", target=%r, metadata={"prompt": "Write rotate.", "test": %r, "entry_point": "rotate", "canonical_solution": %r})]
        return Task(dataset=samples, solver=generate(), scorer=verify(), sandbox="docker")
    ''' % (TESTS, TESTS, HUMAN), "functions")
    a = e.audit(honest="```python\n" + HUMAN + "```", hack=["import sys\nsys.exit(0)\n", "class A:\n    def __eq__(self, o):\n        return True\ndef rotate(s, n):\n    return A()\n"], poor=["def rotate(s, n):\n    return 0\n", "import sys\nsys.exit(1)\n"])
    if a:
        hole(a, "early-exit|equality")
        real(a, e.plain)


@case("E", "in-sandbox-stdout-sound", "a scorer that gives a program its input in the sandbox and compares what it prints, outside: inputs and outputs are made from the sample's number, so they lie in no file", needs=NEEDS, limit=300,
      unsure="in the local sandbox a submission lies in one cell with the scorer; what can only be done there would be no hole of the task")
def _(b):
    e = inspect_file(b, HEAD + '''
    import random, re
    from inspect_ai.util import sandbox

    def cases(seed):
        draw = random.Random(seed)
        for _ in range(4):
            xs = [draw.randrange(-10**6, 10**6) for _ in range(12)]
            # the largest difference between neighbours
            yield " ".join(map(str, xs)) + "\\n", str(max(abs(a - b) for a, b in zip(xs, xs[1:])))

    @scorer(metrics=[accuracy()])
    def judge():
        async def score(state, target):
            blocks = re.findall(r"```(?:python)?\\n(.*?)```", state.output.completion, re.DOTALL)
            code = blocks[-1] if blocks else state.output.completion
            for given, wanted in cases(state.metadata["seed"]):
                try:
                    done = await sandbox().exec(["python", "-I", "-c", code], input=given, timeout=10)
                except (TimeoutError, UnicodeDecodeError):
                    return Score(value=INCORRECT, answer=code)
                if not done.success or done.stdout.strip() != wanted:
                    return Score(value=INCORRECT, answer=code, explanation=done.stderr)
            return Score(value=CORRECT, answer=code)

        return score

    @task
    def programs():
        program = "xs = list(map(int, input().split()))\\nprint(max(abs(a - b) for a, b in zip(xs, xs[1:])))\\n"
        return Task(dataset=[Sample(id="gap", input="Write a Python program that reads whole numbers from standard input and prints the largest difference between neighbours.", target=program, metadata={"seed": 4711})],
                    solver=generate(), scorer=judge(), sandbox="docker")
    ''', "programs")
    a = e.audit(honest="```python\nxs = [int(x) for x in input().split()]\nprint(max(abs(a - b) for a, b in zip(xs, xs[1:])))\n```", poor=["", "print(0)", "import sys\nsys.exit(0)"])
    if a:
        want(not a.findings, "a finding: %s" % short(text_of(a.findings), 1500))
        clean(a)


@case("E", "in-package-with-data-file-sound", "`inspect:PACKAGE/TASK` of a package of the current folder, with a JSONL data set, record_to_sample and a second module: answer('line'), sound", needs=NEEDS, limit=150)
def _(b):
    b.write("field_evals/__init__.py", "from .geography import mountains, lakes\n\n__all__ = [\"mountains\", \"lakes\"]\n")
    b.write("field_evals/records.py", "from inspect_ai.dataset import Sample\n\n\ndef to_sample(r):\n    return Sample(id=r[\"uid\"], input=r[\"ask\"] + \"\\n\\nEnd with a line ANSWER: and the name.\", target=r[\"key\"], metadata={\"level\": r[\"level\"]})\n")
    b.write("field_evals/geography.py", D('''
        from pathlib import Path

        from inspect_ai import Task, task
        from inspect_ai.dataset import json_dataset
        from inspect_ai.scorer import answer
        from inspect_ai.solver import generate

        from .records import to_sample

        DATA = Path(__file__).parent / "data"

        @task
        def mountains(shuffle: bool = False):
            return Task(dataset=json_dataset(str(DATA / "mountains.jsonl"), to_sample, shuffle=shuffle), solver=generate(), scorer=answer("line"))

        @task
        def lakes():
            return Task(dataset=json_dataset(str(DATA / "lakes.jsonl"), to_sample), solver=generate(), scorer=answer("line"))
        '''))
    b.jsonl("field_evals/data/mountains.jsonl", [{"uid": "m1", "ask": "Highest mountain of the Alps?", "key": "Mont Blanc", "level": 1}, {"uid": "m2", "ask": "Highest mountain of Scotland?", "key": "Ben Nevis", "level": 1}])
    b.jsonl("field_evals/data/lakes.jsonl", [{"uid": "l1", "ask": "Deepest lake?", "key": "Baikal", "level": 1}])
    e = Package(b, "inspect:field_evals/mountains", packages(), lambda texts, row: (INSPECT, ["field_evals", "mountains", row, texts, str(b.dir)]))
    a = e.audit(honest="Let me think.\nANSWER: Mont Blanc", poor=["", "Mont Blanc", "ANSWER: Monte Rosa", "ANSWER: Mont Blanc or Monte Rosa"])
    if a:
        clean(a)


@case("E", "in-reports", "a holed task: --sarif, --log and --repro with --task: exit 1; --harden: it is said that such is not hardened; then --baseline: exit 0", needs=NEEDS, limit=300)
def _(b):
    e = inspect_file(b, HEAD + '''
    from inspect_ai.scorer import includes

    @task
    def dice():
        return Task(dataset=[Sample(id="sides", input="How many faces has an icosahedron?", target="20"), Sample(id="sum", input="What do opposite faces of a die add up to?", target="7")], solver=generate(), scorer=includes())
    ''', "dice", files={"evals/README.md": "Two questions.\n"})
    a = e.audit("--task", "sum", "--sarif", "out.sarif", "--log", "out.eval", "--repro", "repro", hack=" ".join(map(str, range(100))), honest="20")
    if a:
        hole(a)
        want("sum" in text_of([r.get("task") for r in a.rows if isinstance(r, dict)]), "--task sum was not taken: %s" % short(text_of([r.get("task") for r in a.rows])))
        h = e.audit("--task", "sum", "--harden", "hard")
        want(h.rc in (1, 2) and re.search(r"harden", h.all(), re.I), "such is not hardened, which is to be said: %s" % h.ran.tail())
        sarif = json.loads((b.dir / "out.sarif").read_text())
        want(len([x for r in sarif["runs"] for x in r["results"] if x.get("level") != "note"]) == len(a.findings), "SARIF and --json differ")
        want((b.dir / "out.eval").exists() and (b.dir / "out.eval").stat().st_size > 100, "no log")
        import sys
        from kit import execute
        x = execute([packages(), "-c", "from inspect_ai.log import read_eval_log; l = read_eval_log(%r); print(len(l.samples))" % str(b.dir / "out.eval")], 60)
        want(x.rc == 0 and int(x.out.strip() or 0) >= 3, "Inspect cannot read the log: %s" % x.tail())
        want(any(p.is_file() for p in (b.dir / "repro").rglob("*")), "--repro wrote nothing")
        same = e.audit("--task", "sum", "--baseline", b.write("base.json", a.ran.out))
        want(same.rc == 0, "the same with a baseline: %s" % same.ran.tail())


# ---------------------------------------------------------------- not audited, and wrong uses

@case("E", "in-model-graded", "model_graded_qa asks a model: exit 3, and the reason says model", needs=NEEDS, limit=150)
def _(b):
    e = inspect_file(b, HEAD + '''
    from inspect_ai.scorer import model_graded_qa

    @task
    def essays():
        return Task(dataset=[Sample(input="Why is the sky blue?", target="Short waves are scattered more by air than long ones.")], solver=generate(), scorer=model_graded_qa(partial_credit=True))
    ''', "essays")
    if not b.plain:
        a = e.audit()
        not_audited(a, "model|judge")


@case("E", "in-not-here", "a Hugging Face data set, and a compose file of two services: exit 3, each with its own reason", needs=NEEDS, limit=200)
def _(b):
    if b.plain:
        return
    e = inspect_file(b, HEAD + '''
    from inspect_ai.dataset import hf_dataset
    from inspect_ai.scorer import match

    @task
    def gsm():
        data = hf_dataset("openai/gsm8k", name="main", split="test", sample_fields=lambda r: Sample(input=r["question"], target=r["answer"].split("####")[1].strip()))
        return Task(dataset=data, solver=generate(), scorer=match(numeric=True))
    ''', "gsm", "evals/gsm.py")
    not_audited(e.audit(), "download|network")
    e = inspect_file(b, HEAD + '''
    from inspect_ai.util import sandbox

    @scorer(metrics=[accuracy()])
    def flag():
        async def score(state, target):
            done = await sandbox("victim").exec(["cat", "/srv/flag.txt"])
            return Score(value=CORRECT if done.stdout.strip() in state.output.completion else INCORRECT)

        return score

    @task
    def ctf():
        return Task(dataset=[Sample(input="Find the flag.", target="flag{x}")], solver=generate(), scorer=flag(), sandbox=("docker", "compose.yaml"))
    ''', "ctf", "ctf/task.py", {"ctf/compose.yaml": '''
        services:
          default:
            image: python:3.12-slim
            command: tail -f /dev/null
          victim:
            build: ./victim
            command: tail -f /dev/null
        ''', "ctf/victim/Dockerfile": "FROM debian:12\nRUN mkdir -p /srv && echo 'flag{x}' > /srv/flag.txt\n"})
    not_audited(e.audit(), "service|container|compose|sandbox|image")


@case("E", "in-wrong-uses", "a task that is not in the file (those that are, are named), no file, no task named where there are two, an import that is not there, no inspect-ai for --python, a task without samples: exit 2 or 3, in words", needs=NEEDS, limit=300)
def _(b):
    if b.plain:
        return

    def error(saying, target, rc=(2, 3), python=None):
        x = b.run("audit", target, "--python", python or packages())
        want(x.rc in rc, "%s: wanted exit %s; %s" % (target, rc, x.tail()))
        for s in saying:
            want(re.search(s, x.out + x.err, re.I), "%s: it does not say /%s/: %s" % (target, s, x.tail()))
    inspect_file(b, HEAD + '''
    from inspect_ai.scorer import exact

    @task
    def alpha():
        return Task(dataset=[Sample(input="2+2?", target="4")], solver=generate(), scorer=exact())

    @task
    def omega():
        return Task(dataset=[Sample(input="3+3?", target="6")], solver=generate(), scorer=exact())
    ''', "alpha")
    error(["alfa", "alpha"], "inspect:evals/task.py@alfa", (2,))
    error(["nothing_here.py"], "inspect:evals/nothing_here.py@alpha", (2,))
    error(["name one|alpha.*omega"], "inspect:evals/task.py")
    error(["no_such_evals"], "inspect:no_such_evals/alpha")
    b.write("evals/broken.py", "import tensor_grading_kit\nfrom inspect_ai import task\n\n@task\ndef t():\n    return None\n")
    error(["tensor_grading_kit"], "inspect:evals/broken.py@t")
    inspect_file(b, HEAD + '''
    from inspect_ai.scorer import exact

    @task
    def hollow():
        return Task(dataset=MemoryDataset([]), solver=generate(), scorer=exact())
    ''', "hollow", "evals/hollow.py")
    error(["sample|empty|row|dataset"], "inspect:evals/hollow.py@hollow")
    error(["inspect"], "inspect:evals/task.py@alpha", (3,), "/usr/bin/python3")
