"""Plays batteries on checkpoints, in processes beside a training: one at a time, and behind it."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import tempfile
import time
from collections import deque
from pathlib import Path

from ._run import Run
from ._service import binary

_log = logging.getLogger("loophole")


class Batteries:
    """What waits to be played, and what is being played."""

    def __init__(self, battery: str, samples: int):
        self.battery, self.samples = battery, samples
        self.waiting: deque[tuple[int, Path]] = deque()
        self.playing: tuple[int, Path, subprocess.Popen[bytes]] | None = None
        self.notes: list[str] = []

    def add(self, step: int, checkpoint: Path, run: Run) -> None:
        """A checkpoint that was just written."""
        self.waiting.append((step, checkpoint))
        self.go_on(run)

    def go_on(self, run: Run) -> None:
        """Takes what has been played and begins the next."""
        if self.playing is not None:
            step, out, process = self.playing
            code = process.poll()
            if code is None:
                return
            self.playing = None
            if code == 0 or (code == 1 and (out / "probes.json").is_file()):
                run.battery(step, out)
            else:
                log = (out / "said.log").read_text(errors="replace")[-500:].strip()
                self._note(f"The battery after {step} steps was not played to its end: {log}")
            shutil.rmtree(out, ignore_errors=True)
        while self.waiting and self.playing is None:
            self._begin(*self.waiting.popleft(), run)

    def finish(self, run: Run, patience: float) -> list[str]:
        """Waits for what is left, so long; what a reader must know."""
        until = time.monotonic() + patience
        while self.playing is not None or self.waiting:
            self.go_on(run)
            if time.monotonic() > until:
                self._give_up()
            time.sleep(0.1)
        return self.notes

    def _begin(self, step: int, checkpoint: Path, run: Run) -> None:
        model = _model(checkpoint)
        if model is None:
            # Trainers keep only so many checkpoints.
            self._note(f"The checkpoint after {step} steps was gone before its battery.")
            return
        out = Path(tempfile.mkdtemp(prefix=f".battery-{step}-", dir=run.root))
        command = [binary(), "probe", model, "--battery", self.battery, "--quiet"]
        command += ["--samples", str(self.samples), "--out", str(out), "--seed", str(run.seed)]
        with open(out / "said.log", "wb") as log:
            process = subprocess.Popen(
                ["nice", "-n", "10", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            )
        self.playing = (step, out, process)

    def _give_up(self) -> None:
        for step, _ in self.waiting:
            self._note(f"The battery after {step} steps was not played: no time was left.")
        self.waiting.clear()
        if self.playing is not None:
            step, out, process = self.playing
            process.terminate()
            process.wait()
            shutil.rmtree(out, ignore_errors=True)
            self._note(f"The battery after {step} steps was ended: no time was left.")
            self.playing = None

    def _note(self, text: str) -> None:
        _log.warning("%s", text)
        self.notes.append(text)


def _model(checkpoint: Path) -> str | None:
    """The checkpoint as `loophole` names it; an adapter with the model below it."""
    adapter = checkpoint / "adapter_config.json"
    if adapter.is_file():
        base = json.loads(adapter.read_text()).get("base_model_name_or_path")
        return f"{base}+{checkpoint}" if base else None
    return str(checkpoint) if (checkpoint / "config.json").is_file() else None
