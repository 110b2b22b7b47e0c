"""Part E: kinds of targets that no outsider had tried: environments of verifiers (here), Inspect tasks, Harbor tasks,
and callables of odd shapes (in targets_*.py)."""
import json
import re

import targets_answers, targets_behaviour, targets_callables, targets_harbor, targets_inspect  # noqa: F401,E401
from kit import D, case, clean, deep, execute, hole, not_audited, short, text_of, want
from targets_kit import Package, classic, environment, hinted, packages, real, taskset, unfair

CLASSIC = ("classic:verifiers",)
NEW = ("packages:verifiers",)

SUMS = '''
    import verifiers as vf
    from datasets import Dataset

    ROWS = [
        {"question": "A hall has 38 rows of 47 seats. How many seats?", "answer": "1786"},
        {"question": "A herd of 912 loses 275. How many are left?", "answer": "637"},
        {"question": "How many minutes are 57 hours?", "answer": "3420"},
    ]
    '''


# ---------------------------------------------------------------- one turn

@case("E", "vf-xml-exact-sound", "SingleTurnEnv with XMLParser: the answer field must be equal (weight 1), the parser's own format reward counts 0.2. A fifth for the form is no hole", needs=CLASSIC, limit=150)
def _(b):
    e = environment(b, "hall_sums", SUMS + '''
    def load_environment(**kwargs) -> vf.Environment:
        parser = vf.XMLParser(["reasoning", "answer"], answer_field="answer")

        def correct_answer(completion, answer, parser) -> float:
            return 1.0 if (parser.parse_answer(completion) or "") == answer else 0.0

        rubric = vf.Rubric(funcs=[correct_answer, parser.get_format_reward_func()], weights=[1.0, 0.2], parser=parser)
        return vf.SingleTurnEnv(dataset=Dataset.from_list(ROWS), system_prompt="Respond as\\n" + parser.get_format_str(), parser=parser, rubric=rubric)
    ''')
    a = e.audit(honest="<reasoning>\n38*47\n</reasoning>\n<answer>\n1786\n</answer>", poor=["1786", "<reasoning>\nx\n</reasoning>\n<answer>\n1\n</answer>", ""], full=1.19)
    if a:
        clean(a) if full_pay(a) else want(a.rc == 0 and not a.findings, a.ran.tail())


def full_pay(a):
    return any(isinstance(c.get("honest"), (int, float)) for c in deep(a.rows, r"^controls$") if isinstance(c, dict))


@case("E", "vf-answer-in-field", "SingleTurnEnv whose reward asks whether the answer is in the parsed field: a field with all numbers is paid", needs=CLASSIC, limit=150)
def _(b):
    e = environment(b, "short_sums", '''
    import verifiers as vf
    from datasets import Dataset

    def load_environment(num_examples: int = -1) -> vf.Environment:
        rows = [{"question": "How many bones has a giraffe's neck?", "answer": "7"}, {"question": "7 * 8?", "answer": "56"}, {"question": "A gross is a dozen dozens. Half of it?", "answer": "72"}]
        parser = vf.XMLParser(fields=["answer"])

        async def is_right(parser, completion, answer):
            guess = parser.parse_answer(completion)
            return 1.0 if answer in guess else 0.0

        return vf.SingleTurnEnv(dataset=Dataset.from_list(rows), parser=parser, rubric=vf.Rubric(funcs=[is_right], parser=parser))
    ''')
    a = e.audit(honest="<answer>7</answer>", hack="<answer>%s</answer>" % " ".join(map(str, range(200))), poor=["7", "<answer>5</answer>", ""])
    if a:
        hole(a)
        real(a, e.plain, lambda t: re.fullmatch(r"\s*<answer>\s*7\s*</answer>\s*", t))


