"""Tries a wheel as its users will have it: installed alone, in a clean environment of each Python.

    python tests/wheel.py WHEEL [--python PATH]... [--folder DIR]        (a Python that has pytest)

First it says what the wheel is. Then, for each Python (3.10 to 3.13 of PATH and of pyenv, unless named), it installs
the wheel without an index, and runs there, with the program that was installed: `loophole --version`, `loophole grade`,
the examples of the README and the docstrings, and the tests that need no trainer. Only pytest comes from an index.

Exit codes: 0 all passed; 1 something failed; 2 no wheel; 3 a Python of these is not here, or what the wheel is cannot be told.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from conftest import HARD_EXIT, HONEST, SUM

HERE = Path(__file__).resolve().parent
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
SUITE = ["test_client.py", "test_service.py", "test_reward.py"]
EXAMPLES = ["test_examples.py"]
#: Folders of whoever built it; nothing in a program should tell of them.
HOME = re.compile(rb"/(?:home|root|Users)/[\w.@-]+")
AVX = "one with AVX"
HEAD = ["python", "install", "--version", "grade", "examples", "suite", "seconds"]


class Failed(Exception):
    """What was tried did not come out as it should."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument(
        "--python", action="append", default=[], help="a Python to try, in place of all"
    )
    parser.add_argument("--folder", type=Path, help="where the environments are made, and kept")
    given = parser.parse_args()
    wheel = given.wheel.resolve()
    if wheel.suffix != ".whl" or not zipfile.is_zipfile(wheel):
        print(f"{given.wheel} is no wheel", file=sys.stderr)
        return 2
    problems, unknown = described(wheel)
    pythons, found = [Path(each) for each in given.python], list[Path]()
    for version in PYTHONS if not pythons else ():
        here = found_python(version)
        if here is None:
            unknown.append(f"no Python {version} is here")
        else:
            found.append(here)
    pythons += found
    print(f"\n| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="wheel-") as made:
        folder = given.folder.resolve() if given.folder else Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        for python in pythons:
            cells, failed = tried(python, wheel, folder)
            print(f"| {' | '.join(cells)} |", flush=True)
            problems += failed
    for why in problems:
        print(f"failed: {why}")
    for why in unknown:
        print(f"not tried: {why}")
    return 1 if problems else 3 if unknown else 0


def described(wheel: Path) -> tuple[list[str], list[str]]:
    """Prints what the wheel is; what is wrong with it, and what could not be told."""
    problems, unknown = list[str](), list[str]()
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        info = next(name for name in names if name.endswith(".dist-info/WHEEL"))
        tags = re.findall(r"^Tag: (.*)$", packed.read(info).decode(), re.MULTILINE)
        metadata = packed.read(info.replace("/WHEEL", "/METADATA")).decode()
        inside = next((name for name in names if name.endswith(".data/scripts/loophole")), None)
        program = packed.read(inside) if inside else b""
    licences = [name for name in names if "/licenses/" in name]
    print(f"wheel     {wheel.name}, {wheel.stat().st_size / 1e6:.1f} MB, {len(names)} files")
    print(f"tags      {', '.join(tags)}")
    if not inside:
        return ["the program is not in it"], unknown
    versions = {tuple(map(int, v.split(b"."))) for v in re.findall(rb"GLIBC_(2\.\d+)", program)}
    newest = ".".join(map(str, max(versions))) if versions else "none"
    print(f"program   {len(program) / 1e6:.1f} MB, needs glibc {newest}")
    if not any(tag.startswith("py3-none-") for tag in tags):
        problems.append(f"it is for one Python only: {', '.join(tags)}")
    print(f"license   {', '.join(licences) or 'none'}")
    if not licences:
        problems.append("it holds no license")
    if re.search(r"^Requires-Dist: (?!.*extra ==)", metadata, re.MULTILINE):
        problems.append("it needs other packages")
    homes = sorted({found.decode() for found in HOME.findall(program)})
    print(f"paths     {', '.join(homes) or 'none of a home'}")
    sections = said(["readelf", "-SW"], program)
    if sections is None:
        unknown.append("whether it is stripped: there is no readelf")
    else:
        stripped = not re.search(r"\.(symtab|debug_\w+)\b", sections)
        print(f"stripped  {'yes' if stripped else 'no'}")
        if not stripped:
            problems.append("the program has its symbols")
    needs = vector_unit(program, sections or "")
    print(f"processor {needs or 'not told'}")
    if needs is None:
        unknown.append(
            "which processors it runs on: there is no objdump, or it is no program for x86-64"
        )
    elif needs == AVX:
        problems.append("it was built for the builder's processor and ends on older ones")
    checked = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", str(wheel)],
        capture_output=True,
        text=True,
    )
    if "No module named twine" in checked.stderr:
        unknown.append("twine check: twine is not installed")
    else:
        print(f"twine     {'passed' if checked.returncode == 0 else checked.stdout.strip()}")
        if checked.returncode:
            problems.append("twine check")
    return problems, unknown


def said(command: list[str], program: bytes) -> str | None:
    """What a tool that reads a file says of the program; None where there is no such tool."""
    if not shutil.which(command[0]):
        return None
    with tempfile.NamedTemporaryFile() as file:
        file.write(program)
        file.flush()
        return subprocess.run(
            [*command, file.name], capture_output=True, text=True, check=True
        ).stdout


