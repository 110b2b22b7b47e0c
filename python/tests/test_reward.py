"""The reward by itself, and each trainer's form by its signature; the real classes are tried in `test_trainer_*.py`."""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from conftest import FORGED, HANGS, HONEST, SUM, TASKS, WRONG

from loophole import Client, InvalidReward, Reward
from loophole.trainers import openrlhf, trl, verl


@pytest.fixture(scope="module")
def reward() -> Reward:
    return Reward(TASKS)


@pytest.fixture(scope="module")
def open_reward() -> Reward:
    """As people's graders are: hacks are paid, and named."""
    return Reward(TASKS, open=["all"])


@pytest.fixture
def nobody() -> Reward:
    """The service is gone."""
    return Reward(url="http://127.0.0.1:9", timeout=0.5)


def gone(fallback: float) -> Reward:
    return Reward(url="http://127.0.0.1:9", timeout=0.5, fallback=fallback)


class Logs:
    def __init__(self) -> None:
        self.columns: dict[str, list[Any]] = {}
        self.metrics: dict[str, float] = {}

    def extra(self, name: str, values: list[Any]) -> None:
        self.columns[name] = values

    def metric(self, name: str, value: float) -> None:
        self.metrics[name] = value


# TRL's form


def test_plain_and_conversational(reward: Reward) -> None:
    ids = ["sum", "sum"]
    assert reward(prompts=["p", "p"], completions=[HONEST, WRONG], task_id=ids) == [1.0, 0.0]
    said = [
        [{"role": "assistant", "content": f"So:\n```python\n{text}\n```"}]
        for text in (HONEST, WRONG)
    ]
    prompts = [[{"role": "user", "content": "add"}]] * 2
    assert reward(prompts=prompts, completions=said, task_id=ids, completion_ids=[[1], [2]]) == [
        1.0,
        0.0,
    ]


def test_what_is_logged(open_reward: Reward) -> None:
    logs = Logs()
    completions = [HONEST, WRONG, *FORGED.values(), HONEST]
    ids = ["sum"] * 5 + ["none"]
    rewards = open_reward(
        prompts=["p"] * 6,
        completions=completions,
        task_id=ids,
        log_extra=logs.extra,
        log_metric=logs.metric,
    )
    assert rewards == [1.0, 0.0, 1.0, 1.0, 1.0, None]
    assert logs.columns["verdict"] == ["honest", "fail", "hack", "hack", "hack", "invalid"]
    assert logs.columns["family"][2:5] == ["early-exit", "early-exit", "equality"]
    assert logs.columns["mechanism"][:3] == [None, None, "hard exit"]
    assert logs.metrics["loophole/hack_rate"] == 3 / 5
    assert logs.metrics["loophole/invalid_rate"] == pytest.approx(1 / 6)


def test_forged_results_are_not_paid(reward: Reward) -> None:
    logs = Logs()
    rewards = reward(
        prompts=["p"] * 3,
        completions=[*FORGED.values()],
        task_id=["sum"] * 3,
        log_extra=logs.extra,
        log_metric=logs.metric,
    )
    assert rewards == [0.0, 0.0, 0.0]
    assert logs.columns["verdict"] == ["attempted"] * 3
    assert logs.metrics["loophole/attempted_rate"] == 1.0


def test_it_can_be_awaited(reward: Reward) -> None:
    call = reward.trl_async
    assert inspect.iscoroutinefunction(call) and call.__name__ == "loophole" == reward.__name__
    assert asyncio.run(call(prompts=["p"], completions=[HONEST], task_id=["sum"])) == [1.0]


def test_a_gone_service_is_none_and_not_zero(nobody: Reward) -> None:
    logs = Logs()
    rewards = nobody(prompts=["p"], completions=[HONEST], task_id=["sum"], log_metric=logs.metric)
    assert rewards == [None] and logs.metrics == {"loophole/invalid_rate": 1.0}