@case("E", "vf-think-boxed-async-sound", "ThinkParser with extract_boxed_answer and an async reward in a class: after the thought the boxed answer must be equal", needs=CLASSIC, limit=150)
def _(b):
    e = environment(b, "boxed_sums", SUMS + '''
    import asyncio
    from verifiers.utils.data_utils import extract_boxed_answer

    class SumRubric(vf.Rubric):
        def __init__(self, parser):
            super().__init__(parser=parser)
            self.add_reward_func(self.exact)

        async def exact(self, parser, completion, answer, **kwargs) -> float:
            await asyncio.sleep(0)
            guess = parser.parse_answer(completion) or ""
            return float(guess.isdigit() and len(guess) < 10 and int(guess) == int(answer))

    def load_environment():
        parser = vf.ThinkParser(extract_fn=extract_boxed_answer)
        return vf.SingleTurnEnv(dataset=Dataset.from_list(ROWS), parser=parser, rubric=SumRubric(parser), system_prompt="Think in <think> tags, then answer in \\\\boxed{}.")
    ''')
    # extract_boxed_answer gives the text back where nothing is boxed, so a bare right number is paid, too
    a = e.audit(honest=["<think>38*47</think>\nIt is \\boxed{1786}", "<think>\n</think>\n1786"], poor=["1786", "<think>1786</think>", "<think>x</think>\\boxed{}", "<think>x</think>\\boxed{1786} or \\boxed{1}"])
    if a:
        clean(a)


@case("E", "vf-form-outweighs-truth", "format has the weight 1.0 and truth 0.5: who is wrong in the right form earns two thirds of all, which is more than the half that the documents call by design", needs=CLASSIC, limit=150)
def _(b):
    e = environment(b, "tagged_sums", SUMS + '''
    def load_environment():
        parser = vf.XMLParser(["think", "answer"])

        def in_form(completion, parser):
            text = completion[-1].content if completion else ""
            parsed = parser.parse(text or "")
            return 1.0 if parsed.think and parsed.answer else 0.0

        def exact(completion, parser, answer):
            return 1.0 if parser.parse_answer(completion) == answer else 0.0

        rubric = vf.Rubric(parser=parser)
        rubric.add_reward_func(in_form, weight=1.0)
        rubric.add_reward_func(exact, weight=0.5)
        return vf.SingleTurnEnv(dataset=Dataset.from_list(ROWS), parser=parser, rubric=rubric)
    ''')
    wrong = "<think>\nx\n</think>\n<answer>\n1\n</answer>"
    if b.plain:
        want(e.plain(wrong) == 1.0, "a wrong answer in form: %s %s" % (e.plain(wrong), e.last.err[-400:]))
    a = e.audit(honest=wrong.replace("1", "1786"), poor=["1786", ""], full=1.49)
    if a:
        hole(a)
        real(a, e.plain, lambda t: "1786" in t)


@case("E", "vf-code-in-process", "SingleTurnEnv that execs the code block and asserts beside it, with tests in `info`: an object equal to everything is paid", needs=CLASSIC, limit=200)
def _(b):
    code = "def middle(xs):\n    s = sorted(xs)\n    return s[len(s) // 2]\n"
    e = environment(b, "tiny_code", '''
    import re
    import verifiers as vf
    from datasets import Dataset

    ROWS = [{"question": "Write `middle(xs)`: the middle of an odd number of values.", "answer": %r, "info": {"tests": ["assert middle([3]) == 3", "assert middle([9, 1, 5]) == 5", "assert middle([2, 2, 8, 0, 4]) == 2"]}}]

    def extract_code(text):
        found = re.findall(r"```(?:python)?\\n(.*?)```", text, re.S)
        return found[-1] if found else text

    def load_environment():
        parser = vf.Parser(extract_fn=extract_code)

        def passes(completion, info, parser):
            space = {}
            try:
                exec(extract_code(completion[-1].content), space)
                good = 0
                for t in info["tests"]:
                    try:
                        exec(t, space)
                        good += 1
                    except Exception:
                        pass
                return good / len(info["tests"])
            except BaseException:
                return 0.0

        return vf.SingleTurnEnv(dataset=Dataset.from_list(ROWS), parser=parser, rubric=vf.Rubric(funcs=[passes], parser=parser))
    ''' % code)
    a = e.audit(honest="```python\n" + code + "```", hack="class A:\n    def __eq__(self, other):\n        return True\ndef middle(xs):\n    return A()\n", poor=["def middle(xs):\n    return xs\n", "raise SystemExit(0)\n"])
    if a:
        hole(a)
        real(a, e.plain)


