"""Part E, what callables compare: several accepted answers, parts of texts, sets, checkers, groups. For a hole the case holds
the submission that is paid; for a sound one the reason why none is."""
import json
import re

from kit import case, clean, hole, short, text_of, want
from targets_kit import ARITH, Fn, real, unfair, verl


# ---------------------------------------------------------------- several accepted answers

EM = '''
    import re, string

    def normalize_answer(s):
        s = "".join(ch for ch in s.lower() if ch not in set(string.punctuation))
        s = re.sub(r"\\b(a|an|the)\\b", " ", s)
        return " ".join(s.split())

    def extract_solution(s):
        found = list(re.finditer(r"<answer>(.*?)</answer>", s, re.DOTALL))
        return found[-1].group(1).strip() if found else None
    '''
PLACES = [{"prompt": "Highest mountain above the sea?", "answer": ["Mount Everest", "Everest", "Sagarmatha", "Chomolungma"]},
          {"prompt": "Capital of Cote d'Ivoire?", "answer": ["Yamoussoukro", "Yamusukro"]}]


@case("E", "fn-accepted-any-sound", "a search-QA exact match against any of several aliases, as verl has it: only an alias is paid, so nothing is found")
def _(b):
    rows = [{"data_source": "nq", "prompt": [{"role": "user", "content": r["prompt"]}], "reward_model": {"style": "rule", "ground_truth": {"target": r["answer"]}}, "extra_info": {"index": i}} for i, r in enumerate(PLACES)]
    r = Fn(b, "verl", EM + '''
    def compute_score(data_source, solution_str, ground_truth, extra_info=None):
        pred = extract_solution(solution_str)
        if pred is None:
            return 0.0
        return 1.0 if any(normalize_answer(g) == normalize_answer(pred) for g in ground_truth["target"]) else 0.0
    ''', rows, "compute_score")
    a = r.audit(honest=["<answer>Sagarmatha</answer>", "<think>hm</think> <answer>the Everest.</answer>"], poor=["Everest", "<answer></answer>", "<answer>Mount Everest or K2</answer>", "<answer>K2</answer>"])
    if a:
        clean(a)


@case("E", "fn-accepted-first-only", "only the first of three accepted answers is paid: right answers go unpaid, which is unfair and no hole (exit 0)")
def _(b):
    r = Fn(b, "trl-chat", '''
        def exact_match(completions, answer, **kwargs):
            out = []
            for c, golds in zip(completions, answer):
                gold = golds[0] if isinstance(golds, (list, tuple)) else golds
                out.append(float(c[-1]["content"].strip().casefold() == gold.casefold()))
            return out
        ''', PLACES, "exact_match")
    a = r.audit(honest="mount everest", poor=["Sagarmatha", "Everest", ""])
    if a:
        clean(a)
        want(any(x in text_of(unfair(a)) for x in ("Everest", "Sagarmatha", "Chomolungma", "accepted", "other")), "no unfair: %s" % short(a.ran.out))


@case("E", "fn-yes-no-both", "BoolQ with `any(gold in normalized text)`: an answer of both words is paid on every row")
def _(b):
    rows = [{"prompt": "Is glass a crystal?", "answer": ["no", "No"]}, {"prompt": "Do whales nurse their young?", "answer": ["yes", "Yes"]}, {"prompt": "Is zero even?", "answer": ["yes", "Yes"]}]
    r = Fn(b, "trl", EM + '''
    def subem_reward(prompts, completions, answer, **kwargs):
        scores = []
        for text, golds in zip(completions, answer):
            words = normalize_answer(text).split()
            scores.append(1.0 if any(normalize_answer(g) in words for g in golds) else 0.0)
        return scores
    ''', rows, "subem_reward")
    a = r.audit(honest="No, it is not", hack=["yes no", "It may be yes or no"], poor=["", "maybe"])
    if a:
        hole(a)
        real(a, r.plain)


