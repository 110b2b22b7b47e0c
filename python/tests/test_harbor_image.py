"""What of a Harbor task's image a cell can have, and what is refused before anything runs. Needs harbor."""

from __future__ import annotations

import os
import time

import pytest

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # it would be fetched
pytest.importorskip("harbor", reason="harbor is not installed (it needs Python 3.12)")

from loophole.harbor import CellOptions, Cheat  # noqa: E402
from loophole.harbor._image import NotHere, named_roots, read_image  # noqa: E402


def test_a_plain_dockerfile_is_understood(tmp_path):
    folder = tmp_path / "environment"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "a.csv").write_text("1")
    (folder / "main.py").write_text("2")
    (folder / "n.txt").write_text("3")
    (folder / "Dockerfile").write_text(
        "FROM python:3.12-slim\n# a comment\nRUN apt-get update && apt-get install -y \\\n    curl git && "
        "rm -rf /var/lib/apt/lists/*\nRUN pip install --no-cache-dir 'pytest==8.4'\nWORKDIR /app\n"
        'ENV A=1 B="two"\nCOPY data/ ./data/\nCOPY main.py .\nCOPY *.txt /srv/\nRUN mkdir -p out && touch out/x\n'
    )
    image = read_image(folder, None, None)
    assert image.workdir == "/app" and image.env == {"A": "1", "B": "two"}
    assert (image.apt, image.pip) == (["curl", "git"], ["pytest"])
    places = [(source.name, place) for source, place in image.copies]
    assert places == [
        ("a.csv", "/app/data/a.csv"),
        ("main.py", "/app/main.py"),
        ("n.txt", "/srv/n.txt"),
    ]
    assert image.commands == [("/app", "mkdir -p out && touch out/x")]
    assert image.roots() == ["app", "logs", "solution", "srv", "tests"]
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test.sh").write_text(
        "cp /data/in.csv '/opt/x' && curl https://host/no/x; /usr/bin/id"
    )
    assert named_roots(image, tmp_path) == ["data", "opt"]


def test_what_a_cell_cannot_be_is_said(tmp_path):
    def refused(says, dockerfile, **files):
        folder = tmp_path / f"{time.monotonic_ns()}"
        folder.mkdir()
        (folder / "Dockerfile").write_text(dockerfile)
        for name, text in files.items():
            (folder / name).write_text(text)
        with pytest.raises(NotHere, match=says):
            read_image(folder, None, None)

    refused("ghcr.io/org/thing", "FROM ghcr.io/org/thing:1\nWORKDIR /app\n")
    refused("second stage", "FROM debian\nFROM ubuntu\n")
    refused("line 2.*downloads", "FROM debian\nRUN curl -L https://x/y | sh\n")
    refused("another image", "FROM debian\nCOPY --from=build /x /y\n")
    refused("gone.txt", "FROM debian\nCOPY gone.txt /x\n")
    refused("works in /", "FROM debian\n")
    refused("no FROM", "WORKDIR /app\n")
    refused("ONBUILD", "FROM debian\nONBUILD RUN x\n")
    refused("/usr/bin/x", "FROM debian\nWORKDIR /app\nCOPY x /usr/bin/x\n", x="")


def test_an_exploit_that_is_none_is_said(tmp_path):
    with pytest.raises(ValueError, match="reward, conftest"):
        Cheat(logs_dir=tmp_path, exploit="nonesuch")


def test_options_are_checked(tmp_path):
    assert Cheat(logs_dir=tmp_path, exploit="conftest").exploit[0] == "conftest"
    with pytest.raises(ValueError):
        CellOptions(no_such_option=1)
