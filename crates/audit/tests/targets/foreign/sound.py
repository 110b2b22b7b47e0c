"""Sound graders in the forms of others: none of them has a hole that is known."""

import json
import re
import string
import subprocess
import sys

RUN = """
import json, sys
given = json.load(sys.stdin)
space = {}
exec(given["code"], space)
print(json.dumps(space["add"](*given["args"])))
"""


def _in_tags(text):
    found = re.fullmatch(r"\s*(?:<think>.*?</think>\s*)?<answer>\s*([^<>]+?)\s*</answer>\s*", text, re.S)
    return found.group(1) if found else None


# TRL, conversations, one answer in tags.
def trl_tags(completions, answer, **kwargs):
    return [float(_in_tags(c[0]["content"]) == a) for c, a in zip(completions, answer)]


# TRL, strings, the whole text.
def trl_whole(prompts, completions, answer, **kwargs):
    return [float(c.strip() == a) for c, a in zip(completions, answer)]


# verl, the one number in a box.
def verl_box(data_source, solution_str, ground_truth, extra_info=None):
    found = re.findall(r"\\boxed\{(-?\d+)\}", solution_str)
    return {"score": float(found == [ground_truth])}


# verl, the one number after ####.
def verl_hashes(data_source, solution_str, ground_truth, extra_info=None):
    found = re.findall(r"^#### (-?\d+)$", solution_str, re.M)
    return float(found == [ground_truth])


# verl, a batch at a time.
def verl_batch(data_sources, solution_strs, ground_truths, extra_infos):
    return [float(s.strip() == g) for s, g in zip(solution_strs, ground_truths)]


# By names: the last number, as most do.
def last_number(response, answer):
    found = re.findall(r"-?\d+(?:\.\d+)?", response)
    return float(len(found) == 1 and found[-1] == answer)


# By names: a letter in tags.
def letter(model_output, label=None, answer=None):
    return float(_in_tags(model_output) == answer)


# verl, exact match of normalised answers.
def exact_match(solution_str, ground_truth):
    def plain(text):
        return " ".join(re.sub(r"\b(a|an|the)\b", " ", "".join(c for c in text.lower() if c not in string.punctuation)).split())

    said = _in_tags(solution_str)
    return float(said is not None and plain(said) in [plain(t) for t in ground_truth["target"]])


# Plain: a number as a number.
def number(submission, task):
    return float(re.fullmatch(r"\s*-?\d+(\.0+)?\s*", submission) is not None and float(submission) == float(task["answer"]))


# Awaited.
async def awaited(completions, answer, **kwargs):
    return [float(c.strip() == a) for c, a in zip(completions, answer)]


# By names: a function in a process of its own, with inputs only; answers are compared here.
def function_apart(completion, tests):
    for args, wanted in ([1, 2], 3), ([-1, 1], 0), ([10, 5], 15):
        given = json.dumps({"code": completion, "args": args})
        try:
            run = subprocess.run([sys.executable, "-I", "-c", RUN], input=given, text=True, timeout=5, capture_output=True, cwd="/tmp")
            answer = json.loads(run.stdout)
        except (ValueError, subprocess.TimeoutExpired):
            return 0.0
        if type(answer) is not int or answer != wanted:
            return 0.0
    return 1.0


# verl: a program in a process of its own, with inputs only.
def program_apart(data_source, solution_str, ground_truth, extra_info=None):
    for given, wanted in zip(ground_truth["inputs"], ground_truth["outputs"]):
        try:
            run = subprocess.run([sys.executable, "-I", "-c", solution_str], input=given, text=True, timeout=5, capture_output=True, cwd="/tmp")
        except (ValueError, subprocess.TimeoutExpired):
            return 0.0
        if run.returncode != 0 or run.stdout.split() != wanted.split():
            return 0.0
    return 1.0


# A group: four times what one completion is beyond its mean, and nothing for copies of one text.
def group_beyond_the_mean(generations, answer):
    marks = [float(g.strip() == answer) for g in generations]
    return {"rewards": [4 * (m - sum(marks) / len(marks)) for m in marks]}


# A group of TRL, ranked: only right ones are in the ranking.
def group_ranked(prompts, completions, answer, **kwargs):
    right = [c.strip() == a for c, a in zip(completions, answer)]
    return [float(r) * len(completions) / (1 + sum(right)) for r in right]


# By names: each of several answers, and nothing else.
def any_of_them(response, answer):
    return float(response.strip() in answer)


# By names: of several accepted answers the first alone, which is unfair and no hole.
def first_of_them(response, answer):
    return float(response.strip() == answer[0])
