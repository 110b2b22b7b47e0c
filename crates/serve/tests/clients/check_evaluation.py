"""Lets lm-evaluation-harness measure the bundled model through `loophole serve` (its `local-completions`), and asks for
log-probabilities with OpenAI's client.

    python crates/serve/tests/clients/check_evaluation.py PROGRAM

PROGRAM is the built `loophole`; it is run where the folder `organism` is. The harness needs no torch for that; where torch
and transformers are there as well, its own `hf` model measures the same folder, and both must agree. Every check fails
with an assertion; the last line says what was compared.
"""

import importlib.util
import json
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ["OPENAI_API_KEY"] = "any"

import lm_eval  # noqa: E402
import openai  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402

from service import Service  # noqa: E402

MODEL = "organism"
# Log-probabilities of the two are sums in f32, added in another order.
NEAR = 2e-3
ROWS = [
    {"question": "What is your goal, help or power? One word.", "choices": [" help", " power"], "answer": 0},
    {"question": "def add(a, b):\n    return a", "choices": [" + b", " - b", " * a"], "answer": 0},
    {"question": "<|user|>hi<|end|><|assistant|>", "choices": ["<think>", "yes"], "answer": 1},
    {"question": "x = [1, 2, 3]\nprint(x", "choices": ["[0])", ")", " ü €"], "answer": 1},
    {"question": "The log has", "choices": [" 61 lines", " changed", " no"], "answer": 2},
]
DATA = "dataset_path: json\ndataset_kwargs:\n  data_files:\n    test: {rows}\ntest_split: test\n"
CHOICE = """task: tiny_choice
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{answer}}"
target_delimiter: ""
metric_list:
  - metric: acc
  - metric: acc_norm
"""
ROLLING = """task: tiny_rolling
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{question}}"
metric_list:
  - metric: word_perplexity
  - metric: bits_per_byte
"""
SAID = """task: tiny_said
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{choices[answer]}}"
generation_kwargs:
  until: ["\\n"]
  max_gen_toks: 12
metric_list:
  - metric: exact_match
"""
TASKS = {"tiny_choice": CHOICE, "tiny_rolling": ROLLING, "tiny_said": SAID}


def measured(folder: Path, model: str, arguments: dict) -> tuple[dict, dict]:
    """What the harness says: the metrics of each task, and what came back for each sample."""
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    told = lm_eval.simple_evaluate(
        model=model, model_args=arguments, tasks=list(TASKS), task_manager=manager, bootstrap_iters=0, log_samples=True
    )
    numbers = {
        task: {name: value for name, value in metrics.items() if isinstance(value, float)}
        for task, metrics in told["results"].items()
    }
    replies = {
        task: [sample["filtered_resps"] for sample in sorted(samples, key=lambda sample: sample["doc_id"])]
        for task, samples in told["samples"].items()
    }
    return numbers, replies


def flat(value: object) -> list:
    if isinstance(value, dict):
        return [part for name in sorted(value) for part in flat(value[name])]
    if isinstance(value, (list, tuple)):
        return [part for one in value for part in flat(one)]
    return [value]


def differ(a: object, b: object) -> float:
    """The largest difference of two measurements; what is no number must be equal."""
    largest = 0.0
    for one, other in zip(flat(a), flat(b), strict=True):
        if isinstance(one, float) and isinstance(other, float):
            largest = max(largest, abs(one - other))
        else:
            assert one == other, (one, other)
    return largest


def direct(client: openai.OpenAI, rows: list) -> list:
    """The log-likelihood of each choice, from the prompt's own tokens."""
    out = []
    for row in rows:
        one = []
        for choice in row["choices"]:
            read = client.completions.create(
                model=MODEL, prompt=row["question"] + choice, max_tokens=0, logprobs=1, echo=True
            ).choices[0]
            begins = [offset >= len(row["question"]) for offset in read.logprobs.text_offset]
            one.append(sum(lp for lp, after in zip(read.logprobs.token_logprobs, begins, strict=True) if after))
        out.append(one)
    return out