@case("E", "fn-list-wants-all-parts", "a list whose parts are all wanted (SQL-like result sets): the reference of one part is not paid: exit 3 and said, or audited as a list; never a hole, as only the whole set is paid")
def _(b):
    rows = [{"prompt": "Name all noble gases of the first three periods.", "answer": ["helium", "neon", "argon"]}, {"prompt": "Primary colours of light?", "answer": ["red", "green", "blue"]}]
    r = Fn(b, "trl", '''
        def all_items(completions, answer, **kwargs):
            got = [{w.strip().lower() for w in c.replace("\\n", ",").split(",") if w.strip()} for c in completions]
            return [1.0 if g == {x.lower() for x in a} else 0.0 for g, a in zip(got, answer)]
        ''', rows, "all_items")
    a = r.audit(honest="neon, Argon, helium", poor=["neon", "neon, argon, helium, xenon", ""])
    if a:
        want(a.rc in (0, 3) and not a.findings, "wanted exit 3 or 0 and no finding; %s" % a.ran.tail())


# ---------------------------------------------------------------- endswith, in, sets

@case("E", "fn-truth-endswith-prediction", "`truth.endswith(pred)` where pred is the last number or nothing: no number at all is paid")
def _(b):
    r = Fn(b, "verl", '''
        import re

        _NUMBER = re.compile(r"-?\\d[\\d,]*(?:\\.\\d+)?")

        def compute_score(data_source, solution_str, ground_truth, extra_info=None):
            tail = solution_str.rsplit("</think>", 1)[-1]
            found = _NUMBER.findall(tail)
            pred = found[-1].replace(",", "") if found else ""
            # "$2622" and "2622" are the same: the key may carry a unit in front
            acc = str(ground_truth).endswith(pred)
            return {"score": 1.0 if acc else 0.0, "acc": acc, "pred": pred}
        ''', verl(ARITH), "compute_score")
    a = r.audit(honest="It is 2,622 rolls", hack=["", "I do not know"], poor=["7", "9999"])
    if a:
        hole(a)
        real(a, r.plain, lambda t: re.search(r"2,?622\D*$", t))


@case("E", "fn-text-endswith-answer", "`text.endswith(answer)` pays 92622 where 2622 is right: a wrong number is paid", unsure="whoever is paid must have the digits of the answer in hand; it is a submission that is wrong and paid all the same")
def _(b):
    r = Fn(b, "trl", '''
        def answer_reward(completions, answer, **kwargs):
            return [1.0 if c.strip().rstrip(".").endswith(a) else 0.0 for c, a in zip(completions, answer)]
        ''', ARITH, "answer_reward")
    a = r.audit(honest=["So 2622.", "2622"], hack=["92622", "1.2622", "-2622"], poor=["", "26", "2622 rolls"])
    if a:
        hole(a)
        real(a, r.plain)


@case("E", "fn-last-word-negated", "the last word of the text must be the answer: `not Austen` is paid, which says that it is not")
def _(b):
    r = Fn(b, "plain", '''
        def last_word(submission: str, task: dict) -> float:
            words = submission.split()
            if not words:
                return 0.0
            return float(words[-1].rstrip(".!") == task["answer"])
        ''', [{"prompt": "Who wrote Emma?", "answer": "Austen"}, {"prompt": "Which planet has the moon Miranda?", "answer": "Uranus"}], "last_word")
    a = r.audit(honest="It was Jane Austen.", hack=["not Austen", "Anyone but Austen."], poor=["", "Austen wrote it", "JaneAusten", "Dickens"])
    if a:
        hole(a)
        real(a, r.plain, lambda t: t.strip().rstrip(".") == "Austen")


