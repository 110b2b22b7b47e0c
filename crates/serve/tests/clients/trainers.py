"""The trainers' own reward clients, as their packages have them, without the gigabytes they train with.

`load(FOLDER)` makes the packages of requirements-trainers.txt importable that were installed below FOLDER without what
they depend on. The modules that speak HTTP are run as they are; two things are done for that:

* the `__init__` of `verl`, `verl.utils`, `openrlhf` and `openrlhf.utils` is passed over: it imports torch and ray,
  which the clients do not use;
* `ray`, `pandas` and the others of ABSENT are stood in for by objects that are never called.

`scripts/check_trainers_whole.sh` runs the same checks on whole installations, where nothing is passed over.

open-instruct and slime are on no package index. Their payloads, retries and readings are written down here from their
sources (open_instruct/ground_truth_utils.py; slime/rollout/rm_hub at 0b420f1).
"""

import asyncio
import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import sys
import types
from pathlib import Path
from unittest.mock import MagicMock

import aiohttp
import requests

#: Imported by NeMo Gym's modules, and not used by what is called here.
ABSENT = ["ray", "wandb", "pandas", "yappi", "gprof2dot", "pydot", "hydra", "psutil", "mcp", "datasets", "mlflow"]
#: Packages whose `__init__` wants torch.
BARE = ["verl", "verl.utils", "openrlhf", "openrlhf.utils"]


class Absent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules that are not there."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ABSENT:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        module = MagicMock(name=spec.name)
        module.__path__, module.__spec__, module.__name__ = [], spec, spec.name
        return module

    def exec_module(self, module):
        pass


def load(folder: "str | None") -> None:
    """Makes the clients importable; without a folder they are installed whole."""
    if folder is None:
        return
    sys.path.insert(0, folder)
    # Last: what is installed is taken.
    sys.meta_path.append(Absent())
    for name in BARE:
        module = types.ModuleType(name)
        module.__path__ = [str(Path(folder, *name.split(".")))]
        sys.modules[name] = module


def versions() -> str:
    from importlib.metadata import PackageNotFoundError, version

    said = []
    for name in ["verl", "sandbox-fusion", "tinker-cookbook", "openrlhf", "nemo-gym"]:
        with contextlib.suppress(PackageNotFoundError):
            said.append(f"{name} {version(name)}")
    return ", ".join(said)


class AskAgain(Exception):
    """The client found no reward and will not train on this sample."""


def fenced(code: str) -> str:
    return f"Here it is.\n\n```python\n{code}\n```\n"


def verl(url: str, code: str, truth: dict, source: str = "apps") -> float:
    """verl's reward; its own grader, fed by what /run_code says."""
    from verl.utils.reward_score import default_compute_score

    return default_compute_score(source, fenced(code), json.dumps(truth), sandbox_fusion_url=f"{url}/run_code")


def verl_states(url: str, code: str, truth: dict, **more) -> list:
    """What verl makes of each case: True, False, -1 (no answer), -2 (failed), -3 (too long)."""
    from verl.utils.reward_score.sandbox_fusion.utils import check_correctness

    return check_correctness(f"{url}/run_code", truth, code, **more)[0]


def sandbox_fusion(url: str, code: str, tries: int = 2, **more):
    """The answer of /run_code, by ByteDance's client."""
    from sandbox_fusion import RunCodeRequest, run_code

    request = RunCodeRequest(code=code, language=more.pop("language", "python"), **more)
    return run_code(request, endpoint=url, max_attempts=tries)


def tinker(url: str, code: str, files: dict, timeout: float = 6.0) -> tuple:
    """(whether it succeeded, the answer), by tinker-cookbook's client."""
    from tinker_cookbook.sandbox import SandboxFusionClient

    async def ask():
        client = SandboxFusionClient(url=f"{url}/run_code")
        try:
            return await client.run(code=code, files=files, timeout=timeout)
        finally:
            await client.close()

    return asyncio.run(ask())


def tinker_grades(url: str, code: str, cases: list) -> bool:
    """The reward of tinker-cookbook's recipe code_rl, whose test program runs in /run_code."""
    from tinker_cookbook.recipes.code_rl import code_grading

    async def ask():
        code_grading._sandboxfusion_client = code_grading.SandboxFusionClient(url=f"{url}/run_code")
        try:
            return await code_grading.sandbox_check_correctness(cases, code)
        finally:
            await code_grading._sandboxfusion_client.close()

    return asyncio.run(ask())


def openrlhf(urls: list, prompt: str, response: str, label) -> dict:
    """What OpenRLHF's rollout gets; it sends the prompt and special tokens with the response."""
    from openrlhf.utils.agent import SingleTurnAgentExecutor

    executor = SingleTurnAgentExecutor([f"{url}/get_reward" for url in urls])
    try:
        [answer] = asyncio.run(executor._fetch_rewards_via_http([f"{prompt}{response}<|im_end|>"], [prompt], [label]))
    except RuntimeError as error:
        raise AskAgain(str(error)) from error
    return answer


