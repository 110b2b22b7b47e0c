"""Makes verl/: rollouts as `trainer.rollout_data_dir` gets them, written by the function of verl 0.9.1 that does so, which
is taken out of its wheel: python3 make.py verl-0.9.1-py3-none-any.whl"""

import ast
import json
import os
import sys
import zipfile
from pathlib import Path

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