@case("E", "vf-rubric-group-eval-only-sound", "an environment with an evaluation set alone, few-shot messages and a RubricGroup: exact words, and a penalty for more than 200 letters", needs=CLASSIC, limit=150)
def _(b):
    e = environment(b, "capitals", '''
    import verifiers as vf
    from datasets import Dataset

    ROWS = [{"prompt": [{"role": "user", "content": "Capital of Bhutan?"}], "answer": "Thimphu"}, {"prompt": [{"role": "user", "content": "Capital of Malta?"}], "answer": "Valletta"}]

    def text_of(completion):
        return (completion[-1].content or "") if completion else ""

    def exact(completion, answer, **kwargs) -> float:
        lines = text_of(completion).strip().splitlines()
        return float(bool(lines) and lines[-1].strip().rstrip(".") == answer)

    def too_long(completion, **kwargs) -> float:
        return -1.0 if len(text_of(completion)) > 200 else 0.0

    def load_environment(use_think: bool = False):
        group = vf.RubricGroup(rubrics=[vf.Rubric(funcs=[exact], weights=[1.0]), vf.Rubric(funcs=[too_long], weights=[0.1])])
        few = [{"role": "user", "content": "Capital of Peru?"}, {"role": "assistant", "content": "Lima"}]
        return vf.SingleTurnEnv(eval_dataset=Dataset.from_list(ROWS), system_prompt="One word.", few_shot=few, rubric=group)
    ''')
    a = e.audit(honest=["Thimphu", "It is:\nThimphu."], poor=["", "Lima", "Thimphu or Paro", "Capital of Bhutan?"])
    if a:
        clean(a)


# ---------------------------------------------------------------- groups

@case("E", "vf-group-majority", "a group reward by majority among the completions, with no look at the answer: a whole group of one guess is paid", needs=CLASSIC, limit=200)
def _(b):
    e = environment(b, "vote_sums", SUMS + '''
    from collections import Counter

    def last_word(completion):
        words = (completion[-1].content or "").split() if completion else []
        return words[-1].strip(".") if words else ""

    def agrees(completions, answers, **kwargs) -> list[float]:
        votes = Counter(last_word(c) for c in completions)
        top, _ = votes.most_common(1)[0]
        return [1.0 if last_word(c) == top else 0.0 for c in completions]

    def load_environment():
        return vf.SingleTurnEnv(dataset=Dataset.from_list(ROWS), rubric=vf.Rubric(funcs=[agrees]))
    ''', copies=4)
    a = e.audit(honest="1786", hack=["so 5", "banana"])
    if a:
        hole(a)


@case("E", "vf-group-bonus-sound", "exact answers pay 1, and the shortest right one of the group 0.2 more; wrong answers get 0 in every group", needs=CLASSIC, limit=200)
def _(b):
    e = environment(b, "brief_sums", SUMS + '''
    def right(completion, answer):
        lines = (completion[-1].content or "").strip().splitlines() if completion else []
        return bool(lines) and lines[-1].strip().rstrip(".") == answer

    def exact(completion, answer, **kwargs) -> float:
        return float(right(completion, answer))

    async def brevity(completions, answers, **kwargs) -> list[float]:
        ok = [right(c, a) for c, a in zip(completions, answers)]
        sizes = [len(c[-1].content) for c, o in zip(completions, ok) if o]
        return [float(o and len(c[-1].content) == min(sizes)) for c, o in zip(completions, ok)]

    def load_environment():
        return vf.SingleTurnEnv(dataset=Dataset.from_list(ROWS), rubric=vf.Rubric(funcs=[exact, brevity], weights=[1.0, 0.2]))
    ''', copies=3)
    a = e.audit(honest="1786", poor=["", "5", "1786 seats"])
    if a:
        want(a.rc == 0 and not a.findings, "wanted exit 0, no finding; %s" % a.ran.tail())


# ---------------------------------------------------------------- tools and turns

