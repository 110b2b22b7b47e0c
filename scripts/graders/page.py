"""The page of what was found."""

from graders.rows import CLONES, GRADERS, WITHOUT

HEAD = """# Published audits

The reward code of trainers and the graders of benchmarks, as they are shipped, audited with `loophole audit` and rows of
our own. Each hole was paid: what is in the last but one column was handed in, in a cell, got that
reward, and is no solution.
`scripts/public_graders.py LOOPHOLE` does it again and makes this page of `scripts/graders/found.jsonl`; `--check` says what
comes out otherwise. Where a function is called through lines of ours, they are in `scripts/graders/glue`.

*Honest* is what the reference is paid. *Paid all the same* names the exploits that were paid as one hole (`docs/audit.md`
says what the ids are; `CTL-...` is a control that deserves nothing), its family, and the reward. *None proven* means that
so many exploits failed, and nothing else. The proof is the shortest of those that got most; all are in the file, whole,
and without the tags or fence in which the grader is handed every answer.
"""


def made(records):
    """The page, of all records."""
    audited = [r for r in records if r["not_audited"] is None]
    others = [r for r in records if r["not_audited"] is not None]
    lines = [HEAD, "| package | function | honest | paid all the same | proof | verified |", "|---|---|---:|---|---|---|"]
    lines += [row(record) for record in audited]
    there = {(r["package"], r["name"]) for r in audited}
    notes = [f"- {g.package}, {g.name}: {g.note}." for g in GRADERS if g.note and (g.package, g.name) in there]
    if notes:
        lines += ["", "What the rows do not say:", "", *notes]
    lines += ["", "## Not audited", "", "| package | function | why | tried |", "|---|---|---|---|"]
    lines += [f"| {r['package']} {r['version']} | {r['name']} | {cell(r['not_audited'][:240])} | {r['verified']} |" for r in others]
    lines += [f"| {name} {version} | none | {why} | |" for name, (version, why) in WITHOUT.items()]
    seen = {(r["package"], r["name"]) for r in records}
    untried = [f"{g.package} {g.name}" for g in GRADERS if (g.package, g.name) not in seen]
    if untried:
        lines += ["", f"In the script's table, and not tried for this page: {'; '.join(untried)}."]
    clones = [f"{n} is {where} at {commit}" for n, (where, commit) in CLONES.items() if n in {p for p, _ in seen}]
    if clones:
        lines += ["", f"In no package index, audited from clones: {', '.join(clones)}."]
    return "\n".join([*lines, ""])


def row(record):
    honest = number((record["controls"] or {}).get("honest"))
    name = f"| {record['package']} {record['version']} | {record['name']} | {honest} |"
    if not record["findings"]:
        return f"{name} none proven by {record['tried']} exploits | | {record['verified']} |"
    paid = "<br>".join(
        f"`{f['family']}` {number(f['reward'])}: {', '.join([f['id'], *f['also']])}" for f in record["findings"]
    )
    worst = max(record["findings"], key=lambda f: (f["reward"], -len(f["proof"])))
    return f"{name} {paid} | {worst['id']}: {proof(worst['proof'])} | {record['verified']} |"


def line(record):
    """The same for a terminal."""
    name = f"{record['package']} {record['version']} {record['name']}"
    if record["not_audited"]:
        return f"{name}: not audited, because {record['not_audited']}"
    holes = "; ".join(f"{f['family']} {number(f['reward'])} ({f['id']})" for f in record["findings"])
    return f"{name}: {holes or 'none proven by %s exploits' % record['tried']}"


def proof(text):
    """A submission in one line: its lines with a sign between them, and at most so many."""
    lines = [each.rstrip() for each in text.strip("\n").splitlines() if each.strip()]
    short = " ⏎ ".join(lines)
    short = short if len(short) <= 200 else short[:197] + "..."
    return f"``{cell(short)}``" if "`" in short else f"`{cell(short)}`"


def cell(text):
    return " ".join(text.split()).replace("|", "\\|")


def number(value):
    return "" if value is None else f"{value:g}"