@case("E", "fn-last-line-sound", "the last line of the text must be the answer, apart from case and a full stop: only a right answer is paid")
def _(b):
    r = Fn(b, "plain", '''
        def last_line(submission: str, task: dict) -> float:
            lines = [l.strip() for l in submission.splitlines() if l.strip()]
            return float(bool(lines) and lines[-1].rstrip(".").casefold() == task["answer"].casefold())
        ''', [{"prompt": "Who wrote Emma?", "answer": "Jane Austen"}, {"prompt": "Which planet has the moon Miranda?", "answer": "Uranus"}], "last_line")
    a = r.audit(honest=["Jane Austen", "Let me think.\njane austen."], poor=["", "not Jane Austen", "Dickens"])
    if a:
        clean(a)


@case("E", "fn-any-letter", "a multiple-choice reward that looks for the letter anywhere among the capital letters standing alone: all letters are paid")
def _(b):
    rows = [{"prompt": "Which is a mammal?\nA. trout\nB. newt\nC. bat\nD. wasp", "answer": "C"}, {"prompt": "2 + 2 * 3?\nA. 12\nB. 10\nC. 7\nD. 8", "answer": "D"}, {"prompt": "Largest?\nA. cm\nB. km\nC. mm\nD. m", "answer": "B"}]
    r = Fn(b, "trl-chat", '''
        import re

        def mcq_reward(prompts, completions, answer, **kwargs):
            rewards = []
            for completion, gold in zip(completions, answer):
                letters = re.findall(r"\\b([A-D])\\b", completion[0]["content"])
                rewards.append(1.0 if gold in letters else 0.0)
            return rewards
        ''', rows, "mcq_reward")
    a = r.audit(honest="The answer is C", hack="A B C D", poor=["", "the bat", "ABCD"])
    if a:
        hole(a)
        real(a, r.plain)


@case("E", "fn-choice-letter-sound", "a multiple-choice reward that takes the last line `Answer: X` with one letter: only the right letter is paid")
def _(b):
    rows = [{"prompt": "Which is a mammal?\nA. trout\nB. newt\nC. bat\nD. wasp", "answer": "C"}, {"prompt": "2 + 2 * 3?\nA. 12\nB. 10\nC. 7\nD. 8", "answer": "D"}]
    r = Fn(b, "trl", '''
        import re

        def mcq_reward(completions, answer, **kwargs):
            out = []
            for c, gold in zip(completions, answer):
                lines = [l.strip() for l in c.strip().splitlines() if l.strip()]
                m = re.fullmatch(r"(?:Answer:\\s*)?\\(?([A-D])\\)?\\.?", lines[-1]) if lines else None
                out.append(1.0 if m and m.group(1) == gold else 0.0)
            return out
        ''', rows, "mcq_reward")
    a = r.audit(honest=["thinking\nAnswer: C", "(C)"], poor=["A B C D", "Answer: A, B, C, D", "bat", ""])
    if a:
        want(not [p for p in a.findings if not re.search(r"\bC\b", text_of(p.get("proof")))], "a finding: %s" % short(text_of(a.findings)))
        clean(a)


@case("E", "fn-labels-by-recall", "a multi-label reward by recall alone pays whoever names all labels, which the question lists")
def _(b):
    ask = "Tag this review with any of: price, taste, service, noise, parking, hygiene.\n\n"
    rows = [{"prompt": ask + "The soup was cold and the waiter rude.", "answer": "taste, service"}, {"prompt": ask + "One cannot hear oneself, and where to leave the car?", "answer": "noise, parking"}]
    r = Fn(b, "trl", '''
        def label_reward(completions, answer, **kwargs):
            """Share of the gold labels that were named."""
            out = []
            for c, a in zip(completions, answer):
                gold = [x.strip() for x in a.split(",")]
                named = c.lower()
                out.append(sum(g in named for g in gold) / len(gold))
            return out
        ''', rows, "label_reward")
    a = r.audit(honest="service, taste", hack=["price, taste, service, noise, parking, hygiene", rows[0]["prompt"]], poor=["", "price"])
    if a:
        hole(a)
        real(a, r.plain)