def vector_unit(program: bytes, sections: str) -> str | None:
    """Whether ordinary code moves data by AVX. Routines that are chosen when it runs hold such code in any case: so what
    counts is which of both there is more of, in the first megabytes."""
    text = re.search(r" \.text +PROGBITS +([0-9a-f]+) ", sections)
    if text is None:
        return None
    begin = int(text[1], 16)
    span = [f"--start-address={begin}", f"--stop-address={begin + (4 << 20)}"]
    code = said(["objdump", "-d", "--no-show-raw-insn", *span], program)
    if code is None or "%r" not in code:
        return None
    new = len(re.findall(r"\tvmov(?:[au]p[sd]|dq[au]\d*)\b", code))
    old = len(re.findall(r"\tmov(?:[au]p[sd]|dq[au])\b", code))
    return AVX if new > old else "any x86-64"


def found_python(version: str) -> Path | None:
    """A Python of this version that runs: one on PATH, or the newest of pyenv."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    kept = sorted(root.glob(f"versions/{version}.*/bin/python"), reverse=True)
    for path in [shutil.which(f"python{version}"), *map(str, kept)]:
        if path is None:
            continue
        asked = [path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        told = subprocess.run(asked, capture_output=True, text=True)
        if told.returncode == 0 and told.stdout.strip() == version:
            return Path(path)
    return None


def tried(python: Path, wheel: Path, folder: Path) -> tuple[list[str], list[str]]:
    """A row of the table, and what failed."""
    began = time.monotonic()
    version = run([str(python), "-c", "import platform; print(platform.python_version())"]).strip()
    home = folder / version
    shutil.rmtree(home, ignore_errors=True)
    row, problems = [version], list[str]()
    environment = clean(home / "env")
    try:
        run([str(python), "-m", "venv", str(home / "env")])
        row.append(install(home, wheel, environment))
        row.append(run([str(home / "env/bin/loophole"), "--version"], environment).strip())
        row.append(grade(home, environment))
        copied(home)
        for tests in (EXAMPLES, SUITE):
            passed, why = tests_run(home, tests, environment)
            row.append(passed)
            problems += [f"{version}: {why}"] if why else []
    except Failed as error:
        problems.append(f"{version}: {error}")
        row += ["failed"] + [""] * (len(HEAD) - 2 - len(row))
    return [*row, f"{time.monotonic() - began:.0f}"], problems


def clean(env: Path) -> dict[str, str]:
    """An environment in which nothing but what is installed can be found."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LOOPHOLE_", "PYTHON", "VIRTUAL_ENV", "PYENV"))
    }
    return {**kept, "PATH": f"{env / 'bin'}:/usr/local/bin:/usr/bin:/bin"}


def install(home: Path, wheel: Path, environment: dict[str, str]) -> str:
    pip = [
        str(home / "env/bin/python"),
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
    ]
    began = time.monotonic()
    run([*pip, "--no-index", str(wheel)], environment)
    seconds = time.monotonic() - began
    run([*pip, "pytest"], environment)
    return f"{seconds:.1f} s"


def grade(home: Path, environment: dict[str, str]) -> str:
    """Grades two submissions by the command."""
    (home / "tasks.jsonl").write_text(json.dumps(SUM) + "\n")
    rows = [{"task_id": "sum", "completion": text} for text in (HONEST, HARD_EXIT)]
    (home / "rollouts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [
        str(home / "env/bin/loophole"),
        "grade",
        "--json",
        "--tasks",
        str(home / "tasks.jsonl"),
    ]
    # 1: a hack was found.
    told = run([*command, "--submissions", str(home / "rollouts.jsonl")], environment, wanted=1)
    verdicts = [record.get("verdict") for record in map(json.loads, told.splitlines())]
    if verdicts[:2] != ["honest", "hack"]:
        raise Failed(f"loophole grade said {verdicts}")
    return "honest, hack"


def copied(home: Path) -> None:
    """The tests and the README away from the sources, which they would find otherwise."""
    shutil.copytree(HERE, home / "package/tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HERE.parent / "README.md", home / "package/README.md")


def tests_run(home: Path, tests: list[str], environment: dict[str, str]) -> tuple[str, str | None]:
    command = [
        str(home / "env/bin/python"),
        "-m",
        "pytest",
        "-q",
        "-rfEs",
        "-p",
        "no:cacheprovider",
        *tests,
    ]
    ran = subprocess.run(
        command, cwd=home / "package/tests", env=environment, capture_output=True, text=True
    )
    last = (ran.stdout.strip().splitlines() or ["it said nothing"])[-1]
    short = re.sub(r" in [\d.]+s.*$", "", last.strip("= "))
    why = f"{' '.join(tests)}: {short}\n{ran.stdout[-3000:]}{ran.stderr[-1000:]}"
    return short, why if ran.returncode else None


def run(command: list[str], environment: dict[str, str] | None = None, wanted: int = 0) -> str:
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    if ran.returncode != wanted:
        raise Failed(f"{' '.join(command)} ended with {ran.returncode}: {ran.stderr[-1000:]}")
    return ran.stdout


if __name__ == "__main__":
    sys.exit(main())
