"""What open-instruct's server for code answers, and the share of it that its CodeVerifier pays; no server between them."""

import json

from bare import bare

bare("open_instruct")
from open_instruct.code_utils import code_utils  # noqa: E402


def share(results):
    return sum(results) / len(results) if results else 0.0


def asserts(completion, asserts):
    return share(code_utils.get_successful_tests_fast(program=completion, tests=asserts, max_execution_time=2.0)[0])


def programs(completion, test_cases):
    cases = json.loads(test_cases)
    tests = [{"input": given, "output": wanted} for given, wanted in zip(cases["inputs"], cases["outputs"])]
    return share(code_utils.get_successful_tests_stdio(program=completion, tests=tests, max_execution_time=2.0)[0])
