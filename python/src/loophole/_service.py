"""Finds the service of this machine for some options, or starts it: one for all processes of this user.

Each set of options (program, tasks, grader) has a folder of its own, for this user only, below the temporary folder:

    start         locked by whoever looks for the service or starts it, so that several processes start one
    users         a shared lock for each process that uses it; see `_keeper.py`, which ends it after the last one
    state.json    where it is: process, address, token
    serve.log     what it said on stderr

Not below XDG_RUNTIME_DIR: that is removed when the user logs out, and trainings go on.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._http import Address, ServiceError

#: Seconds in which a service must begin to listen; large sets of tasks are read before.
START = 300.0
#: Seconds that a service stays after its last user, unless LOOPHOLE_LINGER says otherwise.
LINGER = 20.0

_lock = threading.Lock()
#: What this process uses, by process (a fork begins anew) and options.
_known: dict[tuple[int, str], Address] = {}
_held: dict[tuple[int, str], int] = {}


def _after_fork() -> None:
    # Another thread may have held it in the parent.
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


@dataclass(frozen=True)
class Options:
    """What a service is started with."""

    binary: str
    tasks: str | None
    flags: tuple[str, ...]
    #: A name for all of this; a changed program or file of tasks is another one.
    key: str = ""

    @classmethod
    def of(
        cls,
        tasks: str | os.PathLike[str] | Sequence[Mapping[str, Any]] | None,
        grader: str | None,
        open: Sequence[str] | None,
        hardened: bool,
        python: str | None,
    ) -> Options:
        """Options; rows of tasks are written to a file, named after what is in it."""
        flags: list[str] = []
        if grader:
            flags += ["--grader", grader]
        for weakness in open or ():
            flags += ["--open", weakness]
        if hardened:
            flags.append("--hardened")
        if python:
            flags += ["--python", python]
        if isinstance(tasks, (str, os.PathLike)):
            found: str | None = str(Path(tasks).resolve())
        else:
            found = None if tasks is None else _written(tasks)
        program = binary()
        seen = [program, found, flags, [_version(each) for each in (program, found) if each]]
        key = hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:24]
        return cls(program, found, tuple(flags), key)

    def command(self) -> list[str]:
        """The command without its port and token."""
        named = ["--tasks", self.tasks] if self.tasks else ["--no-model"]
        return [self.binary, "serve", "--json", *named, *self.flags]


def binary() -> str:
    """The program: LOOPHOLE_BIN, the one that was installed with this package, or the first on PATH."""
    beside = os.path.join(os.path.dirname(sys.executable or ""), "loophole")
    for path in (os.environ.get("LOOPHOLE_BIN"), beside, shutil.which("loophole")):
        if path and os.access(path, os.X_OK) and os.path.isfile(path):
            return os.path.abspath(path)
    raise FileNotFoundError(
        2, "the program loophole is neither beside this Python nor on PATH; set LOOPHOLE_BIN"
    )


def ensure(options: Options) -> Address:
    """The address of the running service, which is started if there is none."""
    key = (os.getpid(), options.key)
    with _lock:
        known = _known.get(key)
        if known is not None:
            return known
        folder = _folder(options.key)
        with open(folder / "start", "a") as start:
            fcntl.flock(start, fcntl.LOCK_EX)
            try:
                address = _found_or_begun(options, folder, key)
            finally:
                # Closing is not enough: a process that was forked meanwhile has the file open, too.
                fcntl.flock(start, fcntl.LOCK_UN)
        _known[key] = address
        return address


def _found_or_begun(options: Options, folder: Path, key: tuple[int, str]) -> Address:
    # A user before it looks, so that what it finds does not end in between.
    if key not in _held:
        users = os.open(folder / "users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(users, fcntl.LOCK_SH)
        _held[key] = users
    address = _alive(folder)
    if address is None:
        _begin(options, folder)
        address = _alive(folder)
    if address is None:
        raise ServiceError(f"the service ended at once: {_log(folder)}")
    return address


def forget(options: Options, address: Address) -> None:
    """Says that this address cannot be reached: the service is looked for, or started, the next time."""
    key = (os.getpid(), options.key)
    with _lock:
        if _known.get(key) is address:
            del _known[key]


def _alive(folder: Path) -> Address | None:
    """The service that the state tells of, if it lives."""
    try:
        state = json.loads((folder / "state.json").read_text())
        os.kill(state["pid"], 0)
    except (OSError, ValueError, KeyError):
        return None
    address = Address(state["url"], state["token"])
    try:
        # A zombie has a number, too, and another program may have it by now.
        address.request("GET", "/v1/cells/none", timeout=30.0)
    except ServiceError as error:
        return address if error.status == 404 else None
    return address


def _begin(options: Options, folder: Path) -> None:
    linger = float(os.environ.get("LOOPHOLE_LINGER") or LINGER)
    told = {"command": options.command(), "linger": linger, "start": START}
    (folder / "options.json").write_text(json.dumps(told))
    (folder / "state.json").unlink(missing_ok=True)
    keeper = subprocess.Popen(
        [sys.executable, "-I", str(Path(__file__).with_name("_keeper.py")), str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # Ctrl-C in the trainer's terminal is not for it: others may use it.
        start_new_session=True,
    )
    assert keeper.stdout is not None
    with keeper.stdout as said:
        # The one that was started forks and ends; its child speaks.
        keeper.wait()
        if not said.readline():
            raise ServiceError(f"{' '.join(options.command())} does not start: {_log(folder)}")


def _log(folder: Path) -> str:
    try:
        return (folder / "serve.log").read_text(errors="replace")[-2000:].strip()
    except OSError as error:
        return str(error)


def _written(tasks: Sequence[Mapping[str, Any]]) -> str:
    text = "".join(json.dumps(dict(task)) + "\n" for task in tasks)
    path = _own() / f"tasks-{hashlib.sha256(text.encode()).hexdigest()[:24]}.jsonl"
    if not path.exists():
        made = path.with_suffix(f".{os.getpid()}-{time.monotonic_ns()}.tmp")
        made.write_text(text)
        os.replace(made, path)
    return str(path)


def _version(path: str) -> list[Any]:
    """What tells whether a file is another one by now; of a folder its own and that of each file in it."""
    top = os.stat(path)
    seen: list[Any] = [path, top.st_size, top.st_mtime_ns]
    if stat.S_ISDIR(top.st_mode):
        for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
            found = entry.stat()
            seen.append([entry.name, found.st_size, found.st_mtime_ns])
    return seen


def _folder(key: str) -> Path:
    folder = _own() / key
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _own() -> Path:
    """This user's folder. Somebody else's of that name would be handed our tokens and tasks."""
    folder = Path(tempfile.gettempdir()) / f"loophole-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if (
        not stat.S_ISDIR(found.st_mode)
        or found.st_uid != os.getuid()
        or stat.S_IMODE(found.st_mode) & 0o077
    ):
        raise PermissionError(13, "must be a folder that only this user can open", str(folder))
    return folder