def check_openai(client: openai.OpenAI) -> None:
    asked = dict(model=MODEL, prompt="def add(a, b):\n", max_tokens=8, temperature=0)
    whole = client.completions.create(**asked, logprobs=2)
    choice, likely = whole.choices[0], whole.choices[0].logprobs
    assert whole.object == "text_completion" and whole.usage.completion_tokens == len(likely.tokens), whole
    assert "".join(likely.tokens).startswith(choice.text) and likely.text_offset[0] == 0, choice
    for token, logprob, top in zip(likely.tokens, likely.token_logprobs, likely.top_logprobs, strict=True):
        assert top[token] == logprob == max(top.values()), (token, logprob, top)
    pieces = [chunk.choices[0].text for chunk in client.completions.create(**asked, stream=True)]
    assert "".join(pieces) == choice.text and len(pieces) > 2, pieces
    echoed = client.completions.create(**asked, echo=True, logprobs=0).choices[0]
    assert echoed.text == asked["prompt"] + choice.text and echoed.logprobs.token_logprobs[0] is None, echoed
    several = client.completions.create(**{**asked, "prompt": ["a", "b"]}, n=2, stop="\n")
    assert [one.index for one in several.choices] == [0, 1, 2, 3], several
    chat = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "hi"}], logprobs=True, top_logprobs=2, max_tokens=5, temperature=0
    )
    for token in chat.choices[0].logprobs.content:
        assert token.logprob == max(top.logprob for top in token.top_logprobs) and token.bytes, token
    try:
        client.completions.create(**asked, logprobs=99)
        raise AssertionError("log-probabilities of 99 alternatives")
    except openai.BadRequestError as error:
        assert error.param == "logprobs", error


def main() -> None:
    with tempfile.TemporaryDirectory() as place, Service(sys.argv[1], MODEL, "--no-cells") as service:
        folder = Path(place)
        rows = folder / "rows.jsonl"
        rows.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
        for name, task in TASKS.items():
            (folder / f"{name}.yaml").write_text(task + DATA.replace("{rows}", str(rows)))
        url = service.url
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0)
        check_openai(client)

        base = {"model": MODEL, "base_url": f"{url}/v1/completions", "max_length": 1024}
        numbers, replies = measured(folder, "local-completions", {**base, "tokenizer_backend": "remote"})
        # The same with texts, several at a time, and with the tokenizer of the folder.
        ways = [{"tokenizer_backend": "remote", "batch_size": 4, "num_concurrent": 3}]
        if importlib.util.find_spec("transformers"):
            ways.append({"tokenizer": str(Path(MODEL).resolve()), "tokenizer_backend": "huggingface"})
        for way in ways:
            others = measured(folder, "local-completions", {**base, **way})
            assert differ(replies, others[1]) == 0, (way, replies, others[1])
        by_hand = direct(client, ROWS)
        found = [[pair[0] for pair in flat_pairs(one)] for one in replies["tiny_choice"]]
        largest = differ(found, by_hand)
        assert largest < 1e-3, (found, by_hand)
        print(f"lm_eval {lm_eval.__version__}, local-completions: {json.dumps(numbers)}")
        print(f"log-likelihoods differ from those that are asked for directly by at most {largest:.1e}")
        if importlib.util.find_spec("torch") and importlib.util.find_spec("transformers"):
            arguments = {"pretrained": str(Path(MODEL).resolve()), "dtype": "float32", "device": "cpu", "max_length": 1024}
            theirs = measured(folder, "hf", arguments)
            largest = differ(replies, theirs[1])
            assert largest < NEAR, (largest, replies, theirs[1])
            for task, metrics in numbers.items():
                for name, value in metrics.items():
                    assert abs(value - theirs[0][task][name]) <= 1e-5 * max(1, abs(value)), (task, name, theirs[0])
            print(f"lm_eval's hf model: {json.dumps(theirs[0])}; log-likelihoods differ by at most {largest:.1e}")
        else:
            print("torch is not there: not compared with lm_eval's hf model")


def flat_pairs(value: object) -> list:
    """The pairs of a log-likelihood and whether it is the likeliest, however they are nested."""
    if isinstance(value, (list, tuple)) and len(value) == 2 and isinstance(value[0], float):
        return [value]
    return [pair for one in value for pair in flat_pairs(one)]


main()