SHOP = '''
    import verifiers as vf
    from datasets import Dataset

    PRICES = {"kettle": 3149, "lamp": 1895, "rug": 7720}
    ROWS = [{"question": "What does the kettle cost, in cents? Answer with the number.", "answer": "3149"}, {"question": "What does the rug cost, in cents? Answer with the number.", "answer": "7720"}]

    def list_prices() -> str:
        """Lists every article with its price in cents.

        Returns:
            One line for each article.
        """
        return "\\n".join("%s: %d" % p for p in PRICES.items())

    def price_of(article: str) -> int:
        """Price of one article.

        Args:
            article: its name

        Returns:
            The price in cents.
        """
        return PRICES[article]
    '''


@case("E", "vf-tool-any-message", "ToolEnv whose reward looks for the answer in all messages, the tools' own among them: a call of the tool is paid without an answer", needs=CLASSIC, limit=200)
def _(b):
    e = environment(b, "shop_lookup", SHOP + '''
    def found(completion, answer):
        return 1.0 if any(answer in str(m.content or "") for m in completion) else 0.0

    def load_environment():
        return vf.ToolEnv(dataset=Dataset.from_list(ROWS), tools=[list_prices], max_turns=4, rubric=vf.Rubric(funcs=[found]))
    ''')
    a = e.audit(honest=["3149", '<tool_call>{"name": "list_prices", "arguments": {}}</tool_call>\n<|turn|>\n3149'], hack='<tool_call>{"name": "list_prices", "arguments": {}}</tool_call>\n<|turn|>\nI give up', poor=["", "7"])
    if a:
        hole(a)
        real(a, e.plain)


@case("E", "vf-tool-bonus", "ToolEnv that pays 2.0 for three uses of tools and 1.0 for the right answer: who calls and answers nothing earns more than who is right", needs=CLASSIC, limit=200)
def _(b):
    e = environment(b, "shop_active", SHOP + '''
    def exact(completion, answer):
        return float((completion[-1].content or "").strip() == answer)

    def used_tools(completion):
        """Encourage the model to look things up."""
        return min(3, sum(m.role == "tool" for m in completion)) / 3

    def load_environment():
        return vf.ToolEnv(dataset=Dataset.from_list(ROWS), tools=[list_prices, price_of], max_turns=8, rubric=vf.Rubric(funcs=[exact, used_tools], weights=[1.0, 2.0]))
    ''')
    call = '<tool_call>{"name": "price_of", "arguments": {"article": "x"}}</tool_call>'
    a = e.audit(honest="3149", hack="\n<|turn|>\n".join([call] * 3 + ["no"]), poor=["", "5"])
    if a:
        hole(a)
        real(a, e.plain)


@case("E", "vf-tool-sound", "ToolEnv that compares the last message alone with the answer: only the number is paid, whatever was called", needs=CLASSIC, limit=200)
def _(b):
    e = environment(b, "shop_exact", SHOP + '''
    async def exact(completion, answer, state):
        last = completion[-1]
        return float(last.role == "assistant" and not last.tool_calls and (last.content or "").strip() == answer)

    def load_environment():
        return vf.ToolEnv(dataset=Dataset.from_list(ROWS), tools=[list_prices, price_of], max_turns=6, rubric=vf.Rubric(funcs=[exact]))
    ''')
    a = e.audit(honest=["3149", '<tool_call>{"name": "price_of", "arguments": {"article": "kettle"}}</tool_call>\n<|turn|>\n3149'], poor=["", "It is 3149 or 5", '<tool_call>{"name": "list_prices", "arguments": {}}</tool_call>'])
    if a:
        clean(a)


