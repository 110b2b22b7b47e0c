"""A cell of the service: an isolated machine that lives for several commands.

>>> from loophole import Client
>>> with Client().cell(files={"a.txt": "hello"}) as cell:
...     cell.exec("tr a-z A-Z < a.txt > b.txt").ok
...     cell.read("b.txt")
True
b'HELLO'
"""

from __future__ import annotations

import base64
import builtins
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from urllib.parse import quote

from ._http import Address, Answer, Refused, encoded, sent

#: Seconds of a command unless it says otherwise, as the service has it.
SECONDS = 60.0


class CellGone(Refused):
    """The cell has ended: it was closed, nobody used it for its idle time, or its processes died."""


@dataclass
class ExecRecord:
    """What a command did. `verdict` is `exit`, `signal`, `cpu`, `wall`, `memory`, `pids`, `output`, `disk`, `machine`."""

    verdict: str
    code: int | None
    stdout: str
    stderr: str
    stdout_bytes: bytes
    stderr_bytes: bytes
    truncated: bool
    wall_seconds: float
    background: int
    refused: dict[str, int]
    raw: dict[str, Any] = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether it ended by itself with status 0."""
        return self.verdict == "exit" and self.code == 0


@dataclass
class Entry:
    """One name in a folder. `kind` is `file`, `folder`, ... as records have it; a name that is no UTF-8 is escaped."""

    name: str
    name_bytes: bytes
    kind: str
    mode: int
    size: int


class Cell:
    """A cell that is held; made by :meth:`loophole.client.Client.cell`.

    Paths are below `/box` (relative ones) and `/tmp`. Commands start in a process of their own: variables and folders
    set by one do not reach the next, files do. Errors of files are Python's own (`FileNotFoundError`,
    `PermissionError`, `IsADirectoryError`); a cell that has ended raises :class:`CellGone`.
    """

    def __init__(self, address: Address, told: Mapping[str, Any], timeout: float):
        self._address, self._timeout = address, timeout
        self.id: str = told["id"]
        self.idle_seconds: float = told["idle_seconds"]
        self.tier: str = str(told.get("tier") or "")
        #: The record of all it did, once it is closed.
        self.ended: dict[str, Any] | None = None

    def exec(
        self,
        command: str | Sequence[str],
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        output_bytes: int | None = None,
    ) -> ExecRecord:
        """Runs a command: a text is for bash, a sequence is a program and its arguments.

        It is never sent twice: where the connection breaks, `Unavailable` says so, and whether it ran is not known.
        """
        seconds = SECONDS if timeout is None else timeout
        body: dict[str, Any] = {"timeout_seconds": seconds, "stdin": encoded(stdin)}
        if isinstance(command, str):
            body["command"] = command
        else:
            body["argv"] = [*command]
        if env:
            body["env"] = dict(env)
        if cwd is not None:
            body["cwd"] = cwd
        if output_bytes is not None:
            body["output_bytes"] = output_bytes
        # A cell takes one command at a time, so the answer may have to wait for another's.
        told = self._ask("POST", "/exec", sent(body), self._timeout + seconds).json()
        stdout, stderr = str(told["stdout"]), str(told["stderr"])
        return ExecRecord(
            verdict=told["verdict"],
            code=told["code"],
            stdout=stdout,
            stderr=stderr,
            stdout_bytes=_bytes(told, "stdout", stdout),
            stderr_bytes=_bytes(told, "stderr", stderr),
            truncated=told["truncated"],
            wall_seconds=told["wall_seconds"],
            background=told["background"],
            refused=told["refused"],
            raw=told,
        )

    def write(self, path: str, content: bytes, executable: bool = False) -> None:
        """Writes a file, with the folders that lead to it; 32 MiB at most."""
        more = "&executable" if executable else ""
        self._file("PUT", path, more, content)

    def read(self, path: str) -> bytes:
        """A file's bytes; 32 MiB at most."""
        return self._file("GET", path).body

    def list(self, path: str = ".") -> builtins.list[Entry]:
        """What a folder holds."""
        told = self._file("GET", path, "&list").json()
        return [
            Entry(
                each["name"],
                base64.b64decode(each["name_base64"]),
                each["kind"],
                each["mode"],
                each["size"],
            )
            for each in told["entries"]
        ]

    def remove(self, path: str, all: bool = False) -> None:
        """Removes a file or an empty folder; with `all` a folder and what is in it."""
        self._file("DELETE", path, "&all" if all else "")

    def record(self) -> dict[str, Any]:
        """What is known of it so far: age, commands, refused calls, processes, changed files."""
        return dict(self._ask("GET").json()) if self.ended is None else self.ended

    def close(self) -> dict[str, Any]:
        """Ends it, with the command under way, and gives the record of all it did; closing twice does nothing."""
        if self.ended is None:
            try:
                self.ended = dict(self._ask("DELETE").json())
            except CellGone:
                self.ended = {"id": self.id, "gone": True}
        return self.ended

    def __enter__(self) -> Cell:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _file(self, method: str, path: str, more: str = "", content: bytes | None = None) -> Answer:
        where = f"/files?path={quote(path, safe='/')}{more}"
        try:
            return self._ask(method, where, content)
        except CellGone:
            raise
        except Refused as error:
            raise _file_error(error, path) from error

    def _ask(
        self, method: str, path: str = "", body: bytes | None = None, timeout: float | None = None
    ) -> Answer:
        if self.ended is not None:
            raise CellGone(f"the cell {self.id} is closed", 410, "ended")
        headers = {"Content-Type": "application/octet-stream"} if method == "PUT" else None
        try:
            return self._address.request(
                method, f"/v1/cells/{self.id}{path}", body, headers, timeout or self._timeout
            )
        except Refused as error:
            # An unknown cell and an unknown file are both 404; only the former is told so.
            if error.status == 410 or (error.status == 404 and "there is no cell" in str(error)):
                raise CellGone(str(error), error.status, "ended") from error
            raise


def _bytes(told: Mapping[str, Any], name: str, text: str) -> bytes:
    given = told.get(f"{name}_base64")
    return base64.b64decode(given) if given is not None else text.encode()


def _file_error(error: Refused, path: str) -> Exception:
    message = str(error)
    if error.status == 404:
        return FileNotFoundError(2, message, path)
    if error.status == 403:
        return PermissionError(13, message, path)
    if error.status == 409 and "directory" in message:
        kind = NotADirectoryError if "ot a directory" in message else IsADirectoryError
        return kind(message)
    return error
