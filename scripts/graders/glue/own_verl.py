"""verl's rewards that need something around them: the reward of code in a sandbox, with the sandbox's part done here.

verl sends a program and reads status, exit code and output. SandboxFusion runs it as a file in a process of its own, and
so does this; what is asked for and what is made of the answer is verl's.
"""

import json
import subprocess
import sys
import tempfile
import types

from bare import bare

bare("verl")
bare("verl.utils")
bare("verl.utils.reward_score")
# What prime_math uses of it names a class in there, for which torch would be loaded.
sys.modules["verl.utils.metric"] = types.ModuleType("verl.utils.metric")
sys.modules["verl.utils.metric"].Metric = object
import verl_math_verify  # noqa: E402
from verl.utils.reward_score import geo3k, prime_math, rlla, sandbox_fusion  # noqa: E402
from verl.utils.reward_score.sandbox_fusion import utils  # noqa: E402


def run_code(url, headers, data, timeout):
    asked = json.loads(data)
    with tempfile.NamedTemporaryFile("w", suffix=".py") as program:
        program.write(asked["code"])
        program.flush()
        try:
            run = subprocess.run(
                [sys.executable, program.name], input=asked["stdin"] or "", capture_output=True, text=True,
                timeout=asked["run_timeout"],
            )
            ended = {"status": "Finished", "return_code": run.returncode, "stdout": run.stdout, "stderr": run.stderr}
        except subprocess.TimeoutExpired:
            ended = {"status": "TimeLimitExceeded", "return_code": None, "stdout": "", "stderr": ""}
    good = ended["return_code"] == 0
    answer = {"status": "Success" if good else "Failed", "compile_result": None, "run_result": {**ended, "execution_time": 0.0}}
    return types.SimpleNamespace(status_code=200, raise_for_status=lambda: None, json=lambda: answer)


utils.requests.post = run_code


def code(data_source, solution_str, ground_truth, extra_info):
    return sandbox_fusion.compute_score("http://sandbox/run_code", None, 1024, solution_str, ground_truth, continuous=True)[0]


def math(data_source, solution_str, ground_truth, extra_info):
    return float(prime_math.compute_score(solution_str, ground_truth)[0])


def verified(data_source, solution_str, ground_truth, extra_info):
    return float(verl_math_verify.compute_score(solution_str, ground_truth))


def geometry(data_source, solution_str, ground_truth, extra_info):
    return geo3k.compute_score(solution_str, ground_truth)


def tools(data_source, solution_str, ground_truth, extra_info):
    asked = {**extra_info, "experiment_name": "qwen"}
    return rlla.compute_score(data_source, "<|im_start|>assistant\n" + solution_str, ground_truth, asked)["score"]