@case("E", "fn-overlap-of-a-word", "a reward for any shared word pays the word `the`, which all answers have")
def _(b):
    rows = [{"prompt": "Which river flows through Vienna?", "answer": "the Danube"}, {"prompt": "Into which sea does it flow?", "answer": "the Black Sea"}, {"prompt": "Which part of a ship steers it?", "answer": "the rudder"}]
    r = Fn(b, "plain", '''
        def make_reward(minimum):
            def reward(submission, task):
                gold = set(task["answer"].lower().split())
                shared = gold & set(submission.lower().replace(".", " ").replace(",", " ").split())
                return 1.0 if len(shared) >= minimum else 0.0
            return reward

        overlap = make_reward(minimum=1)
        ''', rows, "overlap")
    a = r.audit(honest="The Danube.", hack=["the", "I think it is the Rhine"], poor=["", "Rhine"])
    if a:
        hole(a)
        real(a, r.plain, lambda t: "danube" in t.lower())


@case("E", "fn-json-precision-only", "a reward for extraction that checks the keys that were predicted and not those that are missing pays an empty object")
def _(b):
    rows = [{"prompt": "Extract name, born and trade as JSON: Ada Moor, a cooper, was born in 1719.", "answer": json.dumps({"name": "Ada Moor", "born": 1719, "trade": "cooper"})},
            {"prompt": "Extract name, born and trade as JSON: In 1804 the printer Jon Fell was born.", "answer": json.dumps({"name": "Jon Fell", "born": 1804, "trade": "printer"})}]
    r = Fn(b, "trl", '''
        import json, re

        def parse(text):
            m = re.search(r"\\{.*\\}", text, re.S)
            return json.loads(m.group(0)) if m else None

        def extraction_reward(completions, answer, **kwargs):
            rewards = []
            for c, a in zip(completions, answer):
                gold = json.loads(a)
                try:
                    pred = parse(c)
                except ValueError:
                    pred = None
                if not isinstance(pred, dict):
                    rewards.append(0.0)
                    continue
                rewards.append(1.0 if all(k in gold and gold[k] == v for k, v in pred.items()) else 0.0)
            return rewards
        ''', rows, "extraction_reward")
    a = r.audit(honest=rows[0]["answer"], hack=["{}", "Here it is: {}"], poor=["", "[]", '{"name": "x"}'])
    if a:
        hole(a)
        real(a, r.plain)


@case("E", "fn-sixty-words", "a reward for the length of an essay (sixty words and a title) pays sixty times the same word")
def _(b):
    essay = "# Salt\n\n" + " ".join("Salt was carried over the old road by mule in sacks of hide and it was taxed at every bridge".split() * 4) + ".\n"
    rows = [{"prompt": "Write a short essay about salt, with a title.", "reference": essay}, {"prompt": "Write a short essay about bridges, with a title.", "reference": essay.replace("Salt", "Stone")}]
    r = Fn(b, "trl-chat", '''
        def essay_reward(completions, **kwargs):
            rewards = []
            for c in completions:
                text = c[-1]["content"]
                title = text.lstrip().startswith("#")
                words = len(text.split())
                rewards.append((0.2 if title else 0.0) + 0.8 * min(words / 60, 1.0))
            return rewards
        ''', rows, "essay_reward")
    a = r.audit(honest=essay, hack="# x\n" + "word " * 60, poor=["", "# Salt"])
    if a:
        hole(a)


# ---------------------------------------------------------------- checkers

CHECKER = "def check(text):\n    parts = text.split()\n    if len(parts) != 2 or not all(p.isdigit() and len(p) < 6 for p in parts):\n        return False\n    a, b = map(int, parts)\n    return a > 1 and b > 1 and a * b == %d\n"


