"""Rows of trainers: which task each is for, what was completed, and what came of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .client import Record

if TYPE_CHECKING:
    from .reward import Reward

#: Columns that name a row's task, in order.
IDS = ("task_id", "id", "question_id", "problem_id")
#: Columns with which a row is a task by itself, in any of the forms that `loophole grade --tasks` reads.
TESTS = (
    "tests",
    "test",
    "test_cases",
    "unit_tests",
    "test_code",
    "test_list",
    "visible",
    "hidden",
    "input_output",
    "reward_model",
    "verification_info",
    "public_tests",
    "public_test_cases",
    "base_input",
)


def grade(
    reward: Reward,
    completions: Sequence[Any],
    rows: Sequence[Mapping[str, Any]],
    deadline: float | None,
) -> list[Record]:
    """Grades each completion for its row's task: one that the service knows, or one made of the row itself."""
    if len(completions) != len(rows):
        raise ValueError(f"{len(completions)} completions, but {len(rows)} rows")
    records: list[Record | None] = [None] * len(rows)
    texts = [text(completion) for completion in completions]
    names = [name(reward.task_id, row) for row in rows]
    known = [
        at for at, task in enumerate(names) if isinstance(task, str) and _may_know(reward, task)
    ]
    asked = [{"task_id": names[at], "completion": texts[at]} for at in known]
    options: dict[str, Any] = {"label": reward.label, "deadline": deadline}
    for at, record in zip(known, reward.client.grade(asked, **options), strict=True):
        if record.error and record.error["code"] == "unknown_task":
            # Its own columns may do, from now on.
            if inline(rows[at], names[at]) is not None:
                reward._unknown.add(str(names[at]))
                continue
        records[at] = record
    rest = [at for at, record in enumerate(records) if record is None]
    _by_their_columns(reward, rows, names, texts, rest, records, options)
    done = [record or _broken(None, at, "no_task", "") for at, record in enumerate(records)]
    for at, each in enumerate(done):
        each.index = at
    return done


def _may_know(reward: Reward, task: str) -> bool:
    return reward.client.has_tasks and task not in reward._unknown


def _by_their_columns(
    reward: Reward,
    rows: Sequence[Mapping[str, Any]],
    names: Sequence[Any],
    texts: Sequence[str],
    rest: Sequence[int],
    records: list[Record | None],
    options: dict[str, Any],
) -> None:
    tasks: dict[str, dict[str, Any]] = {}
    places: dict[int, str] = {}
    for at in rest:
        task = inline(rows[at], names[at])
        if task is None:
            message = "the row names no task that is known, and has no tests of its own"
            records[at] = _broken(names[at], at, "no_task", message)
        elif task["id"] in reward._broken:
            records[at] = _broken(names[at], at, "bad_task", reward._broken[task["id"]])
        else:
            tasks[task["id"]] = task
            places[at] = task["id"]
    if not places:
        return
    asked = [{"task_id": places[at], "completion": texts[at]} for at in places]
    graded = reward.client.grade(asked, tasks=[*tasks.values()], **options)
    for (at, label), record in zip(places.items(), graded, strict=True):
        if record.error and record.error["code"] == "bad_task":
            # It is no task the next time either.
            reward._broken[label] = record.error["message"]
        if isinstance(names[at], str):
            record.task_id = names[at]
        records[at] = record


def name(task_id: Any, row: Mapping[str, Any]) -> Any:
    """What names a row's task: a text; a task as a whole, as a dict; or None."""
    if callable(task_id):
        found = task_id(row)
    elif task_id is not None:
        if task_id not in row:
            raise KeyError(f"the rows have no column {task_id!r} (Reward's task_id): {sorted(row)}")
        found = row[task_id]
    else:
        found = next((row[column] for column in IDS if row.get(column) is not None), None)
    if isinstance(found, str) and found.lstrip().startswith("{"):
        try:
            found = json.loads(found)
        except ValueError:
            # A name, however it begins.
            pass
    if found is None or isinstance(found, (str, Mapping)):
        return found
    # Numbers, of numpy too.
    return str(found)


def inline(row: Mapping[str, Any], named: Any) -> dict[str, Any] | None:
    """A row as a task of its own, under a name that tells what is in it; None if it has no tests."""
    task = dict(named) if isinstance(named, Mapping) else dict(row)
    if not any(task.get(column) is not None for column in TESTS):
        return None
    kept = {key: value for key, value in task.items() if key not in IDS}
    plain = {key: json.loads(said) for key, value in kept.items() if (said := _json(value))}
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]
    label = f"{named}-{digest}" if isinstance(named, str) else f"row-{digest}"
    return {**plain, "id": label, "task_id": label}


def text(completion: Any) -> str:
    """What was completed: a text, or the last thing the assistant says in a conversation."""
    if isinstance(completion, str):
        return completion
    if isinstance(completion, Mapping):
        return _content(completion)
    said = [
        message
        for message in completion or ()
        if _get(message, "role") in (None, "assistant") and _get(message, "content")
    ]
    return _content(said[-1]) if said else ""


def no_task(record: Record) -> bool:
    """Whether the row is not for us: it names no task and has no tests."""
    return record.error is not None and record.error["code"] == "no_task"


def _content(message: Any) -> str:
    content = _get(message, "content")
    if isinstance(content, str):
        return content
    parts = [part if isinstance(part, str) else _get(part, "text") for part in content or ()]
    return "".join(part for part in parts if isinstance(part, str))


def _get(thing: Any, key: str) -> Any:
    return thing.get(key) if isinstance(thing, Mapping) else getattr(thing, key, None)


def _json(value: Any) -> str | None:
    """Its JSON, arrays of numpy as lists; None for what has none."""
    try:
        return json.dumps(value, default=_plain)
    except (TypeError, ValueError):
        return None


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)


def _broken(task: Any, at: int, code: str, message: str) -> Record:
    error = {"code": code, "message": message, "again": False}
    name = task if isinstance(task, str) else None
    return Record.of({"task_id": name, "index": at, "error": error})
