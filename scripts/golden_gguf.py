#!/usr/bin/env python3
"""Writes `crates/lm/tests/gguf/blocks.json`: random blocks of every quantised format of GGUF that is read, and the
weights that the `gguf` package makes of them, as the bits of f32.

    python -m pip install gguf==0.19.0
    python scripts/golden_gguf.py
"""

import json
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

OUT = Path(__file__).resolve().parent.parent / "crates/lm/tests/gguf/blocks.json"
FORMATS = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]
BLOCKS = 3


def main() -> None:
    rng = np.random.default_rng(20261129)
    golden = {}
    for name in FORMATS:
        kind = GGMLQuantizationType[name]
        _, size = GGML_QUANT_SIZES[kind]
        while True:
            # Any bytes are a block; some hold scales that are infinite or no number, and are drawn again.
            blocks = rng.integers(0, 256, (BLOCKS, size), dtype=np.uint8)
            with np.errstate(all="ignore"):
                weights = dequantize(blocks, kind).astype(np.float32).reshape(-1)
            if np.isfinite(weights).all():
                break
        golden[name] = {"number": int(kind), "bytes": blocks.tobytes().hex(), "bits": weights.view(np.uint32).tolist()}
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(golden) + "\n")
    print(f"{OUT}: {', '.join(FORMATS)}")


if __name__ == "__main__":
    main()
