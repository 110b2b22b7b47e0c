"""`--env loophole.harbor:Cell`: a trial's environment is a cell. No Docker, no root, no network.

The system is this machine's, read-only, with what the Dockerfile makes of it; the folders of the root that the task
names (`/app`, `/logs`, `/tests`, ...) are the cell's own. There is one user, whoever is asked for.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, ClassVar

from harbor.environments.base import BaseEnvironment, ExecResult
from harbor.environments.capabilities import (
    EnvironmentCapabilities,
    EnvironmentResourceCapabilities,
)
from harbor.environments.options import EnvironmentOptions
from harbor.models.task.config import NetworkPolicy
from harbor.models.trial.config import ResourceMode
from harbor.models.trial.paths import EnvironmentPaths

from .._http import ServiceError
from .._sandbox import Sandbox, in_thread
from ..client import Client
from ._image import Image, NotHere, named_roots, read_image

#: The names under which the one user of a cell is asked for.
USER = (None, "root", 0, "0", "cell", 1000, "1000")
#: Bytes of a file or folder that is fetched.
FETCHED = 256 << 20
#: MiB that a cell may have at most.
MEMORY = 4096
#: Of the one user; below it an agent may leave what start-up files read.
HOME = "/box/.home"


class CellOptions(EnvironmentOptions):
    """`--ek NAME=VALUE`."""

    #: Address of a service; `LOOPHOLE_URL`, or one of this machine's own, unless given.
    url: str | None = None
    token: str | None = None
    #: Interpreter of the cells, for a service that is started here: the packages that the tests need are its.
    python: str | None = None
    #: A cell that nobody used so long is ended: an agent may think for long.
    idle_seconds: float = 7200.0


class Cell(BaseEnvironment):
    """A cell of `loophole serve`."""

    options_model: ClassVar[type[EnvironmentOptions] | None] = CellOptions
    options: CellOptions

    _image: Image
    _sandbox: Sandbox | None = None

    def __init__(self, *args: Any, **given: Any) -> None:
        #: What it was made with: a verifier makes another one like it.
        self.made_with = given
        super().__init__(*args, **given)

    @staticmethod
    def type() -> str:
        return "loophole"

    @property
    def capabilities(self) -> EnvironmentCapabilities:
        # There is never a network, so none can be taken away at any time.
        return EnvironmentCapabilities(disable_internet=True, dynamic_network_policy=True)

    @classmethod
    def resource_capabilities(cls) -> EnvironmentResourceCapabilities | None:
        return EnvironmentResourceCapabilities(memory_limit=True, fractional_cpus=True)

    async def _apply_network_policy(self, network_policy: NetworkPolicy) -> None:
        pass

    def _validate_definition(self) -> None:
        config = self.task_env_config
        self._image = read_image(self.environment_dir, config.docker_image, config.workdir)
        if config.memory_mb and config.memory_mb > MEMORY:
            self.logger.warning(
                f"a cell has {MEMORY} MiB at most; the task asks for {config.memory_mb}"
            )

    async def start(self, force_build: bool) -> None:
        await self.stop(delete=True)
        self._sandbox = await in_thread(self._open)
        await in_thread(self._build, self._sandbox)
        paths = EnvironmentPaths.for_os(self.os)
        logs = [paths.agent_dir, paths.verifier_dir, paths.artifacts_dir]
        await self.ensure_dirs([*logs, *self._mount_targets(writable_only=True)])
        await self._upload_environment_dir_after_start()

    def _open(self) -> Sandbox:
        memory = min(
            self._resource_limit_value("memory", auto_mode=ResourceMode.LIMIT) or 2048, MEMORY
        )
        limits = {"memory_bytes": memory << 20, "file_bytes": 64 << 20, "cpu_seconds": 86400.0}
        # The task's folder is that around its environment's; a verifier's image may be anywhere.
        besides = named_roots(self._image, self.environment_dir.parent)
        client = Client(self.options.url, self.options.token, python=self.options.python)
        idle = self.options.idle_seconds
        return Sandbox.open(client, limits, idle, self._image.roots(), besides)

    def _build(self, sandbox: Sandbox) -> None:
        """What `docker build` would do."""
        image = self._image
        sandbox.run(["mkdir", "-p", "--", HOME, image.workdir])
        for source, place in image.copies:
            sandbox.write(place, source.read_bytes(), bool(source.stat().st_mode & 0o100))
        missing = sandbox.exec(image.missing(), timeout=120.0).stdout.split("\n")[:-1]
        if missing:
            raise NotHere(
                f"its image installs what this machine has not: {', '.join(missing)}; install it, or name an "
                "interpreter that has it: --ek python=PATH"
            )
        for folder, command in image.commands:
            sandbox.run(["mkdir", "-p", "--", folder])
            record = sandbox.exec(command, env=self._variables(), cwd=folder, timeout=600.0)
            if not record.ok:
                raise NotHere(f"its image's `{command}` failed in a cell: {record.stderr.strip()}")

    def _variables(self) -> dict[str, str]:
        # Whoever asks for a network is told at once that there is none.
        return {"HOME": HOME, "PIP_RETRIES": "0", **self._image.env}

    @property
    def sandbox(self) -> Sandbox:
        """The cell, once it is started."""
        if self._sandbox is None:
            raise RuntimeError("the environment is not started")
        return self._sandbox

    async def stop(self, delete: bool) -> None:
        sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            try:
                await in_thread(sandbox.close)
            except ServiceError as error:
                self.logger.debug(f"the service is gone, and the cell with it: {error}")

    async def exec(
        self,
        command: str,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        timeout_sec: int | None = None,
        user: str | int | None = None,
    ) -> ExecResult:
        wanted = self._resolve_user(user)
        if wanted not in USER:
            # Graders that rely on another user would be open where they believe to be closed.
            raise RuntimeError(f"a cell has one user, and cannot run as {wanted!r}")
        variables = {**self._variables(), **(self._merge_env(env) or {})}
        place = cwd or self._image.workdir
        record = await in_thread(
            self.sandbox.exec, command, env=variables, cwd=place, timeout=timeout_sec
        )
        if record.verdict == "wall":
            raise RuntimeError(f"Command timed out after {timeout_sec or 3600} seconds")
        if record.verdict == "machine":
            raise RuntimeError(f"the cell failed: {record.stderr}")
        stderr = record.stderr
        if record.truncated:
            stderr += "\nloophole: of an output the first 10 MiB were kept\n"
        if record.verdict not in ("exit", "signal", "output"):
            stderr += f"\nloophole: ended by the cell's limit of {record.verdict}\n"
        code = record.code if record.code is not None else 1
        return ExecResult(stdout=record.stdout, stderr=stderr, return_code=code)

    async def upload_file(self, source_path: Path | str, target_path: str) -> None:
        source = Path(source_path)
        runs = bool(source.stat().st_mode & 0o100)
        await in_thread(self.sandbox.write, target_path, source.read_bytes(), runs)

    async def upload_dir(self, source_dir: Path | str, target_dir: str) -> None:
        await in_thread(self.sandbox.put, Path(source_dir), target_dir)

    async def download_file(self, source_path: str, target_path: Path | str) -> None:
        content = await in_thread(self.sandbox.read, source_path, FETCHED)
        target = Path(target_path)
        target.parent.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(target.write_bytes, content)

    async def download_dir(self, source_dir: str, target_dir: Path | str) -> None:
        await in_thread(self.sandbox.get, source_dir, Path(target_dir), FETCHED)
