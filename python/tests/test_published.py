"""What docs/published-audits.md says of others' graders still holds of the packages that are here.

    LOOPHOLE_GRADERS=DIR pytest tests/test_published.py

DIR holds a folder for each package: `pip install --no-deps --target DIR/verl verl==0.9.1`. What the graders import (numpy,
math-verify, ...) has to be beside this pytest. A package that is not there, or in another version, is skipped by name.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import HERE

SCRIPTS = HERE.parents[1] / "scripts"
SCRIPT = SCRIPTS / "public_graders.py"
if not SCRIPT.exists():
    pytest.skip("scripts/public_graders.py is not here", allow_module_level=True)
LINES = (SCRIPTS / "graders/found.jsonl").read_text().splitlines()
FOUND: list[dict[str, Any]] = [json.loads(line) for line in LINES]
AUDITED = [record for record in FOUND if record["not_audited"] is None]


def test_the_page_is_made_of_what_was_found() -> None:
    ran = subprocess.run([sys.executable, str(SCRIPT), "--page", "--check"])
    assert ran.returncode == 0, "scripts/public_graders.py --page makes it"


def test_what_is_written_down_was_proven() -> None:
    assert AUDITED
    for record in AUDITED:
        controls = record["controls"]
        # Where nothing comes back of an empty answer, nothing is paid for it.
        assert controls["honest"] > (controls["empty"] or 0.0), record["name"]
        for finding in record["findings"]:
            assert finding["reward"] > 0 and finding["proof"].strip(), record["name"]


@pytest.mark.parametrize(
    "record", AUDITED, ids=lambda record: f"{record['package']} {record['name']}"
)
def test_the_same_is_paid_today(record: dict[str, Any], program: str) -> None:
    folder = os.environ.get("LOOPHOLE_GRADERS")
    if folder is None:
        pytest.skip("LOOPHOLE_GRADERS names no folder of packages")
    if not (Path(folder) / record["package"]).is_dir():
        pytest.skip(f"{record['package']} is not in {folder}")
    chosen = ["--packages", folder, "--only", f"{record['package']}:{record['name']}", "--check"]
    ran = subprocess.run(
        [sys.executable, str(SCRIPT), program, *chosen], capture_output=True, text=True
    )
    if ran.returncode == 3:
        pytest.skip(ran.stdout.strip())
    assert ran.returncode == 0, ran.stdout + ran.stderr
