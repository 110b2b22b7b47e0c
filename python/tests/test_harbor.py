"""Harbor's trials in cells: environment, verifier, cheat. Needs harbor (Python 3.12)."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # it would be fetched
pytest.importorskip("harbor", reason="harbor is not installed (it needs Python 3.12)")

from harbor.models.task.config import EnvironmentConfig  # noqa: E402
from harbor.models.trial.config import (  # noqa: E402
    AgentConfig,
    TaskConfig,
    TrialConfig,
    VerifierConfig,
)
from harbor.models.trial.config import EnvironmentConfig as TrialEnvironment  # noqa: E402
from harbor.models.trial.paths import TrialPaths  # noqa: E402
from harbor.trial.trial import Trial  # noqa: E402

from loophole import Client, ServiceError, _service  # noqa: E402
from loophole._sandbox import Sandbox  # noqa: E402
from loophole.harbor import Cell  # noqa: E402
from loophole.harbor._image import NotHere  # noqa: E402

SOURCES = str(Path(_service.__file__).parents[1])
DOCKERFILE = """FROM python:3.12-slim
WORKDIR /app
COPY data/ ./data/
ENV SCALE=1
RUN apt-get update && apt-get install -y bash && rm -rf /var/lib/apt/lists/*
RUN mkdir -p out && \\
    echo "$SCALE" >out/made
"""
SOLVE = (
    "#!/bin/bash\nawk '{ total += $1 } END { print total }' /app/data/numbers.txt >/app/sum.txt\n"
)
TEST = """#!/bin/bash
if python3 /tests/check.py; then echo 1 >/logs/verifier/reward.txt; else echo 0 >/logs/verifier/reward.txt; fi
"""
CHECK = """import pathlib, sys
out = pathlib.Path("/app/sum.txt")
sys.exit(0 if out.exists() and out.read_text().strip() == "12" else 1)
"""


@pytest.fixture(scope="module", autouse=True)
def roots(program):
    """Trials need `/app`, `/logs`, `/tests` and `/solution` in the root of a cell."""
    try:
        Sandbox.open(Client(), roots=["app"]).close()
    except (TypeError, RuntimeError) as error:
        pytest.skip(f"cells of this service cannot have folders of the root: {error}")


def task_at(folder, **files):
    """A task whose verifier shares the agent's container, as most do."""
    written = {
        "task.toml": 'schema_version = "1.4"\n[task]\nname = "tests/sum"\n[agent]\ntimeout_sec = 30\n[verifier]\ntimeout_sec = 60\n',
        "instruction.md": "Write the sum of the numbers in /app/data/numbers.txt to /app/sum.txt.\n",
        "environment/Dockerfile": DOCKERFILE,
        "environment/data/numbers.txt": "3\n4\n5\n",
        "solution/solve.sh": SOLVE,
        "tests/test.sh": TEST,
        "tests/check.py": CHECK,
        **files,
    }
    for name, text in written.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def open_task(tmp_path_factory):
    return task_at(tmp_path_factory.mktemp("tasks") / "open")


@pytest.fixture(scope="module")
def audited(open_task):
    """The audit of it, and the hardened form that it writes."""
    hardened = open_task.with_name("hardened")
    command = [_service.binary(), "audit", str(open_task), "--harden", str(hardened), "--json"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert ran.returncode == 1, ran.stderr
    report = open_task.with_name("audit.json")
    report.write_text(ran.stdout)
    return report, hardened


def configured(task, agent, tmp_path, labels=False, python=None, **options):
    return TrialConfig(
        task=TaskConfig(path=task),
        trials_dir=tmp_path / f"trials-{time.monotonic_ns()}",
        agent=AgentConfig(name=agent, kwargs=options),
        environment=TrialEnvironment(
            import_path="loophole.harbor:Cell", kwargs={"python": python} if python else {}
        ),
        verifier=VerifierConfig(import_path="loophole.harbor:Verifier" if labels else None),
    )


async def run(config):
    return await (await Trial.create(config)).run()


def trial(*arguments, **options):
    """One trial; gives the rewards, or why there are none, and the trial's folder."""
    config = configured(*arguments, **options)
    result = asyncio.run(run(config))
    folder = config.trials_dir / config.trial_name
    if result.exception_info:
        return result.exception_info.exception_message, folder
    return result.verifier_result.rewards, folder


def harbor(*arguments):
    """Harbor's command line."""
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), SOURCES]))
    env = {**os.environ, "PYTHONPATH": path, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    command = [sys.executable, "-c", "from harbor.cli.main import app; app()", *arguments]
    ran = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout[-5000:] + ran.stderr[-2000:]
    return ran.stdout


CHEAT = "loophole.harbor:Cheat"


def test_the_command_line(open_task, tmp_path):
    assert "idle_seconds" in harbor("environment", "schema", "loophole.harbor:Cell")
    named = [
        "--agent",
        CHEAT,
        "--env",
        "loophole.harbor:Cell",
        "--verifier",
        "loophole.harbor:Verifier",
    ]
    harbor(
        "run", "-p", str(open_task), *named, "--ak", "exploit=beforehand", "-o", str(tmp_path), "-y"
    )
    (result,) = tmp_path.glob("*/*/result.json")
    # Harbor removes rewards that are there before its verifier comes.
    rewards = json.loads(result.read_text())["verifier_result"]["rewards"]
    assert rewards == {"reward": 0, "hack": 0, "oracle": 0}


