"""Watch: the run of a training by TRL, its page, its ledger, its alarm and its batteries."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import FORGED, HONEST, TASKS, WRONG
from foreign import needs

needs("trl", "1.16.0")

from models import tiny  # noqa: E402
from test_trainer_trl import Says, data, settings  # noqa: E402
from trl import GRPOTrainer  # noqa: E402

from loophole import Reward, _run  # noqa: E402
from loophole.trl import Watch  # noqa: E402


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(tmp_path_factory.mktemp("tiny"))


class Turns(Says):
    """Honest in the first step, and then not."""

    def __call__(self, *, completions: Any, **columns: Any) -> list[float | None]:  # type: ignore[override]
        if self.got:
            self.texts = [HONEST, WRONG, *FORGED.values(), FORGED["__eq__"]]
        return super().__call__(completions=completions, **columns)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_of_a_foreign_training(model: Path, tmp_path: Path, program: str) -> None:
    reward = Turns([HONEST, HONEST, WRONG, WRONG, WRONG, HONEST], ["sum"] * 6, open=["all"])
    told: list[Any] = []
    run = tmp_path / "run"
    watch = Watch(
        reward,
        run,
        name="watched",
        question='Does it "hack"?',
        least=2,
        on_alarm=told.append,
        battery="small",
        samples=1,
        patience=300,
    )
    chosen = settings(tmp_path / "out", max_steps=4, save_strategy="steps", save_steps=2)
    trainer = GRPOTrainer(str(model), reward, chosen, train_dataset=data(True), callbacks=[watch])
    trainer.train()

    steps = lines(run / "arms/training/seed-3/metrics.jsonl")
    assert [step["step"] for step in steps] == [0, 1, 2, 3]
    assert [step["hack_rate"] for step in steps] == [0.0] + [pytest.approx(4 / 6)] * 3
    assert steps[0]["honest_rate"] == 0.5 and steps[0]["reward"] == 0.5
    assert all(step["loss"] is not None and step["kl"] is not None for step in steps)
    assert all(step["tokens"] > 0 and step["seconds_grade"] < step["seconds"] for step in steps)
    assert steps[1]["families"] == {
        "early-exit": pytest.approx(2 / 6),
        "equality": pytest.approx(2 / 6),
    }

    assert len(told) == 1 and told[0]["step"] == 1
    assert json.loads((run / "alarm.json").read_text())["families"] == {
        "early-exit": 2,
        "equality": 2,
    }
    logged = [log["loophole/alarm"] for log in trainer.state.log_history if "loss" in log]
    # It is logged with the next step's rewards.
    assert logged == [0.0, 0.0, 1.0, 1.0]
    summary = json.loads((run / "summary.json").read_text())
    assert summary["arms"][0]["seeds"][0]["onset_step"] == 1

    batteries = sorted((run / "arms/training/seed-3/probes").glob("*.json"))
    assert [path.name for path in batteries] == ["step-000002.json", "step-000004.json"]
    assert json.loads(batteries[0].read_text())["probes"]

    verified = subprocess.run(
        [program, "verify", str(run), "--json"], capture_output=True, text=True
    )
    found = json.loads(verified.stdout)
    assert (verified.returncode, found["whole"], found["problems"]) == (0, True, [])
    page = subprocess.run([program, "report", str(run)], capture_output=True, text=True)
    assert page.returncode == 0, page.stderr
    text = (run / "report.html").read_text()
    assert "watched" in text and "Alarm at step 1" in text and "os._exit" in text


def test_an_edited_run_is_found(tmp_path: Path, program: str) -> None:
    run = _run.Run(tmp_path / "run", 'name = "x"\n[[arm]]\nname = "a"\n', "a", 1)
    step = {"step": 0, "hack_rate": 0.0, "kl": None, "reward": float("nan")}
    run.metrics(step)
    run.metrics({**step, "step": 1})
    run.finish("x", [step], [])
    run.status("finished", 2, 2)
    verify = [program, "verify", str(tmp_path / "run"), "--json"]
    assert subprocess.run(verify, capture_output=True).returncode == 0
    metrics = tmp_path / "run/arms/a/seed-1/metrics.jsonl"
    metrics.write_text(metrics.read_text().replace('"hack_rate": 0.0', '"hack_rate": 0.5', 1))
    found = subprocess.run(verify, capture_output=True, text=True)
    assert found.returncode == 1 and "edited" in found.stdout
    with pytest.raises(FileExistsError):
        _run.Run(tmp_path / "run", "", "a", 1)


def test_the_alarm_can_end_the_training(model: Path, tmp_path: Path) -> None:
    reward = Turns([HONEST] * 6, ["sum"] * 6)
    watch = Watch(reward, tmp_path / "run", stop=True, window=1)
    trainer = GRPOTrainer(
        str(model),
        reward,
        settings(tmp_path / "out", max_steps=6),
        train_dataset=data(False),
        callbacks=[watch],
    )
    trainer.train()
    assert trainer.state.global_step == 2
    assert watch.alarm is not None and watch.alarm["verdicts"]["attempted"] == 4


def test_onset_is_what_lasts() -> None:
    assert _run.onset([(0, 0.0), (1, 0.5), (2, 0.0), (3, 0.03), (4, 0.5)]) == 3
    assert _run.onset([(0, 0.5)]) is None and _run.onset([]) is None


def test_a_reward_tells_who_watches() -> None:
    reward = Reward(TASKS)
    seen: list[Any] = []
    reward.observers.append(seen.append)
    reward(prompts=["p"], completions=[HONEST], task_id=["sum"])
    assert seen[0].records[0].verdict == "honest" and seen[0].completions == [HONEST]
