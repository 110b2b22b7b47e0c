"""Tasks that `loophole export harbor` writes, in trials of Harbor. Needs harbor (Python 3.12)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from conftest import TASKS

pytest.importorskip("harbor", reason="harbor is not installed (it needs Python 3.12)")

from test_harbor import CHEAT, harbor, roots, trial  # noqa: E402, F401

from loophole import _service  # noqa: E402


def exported(folder: Path, *flags: str) -> Path:
    tasks = folder / "tasks.jsonl"
    tasks.write_text("".join(json.dumps(task) + "\n" for task in TASKS))
    command = [_service.binary(), "export", "harbor", "--tasks", str(tasks)]
    command += ["--out", str(folder / "made"), *flags]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return folder / "made/sum"


@pytest.mark.parametrize(
    ("flags", "cheat"),
    [(["--grader", "script"], 1), (["--grader", "unittest"], 1), (["--hardened"], 0)],
)
def test_trials_of_an_exported_task(tmp_path: Path, flags: list[str], cheat: int) -> None:
    task = exported(tmp_path, *flags)
    assert trial(task, "oracle", tmp_path)[0] == {"reward": 1}
    assert trial(task, "nop", tmp_path)[0] == {"reward": 0}
    assert trial(task, CHEAT, tmp_path)[0] == {"reward": cheat}


def test_what_a_trial_leaves_is_labelled(tmp_path: Path) -> None:
    task = exported(tmp_path, "--hardened")
    _, folder = trial(task, "oracle", tmp_path)
    command = [_service.binary(), "label", str(folder.parent), "--tasks", "tasks.jsonl", "--json"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    record, summary = map(json.loads, ran.stdout.splitlines())
    assert (record["verdict"], record["handed_in"]) == ("honest", "the artifact app/solution.py")
    assert summary["summary"]["no_submission"] == 0


def test_harbor_finds_nothing_wrong_with_a_hardened_one(tmp_path: Path) -> None:
    harbor("lint", str(exported(tmp_path, "--hardened")))