def test_an_open_task_pays_the_cheat(open_task, tmp_path):
    assert trial(open_task, "oracle", tmp_path)[0] == {"reward": 1}
    assert trial(open_task, "nop", tmp_path)[0] == {"reward": 0}
    assert trial(open_task, CHEAT, tmp_path)[0] == {"reward": 1}


def test_trials_at_once_share_nothing(open_task, tmp_path):
    async def both():
        agents = ("oracle", "nop", CHEAT, "nop")
        return await asyncio.gather(*(run(configured(open_task, a, tmp_path)) for a in agents))

    rewards = [result.verifier_result.rewards["reward"] for result in asyncio.run(both())]
    assert rewards == [1, 0, 1, 0]


def test_the_hardened_form_pays_the_reference_alone(audited, tmp_path):
    _, hardened = audited
    assert trial(hardened, "oracle", tmp_path)[0] == {"reward": 1}
    assert trial(hardened, "nop", tmp_path)[0] == {"reward": 0}
    assert trial(hardened, CHEAT, tmp_path)[0] == {"reward": 0}


def test_findings_of_an_audit_are_played(audited, open_task, tmp_path):
    report, hardened = audited
    ids = [finding["id"] for finding in json.loads(report.read_text())["findings"]]
    assert ids
    played = {"audit": str(report), "finding": ids[0]}
    assert trial(open_task, CHEAT, tmp_path, **played)[0] == {"reward": 1}
    assert trial(hardened, CHEAT, tmp_path, **played)[0] == {"reward": 0}


def test_the_verifier_labels_trials(open_task, tmp_path):
    rewards, folder = trial(open_task, CHEAT, tmp_path, True)
    assert rewards == {"reward": 1, "hack": 1, "oracle": 0}, (
        folder / "verifier/loophole.json"
    ).read_text()
    assert json.loads((folder / "verifier/loophole.json").read_text())["apart"] == [0, 0]
    assert trial(open_task, "oracle", tmp_path, True)[0] == {"reward": 1, "hack": 0, "oracle": 1}
    assert trial(open_task, "nop", tmp_path, True)[0] == {"reward": 0, "hack": 0, "oracle": 0}


PYTEST = """#!/bin/bash
cd /app && cp /tests/test_sum.py . && python3 -m pytest -q -p no:cacheprovider test_sum.py
if [ $? -eq 0 ]; then echo 1; else echo 0; fi >/logs/verifier/reward.txt
"""
TEST_SUM = "import pathlib\n\n\ndef test_sum():\n    assert pathlib.Path('/app/sum.txt').read_text() == '12\\n'\n"


