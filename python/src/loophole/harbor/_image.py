"""As much of a task's image as a cell can have: files, folders, variables and plain commands on this machine's system.

The same of a Dockerfile is understood, and refused, as by `loophole audit`.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

#: Images that bring a system and nothing of a task.
PLAIN = frozenset({"debian", "ubuntu", "python", "buildpack-deps", "alpine", "fedora", "bash"})
#: Folders that every cell has as they are.
SYSTEM = frozenset({"tmp", "box", "usr", "bin", "sbin", "lib", "lib64", "etc", "dev", "proc"})
#: Packages that each system brings, or that nothing here needs.
EVERYWHERE = frozenset(
    "bash tmux asciinema python3-pip python3-venv ca-certificates procps sudo build-essential".split()
)
#: Instructions that change nothing in a cell.
SILENT = frozenset(
    "CMD ENTRYPOINT LABEL EXPOSE USER STOPSIGNAL SHELL VOLUME MAINTAINER HEALTHCHECK".split()
)
#: Programs that fetch things, and there is no network.
FETCHES = frozenset("curl wget git npm cargo go conda gem make".split())
#: Bytes of a script that is looked through for folders.
SCRIPT = 256 << 10


class NotHere(ValueError):
    """The task needs what a cell has not."""


@dataclass
class Image:
    """What an image is made of."""

    workdir: str = "/"
    env: dict[str, str] = field(default_factory=dict)
    #: Files of the environment folder and their places in the image.
    copies: list[tuple[Path, str]] = field(default_factory=list)
    #: Commands with the folder they run in.
    commands: list[tuple[str, str]] = field(default_factory=list)
    #: Packages that must be there: of Debian, by the name of a program, and of Python.
    apt: list[str] = field(default_factory=list)
    pip: list[str] = field(default_factory=list)

    def roots(self) -> list[str]:
        """The folders of the root that a cell must have of its own."""
        paths = [place for _, place in self.copies] + [self.workdir, "/logs", "/tests", "/solution"]
        return sorted({path.split("/")[1] for path in paths} - SYSTEM - {""})

    def missing(self) -> str:
        """A script that names what is not installed."""
        wanted = [name for name in dict.fromkeys(self.apt) if name not in EVERYWHERE]
        lines = [
            f"command -v {shlex.quote(name)} >/dev/null || echo {shlex.quote(name)}"
            for name in wanted
        ]
        for name in dict.fromkeys(self.pip):
            ask = f"import importlib.metadata as m; m.version({name!r})"
            lines.append(
                f"python3 -c {shlex.quote(ask)} 2>/dev/null || echo {shlex.quote(name + ' (Python)')}"
            )
        return "\n".join(lines)


def read_image(environment: Path, docker_image: str | None, workdir: str | None) -> Image:
    """Reads a task's environment folder; raises `NotHere` with the reason."""
    if any(
        "compose" in path.name and path.suffix in (".yaml", ".yml")
        for path in environment.glob("*")
    ):
        raise NotHere("its environment is a Docker Compose of several containers")
    if (environment / "Dockerfile").is_file():
        image = _dockerfile(environment)
    elif docker_image:
        _check_image(docker_image)
        image = Image()
    else:
        raise NotHere(f"{environment} has neither a Dockerfile nor an image")
    if workdir:
        image.workdir = _join(image.workdir, workdir)
    if image.workdir == "/":
        raise NotHere("it works in /, and the root of a cell is read-only; give it a WORKDIR")
    for _, place in image.copies:
        if place.split("/")[1] in SYSTEM - {"tmp", "box"}:
            raise NotHere(f"its image has {place}, and a cell's system is read-only")
    return image


def named_roots(image: Image, task: Path) -> list[str]:
    """Folders of the root that commands, tests and solution name: `data` of `/data/in.csv`."""
    texts = [command for _, command in image.commands]
    for folder in ("tests", "solution"):
        for path in sorted((task / folder).rglob("*")) if (task / folder).is_dir() else ():
            if path.is_file() and path.stat().st_size <= SCRIPT:
                texts.append(path.read_text(errors="replace"))
    found = re.findall(
        r"(?:^|[\s'\"`=(>:,;|&\[{])/([A-Za-z0-9][\w-]+)(?=$|[\s/'\"`;)|&,>\]}:])", "\n".join(texts)
    )
    return sorted(set(found) - SYSTEM - set(image.roots()))[:24]


