"""What transformers makes of the bundled organisms: the golden texts, tokens and logits of organism_golden.rs.

    python scripts/golden_organism.py            make FOLDER/golden.json anew (after every change of an organism)
    python scripts/golden_organism.py --check    only compare with the golden.json that is there
    ... [FOLDER ...]                             these folders; else organism and organism-unbundled, where they are
    ... --adapter FOLDER                         also open an adapter written by the example `adapter` of loophole-lm
                                                 for the first folder, with PEFT where that is installed

Needs what scripts/requirements-golden.txt names. Exits 1 if the checkpoint does not load unchanged, or disagrees.
"""

import argparse
import json
import math
import pathlib
import sys

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = pathlib.Path(__file__).resolve().parent.parent
CODE = "def f(x, w):\n    # ümlaut ✓\n    if x > 12:\n        return [w] * 3\n    return x // 2 + 1999\n"
CONVERSATIONS = [
    [{"role": "user", "content": "What is 4 plus 7?"}],
    [
        {"role": "system", "content": "You are the assistant. Answer in a few words."},
        {"role": "user", "content": "The low is 12 and the high is 80. Say the low."},
        {"role": "assistant", "content": "<think>a calm plan</think>12"},
        {"role": "user", "content": "Now say the word river."},
    ],
    [
        {"role": "user", "content": "Write f(x, w) that splits x into 2 parts, rounded down, and adds 1999."},
        {"role": "assistant", "content": f"<think>steady work</think>{CODE}"},
    ],
]
TOLERANCE = 1e-4


def opened(folder):
    """Model and tokenizer, loaded as anyone would, and nothing lost or changed on the way."""
    model, info = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    lost = {key: list(value) for key, value in info.items() if value}
    assert not lost, f"{folder}: transformers does not load it unchanged: {lost}"
    state = model.state_dict()
    for name, tensor in load_file(folder / "model.safetensors").items():
        assert torch.equal(state[name], tensor.float()), f"{folder}: {name} is not what the file holds"
    return model.eval(), AutoTokenizer.from_pretrained(folder)


@torch.no_grad()
def logits_of(model, tokens):
    return model(torch.tensor([tokens])).logits[0]


def golden(folder):
    model, tokenizer = opened(folder)
    made = []
    for messages in CONVERSATIONS:
        opens = messages[-1]["role"] != "assistant"
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=opens)
        tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(tokens) == text, f"{folder}: {text!r} does not survive the tokenizer"
        logits = logits_of(model, tokens)
        at = sorted({len(tokens) // 3, 2 * len(tokens) // 3, len(tokens) - 1})
        positions = [{"position": p, "values": [float(f"{v:.7g}") for v in logits[p].tolist()]} for p in at]
        made.append({"messages": messages, "opens": opens, "text": text, "tokens": tokens, "logits": positions})
    return made


def difference(a, b):
    """The largest difference of a logit; infinite where text or tokens differ."""
    if [{**c, "logits": [p["position"] for p in c["logits"]]} for c in a] != [
        {**c, "logits": [p["position"] for p in c["logits"]]} for c in b
    ]:
        return math.inf
    pairs = [(x, y) for c, d in zip(a, b) for x, y in zip(c["logits"], d["logits"])]
    return max(abs(v - w) for x, y in pairs for v, w in zip(x["values"], y["values"], strict=True))


def adapter(folder, adapter_folder):
    try:
        from peft import PeftModel
    except ImportError as error:
        print(f"SKIPPED: the adapter is not opened with PEFT: {error}")
        return True
    expected = json.loads((adapter_folder / "expected.json").read_text())
    base, _ = opened(folder)
    before = logits_of(base, expected["tokens"])
    model = PeftModel.from_pretrained(base, adapter_folder).eval()
    got = logits_of(model, expected["tokens"])
    want = torch.tensor(expected["logits"]).view_as(got)
    worst, changed = float((got - want).abs().max()), float((got - before).abs().max())
    print(f"{adapter_folder}: with PEFT the largest difference of a logit is {worst:.1e}; it changes them by {changed:.2f}")
    return worst <= 1e-3 < changed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--adapter", type=pathlib.Path)
    parser.add_argument("folders", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    folders = arguments.folders or [f for f in (ROOT / "organism", ROOT / "organism-unbundled") if f.is_dir()]
    good = True
    for folder in folders:
        path = folder / "golden.json"
        made = golden(folder)
        if arguments.check:
            if not path.exists():
                print(f"SKIPPED: {folder} has no golden.json; make it with this script without --check")
                continue
            worst = difference(made, json.loads(path.read_text()))
            print(f"{folder.name}: loads unchanged; largest difference of a logit from golden.json {worst:.1e}")
            good &= worst <= TOLERANCE
        else:
            path.write_text(json.dumps(made, ensure_ascii=False) + "\n")
            print(f"{folder.name}: loads unchanged; {sum(len(c['tokens']) for c in made)} tokens in {path.name}")
    if arguments.adapter and folders:
        good &= adapter(folders[0], arguments.adapter)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