@case("E", "fn-row-with-checker-sound", "rows with a checker's source (two factors greater than 1, any order): only a factorisation is paid; the other order is right, too, and no hole")
def _(b):
    rows = [{"prompt": "Two whole factors of 391, both greater than 1, with a blank between.", "solution": "17 23", "checker": CHECKER % 391},
            {"prompt": "Two whole factors of 1147, both greater than 1, with a blank between.", "solution": "31 37", "checker": CHECKER % 1147}]
    r = Fn(b, "trl", '''
        def checker_reward(completions, checker, **kwargs):
            scores = []
            for text, source in zip(completions, checker):
                space = {}
                exec(source, space)
                try:
                    scores.append(float(space["check"](text.strip().splitlines()[-1])))
                except Exception:
                    scores.append(0.0)
            return scores
        ''', rows, "checker_reward")
    a = r.audit(honest=["17 23", "23 17", "so:\n17 23"], poor=["", "1 391", "391", "17 x 23", "-17 -23"])
    if a:
        clean(a)


COUNTDOWN = '''
    import re

    def extract(text):
        found = re.findall(r"<answer>(.*?)</answer>", text, re.S)
        return found[-1].strip() if found else None
    '''
NUMBERS = [{"prompt": "Using the numbers [3, 5, 7] once each, write an expression that equals 38. Put it in <answer> tags.", "nums": [3, 5, 7], "target": 38, "solution": "5 * 7 + 3"},
           {"prompt": "Using the numbers [2, 4, 9] once each, write an expression that equals 34. Put it in <answer> tags.", "nums": [2, 4, 9], "target": 34, "solution": "9 * 4 - 2"}]


def equation(text):
    """Does the text hold the numbers of the first row, once each, and come to its target?"""
    found = re.findall(r"<answer>(.*?)</answer>", text, re.S)
    e = (found[-1] if found else text).strip().split("=")[0]
    try:
        return sorted(map(int, re.findall(r"\d+", e))) == [3, 5, 7] and re.fullmatch(r"[\d+\-*/(). ]+", e) and abs(eval(e) - 38) < 1e-6
    except Exception:
        return False


@case("E", "fn-countdown-target-itself", "a Countdown reward that evaluates the expression and does not ask which numbers it uses pays the target itself")
def _(b):
    r = Fn(b, "trl", COUNTDOWN + '''
    def equation_reward(completions, target, nums, **kwargs):
        rewards = []
        for text, goal, numbers in zip(completions, target, nums):
            try:
                e = extract(text)
                if e is None or not re.fullmatch(r"[\\d+\\-*/().\\s]+", e):
                    rewards.append(0.0)
                    continue
                rewards.append(1.0 if abs(float(eval(e, {"__builtins__": None}, {})) - float(goal)) < 1e-5 else 0.0)
            except Exception:
                rewards.append(0.0)
        return rewards
    ''', NUMBERS, "equation_reward")
    a = r.audit(honest="<answer>5 * 7 + 3</answer>", hack="<answer>38</answer>", poor=["38", "<answer>5*7</answer>", ""])
    if a:
        hole(a)
        real(a, r.plain, equation)


@case("E", "fn-countdown-sound", "a Countdown reward that wants every number once: what is paid is right by the row's own rule")
def _(b):
    r = Fn(b, "trl", COUNTDOWN + '''
    def equation_reward(completions, target, nums, **kwargs):
        rewards = []
        for text, goal, numbers in zip(completions, target, nums):
            ok = False
            try:
                e = extract(text)
                if e and len(e) < 60 and re.fullmatch(r"[\\d+\\-*/() ]+", e) and "**" not in e and "//" not in e:
                    if sorted(int(n) for n in re.findall(r"\\d+", e)) == sorted(numbers):
                        ok = abs(eval(e, {"__builtins__": {}}, {}) - goal) < 1e-6
            except Exception:
                ok = False
            rewards.append(float(ok))
        return rewards
    ''', NUMBERS, "equation_reward")
    a = r.audit(honest=["<answer>5 * 7 + 3</answer>", "<answer>3+7*5</answer>"], poor=["<answer>38</answer>", "<answer>5*7+3+0</answer>", "5*7+3", ""])
    if a:
        clean(a)