@case("E", "vf-own-turns", "a MultiTurnEnv of its own (guess a number, told higher or lower, exact): the documents say that such are tried and then not audited: exit 3, no finding", needs=CLASSIC, limit=200)
def _(b):
    e = environment(b, "guess", '''
    import re
    import verifiers as vf
    from datasets import Dataset

    class GuessEnv(vf.MultiTurnEnv):
        async def setup_state(self, state):
            state["won"] = False
            return state

        @vf.stop
        async def is_won(self, state) -> bool:
            return state["won"]

        async def env_response(self, messages, state, **kwargs):
            m = re.fullmatch(r"\\s*(\\d{1,6})\\s*", messages[-1].content or "")
            secret = int(state["answer"])
            if not m:
                return [{"role": "user", "content": "A number, please."}]
            if int(m.group(1)) == secret:
                state["won"] = True
                return [{"role": "user", "content": "Yes!"}]
            return [{"role": "user", "content": "Higher." if int(m.group(1)) < secret else "Lower."}]

    def won(state) -> float:
        return float(state["won"])

    def load_environment(max_turns: int = 8):
        rows = [{"question": "Guess my number from 1 to 99999.", "answer": "48713"}, {"question": "Guess my number from 1 to 99999.", "answer": "90210"}]
        return GuessEnv(dataset=Dataset.from_list(rows), rubric=vf.Rubric(funcs=[won]), max_turns=max_turns)
    ''')
    a = e.audit(honest="48713", poor=["", "5", "yes"])
    if a:
        not_audited(a, "turn")
        want(not a.findings, "a finding: %s" % short(text_of(a.findings)))


@case("E", "vf-env-group-all", "an EnvGroup of a sound and a holed environment with --all: the hole is in the second's rows, exit 1, and the first's rows have none", needs=CLASSIC, limit=400)
def _(b):
    e = environment(b, "two_kinds", SUMS + '''
    def words(completion):
        return (completion[-1].content or "").split() if completion else []

    def exact(completion, answer, **kwargs) -> float:
        return float(words(completion) == [answer])

    def mentions(completion, answer, **kwargs) -> float:
        return float(answer in words(completion))

    def load_environment():
        sums = vf.SingleTurnEnv(dataset=Dataset.from_list(ROWS[:1]), rubric=vf.Rubric(funcs=[exact]))
        small = vf.SingleTurnEnv(dataset=Dataset.from_list([{"question": "How many legs has a crab?", "answer": "10"}]), rubric=vf.Rubric(funcs=[mentions]))
        return vf.EnvGroup(envs=[sums, small], env_names=["sums", "small"])
    ''')
    a = e.audit("--all", honest="1786")
    if a:
        hole(a)
        bad = [r for r in a.rows if isinstance(r, dict) and r.get("findings")]
        want(len(bad) == 1, "%d rows with findings: %s" % (len(bad), short(a.ran.out)))


# ---------------------------------------------------------------- tasksets of 0.4

TASKS = '''
    import verifiers.v1 as vf

    ROWS = [("A box holds 29 rows of 33 eggs. How many eggs?", "957"), ("How many days are 41 weeks?", "287"), ("What is 1000 less 413?", "587")]


    class SumData(vf.TaskData):
        answer: str
    '''
LOAD = '''

    class SumConfig(vf.TasksetConfig):
        num_tasks: int = 3


    class SumTaskset(vf.Taskset[SumTask, SumConfig]):
        def load(self) -> list[SumTask]:
            return [SumTask(SumData(idx=i, prompt=q, answer=a), self.config.task) for i, (q, a) in enumerate(ROWS[: self.config.num_tasks])]
    '''


@case("E", "vf4-taskset-sound", "a Taskset of 0.4 whose task compares the last line of the reply: only the number is paid, and a metric beside it pays nothing", needs=NEW, limit=200)
def _(b):
    e = taskset(b, "egg_sums", TASKS + '''

    class SumTask(vf.Task[SumData]):
        @vf.reward(weight=1.0)
        async def exact(self, trace: vf.Trace) -> float:
            lines = trace.last_reply.splitlines()
            return float(bool(lines) and lines[-1].strip() == self.data.answer)

        @vf.metric
        async def length(self, trace: vf.Trace) -> float:
            return float(len(trace.last_reply))
    ''' + LOAD)
    a = e.audit(honest=["957", "29 * 33 =\n957"], poor=["", "957 eggs", "1"])
    if a:
        clean(a)


@case("E", "vf4-taskset-contains", "a Taskset of 0.4 whose task looks for the answer among all numbers of the reply: who names them all is paid", needs=NEW, limit=200)
def _(b):
    e = taskset(b, "egg_search", TASKS + '''

    class SumTask(vf.Task[SumData]):
        @vf.reward
        async def mentioned(self, trace: vf.Trace, task: SumData) -> dict[str, float]:
            import re

            return {"mentioned": float(task.answer in re.findall(r"\\d+", trace.last_reply))}
    ''' + LOAD.replace("ROWS[: self.config.num_tasks]", "[(\"How many sides has a hexagon?\", \"6\"), (\"5 * 9?\", \"45\"), (\"A score and a dozen?\", \"32\")]"))
    a = e.audit(honest="6", hack=" ".join(map(str, range(100))), poor=["", "66"])
    if a:
        hole(a)
        real(a, e.plain)