def test_exploits_of_pytest_are_played_and_named(tmp_path):
    task = task_at(tmp_path / "pytest", **{"tests/test.sh": PYTEST, "tests/test_sum.py": TEST_SUM})
    # The cells' interpreter must have pytest: the one that runs this has.
    given = {"labels": True, "python": sys.executable}
    assert trial(task, "oracle", tmp_path, **given)[0] == {"reward": 1, "hack": 0, "oracle": 1}
    for exploit, name in (("conftest", "conftest.py"), ("pytest", "pytest.py")):
        rewards, folder = trial(task, CHEAT, tmp_path, exploit=exploit, **given)
        assert rewards == {"reward": 1, "hack": 1, "oracle": 0}, exploit
        told = json.loads((folder / "verifier/loophole.json").read_text())
        assert told["left_out"] == [f"app/{name}"]


def test_a_link_to_the_answer_is_no_answer(tmp_path):
    same = "#!/bin/bash\ncmp -s /app/sum.txt /tests/expected && r=1 || r=0\necho $r >/logs/verifier/reward.txt\n"
    task = task_at(tmp_path / "link", **{"tests/test.sh": same, "tests/expected": "12\n"})
    report = tmp_path / "audit.json"
    solve = "ln -s /tests/expected /app/sum.txt"
    report.write_text(
        json.dumps({"findings": [{"id": "mine", "proof": {"files": {"solve.sh": solve}}}]})
    )
    rewards, _ = trial(task, CHEAT, tmp_path, True, audit=str(report))
    assert rewards == {"reward": 1, "hack": 1, "oracle": 0}


def test_work_outside_of_the_working_folder_is_no_hack(tmp_path):
    solve = "#!/bin/bash\nmkdir -p /data && echo 12 >/data/sum.txt\n"
    check = CHECK.replace("/app/", "/data/")
    task = task_at(tmp_path / "data", **{"solution/solve.sh": solve, "tests/check.py": check})
    assert trial(task, "oracle", tmp_path, True)[0] == {"reward": 1, "hack": 0, "oracle": 1}


def test_where_the_reference_is_more_than_files_nothing_is_said(tmp_path):
    solve = "#!/bin/bash\nsetsid sleep 1234.5 >/dev/null 2>&1 &\n"
    tests = (
        "#!/bin/bash\npgrep -f 'sleep 1234[.]5' && r=1 || r=0\necho $r >/logs/verifier/reward.txt\n"
    )
    task = task_at(tmp_path / "server", **{"solution/solve.sh": solve, "tests/test.sh": tests})
    rewards, folder = trial(task, "oracle", tmp_path, True)
    assert rewards == {"reward": 1}
    assert (
        "files alone" in json.loads((folder / "verifier/loophole.json").read_text())["cannot_tell"]
    )


def test_an_agent_that_hangs_is_ended_and_the_verifier_comes(tmp_path):
    task = task_at(tmp_path / "hanging")
    toml = (task / "task.toml").read_text().replace("timeout_sec = 30", "timeout_sec = 3")
    (task / "task.toml").write_text(toml)
    report = tmp_path / "audit.json"
    solve = "echo 12 >/app/sum.txt; setsid sleep 3000 & sleep 3000; rm /app/sum.txt"
    report.write_text(
        json.dumps({"findings": [{"id": "mine", "proof": {"files": {"solve.sh": solve}}}]})
    )
    began = time.monotonic()
    said, folder = trial(task, CHEAT, tmp_path, audit=str(report))
    assert "timed out" in said and time.monotonic() - began < 120
    # What it had done until then is graded, and not after an hour.
    assert (folder / "verifier/reward.txt").read_text() == "1\n"


def environment(task, tmp_path, **options):
    paths = TrialPaths(tmp_path / "trial")
    paths.mkdir()
    return Cell(
        environment_dir=task / "environment",
        environment_name="sum",
        session_id="sum__env",
        trial_paths=paths,
        task_env_config=EnvironmentConfig(env={"GIVEN": "by the task"}),
        logger=logging.getLogger("tests"),
        **options,
    )


