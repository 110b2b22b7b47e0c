"""Every example of the README and of the docstrings is run."""

from __future__ import annotations

import doctest
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import HERE

import loophole.cell
import loophole.client
import loophole.reward
import loophole.trainers.openrlhf
import loophole.trainers.verl

README = (HERE.parent / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
MODULES = [
    loophole,
    loophole.cell,
    loophole.client,
    loophole.reward,
    loophole.trainers.openrlhf,
    loophole.trainers.verl,
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the README's own line is tasks.jsonl."""
    line = re.search(r"^```json\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    assert line is not None
    (tmp_path / "tasks.jsonl").write_text(line[1])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_readme(number: int, folder: Path) -> None:
    code = BLOCKS[number]
    needs = re.match(r"# needs: (\w+)", code)
    if needs:
        if importlib.util.find_spec(needs[1]) is None:
            pytest.skip(f"{needs[1]} is not installed (python tests/foreign.py)")
        from models import tiny

        tiny(folder / "model")
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent / "src")}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=300
    )
    assert ran.returncode == 0, ran.stderr[-3000:]


def test_the_readme_has_examples() -> None:
    assert len(BLOCKS) >= 5


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_docstrings(module: object, folder: Path) -> None:
    failed, tried = doctest.testmod(module, optionflags=doctest.ELLIPSIS)  # type: ignore[arg-type]
    assert tried and not failed
