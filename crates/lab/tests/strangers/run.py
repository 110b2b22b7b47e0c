#!/usr/bin/env python3
"""Runs the cases of cases.json against a built `loophole`.

    python3 run.py LOOPHOLE [--only PREFIX] [--jobs N]

One line for each case that is wrong, then `N of M right`. Exit 1 if any is wrong. README.md says what a case is.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[3]
LIMIT = 120
PLAN = ("arms", "trainings", "steps", "rollouts", "batteries")
MISSING = object()


class Wrong(Exception):
    pass


def short(value, most=300):
    text = value if isinstance(value, str) else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most // 2] + " ... " + text[-most // 2:]


def call(program, args, folder):
    """Exit code, stdout and stderr of one call; the whole group is ended when it takes too long."""
    process = subprocess.Popen([program, *args], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, start_new_session=True, env={**os.environ, "NO_COLOR": "1"})
    try:
        out, err = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        raise Wrong(f"expected an end within {LIMIT} s, found none")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return process.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")


def has(text, word):
    """A word with `|` in it stands for any of its parts."""
    return any(part in text for part in word.split("|"))


def code_is(code, expected, out, err):
    allowed = expected if isinstance(expected, list) else [expected]
    if code not in allowed:
        raise Wrong(f"expected exit {expected}, found {code}: {short(err or out)}")
    if "panicked at" in err:
        raise Wrong(f"expected no panic, found: {short(err)}")


def values(text):
    """What stdout holds with --json: one value, or one a line."""
    try:
        return [json.loads(text)]
    except ValueError:
        pass
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError:
        raise Wrong(f"expected JSON and nothing else on stdout, found: {short(text)}")


def outermost(found, key):
    """The outermost field of this name; a list counts as the number of what it holds."""
    level = list(found)
    while level:
        below = []
        for value in level:
            if isinstance(value, dict):
                if key in value:
                    inner = value[key]
                    return len(inner) if isinstance(inner, (list, dict)) else inner
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
        level = below
    return MISSING


def at(value, path):
    """The field at a dotted path; numbers are places in lists."""
    if path == "":
        return value
    for part in path.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return MISSING
    return value


KINDS = {
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "string": lambda v: isinstance(v, str),
    "list": lambda v: isinstance(v, list),
    "object": lambda v: isinstance(v, dict),
    "null": lambda v: v is None,
    "absent": lambda v: v is MISSING,
    "present": lambda v: v is not MISSING,
    "none": lambda v: v is None or v is MISSING,
}


def number_fits(value, check):
    if not KINDS["number"](value):
        return False
    slack = 1e-6
    return check.get("ge", float("-inf")) - slack <= value <= check.get("le", float("inf")) + slack


def fits(value, check):
    if not isinstance(check, dict):
        return value is not MISSING and type(value) is not bool and value == check
    if "is" in check:
        return KINDS[check["is"]](value)
    if "length" in check:
        return isinstance(value, (list, dict)) and len(value) == check["length"]
    if "mentions" in check:
        return value is not MISSING and check["mentions"] in json.dumps(value, ensure_ascii=False)
    return number_fits(value, check)


def fields(where, value, checks):
    for path, check in checks.items():
        found = at(value, path)
        if not fits(found, check):
            shown = "nothing" if found is MISSING else json.dumps(found, ensure_ascii=False)
            raise Wrong(f"{where}: expected {path} {json.dumps(check)}, found {short(shown)}")


def file_is(folder, check):
    name = check["path"]
    path = folder / name
    wanted = check.get("exists", True)
    if path.exists() != wanted:
        beside = sorted(p.name for p in path.parent.iterdir())[:12] if path.parent.is_dir() else "no such folder"
        raise Wrong(f"{name}: expected {'to be there' if wanted else 'not to be there'}; beside it: {short(beside)}")
    if not wanted or set(check) <= {"path", "exists"}:
        return
    text = path.read_text(encoding="utf-8")
    for word in check.get("contains", []):
        if not has(text, word):
            raise Wrong(f"{name}: expected {word!r} in it, found: {short(text)}")
    for word in check.get("lacks", []):
        if word in text:
            raise Wrong(f"{name}: expected no {word!r} in it")
    if "is" in check and text != check["is"]:
        raise Wrong(f"{name}: expected to be as it was, found: {short(text)}")
    if "matches" in check and not re.search(check["matches"], text):
        raise Wrong(f"{name}: expected {check['matches']}, found: {short(text)}")
    if "json" in check:
        fields(name, json.loads(text), check["json"])
    if any(key.startswith("jsonl") for key in check):
        lines = [json.loads(line) for line in text.splitlines()]
        count = check.get("jsonl_lines")
        if count is not None and not fits(len(lines), count):
            raise Wrong(f"{name}: expected {count} lines, found {len(lines)}")
        for number, line in enumerate(lines):
            fields(f"{name} line {number}", line, check.get("jsonl_each", {}))
        for number, checks in check.get("jsonl_line", {}).items():
            if int(number) >= len(lines):
                raise Wrong(f"{name}: expected a line {number}, found {len(lines)} lines")
            fields(f"{name} line {number}", lines[int(number)], checks)


def write(path, text, encoding="utf-8", pad=0):
    """A file; `pad` adds a comment of so many bytes at its end."""
    with open(path, "w", encoding=encoding, newline="") as file:
        file.write(text)
        if pad:
            file.write("\n#" + "-" * (pad - 3) + "\n")


def plan_is(found, plan):
    wrong = []
    for key in PLAN:
        if key in plan:
            number = outermost(found, key)
            if number is MISSING or number != plan[key]:
                wrong.append(f"expected {key} {plan[key]} in the plan, found {'nothing' if number is MISSING else number}")
    if wrong:
        raise Wrong("; ".join(wrong))


def check_case(program, case, folder):
    recipe = folder / "recipe.toml"
    write(recipe, case["recipe"], case.get("encoding", "utf-8"), case.get("pad", 0))
    code, out, err = call(program, ["recipe", "check", str(recipe), "--json"], ROOT)
    if case["expect"] == "refused":
        if code != 2:
            raise Wrong(f"expected to be refused (exit 2), found exit {code}: {short(err or out)}")
        code_is(code, 2, out, err)
        said = (out + err).replace(str(folder), "")
        for word in case.get("says", []):
            if not has(said, word):
                raise Wrong(f"expected the error to say {word!r}, found: {short(said)}")
        return
    code_is(code, 0, out, err)
    plan_is(values(out), case.get("plan", {}))


def run_case(program, case, folder):
    recipe, out_folder = folder / "recipe.toml", folder / "out"
    write(recipe, case["recipe"])
    code, out, err = call(program, ["run", str(recipe), "--out", str(out_folder), "--quiet"], ROOT)
    code_is(code, case.get("code", [0, 1]), out, err)
    every_file(out_folder, case["files"])
    follow(program, case.get("then", []), folder)


def every_file(folder, checks):
    wrong = []
    for check in checks:
        try:
            file_is(folder, check)
        except Wrong as error:
            wrong.append(str(error))
        except (OSError, ValueError) as error:
            wrong.append(f"{check['path']}: cannot be read: {error}")
    if wrong:
        raise Wrong("; ".join(wrong))


def command_case(program, case, folder):
    for name, text in case["files"].items():
        write(folder / name, text)
    follow(program, [case, *case.get("then", [])], folder)


def follow(program, steps, folder):
    """Calls one after the other; `{dir}` is the case's folder, `{out}` that of its run."""
    for step in steps:
        args = [arg.replace("{dir}", str(folder)).replace("{out}", str(folder / "out")) for arg in step["args"]]
        code, out, err = call(program, args, ROOT if step.get("where") == "root" else folder)
        code_is(code, step["code"], out, err)
        for word in step.get("out", []):
            if not has(out, word):
                raise Wrong(f"expected {word!r} on stdout, found: {short(out)}")
        for word in step.get("err", []):
            if not has(err, word):
                raise Wrong(f"expected {word!r} on stderr, found: {short(err)}")
        for word in step.get("any", []):
            if not has(out + err, word):
                raise Wrong(f"expected {word!r} to be said, found: {short(out + err)}")
        if step.get("json_out") or "plan" in step:
            plan_is(values(out), step.get("plan", {}))
        every_file(folder, [{"path": name, **check} for name, check in step.get("after", {}).items()])


