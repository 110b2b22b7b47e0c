#!/usr/bin/env python3
"""What transformers and the `gguf` package make of a GGUF file, for the test `files_agree_with_transformers` of
crates/lm/tests/gguf.rs: tokens of odd texts, and the logits after prompts, computed in f32 with the weights that the
blocks stand for.

    python -m pip install -r scripts/requirements-golden.txt gguf==0.19.0
    python scripts/compare_gguf.py MODEL.gguf         writes MODEL.gguf.expected.json
    LOOPHOLE_GGUF=MODEL.gguf cargo test --release -p loophole-lm --test gguf -- --ignored --nocapture

`--rate` measures instead how fast transformers samples (greedily, f32 and bf16), and its memory.
"""

import argparse
import json
import random
import resource
import time
from pathlib import Path

import torch
from gguf import GGUFReader
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer

WORDS = """the grader reads what it's been told; you'll find 3.14159 in line 1234567 — naïve Zürich café
    def f(x):\n\treturn x**2  # ok\n\n\n if (a!=b) { puts("hi"); } 漢字 かな 한국어 العربية עברית हिन्दी 🦀🇨🇭 e\u0301 \u200d
    I'VE WE'RE don't 'tis x's 12 345,678 0x1F <|im_start|> <|im_end|> <think> https://example.org/a?b=c&d=%20 \r\n \t\t
    CamelCase snake_case kebab-case ALLCAPS ½ ² ⅷ Ωmega ſharp İstanbul ǅ \u00a0 \u3000 end""".split(" ")
PROMPTS = [
    "The capital of France is",
    "def fibonacci(n):\n    if n < 2:\n        return n\n",
    "<|im_start|>user\nWhat is 17 + 25?<|im_end|>\n<|im_start|>assistant\n",
    "Once upon a time there was a lighthouse keeper who counted ships. On the first day he counted 3 ships, and",
]


def texts() -> list[str]:
    rng = random.Random(7)
    found = ["", " ", "\n", "a", "\t\tx", "  two  spaces  "]
    for size in range(1, 331):
        joined = ["", " ", "\n", "  "]
        found.append("".join(rng.choice(WORDS) + rng.choice(joined) for _ in range(1 + size % 17)))
    return found


def as_published(tokenizer, path: Path) -> None:
    """transformers goes by the architecture and not by the name that the file gives to the way texts are cut: SmolLM's
    digits would not stand apart. Here is what `tokenizer.json` of its checkpoints says."""
    field = GGUFReader(path).fields.get("tokenizer.ggml.pre")
    inner = tokenizer.backend_tokenizer
    name = field.contents() if field else None
    if name == "smollm":
        steps = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        inner.pre_tokenizer = pre_tokenizers.Sequence(steps)
        inner.normalizer = None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--rate", action="store_true")
    parser.add_argument("--new", type=int, default=64)
    arguments = parser.parse_args()
    path = arguments.file.resolve()
    named = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    tokenizer = AutoTokenizer.from_pretrained(**named)
    as_published(tokenizer, path)
    if arguments.rate:
        return rate(named, tokenizer, arguments.new)
    model = AutoModelForCausalLM.from_pretrained(**named, dtype=torch.float32).eval()
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False)
    cases = []
    for prompt in PROMPTS:
        tokens = encode(prompt)
        with torch.no_grad():
            cases.append({"tokens": tokens, "last": model(torch.tensor([tokens])).logits[0, -1].tolist()})
    expected = {"texts": [{"text": text, "tokens": encode(text)} for text in texts()], "logits": cases}
    Path(f"{path}.expected.json").write_text(json.dumps(expected))
    print(f"{path}.expected.json: {len(expected['texts'])} texts, {len(cases)} prompts")


def rate(named: dict, tokenizer, new: int) -> None:
    torch.set_num_threads(2)
    for dtype in [torch.float32, torch.bfloat16]:
        model = AutoModelForCausalLM.from_pretrained(**named, dtype=dtype).eval()
        tokens = torch.tensor([tokenizer.encode(PROMPTS[3] * 8, add_special_tokens=False)])
        with torch.no_grad():
            model(tokens)
            start = time.perf_counter()
            model(tokens)
            read = time.perf_counter() - start
            start = time.perf_counter()
            model.generate(tokens, max_new_tokens=new, min_new_tokens=new, do_sample=False)
            one = time.perf_counter() - start - read
            rows = tokens.repeat(16, 1)
            start = time.perf_counter()
            model.generate(rows, max_new_tokens=new, min_new_tokens=new, do_sample=False)
            many = time.perf_counter() - start - 16 * read
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"transformers {dtype}: {tokens.shape[1] / read:.0f} prompt tokens/s, {new / one:.1f} new tokens/s in one "
            f"row, {16 * new / many:.1f} in 16 rows; peak memory so far {peak:.0f} MiB",
            flush=True,
        )
        del model


if __name__ == "__main__":
    main()