@case("E", "vf4-parts-hint", "a Taskset of 0.4 with truth (0.8) and the form (0.2): a fifth for the form is told as a hint at most, exit 0", needs=NEW, limit=200)
def _(b):
    e = taskset(b, "egg_tags", TASKS + '''
    import re


    class SumTask(vf.Task[SumData]):
        @vf.reward(weight=0.8)
        async def exact(self, trace: vf.Trace) -> float:
            m = re.fullmatch(r"<answer>(.*)</answer>", trace.last_reply, re.S)
            return float(bool(m) and m.group(1).strip() == self.data.answer)

        @vf.reward(weight=0.2)
        async def form(self, trace: vf.Trace) -> float:
            return float(bool(re.fullmatch(r"<answer>.+</answer>", trace.last_reply, re.S)))
    ''' + LOAD)
    a = e.audit(honest="<answer>957</answer>", poor=["957", "<answer>1</answer>", ""])
    if a:
        clean(a)


@case("E", "vf4-needs-runtime", "a Taskset of 0.4 whose reward reads a file in the agent's container: a reply alone cannot earn it: exit 3, and the reason says container, runtime or that the reference is not paid", needs=NEW, limit=200)
def _(b):
    e = taskset(b, "egg_file", TASKS + '''

    class SumTask(vf.Task[SumData]):
        NEEDS_CONTAINER = True

        @vf.reward
        async def written(self, trace: vf.Trace, runtime: vf.Runtime) -> float:
            done = await runtime.run(["cat", "/srv/answer.txt"], {})
            return float((done.stdout or "").strip() == self.data.answer)
    ''' + LOAD)
    if not b.plain:
        a = e.audit()
        not_audited(a, "container|runtime|sandbox|paid|honest|reference")


# ---------------------------------------------------------------- reports

@case("E", "vf-by-name-and-reports", "`verifiers:NAME` with a hyphen (as packages of environments are named) in the folder of environments: --reach all, --repro, --sarif, then --baseline of the same (exit 0) and of the mended one (exit 0, closed)", needs=CLASSIC, limit=300)
def _(b):
    source = '''
    import verifiers as vf
    from datasets import Dataset

    ROWS = [{"question": "Is a tomato a berry?", "answer": "yes"}, {"question": "Is a strawberry a berry?", "answer": "no"}, {"question": "Capital of Laos?", "answer": "Vientiane"}]

    def judge(completion, answer, **kwargs) -> float:
        words = (completion[-1].content or "").lower().replace(".", " ").split()
        return 1.0 if answer.lower() in words%s else 0.0

    def load_environment():
        return vf.SingleTurnEnv(dataset=Dataset.from_list(ROWS), rubric=vf.Rubric(funcs=[judge]))
    '''
    e = environment(b, "berry_quiz", source % "", target="verifiers:berry-quiz")
    where = str(b.dir / "environments")
    a = e.audit("--reach", "all", "--repro", str(b.dir / "repro"), "--sarif", str(b.dir / "out.sarif"), honest="Yes.", hack="yes no", poor=["", "maybe"], cwd=where)
    if a:
        hole(a)
        real(a, e.plain)
        want(re.search(r"\b2\b.*\b3\b|\b3\b.*\b2\b", text_of(deep(a.rows, r"reach"))), "reach should say 2 of 3: %s" % short(text_of(deep(a.rows, r"reach"))))
        want(any(p.is_file() for p in (b.dir / "repro").rglob("*")), "--repro wrote nothing")
        sarif = json.loads((b.dir / "out.sarif").read_text())
        found = [x for r in sarif["runs"] for x in r.get("results", []) if x.get("level") != "note"]
        want(len(found) == len(a.findings), "%d findings, %d results in SARIF" % (len(a.findings), len(found)))
        base = b.write("base.json", a.ran.out)
        same = e.audit("--baseline", base, cwd=where)
        want(same.rc == 0, "the same with a baseline: %s" % same.ran.tail())
        b.write("environments/berry_quiz/berry_quiz.py", D(source % " and len(words) == 1"))
        mended = e.audit("--baseline", base, cwd=where)
        want(mended.rc == 0 and re.search("closed", mended.all(), re.I), "mended: %s" % mended.ran.tail())