RUNNERS = {"check": check_case, "run": run_case, "command": command_case}


def judge(program, case):
    """None if the case is right, else what is wrong."""
    with tempfile.TemporaryDirectory(prefix="strangers-") as folder:
        try:
            RUNNERS[case["kind"]](program, case, Path(folder).resolve())
        except Wrong as error:
            return str(error)
        except Exception as error:
            return f"the case could not be judged: {error!r}"
    return None


def main():
    parser = argparse.ArgumentParser(description="Runs the cases of cases.json against a built `loophole`.")
    parser.add_argument("program", metavar="LOOPHOLE")
    parser.add_argument("--only", default="", metavar="PREFIX", help="only cases whose names begin so")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="cases at a time (2)")
    args = parser.parse_args()
    program = str(Path(args.program).resolve()) if os.sep in args.program or Path(args.program).exists() else args.program
    cases = json.loads((HERE / "cases.json").read_text(encoding="utf-8"))
    cases = [case for case in cases if case["name"].startswith(args.only)]
    right = 0
    with ThreadPoolExecutor(max_workers=max(1, args.jobs)) as pool:
        for case, wrong in zip(cases, pool.map(lambda case: judge(program, case), cases)):
            if wrong is None:
                right += 1
            else:
                print(f"{case['name']}: {short(wrong, 900)}", flush=True)
    print(f"{right} of {len(cases)} right")
    return 0 if right == len(cases) and cases else 1


if __name__ == "__main__":
    sys.exit(main())
