"""`--sandbox loophole`: each sample has a cell of its own. Working folder `/box`; no network; one user; no image.

A cell holds what the machine has below `/usr`, read-only, and can write below `/box` and `/tmp`.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Literal, overload

from inspect_ai.util import (
    ExecResult,
    OutputLimitExceededError,
    SandboxEnvironment,
    SandboxEnvironmentConfigType,
    SandboxEnvironmentLimits,
    SandboxUnavailableError,
    SandboxUserUnsupportedError,
    sandboxenv,
)
from pydantic import BaseModel, ConfigDict

from .._http import ServiceError
from .._sandbox import OUTPUT, Sandbox, TooLarge, in_thread
from ..client import Client

#: Sandboxes at a time: the service holds 64 cells, and others may use it as well.
AT_A_TIME = 32


class CellOptions(BaseModel, frozen=True):
    """What a cell may use, and whose service makes it: `sandbox=SandboxEnvironmentSpec("loophole", CellOptions(...))`.

    Also a file with these as JSON: `--sandbox loophole:options.json`.
    """

    model_config = ConfigDict(extra="forbid")

    #: Address of a service; `LOOPHOLE_URL`, or one of this machine's own, unless given.
    url: str | None = None
    #: Interpreter of the cells, for a service that is started here.
    python: str | None = None
    cpu_seconds: float = 3600.0
    memory_bytes: int = 1 << 30
    processes: int = 256
    #: The largest file; `/box` and `/tmp` hold four times as much each.
    file_bytes: int = 64 << 20
    #: A cell that nobody used so long is ended: a model may take long to answer.
    idle_seconds: float = 3600.0
    #: Names in the root that are folders of the cell's own: `["var"]` for `/var`.
    roots: tuple[str, ...] = ()


@cache
def _client(url: str | None, python: str | None) -> Client:
    return Client(url, python=python)


@sandboxenv(name="loophole")
class CellSandbox(SandboxEnvironment):
    """A cell of `loophole serve`."""

    def __init__(self, sandbox: Sandbox):
        super().__init__()
        self._sandbox = sandbox

    @classmethod
    async def sample_init(
        cls,
        task_name: str,
        config: SandboxEnvironmentConfigType | None,
        metadata: dict[str, str],
    ) -> dict[str, SandboxEnvironment]:
        options = _options(config)
        limits = options.model_dump(
            include={"cpu_seconds", "memory_bytes", "processes", "file_bytes"}
        )
        try:
            made = await in_thread(_open, options, limits)
        except ServiceError as error:
            raise SandboxUnavailableError(f"no cell could be had: {error}") from error
        return {"default": cls(made)}

    @classmethod
    async def sample_cleanup(
        cls,
        task_name: str,
        config: SandboxEnvironmentConfigType | None,
        environments: dict[str, SandboxEnvironment],
        interrupted: bool,
    ) -> None:
        for environment in environments.values():
            try:
                await in_thread(environment.as_type(CellSandbox)._sandbox.close)
            except ServiceError:
                pass  # its service is gone, and the cell with it

    async def exec(
        self,
        cmd: list[str],
        input: str | bytes | None = None,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        user: str | None = None,
        timeout: int | None = None,
        timeout_retry: bool = True,
        concurrency: bool = True,
    ) -> ExecResult[str]:
        # A command that ran out of its time is never run again: it may have done half of its work.
        if user not in (None, "cell", "1000"):
            raise SandboxUserUnsupportedError(
                f"a cell has one user, `cell`, and cannot run as {user!r}"
            )
        stdin = input.encode() if isinstance(input, str) else input or b""
        limit = SandboxEnvironmentLimits.MAX_EXEC_OUTPUT_SIZE
        try:
            record = await in_thread(
                self._sandbox.exec, cmd, stdin, env, cwd, timeout, min(limit, OUTPUT)
            )
        except ServiceError as error:
            raise _unavailable(error) from error
        if record.verdict == "machine":
            raise SandboxUnavailableError(f"the cell failed: {record.stderr}")
        said = record.stdout + record.stderr
        if record.verdict == "wall":
            late = TimeoutError(f"the command did not end within {timeout or 'the 3600'} seconds")
            late.truncated_output = said  # type: ignore[attr-defined]
            raise late
        if record.truncated:
            raise OutputLimitExceededError(SandboxEnvironmentLimits.MAX_EXEC_OUTPUT_SIZE_STR, said)
        code = record.code if record.code is not None else 1
        if code == 126 and "Permission denied" in record.stderr:
            raise PermissionError(f"{cmd[0]}: {record.stderr.strip()}")
        if not record.ok and record.verdict not in ("exit", "signal"):
            # What of the cell's limits it met is nothing that its own output tells.
            record.stderr += f"\nloophole: ended by its limit of {record.verdict}\n"
            code = code or 1
        return ExecResult(code == 0, code, record.stdout, record.stderr)

    async def write_file(self, file: str, contents: str | bytes) -> None:
        content = contents.encode() if isinstance(contents, str) else contents
        try:
            await in_thread(self._sandbox.write, file, content)
        except ServiceError as error:
            raise _unavailable(error) from error

    @overload
    async def read_file(self, file: str, text: Literal[True] = True) -> str: ...

    @overload
    async def read_file(self, file: str, text: Literal[False]) -> bytes: ...

    async def read_file(self, file: str, text: bool = True) -> str | bytes:
        try:
            content = await in_thread(
                self._sandbox.read, file, SandboxEnvironmentLimits.MAX_READ_FILE_SIZE
            )
        except TooLarge:
            limit = SandboxEnvironmentLimits.MAX_READ_FILE_SIZE_STR
            raise OutputLimitExceededError(limit, None) from None
        except ServiceError as error:
            raise _unavailable(error) from error
        return content.decode() if text else content

    def default_polling_interval(self) -> float:
        return 0.2

    @classmethod
    def default_concurrency(cls) -> int | None:
        return AT_A_TIME

    @classmethod
    def config_deserialize(cls, config: dict[str, Any]) -> BaseModel:
        return CellOptions(**config)


def _options(config: SandboxEnvironmentConfigType | None) -> CellOptions:
    if config is None:
        return CellOptions()
    if isinstance(config, CellOptions):
        return config
    if isinstance(config, str) and config.endswith(".json"):
        return CellOptions(**json.loads(Path(config).read_text()))
    raise ValueError(
        f"{config!r} tells nothing of a cell: give CellOptions, or a file with them, NAME.json"
    )


def _open(options: CellOptions, limits: dict[str, Any]) -> Sandbox:
    client = _client(options.url, options.python)
    return Sandbox.open(client, limits, options.idle_seconds, options.roots)


def _unavailable(error: ServiceError) -> Exception:
    if error.status == 422:
        # The command or the path is none: a NUL, a name that is no text.
        return ValueError(str(error))
    return SandboxUnavailableError(f"the cell cannot be asked: {error}")