def _dockerfile(environment: Path) -> Image:
    image, stages = Image(), 0
    for line, word, rest in _instructions((environment / "Dockerfile").read_text()):
        try:
            if word == "FROM":
                stages += 1
                if stages > 1:
                    raise NotHere("begins a second stage")
                _check_image(next((w for w in rest.split() if not w.startswith("--")), ""))
            elif word == "WORKDIR":
                image.workdir = _join(image.workdir, rest.strip("\"'"))
            elif word in ("ENV", "ARG"):
                image.env.update(_variables(rest))
            elif word in ("COPY", "ADD"):
                image.copies += _copies(rest, environment, image.workdir)
            elif word == "RUN":
                _run(image, rest)
            elif word not in SILENT:
                raise NotHere(f"has the instruction {word}, which is not understood here")
        except NotHere as error:
            raise NotHere(f"line {line} of its Dockerfile: {error}") from None
    if not stages:
        raise NotHere("its Dockerfile has no FROM")
    return image


def _instructions(text: str) -> Iterator[tuple[int, str, str]]:
    """Line, word and rest of each instruction, with continued lines joined."""
    begun, so_far = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if line.startswith("#") or not (line or so_far):
            continue
        begun = begun if so_far else number
        so_far = f"{so_far} {line.removesuffix(chr(92)).strip()}".strip()
        if not line.endswith(chr(92)):
            word, _, rest = so_far.partition(" ")
            if word.upper() in ("RUN", "COPY") and "<<" in rest:
                raise NotHere(f"line {begun} of its Dockerfile has a here-document")
            yield begun, word.upper(), rest.strip()
            so_far = ""


def _check_image(image: str) -> None:
    name = re.split("[:@]", image.rsplit("/", 1)[-1])[0]
    official = "/" not in image or image.startswith("docker.io/library/") or "/t-bench/" in image
    if not official or name not in PLAIN:
        raise NotHere(f"starts from the image {image}, which may hold what this machine does not")


def _copies(rest: str, environment: Path, workdir: str) -> list[tuple[Path, str]]:
    words = rest.split()
    if any(word.startswith("--from") for word in words):
        raise NotHere("copies out of another image")
    *sources, target = [word for word in words if not word.startswith("--")]
    place, found = _join(workdir, target), []
    for source in sources:
        if "://" in source:
            raise NotHere(f"downloads {source}")
        matches = sorted(environment.glob(source.lstrip("./") or "*")) or []
        if not matches:
            raise NotHere(f"copies {source}, which the environment folder does not hold")
        many = target.endswith(("/", ".")) or len(sources) > 1 or "*" in source
        for match in matches:
            if match.is_dir():
                # Of a folder that is named what is in it is copied; of `.` each folder as it is.
                base = environment if source in (".", "./", "/") else match
                files = [path for path in sorted(match.rglob("*")) if path.is_file()]
                found += [(path, _join(place, path.relative_to(base).as_posix())) for path in files]
            elif match.name != "Dockerfile" or "Dockerfile" in source:
                whole = source in (".", "./", "/")
                found.append((match, _join(place, match.name) if many or whole else place))
    return found


def _run(image: Image, rest: str) -> None:
    """Installations become things to look for; every other command is run."""
    kept = []
    for part in (part.strip() for part in re.split(r"&&|;", rest)):
        words = [word for word in part.split() if not word.startswith("-")]
        if words[:1] == ["rm"] and all(
            w.startswith(("/var/lib/apt", "/var/cache")) for w in words[1:]
        ):
            continue
        manager, verb = (words + ["", ""])[:2]
        if manager in ("apt-get", "apt", "apk"):
            if verb in ("install", "add"):
                image.apt += [_bare(word) for word in words[2:]]
        elif words[:2] in (["pip", "install"], ["pip3", "install"]):
            image.pip += _distributions(words[2:])
        elif words[:3] in (
            ["python", "pip", "install"],
            ["python3", "pip", "install"],
            ["uv", "pip", "install"],
        ):
            image.pip += _distributions(words[3:])
        elif manager in FETCHES and "://" in part:
            raise NotHere(f"downloads with `{part}`")
        elif part:
            kept.append(part)
    if kept:
        image.commands.append((image.workdir, " && ".join(kept)))


def _distributions(words: list[str]) -> list[str]:
    return [_bare(word) for word in words if word not in ("pip", "uv", "wheel", "setuptools")]


def _bare(package: str) -> str:
    return re.split(r"[=<>~\[!;]", package.strip("\"'"))[0]


def _variables(rest: str) -> dict[str, str]:
    name, equals, _ = rest.partition("=")
    if equals and " " not in name.strip():
        pairs = (word.partition("=") for word in rest.split() if "=" in word)
        return {name: value.strip("\"'") for name, _, value in pairs}
    name, _, value = rest.partition(" ")
    return {name: value.strip().strip("\"'")} if value else {}


def _join(folder: str, path: str) -> str:
    return posixpath.normpath(posixpath.join("/", folder, path))