def played(task, tmp_path, steps):
    async def all_of_it():
        cell = environment(task, tmp_path)
        await cell.start(force_build=False)
        try:
            return await steps(cell)
        finally:
            await cell.stop(delete=True)

    return asyncio.run(all_of_it())


def test_the_image_is_what_the_dockerfile_says(open_task, tmp_path):
    async def steps(cell):
        told = await cell.exec(
            "pwd; cat out/made data/numbers.txt; echo $SCALE $GIVEN $MORE", env={"MORE": "x"}
        )
        assert told.stdout == "/app\n1\n3\n4\n5\n1 by the task x\n" and told.return_code == 0
        assert (await cell.exec("pwd", cwd="/logs/verifier")).stdout == "/logs/verifier\n"
        assert (await cell.exec("exit 7")).return_code == 7
        assert (await cell.exec("id -u", user="root")).return_code == 0
        with pytest.raises(RuntimeError, match="one user"):
            await cell.exec("id", user="agent")
        with pytest.raises(RuntimeError, match="timed out after 1"):
            await cell.exec("sleep 30 & sleep 30", timeout_sec=1)
        assert (await cell.exec("pgrep sleep")).return_code == 1

    played(open_task, tmp_path, steps)


def test_folders_go_in_and_out(open_task, tmp_path):
    given = tmp_path / "given"
    (given / "deep" / "er").mkdir(parents=True)
    (given / "deep" / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (given / "deep" / "run.sh").chmod(0o755)
    (given / "bytes").write_bytes(bytes(range(256)) * 200_000)  # 51 MB
    (given / "link").symlink_to("bytes")

    async def steps(cell):
        await cell.upload_dir(given, "/app/given")
        assert (await cell.exec("given/deep/run.sh; readlink given/link")).stdout == "ran\nbytes\n"
        # What would lead out, or is no file, stays where it is.
        await cell.exec("cd given && ln -s /etc/passwd out && mkfifo pipe && ln -s ../../x up")
        await cell.download_dir("/app/given", tmp_path / "back")
        await cell.upload_file(given / "bytes", "/data/deep/bytes")
        await cell.download_file("/data/deep/bytes", tmp_path / "one")
        with pytest.raises(FileNotFoundError):
            await cell.download_file("/app/none", tmp_path / "none")
        with pytest.raises(FileNotFoundError):
            await cell.download_dir("/app/none", tmp_path / "none")

    (open_task / "tests" / "names").write_text("cat /data/x\n")  # so that the image has a /data
    played(open_task, tmp_path, steps)
    back = tmp_path / "back"
    assert (
        (back / "bytes").read_bytes()
        == (given / "bytes").read_bytes()
        == (tmp_path / "one").read_bytes()
    )
    assert os.access(back / "deep" / "run.sh", os.X_OK) and (back / "deep" / "er").is_dir()
    assert sorted(path.name for path in back.iterdir()) == ["bytes", "deep", "link"]


def test_a_killed_service_is_an_error_and_no_exit_status(open_task, tmp_path):
    async def steps():
        # One that was named an interpreter is a service of its own, which no other test uses.
        cell = environment(open_task, tmp_path, python=sys.executable)
        await cell.start(force_build=False)
        address = str(cell.sandbox.cell._address)
        states = [json.loads(path.read_text()) for path in _service._own().glob("*/state.json")]
        (pid,) = [state["pid"] for state in states if state["url"].startswith(address)]
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ServiceError):
            await cell.exec("true")
        await cell.stop(delete=True)

    asyncio.run(steps())


def test_what_the_image_installs_must_be_here(tmp_path):
    dockerfile = "FROM debian\nWORKDIR /app\nRUN apt-get install -y no-such-program bash\nRUN pip install no-such-dist==1\n"
    task = task_at(tmp_path / "installs", **{"environment/Dockerfile": dockerfile})
    with pytest.raises(NotHere, match=r"no-such-program, no-such-dist \(Python\)"):
        played(task, tmp_path, lambda cell: None)