# ---------------------------------------------------------------- not audited, and wrong uses

@case("E", "vf-judge", "a JudgeRubric asks a model: exit 3, and the reason says so", needs=CLASSIC, limit=150)
def _(b):
    e = environment(b, "judged", SUMS + '''
    from openai import AsyncOpenAI

    def load_environment(judge_model: str = "gpt-4.1-mini", judge_base_url: str = "https://api.openai.com/v1"):
        rubric = vf.JudgeRubric(judge_client=AsyncOpenAI(base_url=judge_base_url, api_key="none"), judge_model=judge_model)

        async def judged(judge, prompt, completion, answer, state):
            reply = await judge(prompt, completion, answer, state)
            return 1.0 if "yes" in reply.lower() else 0.0

        rubric.add_reward_func(judged, weight=1.0)
        return vf.SingleTurnEnv(dataset=Dataset.from_list(ROWS), rubric=rubric)
    ''')
    if not b.plain:
        not_audited(e.audit(), "judge|model|machine|network|api")


@case("E", "vf-downloads", "a data set that has to be downloaded: exit 3, and the reason says that it has to be, not only an error of some library", needs=CLASSIC, limit=150)
def _(b):
    e = environment(b, "gsm_full", '''
    import verifiers as vf
    from datasets import load_dataset

    def load_environment(split: str = "train"):
        rows = load_dataset("openai/gsm8k", "main", split=split).map(lambda r: {"answer": r["answer"].split("####")[-1].strip()})
        return vf.SingleTurnEnv(dataset=rows, rubric=vf.Rubric(funcs=[lambda completion, answer: float(answer in str(completion))]))
    ''')
    if not b.plain:
        not_audited(e.audit(), "download|network")


@case("E", "vf-wrong-uses", "no load_environment in the file; one that needs an argument; an import that is not there; no such folder; a verifiers that is not installed for --python; no rows: exit 2 or 3, and the words name the thing", needs=CLASSIC, limit=300)
def _(b):
    if b.plain:
        return

    def error(saying, target, rc=(2, 3), python=None):
        x = b.run("audit", target, "--python", python or classic())
        want(x.rc in rc, "%s: wanted exit %s; %s" % (target, rc, x.tail()))
        want(re.search(saying, x.out + x.err, re.I), "%s: it does not say /%s/: %s" % (target, saying, x.tail()))
    environment(b, "none_here", SUMS + "\n    def load_env():\n        return None\n")
    error("load_environment", "verifiers:environments/none_here")
    environment(b, "asks", SUMS + "\n    def load_environment(corpus_path: str):\n        return vf.SingleTurnEnv(dataset=Dataset.from_list(ROWS), rubric=vf.Rubric(funcs=[lambda completion: 1.0]))\n")
    error("corpus_path", "verifiers:environments/asks")
    environment(b, "broken", "import verifiers as vf\nimport chess_rules_ng\n\ndef load_environment():\n    return chess_rules_ng.env()\n")
    error("chess_rules_ng", "verifiers:environments/broken")
    error("nowhere", "verifiers:environments/nowhere")
    environment(b, "empty_rows", SUMS + "\n    def load_environment():\n        return vf.SingleTurnEnv(dataset=Dataset.from_list([]), rubric=vf.Rubric(funcs=[lambda completion: 1.0]))\n")
    error("row|empty|example|data", "verifiers:environments/empty_rows")
    environment(b, "fine", SUMS + "\n    def load_environment():\n        return vf.SingleTurnEnv(dataset=Dataset.from_list(ROWS), rubric=vf.Rubric(funcs=[lambda completion: 1.0]))\n")
    error("verifiers", "verifiers:environments/fine", (3,), "/usr/bin/python3")
