"""A cell as the sandboxes of other packages want it: open, exec, write, read, put a folder in and get one out, close.

Everything here blocks; `in_thread` runs it beside an event loop. Paths may be any of the cell's: below `/box` and `/tmp`
the service itself reads and writes, following no link; elsewhere, through links, and where a file is larger than one
answer, a command in the cell does, which can reach what the cell can and nothing of the machine.
"""

from __future__ import annotations

import copy
import errno
import functools
import http.client
import io
import os
import posixpath
import secrets
import socket
import tarfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

from ._http import Address, Refused, Unavailable
from .cell import Cell, ExecRecord
from .client import Client

#: Bytes that go to a cell at a time: in base64 they stay below the 32 MiB that a request may have.
PART = 16 << 20
#: Bytes of a file that the service takes in one piece.
DIRECT = 32 << 20
#: Bytes of a file that a command gives out at a time: an output may have 10 MiB.
PIECE = 8 << 20
#: Seconds a command may take at most.
LONGEST = 3600.0
#: Bytes of an output.
OUTPUT = 10 << 20
#: Calls that wait at a time in a process; there may be 64 cells, each with a command and one that ends it.
WAITING = 128

#: Commands of ours take their programs from here, whatever the caller's PATH is.
_ENV = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
_LOOK = """
# Python's numbers of errors.
if [ -d "$1" ]; then exit 21; fi
if [ ! -e "$1" ]; then exit 2; fi
if [ ! -f "$1" ]; then exit 22; fi
if [ ! -r "$1" ]; then exit 13; fi
exec stat -L -c %s -- "$1"
"""
_STDIN = 'exec <"$1" && rm -f -- "$1" && shift && exec "$@"'

T = TypeVar("T")


class TooLarge(Exception):
    """A file has more bytes than were asked for."""


class _Line(Address):
    """The address of a cell, for one command: `cut` breaks the connection, upon which the service ends the command."""

    def __init__(self, like: Address):
        self.__dict__.update(like.__dict__)
        self._kept: deque[tuple[float, http.client.HTTPConnection]] = deque()
        self._made: http.client.HTTPConnection | None = None
        self._is_cut = False

    def _new(self, timeout: float) -> http.client.HTTPConnection:
        self._made = super()._new(timeout)
        return self._made

    def _headers(self, more: Mapping[str, str] | None) -> dict[str, str]:
        if self._is_cut:
            raise http.client.HTTPException("called off before it was sent")
        return super()._headers(more)

    def cut(self) -> None:
        """From any thread, at any moment."""
        self._is_cut = True
        if self._made is not None and self._made.sock is not None:
            try:
                self._made.sock.shutdown(socket.SHUT_RDWR)
            except OSError:  # it has ended meanwhile
                pass

    def close(self) -> None:
        while self._kept:
            self._kept.pop()[1].close()


class _Call(list[_Line]):
    """The lines of one call of `in_thread`, which may need several commands one after another."""

    is_off = False

    def append(self, line: _Line) -> None:
        super().append(line)
        if self.is_off:
            line.cut()

    def call_off(self) -> None:
        self.is_off = True
        for line in list(self):
            line.cut()


#: The call that this thread works at.
_call: ContextVar[_Call | None] = ContextVar("loophole_call", default=None)


