#!/usr/bin/env python3
"""Audits public graders as they are shipped, and writes docs/published-audits.md.

    scripts/public_graders.py LOOPHOLE [--packages DIR] [--only NAME]... [--check] [--page]

LOOPHOLE is the program. `graders/rows.py` says what is audited, `graders/found.jsonl` what was found, with the day. What
is audited is written there, and the page is made of it; `--page` makes the page and audits nothing (with
`--check`: is it the one that would be made?); `--check` writes
nothing and says what came out otherwise than is written there (exit code 1), or could not be tried (3).

Without --packages the packages are installed, in the versions of the table and without what they depend on, into a
folder of their own; --packages names a folder that holds such a folder for each (`pip install --no-deps --target
DIR/NAME NAME==VERSION`). What is in no package index is audited where that folder holds a clone of it. What the
graders import besides (numpy, math-verify, ...) is taken from the environment of the interpreter that runs this script;
a grader whose imports are not there is not audited, with the reason.
"""

import argparse
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import venv

from graders import page
from graders.rows import CLONES, GRADERS, ROWS, VERSIONS, Grader

HERE = pathlib.Path(__file__).resolve().parent
GLUE = HERE / "graders/glue"
FOUND = HERE / "graders/found.jsonl"
PAGE = HERE.parent / "docs/published-audits.md"
#: Seconds for one grader.
PATIENCE = 900


def installed(packages, folder, only):
    """A virtual environment that sees the packages, and what this interpreter has."""
    if packages is None:
        packages = folder / "packages"
        for name, version in VERSIONS.items():
            if only and name not in only:
                continue
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(packages / name), f"{name}=={version}"]
            if subprocess.run(command).returncode:
                print(f"{name} {version} cannot be installed", file=sys.stderr)
    environment = folder / "environment"
    venv.create(environment, with_pip=False)
    site = next(environment.glob("lib/python*/site-packages"))
    own = [p for p in sys.path if p.endswith("site-packages")]
    (site / "graders.pth").write_text("".join(f"{p}\n" for p in [*(packages / n for n in [*VERSIONS, *CLONES]), *own]))
    return environment / "bin" / "python", packages


def clones(packages):
    """Graders of what is in no package index, of which there are many, as far as it is there."""
    djinn = sorted((packages / "djinn/djinn/verifiers/insecure").glob("[a-z]*.py"))
    tasks = sorted((packages / "terminal-bench-qc/eval/fixtures").glob("*/*/task.toml"))
    verifiers = [Grader("djinn", f"`{p.stem}`", f"python:own_djinn:{p.stem}", "function") for p in djinn]
    return verifiers + [Grader("terminal-bench-qc", "/".join(p.parent.parts[-2:]), str(p.parent.resolve()), None) for p in tasks]


def version_of(packages, name):
    """The version that is there, or None."""
    if not (packages / name).is_dir():
        return None
    if name in CLONES:
        asked = subprocess.run(["git", "-C", str((packages / name).resolve()), "rev-parse", "--short=7", "HEAD"], capture_output=True, text=True)
        return asked.stdout.strip() or None
    found = sorted((packages / name).glob("*.dist-info"))
    return found[0].name.removesuffix(".dist-info").rpartition("-")[2] if found else None


def audited(loophole, python, packages, folder, grader):
    """The report, or why there is none."""
    where = GLUE if grader.below is None else packages / grader.package / grader.below if grader.below else folder
    command = [loophole, "audit", grader.target, "--python", str(python), "--timeout", "20", "--json"]
    if grader.row:
        rows = folder / f"{grader.row}.jsonl"
        rows.write_text(json.dumps(ROWS[grader.row]) + "\n")
        command += ["--tasks", str(rows)]
    try:
        done = subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return None, f"it took more than {PATIENCE} s"
    lines = done.stdout.splitlines()
    report = json.loads(lines[0]) if lines else None
    if report is None or report.get("not_audited"):
        why = (report or {}).get("not_audited") or " ".join(done.stderr.split())
        return report, placeless(why.removeprefix("error: ").replace("not auditable here, because ", ""))
    return report, None


