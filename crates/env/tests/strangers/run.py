#!/usr/bin/env python3
"""Cases of known truth for `loophole grade` and `loophole audit`, written without having read the program.

    run.py LOOPHOLE [--only PART]... [--list] [--out RESULTS.jsonl] [--python PYTHON] [--plain] [--slow FACTOR] [--keep DIR]

PART is a kind (A labels, B formats, C audit, D mistakes, E targets, F people, G shipped) or a piece of a case's name. PYTHON is the interpreter given to
the program (with numpy, pyarrow, pytest where it has them; cases that need what is not there say SKIPPED). Part E also asks LOOPHOLE_PACKAGES_PYTHON (inspect-ai, verifiers 0.4) and
LOOPHOLE_VERIFIERS_PYTHON (verifiers 0.3) for packages.
--plain runs nothing of the program: it checks with python3 alone that submissions are paid as the cases say.
"""
import argparse
import json
import pathlib
import shutil
import sys
import tempfile
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import kit
import labels, formats, audits, mistakes, targets, people, shipped  # noqa: F401,E401


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("loophole", nargs="?")
    a.add_argument("--only", action="append", default=[])
    a.add_argument("--list", action="store_true")
    a.add_argument("--out")
    a.add_argument("--python")
    a.add_argument("--plain", action="store_true")
    a.add_argument("--slow", type=float, default=1.0, help="factor for all time limits")
    a.add_argument("--keep", help="folder in which the files of each case stay")
    a = a.parse_args()
    cases = [c for c in kit.CASES if not a.only or any(p == c.part or p in c.name for p in a.only)]
    names = [c.name for c in kit.CASES]
    assert len(set(names)) == len(names), "two cases of one name"
    if a.list:
        for c in cases:
            print("%s %-34s %s%s" % (c.part, c.name, c.truth, "  [unsure: %s]" % c.unsure if c.unsure else ""))
        print("%d cases" % len(cases))
        return 0
    if not a.loophole and not a.plain:
        print("run.py: name the program, or --list, or --plain", file=sys.stderr)
        return 2
    loophole = str(pathlib.Path(shutil.which(a.loophole) or a.loophole).resolve()) if a.loophole else None
    # an interpreter in a virtual environment must keep its name
    python = shutil.which(a.python) if a.python else None
    if a.python and not python:
        print("run.py: no %s" % a.python, file=sys.stderr)
        return 2
    if python and not python.startswith("/"):
        python = str(pathlib.Path.cwd() / python)
    out = open(a.out, "w") if a.out else None
    right = ran = skipped = 0
    by_part = {}
    for c in cases:
        missing = [n for n in c.needs if not kit.have(n, python)]
        folder = tempfile.mkdtemp(prefix="case-")
        pathlib.Path(folder).chmod(0o755)
        started = time.time()
        why = ""
        box = kit.Box(folder, loophole, python, c.limit * a.slow, a.plain)
        if missing:
            result, why = "SKIPPED", "needs " + ", ".join(missing)
        else:
            try:
                c.function(box)
                result = "right"
            except kit.Skip as e:
                result, why = "SKIPPED", str(e)
            except kit.Wrong as e:
                result, why = "WRONG", str(e)
            except Exception:
                result, why = "WRONG", "the case could not read what came: " + traceback.format_exc(limit=-3)
        seconds = time.time() - started
        if result == "SKIPPED":
            skipped += 1
        else:
            ran += 1
            right += result == "right"
            n = by_part.setdefault(c.part, [0, 0])
            n[0] += result == "right"
            n[1] += 1
        print("%-7s %s %-34s %5.1f s%s" % (result, c.part, c.name, seconds, "" if not why else "\n        truth: %s\n        %s" % (c.truth, why)), flush=True)
        if out:
            out.write(json.dumps({"part": c.part, "name": c.name, "truth": c.truth, "result": result, "why": why, "unsure": c.unsure,
                                  "seconds": round(seconds, 2), "calls": box.calls}) + "\n")
            out.flush()
        if a.keep:
            target = pathlib.Path(a.keep) / c.name
            shutil.rmtree(target, ignore_errors=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(folder, target, symlinks=True)
        shutil.rmtree(folder, ignore_errors=True)
    print("; ".join("%s %d of %d" % (p, n[0], n[1]) for p, n in sorted(by_part.items())) + ("; %d SKIPPED" % skipped if skipped else ""))
    print("%d of %d right" % (right, ran))
    return 0 if right == ran else 1


if __name__ == "__main__":
    sys.exit(main())