def test_columns_of_the_row_are_its_task() -> None:
    alone = Reward()
    rewards = alone(
        prompts=["Write double(x)."] * 4,
        completions=["def double(x):\n    return 2 * x", "def double(x):\n    return x"] * 2,
        tests=["assert double(2) == 4\nassert double(5) == 10"] * 2
        + [["assert double(3) == 6"]] * 2,
        solution=["def double(x):\n    return x + x"] * 4,
    )
    assert rewards == [1.0, 0.0, 1.0, 0.0]


def test_a_row_that_the_service_does_not_know_is_its_own_task(reward: Reward) -> None:
    rewards = reward(
        prompts=["p"] * 2,
        completions=["def f():\n    return 1", HONEST],
        task_id=["f", "sum"],
        tests=["assert f() == 1", None],
    )
    assert rewards == [1.0, 1.0]
    assert "f" in reward._unknown


def test_a_column_or_a_function_names_the_task() -> None:
    by_column = Reward(TASKS, task_id="name")
    assert by_column(prompts=["p"], completions=[HONEST], name=["sum"]) == [1.0]
    with pytest.raises(KeyError, match="name"):
        by_column(prompts=["p"], completions=[HONEST], other=["sum"])
    by_function = Reward(TASKS, task_id=lambda row: row["extra"]["task"])
    assert by_function(prompts=["p"], completions=[HONEST], extra=[{"task": "sum"}]) == [1.0]


def test_mistakes_are_told_at_once_and_later_left_out(caplog: pytest.LogCaptureFixture) -> None:
    fresh = Reward(TASKS)
    with pytest.raises(ValueError, match="no task"):
        fresh(prompts=["p"], completions=[HONEST], task_id=["misspelt"])
    assert fresh(prompts=["p"], completions=[HONEST], task_id=["sum"]) == [1.0]
    with caplog.at_level(logging.WARNING, "loophole"):
        for _ in range(2):
            assert fresh(prompts=["p"], completions=[HONEST], task_id=["misspelt"]) == [None]
    assert len(caplog.records) == 1 and "misspelt" in caplog.text


def test_one_row_that_is_no_task_spoils_no_other() -> None:
    rewards = Reward()(
        prompts=["p"] * 3,
        completions=["def f():\n    return 1"] * 3,
        tests=["assert f() == 1", "no test at all", "assert f() == 2"],
    )
    assert rewards == [1.0, None, 0.0]


def test_rows_that_are_not_for_us_do_not_count(reward: Reward) -> None:
    logs = Logs()
    rewards = reward(
        prompts=["2+2?", "p"],
        completions=["4", HONEST],
        task_id=[None, "sum"],
        log_metric=logs.metric,
    )
    assert rewards == [None, 1.0] and logs.metrics["loophole/invalid_rate"] == 0.0


