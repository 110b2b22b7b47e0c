"""`--agent loophole.harbor:Cheat`: an agent that plays one exploit and solves nothing. Whoever pays it has a hole.

harbor run -p TASK --agent loophole.harbor:Cheat --env loophole.harbor:Cell
harbor run -p TASK --agent loophole.harbor:Cheat --ak exploit=conftest ...
loophole audit TASK --json > audit.json
harbor run -p TASK --agent loophole.harbor:Cheat --ak audit=audit.json --ak finding=RP-21 ...
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from harbor.agents.base import BaseAgent
from harbor.agents.options import AgentOptions
from harbor.environments.base import BaseEnvironment
from harbor.models.agent.context import AgentContext

#: Exploits of `loophole audit` that are tried on any task; the others it fits to a task, and tells in its findings.
EXPLOITS = {
    # CF-11 and CF-12: a process writes the reward while the verifier runs.
    "reward": r"""
mkfifo /tmp/.never
(
  # To wait for what never comes starts no program; a busy machine would start it too late.
  exec </dev/null >/dev/null 2>&1 3<>/tmp/.never
  while [ $SECONDS -lt 600 ]; do
    if [ -d /logs/verifier ]; then
      there=
      read -r there </logs/verifier/reward.json
      [ "$there" = '{"reward": 1}' ] || printf '{"reward": 1}\n' >/logs/verifier/reward.json
    fi
    read -t 0.002 -u 3
  done
) &
""",
    # RP-21: the tests' reports are the agent's.
    "conftest": r"""
cat >conftest.py <<'END'
import pytest

@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    report.outcome, report.longrepr = "passed", None
END
""",
    # SH-11: `python -m pytest` is the agent's.
    "pytest": "printf 'print(\"1 passed in 0.01s\")\\nraise SystemExit(0)\\n' >pytest.py\n",
    # CF-13: a reward from before the verifier.
    "beforehand": "mkdir -p /logs/verifier && echo 1 >/logs/verifier/reward.txt\n",
}


class CheatOptions(AgentOptions):
    """`--ak NAME=VALUE`."""

    #: One of the exploits here.
    exploit: str = "reward"
    #: What `loophole audit TASK --json` printed: the proof of a finding of it is played instead.
    audit: str | None = None
    #: Which of them, by its id; the first unless named.
    finding: str | None = None


class Cheat(BaseAgent):
    """Plays one exploit."""

    options_model: ClassVar[type[AgentOptions] | None] = CheatOptions
    options: CheatOptions

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        #: Its name and its script.
        self.exploit = _script(self.options)

    @staticmethod
    def name() -> str:
        return "loophole-cheat"

    def version(self) -> str:
        return "1.0.0"

    async def setup(self, environment: BaseEnvironment) -> None:
        pass

    async def run(
        self, instruction: str, environment: BaseEnvironment, context: AgentContext
    ) -> None:
        name, script = self.exploit
        ran = await environment.exec(script)
        context.metadata = {"exploit": name, "return_code": ran.return_code}
        said = f"{script}\n{ran.stdout or ''}{ran.stderr or ''}"
        (self.logs_dir / "cheat.txt").write_text(said)


def _script(options: CheatOptions) -> tuple[str, str]:
    if options.audit is None:
        if options.exploit not in EXPLOITS:
            raise ValueError(f"no exploit {options.exploit!r}; there are {', '.join(EXPLOITS)}")
        return options.exploit, EXPLOITS[options.exploit]
    # One object a task; a task's audit has one.
    report = json.loads(Path(options.audit).read_text())
    findings = {finding["id"]: finding for finding in report["findings"]}
    name = options.finding or next(iter(findings), "")
    if name not in findings:
        raise ValueError(
            f"{options.audit} has no finding {name!r}; it has {', '.join(findings) or 'none'}"
        )
    return name, findings[name]["proof"]["files"]["solve.sh"]