def placeless(text):
    """Without the folders of this machine: of each path its last two names."""
    return re.sub(r"(?:/[\w.@+-]+)+/([\w.@+-]+/[\w.@+-]+)", r".../\1", text)


def record_of(grader, version, exploits, report, why):
    """What is kept of a report."""
    report = report or {}
    findings = [
        {
            "id": found["id"], "also": found.get("also", []), "family": found["family"], "reward": found["reward"],
            "proof": "\n".join(found["proof"]["files"].values()),
        }
        for found in ([] if why else report["findings"])
    ]
    return {
        "package": grader.package, "version": version, "name": grader.name, "verified": datetime.date.today().isoformat(),
        "exploits": exploits, "tried": report.get("exploits_tried"), "controls": report.get("controls"), "findings": findings,
        "not_audited": why,
    }


def exploits_of():
    return len(list((HERE.parent / "crates/audit/exploits").glob("*.toml")))


def known():
    return [json.loads(line) for line in FOUND.read_text().splitlines()] if FOUND.exists() else []


def same(record, before):
    """Whether the same came out: what is paid, by which families, and whether it was audited at all."""
    def told(each):
        return each["not_audited"] is None, each["controls"], sorted(f["family"] for f in each["findings"])
    return told(record) == told(before)


def write(records):
    order = {name: at for at, name in enumerate([*VERSIONS, *CLONES])}
    names = {(g.package, g.name): at for at, g in enumerate(GRADERS)}
    records.sort(key=lambda r: (order.get(r["package"], 99), names.get((r["package"], r["name"]), 999), r["name"]))
    FOUND.write_text("".join(json.dumps(record) + "\n" for record in records))
    PAGE.write_text(page.made(records))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("loophole", nargs="?")
    parser.add_argument("--packages", type=pathlib.Path)
    parser.add_argument("--only", action="append", default=[], help="a package, or PACKAGE:PART of the grader's name")
    parser.add_argument("--check", action="store_true", help="compare with what was found, and write nothing")
    parser.add_argument("--page", action="store_true", help="only make the page")
    given = parser.parse_args()
    if given.page and given.check:
        return 0 if PAGE.read_text() == page.made(known()) else 1
    if given.page:
        write(known())
        return 0
    if given.loophole is None:
        parser.error("name the program, or --page")
    loophole = os.path.abspath(given.loophole)
    only = {name.partition(":")[0] for name in given.only}
    different, untried = 0, 0
    with tempfile.TemporaryDirectory(prefix="public-graders-") as made:
        folder = pathlib.Path(made)
        python, packages = installed(given.packages and given.packages.resolve(), folder, only)
        for grader in GRADERS + clones(packages):
            if given.only and not any(wanted(grader, each) for each in given.only):
                continue
            name = f"{grader.package} {grader.name}"
            version = version_of(packages, grader.package)
            before = next((r for r in known() if (r["package"], r["name"]) == (grader.package, grader.name)), None)
            if version is None or (given.check and before is None):
                print(f"not tried: {name}: {'it is not installed' if version is None else 'nothing is written of it'}", flush=True)
                untried += 1
                continue
            if given.check and version != before["version"]:
                print(f"not tried: {name}: {version} is installed, and {before['version']} was audited", flush=True)
                untried += 1
                continue
            report, why = audited(loophole, python, packages, folder, grader)
            record = record_of(grader, version, exploits_of(), report, why)
            if given.check:
                equal = same(record, before)
                different += not equal
                print(f"{'same' if equal else 'OTHER'}: {page.line(record)}", flush=True)
            else:
                kept = [r for r in known() if (r["package"], r["name"]) != (grader.package, grader.name)]
                write([*kept, record])
                print(page.line(record), flush=True)
    return 1 if different else 3 if given.check and untried else 0


def wanted(grader, only):
    package, _, part = only.partition(":")
    return grader.package == package and part in grader.name


if __name__ == "__main__":
    sys.exit(main())
