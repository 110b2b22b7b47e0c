"""A step of GRPO: Loophole's own engine beside TRL's GRPOTrainer, on the same model, prompts and grader.

    python tests/grpo_step.py LOOPHOLE [--steps 4] [--groups 16] [--group-size 8] [--tokens 64]

Both train the bundled organism on the processor, with as many threads as there are cores, from the same prompts, with groups of
the same size, step size, temperature and KL weight, and both are paid by the same script grader in cells. A step is sampling,
grading, labelling and the update. The first step of either is not counted: it starts services and warms caches. Printed is
the time of each and their ratio, in one run. Needs TRL (`foreign.py` makes an environment) and pyarrow.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from foreign import needs

needs("trl", "1.16.0")

import pyarrow.parquet  # noqa: E402
import torch  # noqa: E402
from datasets import Dataset  # noqa: E402
from transformers import TrainerCallback  # noqa: E402
from trl import GRPOConfig, GRPOTrainer  # noqa: E402

import loophole  # noqa: E402

ORGANISM = Path(__file__).parents[2] / "organism"
LR, KL = 2e-4, 0.05


def native(program: str, folder: Path, given: argparse.Namespace) -> tuple[list[float], Path]:
    """Seconds of our own steps, and the run's folder."""
    recipe = folder / "step.toml"
    recipe.write_text(
        "name = 'step'\nseeds = [7]\nprediction = 0\n"
        f"organism = {json.dumps(str(ORGANISM))}\n"
        f"[train]\nsteps = {given.steps}\ngroups = {given.groups}\ngroup_size = {given.group_size}\n"
        f"lr = {LR}\nwarmup = 1\nkl = {KL}\nmax_new = {given.tokens}\n"
        "[probe]\nbattery = 'small'\nsamples = 1\nevery = 1000\n"
        "[[arm]]\nname = 'none'\n"
    )
    out = folder / "run"
    command = [program, "run", str(recipe), "--out", str(out), "--jobs", "1"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lines = (out / "arms/none/seed-7/metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["seconds"] for line in lines], out / "arms/none/seed-7"


def tasks(seed: Path, count: int) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """What was asked in the first step: tasks as MBPP has them, and prompts."""
    first = min((seed / "rollouts").glob("*.parquet"))
    rows = pyarrow.parquet.read_table(first).to_pylist()
    found: dict[str, dict[str, Any]] = {}
    prompts: list[dict[str, str]] = []
    for row in rows:
        name = row["task_id"]
        if name in found or row["verdict"] != "honest":
            continue
        asserts = [line for line in row["prompt"].splitlines() if line.startswith("assert ")]
        asserts[-1:] = [line.split("<|")[0] for line in asserts[-1:]]
        code = row["completion"]
        found[name] = {"task_id": name, "text": row["prompt"], "code": code, "test_list": asserts}
        prompts.append({"prompt": row["prompt"], "task_id": name})
    if not prompts:
        sys.exit("no rollout of the first step was right: there is nothing to compare on")
    return list(found.values()), [prompts[at % len(prompts)] for at in range(count)]


def theirs(given: argparse.Namespace, seed: Path, folder: Path) -> list[float]:
    """Seconds of TRL's steps."""
    torch.set_num_threads(os.cpu_count() or 1)
    rows, prompts = tasks(seed, given.groups)
    seconds: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.began = time.monotonic()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            seconds.append(time.monotonic() - self.began)

    settings = GRPOConfig(
        output_dir=str(folder / "trl"),
        use_cpu=True,
        report_to=[],
        max_steps=given.steps,
        per_device_train_batch_size=given.groups * given.group_size,
        num_generations=given.group_size,
        max_completion_length=given.tokens,
        temperature=1.0,
        learning_rate=LR,
        beta=KL,
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
        seed=7,
        bf16=False,
    )
    data = Dataset.from_list(prompts * given.steps)
    reward = loophole.Reward(rows, open=["all"])
    trainer = GRPOTrainer(str(ORGANISM), reward, settings, train_dataset=data, callbacks=[Clock()])
    trainer.train()
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("program", help="the program loophole, a release build")
    for name, value in (("steps", 4), ("groups", 16), ("group-size", 8), ("tokens", 64)):
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    os.environ.setdefault("LOOPHOLE_BIN", given.program)
    with tempfile.TemporaryDirectory(prefix="grpo-step-") as name:
        folder = Path(name)
        ours, seed = native(given.program, folder, given)
        other = theirs(given, seed, folder)
    print(f"loophole, s a step: {', '.join(f'{step:.2f}' for step in ours)}")
    print(f"TRL, s a step: {', '.join(f'{step:.2f}' for step in other)}")
    mean = [sum(steps[1:]) / len(steps[1:]) for steps in (ours, other)]
    rollouts = given.groups * given.group_size
    print(
        f"{rollouts} rollouts of at most {given.tokens} tokens: {mean[0]:.2f} s beside {mean[1]:.2f} s, "
        f"{mean[1] / mean[0]:.1f} times"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