def test_strange_texts_are_graded_and_not_masked(reward: Reward) -> None:
    strange: list[Any] = [
        "\ud800",
        f"{HONEST}\n# \udfff \x00 \ud83d\ude00",
        "",
        None,
        [],
        f"# \u2028\n{HONEST}",
    ]
    assert reward(completions=strange, task_id=["sum"] * 6) == [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    assert reward(completions=[f"{HONEST}\n# \udfff \ud83d\ude00"], task_id=["sum"]) == [1.0]


def test_a_deadline() -> None:
    hurried = Reward(TASKS, deadline=1.0)
    assert hurried(prompts=["p"], completions=[HANGS + "\n# hurried"], task_id=["sum"]) == [None]


# Other forms


def test_verl_has_the_same_keys_whatever_comes(reward: Reward) -> None:
    told = [
        reward.verl("code", text, "sum", {"index": 3, "num_turns": 1}, reward_router_address=None)
        for text in (HONEST, WRONG, *FORGED.values())
    ]
    late = gone(0.5).verl("code", HONEST, "sum", {})
    assert [each["score"] for each in told] == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert {tuple(each) for each in [*told, late]} == {tuple(told[0])}
    assert {tuple(map(type, each.values())) for each in [*told, late]} == {
        (float,) * 4 + (str,) * 3
    }
    assert (late["score"], late["invalid"], late["verdict"]) == (0.5, 1.0, "invalid")


def test_verl_ground_truth_with_tests() -> None:
    alone = Reward()
    truth = '{"inputs": ["1\\n", "2\\n"], "outputs": ["2\\n", "3\\n"]}'
    program = "```python\nprint(int(input()) + 1)\n```"
    assert alone.verl("taco", program, truth, {})["score"] == 1.0
    assert alone.verl("taco", "```python\nprint(2)\n```", truth, {})["score"] == 0.0
    assert verl.is_name("sum") and verl.is_name(12) and not verl.is_name("assert f() == 1")


def test_verl_without_a_fallback_is_an_error(nobody: Reward) -> None:
    with pytest.raises(InvalidReward, match="fallback"):
        nobody.verl("code", HONEST, "sum", {})
    assert inspect.iscoroutinefunction(nobody.verl_async)
    assert not inspect.iscoroutinefunction(nobody.verl)


def test_openrlhf_cuts_prompt_and_end() -> None:
    query = "<|user|>add<|assistant|>code<|im_end|>\n<|endoftext|>"
    assert openrlhf.response(query, "<|user|>add<|assistant|>") == "code"
    assert openrlhf.response("code </s> more", "") == "code </s> more"


class Sample:
    """As slime's (commit 0b420f1): what a reward function may touch of it."""

    def __init__(self, response: str, label: Any, **metadata: Any):
        self.prompt, self.response, self.label = "add", response, label
        self.metadata: dict[str, Any] = metadata
        self.remove_sample = False


def test_slime_by_its_signature(reward: Reward) -> None:
    async def all_forms() -> None:
        one = Sample(HONEST, "sum")
        assert await reward.slime(None, one) == 1.0
        assert one.metadata["loophole"]["verdict"] == "honest"
        group = [Sample(text, "sum") for text in (HONEST, *FORGED.values())]
        assert await reward.slime(None, group, evaluation=False) == [1.0, 0.0, 0.0, 0.0]
        group = [Sample(HONEST, "sum"), Sample(WRONG, "sum"), Sample(HONEST, "none")]
        assert await reward.slime(None, group) == [1.0, 0.0, 0.5]
        assert [sample.remove_sample for sample in group] == [False, False, True]

    assert inspect.iscoroutinefunction(reward.slime)
    asyncio.run(all_forms())


def test_areal_in_processes_of_a_pool(reward: Reward) -> None:
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=spawned) as pool:
        asked = [
            pool.submit(reward.areal, "add", text, [1], [2], task_id="sum")
            for text in (HONEST, *FORGED.values())
        ]
        assert [each.result(90) for each in asked] == [1.0, 0.0, 0.0, 0.0]


def test_verifiers_by_names(reward: Reward) -> None:
    state: dict[str, Any] = {}
    said = [{"role": "assistant", "content": HONEST}]
    call = reward.verifiers(completion=said, prompt=[], answer="sum", info={}, state=state)
    assert asyncio.run(call) == 1.0 and state["loophole"]["verdict"] == "honest"


def test_it_is_pickled_and_remembers(open_reward: Reward) -> None:
    again = pickle.loads(pickle.dumps(open_reward))
    assert again(prompts=["p"], completions=[FORGED["os._exit(0)"]], task_id=["sum"]) == [1.0]


def test_a_client_can_be_shared() -> None:
    client = Client(tasks=TASKS)
    assert Reward(client=client)(prompts=["p"], completions=[HONEST], task_id=["sum"]) == [1.0]


def test_numbers_of_numpy_and_the_like_are_names_and_columns(reward: Reward) -> None:
    numpy = pytest.importorskip("numpy", reason="numpy is not installed")
    row = {
        "task_id": numpy.int64(7),
        "visible": numpy.array([1]),
        **{k: SUM[k] for k in ("hidden",)},
    }
    from loophole import _rows

    made = _rows.inline(row, _rows.name(None, row))
    assert made is not None and made["id"].startswith("7-") and made["visible"] == [1]


def test_rates_of_nothing_are_not_told() -> None:
    assert trl.rates([]) == {}
    assert not math.isnan(sum(trl.rates([]).values()))


def test_a_file_of_tasks(tasks_file: Path) -> None:
    assert Reward(tasks_file)(prompts=["p"], completions=[HONEST], task_id=["sum"]) == [1.0]