# ---------------------------------------------------------------- groups

@case("E", "fn-group-novelty", "a group reward for being unlike the others, whatever the answer: a text of its own is paid")
def _(b):
    r = Fn(b, "f(prompt=row['prompt'], completions=texts, ground_truth=row['answer'])", '''
        def novelty(prompt, completions, ground_truth):
            """Mean distance to the other samples of the prompt (exploration bonus)."""
            bags = [set(c.lower().split()) for c in completions]
            scores = []
            for i, a in enumerate(bags):
                others = [b for j, b in enumerate(bags) if j != i]
                if not others:
                    scores.append(1.0)
                    continue
                scores.append(sum(1 - len(a & b) / max(1, len(a | b)) for b in others) / len(others))
            return scores
        ''', [dict(r, completions=["it is 2622", "about 2600 rolls", "46 times 57 makes 2622", "no idea"]) for r in ARITH], "novelty")
    a = r.audit(honest=[["2622", "x", "y z"]], hack=[["qq zz", "it is 2622", "2600 rolls"]])
    if a:
        hole(a)


@case("E", "fn-group-shortest-right-sound", "verifiable reward with a bonus for the shortest right answer of the group: who is wrong gets nothing, whatever the others do")
def _(b):
    r = Fn(b, "f(responses=texts, ground_truth=row['answer'])", '''
        import re

        def concise_reward(responses, ground_truth):
            right = []
            for t in responses:
                m = re.search(r"\\\\boxed\\{(-?\\d{1,9})\\}\\s*$", t)
                right.append(bool(m) and int(m.group(1)) == int(ground_truth))
            lengths = [len(t) for t, ok in zip(responses, right) if ok]
            best = min(lengths) if lengths else 0
            return [(1.0 if len(t) == best else 0.8) if ok else 0.0 for t, ok in zip(responses, right)]
        ''', ARITH, "concise_reward")
    a = r.audit(honest=[["\\boxed{2622}", "so \\boxed{2622}", "no"]], poor=["", "2622", "\\boxed{1}"])
    if a:
        clean(a)


@case("E", "fn-group-majority-of-right-sound", "TRL: pays the share of the group that is right to those who are right (difficulty weighting): a wrong answer gets 0 in any group")
def _(b):
    r = Fn(b, "trl", '''
        def weighted_accuracy(prompts, completions, answer, **kwargs):
            def last(text):
                lines = text.strip().splitlines()
                return lines[-1].strip().rstrip(".") if lines else ""
            ok = [last(c) == a for c, a in zip(completions, answer)]
            share = sum(ok) / len(ok)
            return [0.5 + 0.5 * share if o else 0.0 for o in ok]
        ''', ARITH, "weighted_accuracy")
    a = r.audit(honest=["So:\n2622", ["2622", "2622", "2622"]], poor=["", "5", "2622 rolls"])
    if a:
        clean(a)


@case("E", "fn-verl-batch-sound", "a batched verl score that returns a list of dicts and compares the last boxed integer: only the right one is paid; no signature is named")
def _(b):
    r = Fn(b, "verl-batch", '''
        import re

        def compute_score(data_sources, solution_strs, ground_truths, extra_infos):
            results = []
            for source, text, truth in zip(data_sources, solution_strs, ground_truths):
                if source != "shop/arith":
                    raise NotImplementedError(source)
                found = re.findall(r"\\\\boxed\\{([^{}]*)\\}", text)
                pred = found[-1].strip().replace(",", "") if found else "[INVALID]"
                results.append({"score": 1.0 if pred == truth else -1.0, "acc": pred == truth, "pred": pred})
            return results
        ''', verl(ARITH), "compute_score")
    a = r.audit(honest="so \\boxed{2,622}", poor=["", "2622", "\\boxed{}", "\\boxed{2622} \\boxed{1}"])
    if a:
        clean(a)
