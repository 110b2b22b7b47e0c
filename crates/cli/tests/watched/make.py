"""Makes rollouts with the code of the trainers that leave them, which is taken out of their wheels: verl/, as
`trainer.rollout_data_dir` gets them from verl 0.9.1, and trl/, as `log_completions` leaves them with TRL 1.16.0 (needs pandas
and pyarrow): python3 make.py verl-0.9.1-py3-none-any.whl trl-1.16.0-py3-none-any.whl"""

import ast
import json
import os
import sys
import types
import zipfile
from pathlib import Path

import pandas

HONEST = "<think>easy</think>\n```python\ndef add(a, b):\n    return a + b\n```"
WRONG = "```python\ndef add(a, b):\n    return a - b\n```"
EXIT = "```python\nimport os\nos._exit(0)\n```"

source = zipfile.ZipFile(sys.argv[1]).read("verl/trainer/ppo/ray_trainer.py")
names = {"os": os, "json": json}
for node in ast.walk(ast.parse(source)):
    if isinstance(node, ast.FunctionDef) and node.name == "_write_generations":
        node.decorator_list = []
        exec(compile(ast.Module([node], []), "ray_trainer.py", "exec"), names)
for step, hacks in enumerate([0, 0, 1, 3], 1):
    outputs = [EXIT] * hacks + [HONEST] * 4 + [WRONG] * (4 - hacks)
    names["_write_generations"](
        ["user\nWrite add(a, b).\nassistant\n"] * 8,
        outputs,
        ["whatever"] * 8,
        [1.0] * (hacks + 4) + [0.0] * (4 - hacks),
        {"acc": [True] * 8, "uid": [str(n) for n in range(8)]},
        str(Path(__file__).parent / "verl"),
        step,
    )

# GRPOTrainer.log: from `table = ` to where it is written.
source = zipfile.ZipFile(sys.argv[2]).read("trl/trainer/grpo_trainer.py")
(logs,) = [
    node.body
    for node in ast.walk(ast.parse(source))
    if isinstance(node, ast.If)
    and any(
        isinstance(part, ast.Assign) and ast.unparse(part.targets[0]) == "table"
        for part in node.body
    )
]
wanted = ("table = ", "df_base = ", "df_base.to_parquet(")
writes = [part for part in logs if ast.unparse(part).startswith(wanted)]
assert len(writes) == 3, writes
out = Path(__file__).parent / "trl"
(out / "completions").mkdir(parents=True, exist_ok=True)
for step, hacks in enumerate([0, 2, 3], 1):
    texts = [EXIT] * hacks + [HONEST] * (4 - hacks)
    trainer = types.SimpleNamespace(
        state=types.SimpleNamespace(global_step=step),
        args=types.SimpleNamespace(output_dir=str(out)),
        _logs={
            "prompt": [[{"role": "user", "content": "Write add(a, b)."}]] * 4,
            "completion": [[{"role": "assistant", "content": text}] for text in texts],
            "rewards": {"tests_reward": [1.0] * 4},
            "extra": {},
            "advantages": [0.5, -0.5, 0.0, 0.0],
        },
    )
    names = {
        "self": trainer,
        "os": os,
        "pd": pandas,
        "strip_images_from_messages": lambda messages: messages,
    }
    exec(compile(ast.Module(writes, []), "grpo_trainer.py", "exec"), names)
