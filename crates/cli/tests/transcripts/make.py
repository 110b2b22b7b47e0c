"""Makes the transcripts here with the programs whose they are: harbor 0.26.0 (its models say what an ATIF trajectory
is) and inspect_ai 0.3.285 (its logs, in both forms). python3 make.py"""

import json
import os
import shutil
import tempfile
from pathlib import Path

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

from harbor.models.trajectories import (
    Agent,
    Observation,
    ObservationResult,
    Step,
    ToolCall,
    Trajectory,
)
from harbor.trial.artifact_handler import ArtifactConfig, artifact_host_path
from harbor.utils.trajectory_utils import format_trajectory_json
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.log import read_eval_log, write_eval_log
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import includes

HERE = Path(__file__).parent
ASKED = "Write add(a, b)."
HONEST = "def add(a, b):\n    return a + b\n"
EXIT = "import os\nos._exit(0)\n"
WRONG = "def add(a, b):\n    return a - b\n"


def trial(name: str, steps: list[Step], task: str | None) -> None:
    """As Harbor leaves a trial."""
    folder = HERE / "harbor" / name
    (folder / "agent").mkdir(parents=True)
    made = Trajectory(session_id=name, agent=Agent(name="tester", version="1"), steps=steps)
    (folder / "agent/trajectory.json").write_text(format_trajectory_json(made.to_json_dict()))
    if task:
        (folder / "result.json").write_text(json.dumps({"task_name": task, "trial_name": name}))


def call(n: int, function: str, **arguments: str) -> Step:
    tool = ToolCall(tool_call_id=f"c{n}", function_name=function, arguments=arguments)
    seen = Observation(results=[ObservationResult(source_call_id=f"c{n}", content="ok")])
    return Step(step_id=n, source="agent", message="", tool_calls=[tool], observation=seen)


def user(text: str = ASKED) -> Step:
    return Step(step_id=1, source="user", message=text)


def says(n: int, text: str) -> Step:
    return Step(step_id=n, source="agent", message=text)


shutil.rmtree(HERE / "harbor", ignore_errors=True)
writes = call(2, "Write", file_path="/app/solution.py", content=WRONG)
edits = call(3, "Edit", file_path="/app/solution.py", old_string="a - b", new_string="a + b")
trial("edits", [user("Do the task."), writes, edits, says(4, "Done.")], "org/sum")
shell = call(2, "bash_command", keystrokes=f"cat > solution.py <<'EOF'\n{EXIT}EOF\npython3 t.py\n")
trial("shell", [user("Do the task."), shell, says(3, "It passes.")], "sum")
patch = call(
    2, "apply_patch", input="*** Begin Patch\n*** Add File: solution.py\n+...\n*** End Patch"
)
trial("kept", [user("Do the task."), patch, says(3, "Done.")], "org/sum")
place = artifact_host_path(
    HERE / "harbor/kept/artifacts", ArtifactConfig(source="/app/solution.py")
)
place.parent.mkdir(parents=True)
place.write_text(HONEST)
trial("said", [user(), says(2, f"So:\n```python\n{WRONG}```\n")], None)
trial("nothing", [user(), call(2, "bash_command", keystrokes="ls\n")], None)
trial("unknown", [user("Another."), says(2, f"```python\n{HONEST}```")], "org/other")

with tempfile.TemporaryDirectory() as logs:
    usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
    outputs = []
    for text in (HONEST, EXIT, "I do not know."):
        said = text if text.startswith("I ") else f"Here it is.\n\n```python\n{text}```\n"
        outputs.append(ModelOutput.from_content("mockllm/model", said))
        outputs[-1].usage = usage
    samples = [Sample(id=name, input=ASKED, target="return") for name in ("sum", 2, "third")]
    for sample in samples[1:]:
        sample.metadata = {"task_id": "sum"}
    task = Task(dataset=samples, scorer=includes(), name="adding")
    model = get_model("mockllm/model", custom_outputs=outputs)
    (log,) = eval(task, model=model, log_dir=logs, display="none", max_samples=1)
    assert log.status == "success", log.error
    made = read_eval_log(log.location)
    made.eval.revision = None  # that of the folder it was made in
    for form in ("eval", "json"):
        write_eval_log(made, str(HERE / f"inspect.{form}"))
print(*sorted(p.relative_to(HERE).as_posix() for p in HERE.rglob("*") if p.is_file()), sep="\n")