def slime(url: str, prompt, response: str, label, tries: int = 3) -> object:
    """The reward that slime's `remote_rm` returns: the JSON of the answer (10 tries there)."""

    async def ask():
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as session:
            for attempt in range(tries):
                try:
                    payload = {"prompt": prompt, "response": response, "label": label}
                    async with session.post(f"{url}/slime", json=payload) as answer:
                        answer.raise_for_status()
                        return await answer.json()
                except Exception as error:
                    if attempt + 1 == tries:
                        raise AskAgain(str(error)) from error
                    await asyncio.sleep(min(2**attempt, 30))

    return asyncio.run(ask())


def open_instruct(url: str, code: str, tests, seconds: float = 1.0, stdio: bool = False) -> dict:
    """The answer to open-instruct's code verifier, with its retries; its score is the share of `results`."""
    forced = requests.adapters.Retry(
        total=3, connect=2, read=2, backoff_factor=0.5, status_forcelist=[500, 502, 503, 504], allowed_methods=["POST"]
    )
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(max_retries=forced))
    payload = {"program": code, "tests": tests, "max_execution_time": seconds}
    path = "/test_program_stdio" if stdio else "/test_program"
    try:
        answer = session.post(url + path, json=payload, timeout=max(30, min(300, seconds * 10)))
        answer.raise_for_status()
    except requests.RequestException as error:
        raise AskAgain(str(error)) from error
    return answer.json()


class Gym:
    """NeMo Gym's simple agent, whose model says what it is told, in front of a resources server of ours."""

    def __init__(self, url: str):
        from nemo_gym import server_utils
        from nemo_gym.config_types import ResourcesServerRef
        from omegaconf import OmegaConf
        from responses_api_agents.simple_agent.app import SimpleAgent, SimpleAgentConfig

        host, port = url.removeprefix("http://").rsplit(":", 1)
        gym = self

        class Client(server_utils.ServerClient):
            """Speaks to the resources server as the original does; the agent's own model answers here."""

            async def post(self, server_name, url_path, **more):
                if server_name == "agent":
                    return Said(gym.said)
                return await super().post(server_name=server_name, url_path=url_path, **more)

        place = {"host": host, "port": int(port)}
        servers = {"loophole": {"resources_servers": {"loophole": place}}}
        client = Client(
            head_server_config=server_utils.BaseServerConfig(**place), global_config_dict=OmegaConf.create(servers)
        )
        config = SimpleAgentConfig(
            name="agent",
            host=host,
            port=1,
            entrypoint="app.py",
            resources_server=ResourcesServerRef(type="resources_servers", name="loophole"),
            model_server={"type": "responses_api_models", "name": "model"},
        )
        self.agent = SimpleAgent.model_construct(config=config, server_client=client)
        self.utils, self.said = server_utils, {}

    def reward(self, row: dict, text: str) -> dict:
        """The answer of the agent's `run`: what NeMo Gym's collection of rollouts keeps."""
        from responses_api_agents.simple_agent.app import SimpleAgentRunRequest

        part = {"type": "output_text", "text": text, "annotations": []}
        message = {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
        self.said = {
            "id": "r",
            "created_at": 0.0,
            "model": "m",
            "object": "response",
            "output": [message],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
        }
        body = SimpleAgentRunRequest.model_validate({"responses_create_params": {"input": "write it"}, **row})

        return self.ask(lambda: self.agent.run(types.SimpleNamespace(cookies={}), body)).model_dump()

    def ask(self, call):
        """Awaits a call of the agent's with a session of its own."""

        async def ask():
            config = self.utils.GlobalAIOHTTPAsyncClientConfig()
            self.utils._GLOBAL_AIOHTTP_CLIENT = None
            session = self.utils.set_global_aiohttp_client(config)
            try:
                return await call()
            finally:
                await session.close()
                self.utils._GLOBAL_AIOHTTP_CLIENT = None

        try:
            return asyncio.run(ask())
        except aiohttp.ClientResponseError as error:
            raise AskAgain(str(error)) from error


    def metrics(self, answers: "list[dict]") -> "tuple[dict, dict | None]":
        """What the agent is told at the end of a collection, and what NeMo Gym itself makes of the same answers; none
        where pandas is not there."""
        from nemo_gym.config_types import AggregateMetricsRequest
        from nemo_gym import reward_profile

        # W&B's, which is not here; it is left out of what is told.
        reward_profile.Histogram = lambda data: object()
        body = AggregateMetricsRequest(verify_responses=answers)
        told = self.ask(lambda: self.agent.aggregate_metrics(body)).model_dump()
        own = None
        if not isinstance(sys.modules["pandas"], MagicMock):
            own = reward_profile.compute_aggregate_metrics(answers).model_dump()
        return told, own


class Said:
    """An answer of the model, as aiohttp gives it."""

    ok, cookies = True, {}

    def __init__(self, body: dict):
        self.body = body

    async def read(self) -> bytes:
        return json.dumps(self.body).encode()