class Sandbox:
    """One cell."""

    def __init__(self, cell: Cell):
        self.cell = cell

    @classmethod
    def open(
        cls,
        client: Client,
        limits: Mapping[str, Any] | None = None,
        idle_seconds: float | None = None,
        roots: Sequence[str] = (),
        besides: Sequence[str] = (),
    ) -> Sandbox:
        """A new cell. `roots` are names in its root (`app` for `/app`) that must be folders of its own; `besides` are
        some that are wanted where the root has none of that name."""
        if not roots and not besides:
            return cls(client.cell(limits=limits, idle_seconds=idle_seconds))._or_gone()
        names = [*roots, *besides]
        made = cls(client.cell(limits=limits, idle_seconds=idle_seconds, roots=names))._or_gone()
        made.run(["mkdir", "-p", "--", *(f"/box/{name}" for name in names)])
        missing = [f"/{r}" for r in roots if not made.look(["test", "-w", f"/{r}"]).ok]
        if missing:
            made.close()
            raise RuntimeError(f"the service gave a cell without a {', '.join(missing)} of its own")
        return made

    def _or_gone(self) -> Sandbox:
        """Nobody waits for it any more: it would stay until it is idle."""
        call = _call.get()
        if call is not None and call.is_off:
            self.close()
        return self

    def exec(
        self,
        command: str | Sequence[str],
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        output_bytes: int | None = None,
    ) -> ExecRecord:
        """Runs a command: a text is for bash, a sequence is a program and its arguments."""
        if len(stdin) > PART:
            argv = ["bash", "-c", command] if isinstance(command, str) else list(command)
            staged = f"/tmp/.stdin-{secrets.token_hex(8)}"
            self.write(staged, stdin)
            command, stdin = ["/bin/sh", "-c", _STDIN, "sh", staged, *argv], b""
        seconds = LONGEST if timeout is None else min(max(timeout, 0.001), LONGEST)
        line = _Line(self.cell._address)
        cell = copy.copy(self.cell)
        cell._address = line
        call = _call.get()
        call = _Call() if call is None else call
        call.append(line)
        try:
            return cell.exec(command, stdin, env, cwd, seconds, output_bytes)
        finally:
            call.remove(line)
            line.close()

    def look(self, argv: Sequence[str], stdin: bytes = b"") -> ExecRecord:
        """A command of ours."""
        record = self.exec(argv, stdin, env=_ENV, cwd="/", timeout=600.0)
        if record.verdict == "machine":
            raise Unavailable(f"the cell failed: {record.stderr}")
        return record

    def run(self, argv: Sequence[str], stdin: bytes = b"") -> bytes:
        """A command of ours that must succeed; what it printed."""
        record = self.look(argv, stdin)
        if not record.ok:
            raise _failure(record, " ".join(argv))
        return record.stdout_bytes

    def write(self, path: str, content: bytes, executable: bool = False) -> None:
        """Writes a file, with the folders that lead to it."""
        direct = _direct(path)
        if direct is not None and len(content) <= DIRECT:
            try:
                return self.cell.write(direct, content, executable)
            except (PermissionError, IsADirectoryError) as error:
                raise _named(error, path) from error
            except (NotADirectoryError, FileNotFoundError):
                pass  # a link leads there
            except Refused as error:
                if error.status != 409:
                    raise _disk(error, path) from error
        place = self._inside(path)
        folder = 'mkdir -p -- "$(dirname -- "$1")" && cat >"$1"'
        for start in range(0, max(len(content), 1), PART):
            script = 'cat >>"$1"' if start else folder
            record = self.look(
                ["/bin/bash", "-c", script, "sh", place], content[start : start + PART]
            )
            if not record.ok:
                raise _failure(record, path)
        if executable:
            self.run(["chmod", "755", "--", place])

    def read(self, path: str, limit: int) -> bytes:
        """A file's bytes; raises `TooLarge` if there are more than `limit`."""
        direct = _direct(path)
        if direct is not None:
            try:
                content = self.cell.read(direct)
                if len(content) > limit:
                    raise TooLarge(path)
                return content
            except (PermissionError, IsADirectoryError, FileNotFoundError) as error:
                raise _named(error, path) from error
            except NotADirectoryError:
                pass
            except Refused as error:
                # A link, or more than one answer holds.
                if error.status not in (409, 413):
                    raise
        place = self._inside(path)
        looked = self.look(["/bin/sh", "-c", _LOOK, "sh", place])
        if not looked.ok:
            raise _looked(looked, path)
        # What /proc holds has no size, so it is read until nothing comes.
        if int(looked.stdout) > limit:
            raise TooLarge(path)
        script, read = 'tail -c +"$2" -- "$1" | head -c "$3"', bytearray()
        while len(read) <= limit:
            argv = ["/bin/sh", "-c", script, "sh", place, str(len(read) + 1), str(PIECE)]
            piece = self.run(argv)
            read += piece
            if len(piece) < PIECE:
                return bytes(read)
        raise TooLarge(path)

    def put(self, source: Path, target: str) -> None:
        """Copies a folder of this machine into one of the cell; links stay links."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for child in sorted(source.iterdir()):
                archive.add(child, arcname=child.name)
        place = f"/tmp/.put-{secrets.token_hex(8)}"
        self.write(place, packed.getvalue())
        script = (
            'mkdir -p -- "$2" && tar -xf "$1" --no-same-owner -C "$2"; s=$?; rm -f -- "$1"; exit $s'
        )
        self.run(["/bin/sh", "-c", script, "sh", place, target])

    def get(self, source: str, target: Path, limit: int, without: Sequence[str] = ()) -> None:
        """Copies a folder of the cell to this machine: files, folders and links that stay within it, nothing else."""
        place = f"/tmp/.get-{secrets.token_hex(8)}"
        script = (
            '[ -d "$2" ] || { echo "No such file" >&2; exit 1; }; place=$1 source=$2; shift 2\n'
            # A file that grows meanwhile is no reason to have none of them.
            'tar -cf "$place" -C "$source" --anchored "$@" .; s=$?; [ $s -eq 1 ] || exit $s'
        )
        left_out = [f"--exclude=./{name}" for name in without]
        record = self.look(["/bin/sh", "-c", script, "sh", place, source, *left_out])
        if not record.ok:
            raise _failure(record, source)
        packed = self.read(place, limit)
        self.look(["rm", "-f", "--", place])
        target.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            for member in archive:
                try:
                    if not member.isdev():
                        archive.extract(member, target, filter="data")
                except tarfile.FilterError:
                    pass  # a link that leads out

    def close(self) -> None:
        """Ends it, with the command under way."""
        self.cell.close()

    def _inside(self, path: str) -> str:
        try:
            path.encode()
        except UnicodeEncodeError as error:
            raise OSError(errno.EILSEQ, "a command cannot be given such a name", path) from error
        return path if path.startswith("/") else f"/box/{path}"


async def in_thread(function: Callable[..., T], *args: Any, **options: Any) -> T:
    """Runs a function beside the event loop; if it is called off, so is the command that runs for it."""
    import anyio.lowlevel
    import anyio.to_thread

    # Threads of their own number: what ends a cell must not wait behind the commands that it would end.
    variable: anyio.lowlevel.RunVar[anyio.CapacityLimiter] = anyio.lowlevel.RunVar("loophole")
    limiter = variable.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(WAITING)
        variable.set(limiter)
    call = _Call()
    token = _call.set(call)
    whole = functools.partial(function, *args, **options)
    try:
        made: T = await anyio.to_thread.run_sync(whole, abandon_on_cancel=True, limiter=limiter)
        return made
    except anyio.get_cancelled_exc_class():
        call.call_off()
        raise
    finally:
        _call.reset(token)


def _direct(path: str) -> str | None:
    """The path as the service wants it, if it leads below `/box` or `/tmp`."""
    if "\0" in path:
        raise ValueError(f"{path!r} is no path")
    plain = not path.startswith("/") or any(
        path == top or path.startswith(f"{top}/") for top in ("/box", "/tmp")
    )
    if not plain or ".." in path.split("/") or posixpath.normpath(path) == ".":
        return None
    # Bytes that are no UTF-8 and backslashes are written as in records.
    return os.fsencode(path).replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def _named(error: OSError, path: str) -> OSError:
    kind, number = type(error), error.errno
    if kind is IsADirectoryError:
        return IsADirectoryError(errno.EISDIR, "Is a directory", path)
    return kind(number, os.strerror(number) if number else str(error), path)


def _disk(error: Refused, path: str) -> Exception:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path) if error.status == 507 else error


def _looked(record: ExecRecord, path: str) -> Exception:
    if record.code in (errno.EISDIR, errno.ENOENT, errno.EACCES):
        return OSError(record.code, os.strerror(record.code), path)
    if record.code == errno.EINVAL:
        return OSError(errno.EINVAL, "it is no regular file", path)
    return _failure(record, path)


def _failure(record: ExecRecord, path: str) -> Exception:
    """What a command of ours says about a path, as Python would."""
    said = record.stderr.strip()
    if record.verdict == "disk" or "No space left" in said or "File too large" in said:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
    for number, words in (
        (errno.EISDIR, "Is a directory"),
        (errno.ENOTDIR, "Not a directory"),
        (errno.EEXIST, "File exists"),
        (errno.ENOENT, "No such file"),
        (errno.EACCES, "Permission denied"),
        (errno.EACCES, "Read-only file system"),
    ):
        if words in said:
            return OSError(number, os.strerror(number), path)
    return RuntimeError(f"{path}: {record.verdict} {record.code}: {said}")
