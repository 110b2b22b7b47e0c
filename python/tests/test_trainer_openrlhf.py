"""OpenRLHF's own SingleTurnAgentExecutor, with the file and with the address."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from conftest import FORGED, HONEST, TASKS, WRONG
from foreign import needs

needs("openrlhf", "0.11.2")

from models import tokenizer  # noqa: E402
from openrlhf.utils.agent import SingleTurnAgentExecutor  # noqa: E402

from loophole import Reward  # noqa: E402

FILE = """
from loophole import Reward

reward_func = Reward({tasks!r}{more}).openrlhf
"""
PROMPT = "<|im_start|>user\nadd<|im_end|>\n<|im_start|>assistant\n"


class Said:
    """An engine that says what it was told to."""

    def __init__(self, text: str):
        self.ids = tokenizer().encode(text + "<|im_end|>")

    async def generate(self, ids: Any, parameters: Any, **more: Any) -> Any:
        said = type("Said", (), {"token_ids": self.ids, "logprobs": None, "finish_reason": "stop"})
        return type("Output", (), {"outputs": [said]})


class Parameters:
    max_tokens, logprobs = 256, None


def execute(where: str, text: str, label: Any = "sum") -> dict[str, Any]:
    executor = SingleTurnAgentExecutor(where)
    call = executor.execute(PROMPT, label, Parameters(), 512, tokenizer(), Said(text))
    return dict(asyncio.run(call))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, tasks_file: Path) -> str:
    path = tmp_path_factory.mktemp("openrlhf") / "reward.py"
    path.write_text(FILE.format(tasks=str(tasks_file), more=""))
    return str(path)


def number(value: Any) -> float:
    return float(value[0] if isinstance(value, list) else value)


@pytest.mark.parametrize("form", ["file", "address"])
def test_both_forms(form: str, file: str) -> None:
    where = file if form == "file" else Reward(TASKS).openrlhf_url()
    texts = [HONEST, WRONG, *FORGED.values()]
    told = [execute(where, text) for text in texts]
    assert [number(each["reward"]) for each in told] == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert [number(each["extra_logs"]["oracle"]) for each in told] == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert [number(each["extra_logs"]["hack"]) for each in told] == [0.0] * 5


@pytest.mark.parametrize("form", ["file", "address"])
def test_an_open_grader_pays_and_says_so(form: str, tmp_path: Path, tasks_file: Path) -> None:
    path = tmp_path / "reward.py"
    path.write_text(FILE.format(tasks=str(tasks_file), more=", open=['all']"))
    where = str(path) if form == "file" else Reward(TASKS, open=["all"]).openrlhf_url()
    told = execute(where, FORGED["os._exit(0)"])
    assert (number(told["reward"]), number(told["extra_logs"]["hack"])) == (1.0, 1.0)


def test_what_cannot_be_graded_has_no_reward(tmp_path: Path) -> None:
    path = tmp_path / "reward.py"
    path.write_text(
        "from loophole import Reward\n"
        "reward_func = Reward(url='http://127.0.0.1:9', timeout=0.5).openrlhf\n"
    )
    assert execute(str(path), HONEST)["reward"] is None
