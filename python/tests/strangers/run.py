#!/usr/bin/env python3
"""Cases of known truth for loophole, written from its purpose and public documents only.

    run.py LOOPHOLE [--python PYTHON_WITH_PACKAGE] [--only R,S07,...] [--cases FILE] [--keep] [--dry]

The cases are data (cases.json). This file makes what they name (dumps, logs, Parquet, a model whose every
probability is known), does their steps and compares. Standard library only. `ok`, `WRONG` or `skip` per case; the last
line is `N of M right` (skipped ones, whose foreign package is missing, are not among the M).
"""

import argparse
import base64
import gzip
import http.client
import io
import json
import math
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent


class Wrong(Exception):
    pass


class Skip(Exception):
    pass


# ---------------------------------------------------------------- files that others write


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


class Thrift:
    """A struct in Thrift's compact protocol: fields (id, kind, value) in order of their ids."""

    @staticmethod
    def value(kind, value):
        if kind in ("i32", "i64"):
            return varint((value << 1) ^ (value >> 63))
        if kind == "text":
            raw = value.encode()
            return varint(len(raw)) + raw
        if kind == "struct":
            return Thrift.struct(value)
        of, items = value  # a list
        size = len(items)
        kinds = Thrift.KINDS[of]
        head = bytes([size << 4 | kinds]) if size < 15 else bytes([0xF0 | kinds]) + varint(size)
        return head + b"".join(Thrift.value(of, item) for item in items)

    KINDS = {"i32": 5, "i64": 6, "text": 8, "list": 9, "struct": 12}

    @staticmethod
    def struct(fields):
        out, last = b"", 0
        for number, kind, value in fields:
            out += bytes([(number - last) << 4 | Thrift.KINDS[kind]]) + Thrift.value(kind, value)
            last = number
        return out + b"\0"


def parquet(columns):
    """columns: [[name, "string" | "double" | "int64", [values]], ...], no nulls. Optional columns, PLAIN, one group."""
    rows = len(columns[0][2])
    number = {"int64": 2, "double": 5, "string": 6}
    out = io.BytesIO(b"")
    out.write(b"PAR1")
    chunks, total = [], 0
    for name, kind, values in columns:
        assert len(values) == rows
        levels = varint(rows << 1) + b"\1"
        body = struct.pack("<I", len(levels)) + levels
        for value in values:
            if kind == "string":
                raw = value.encode()
                body += struct.pack("<I", len(raw)) + raw
            else:
                body += struct.pack("<q" if kind == "int64" else "<d", value)
        page = [(1, "i32", rows), (2, "i32", 0), (3, "i32", 3), (4, "i32", 3)]
        head = Thrift.struct([(1, "i32", 0), (2, "i32", len(body)), (3, "i32", len(body)), (5, "struct", page)])
        at, size = out.tell(), len(head) + len(body)
        out.write(head + body)
        total += size
        meta = [(1, "i32", number[kind]), (2, "list", ("i32", [0, 3])), (3, "list", ("text", [name])), (4, "i32", 0),
                (5, "i64", rows), (6, "i64", size), (7, "i64", size), (9, "i64", at)]
        chunks.append([(2, "i64", at), (3, "struct", meta)])
    schema = [[(4, "text", "schema"), (5, "i32", len(columns))]]
    for name, kind, _ in columns:
        field = [(1, "i32", number[kind]), (3, "i32", 1), (4, "text", name)]
        schema.append(field + [(6, "i32", 0)] if kind == "string" else field)
    group = [(1, "list", ("struct", chunks)), (2, "i64", total), (3, "i64", rows)]
    foot = Thrift.struct([(1, "i32", 1), (2, "list", ("struct", schema)), (3, "i64", rows),
                          (4, "list", ("struct", [group])), (6, "text", "stranger16")])
    out.write(foot + struct.pack("<I", len(foot)) + b"PAR1")
    return out.getvalue()


def zstd(raw):
    """A zstd frame of stored blocks: no compression, but what every reader of zstd takes."""
    out = b"\x28\xb5\x2f\xfd" + bytes([0xA0]) + struct.pack("<I", len(raw))
    parts = [raw[at:at + 65536] for at in range(0, len(raw), 65536)] or [b""]
    for n, part in enumerate(parts):
        out += struct.pack("<I", (len(part) << 3) | (n == len(parts) - 1))[:3] + part
    return out


def pack_zip(members, method):
    if method == "deflate":
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
            for name, raw in members:
                file.writestr(name, raw)
        return out.getvalue()
    out, central = b"", b""  # method 93, as Inspect writes it
    for name, raw in members:
        packed, named = zstd(raw), name.encode()
        common = struct.pack("<HHHHHIIIHH", 63, 0, 93, 0, 0x5A21, zlib.crc32(raw), len(packed), len(raw), len(named), 0)
        central += b"PK\1\2" + struct.pack("<H", 63) + common + struct.pack("<HHHII", 0, 0, 0, 0, len(out)) + named
        out += b"PK\3\4" + common + named + packed
    n = len(members)
    return out + central + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, n, n, len(central), len(out), 0)


def inspect_log(samples, form):
    """samples: [{"id", "input", "answer", "score"?}]: an Inspect log as `.eval` (deflate or zstd) or `.json`."""
    spec = {"eval_id": "e1", "run_id": "r1", "created": "2026-11-01T10:00:00+00:00", "task": "code", "task_id": "t1",
            "task_version": 0, "dataset": {"name": "code", "samples": len(samples), "sample_ids": [s["id"] for s in samples]},
            "model": "mockllm/model", "config": {}, "scorers": [{"name": "verify"}], "packages": {"inspect_ai": "0.3.285"}}
    plan = {"name": "plan", "steps": [{"solver": "generate", "params": {}}], "config": {}}
    whole, short = [], []
    for n, s in enumerate(samples):
        answer = {"id": f"m{n}b", "role": "assistant", "content": s["answer"], "source": "generate", "model": "mockllm/model"}
        score = {"verify": {"value": s.get("score", "C"), "answer": s["answer"]}}
        brief = {"id": s["id"], "epoch": s.get("epoch", 1), "input": s["input"], "target": "", "scores": score, "uuid": f"u{n}"}
        short.append({**brief, "completed": True, "message_count": 2})
        whole.append({**brief, "messages": [{"id": f"m{n}a", "role": "user", "content": s["input"], "source": "input"}, answer],
                      "output": {"model": "mockllm/model", "choices": [{"message": answer, "stop_reason": "stop"}],
                                 "completion": s["answer"]},
                      "metadata": {}, "store": {}, "events": [], "attachments": {}, "model_usage": {}})
    count = len(samples)
    results = {"total_samples": count, "completed_samples": count,
               "scores": [{"name": "verify", "scorer": "verify", "params": {},
                           "metrics": {"accuracy": {"name": "accuracy", "value": 1.0}}}]}
    header = {"version": 2, "status": "success", "eval": spec, "plan": plan, "results": results,
              "stats": {"started_at": "2026-11-01T10:00:00+00:00", "completed_at": "2026-11-01T10:01:00+00:00"}}
    if form == "json":
        return json.dumps({**header, "samples": whole}).encode()
    start = {"version": 2, "eval": spec, "plan": plan}
    members = [("_journal/start.json", json.dumps(start).encode())]
    members += [(f"samples/{s['id']}_epoch_{s['epoch']}.json", json.dumps(s).encode()) for s in whole]
    members += [("_journal/summaries/1.json", json.dumps(short).encode()), ("summaries.json", json.dumps(short).encode()),
                ("header.json", json.dumps(header).encode())]
    return pack_zip(members, form)


# ---------------------------------------------------------------- a model whose every probability is known

V, H, I, R, ALPHA = 259, 32, 64, 4, 8


def byte_order():
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    order = keep + [b for b in range(256) if b not in keep]
    names, extra = {}, 0
    for b in order:
        if b in keep:
            names[b] = chr(b)
        else:
            names[b] = chr(256 + extra)
            extra += 1
    return order, names


ORDER, NAMES = byte_order()
ID = {b: n for n, b in enumerate(ORDER)}


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


class Model:
    """One Llama layer whose attention and feed-forward add nothing: the next token depends on the last one alone.
    After a letter comes the next letter of the alphabet. An adapter on `down_proj` changes that by numbers known here."""

    def __init__(self):
        draw = random.Random(16)
        matrix = lambda rows, columns, scale: [[f32(draw.gauss(0, scale)) for _ in range(columns)] for _ in range(rows)]
        self.embed = matrix(V, H, 1.0)
        self.head = matrix(V, H, 0.09)
        for letter in range(26):
            row = self.norm(self.embed[ID[97 + (letter - 1) % 26]])
            self.head[ID[97 + letter]] = [f32(x / math.sqrt(H)) for x in row]
        self.q, self.k, self.v = (matrix(H, H, 0.2) for _ in range(3))
        self.gate, self.up = matrix(I, H, 0.3), matrix(I, H, 0.3)
        self.a, self.b = matrix(R, I, 0.3), matrix(H, R, 0.3)

    @staticmethod
    def norm(x):
        scale = 1 / math.sqrt(sum(v * v for v in x) / len(x) + 1e-5)
        return [v * scale for v in x]

    def logprobs(self, token, adapter=False):
        h = self.embed[token]
        times = lambda m, x: [sum(p * q for p, q in zip(row, x)) for row in m]
        if adapter:
            n = self.norm(h)
            g, u = times(self.gate, n), times(self.up, n)
            inner = times(self.b, times(self.a, [a / (1 + math.exp(-a)) * b for a, b in zip(g, u)]))
            h = [x + ALPHA / R * y for x, y in zip(h, inner)]
        logits = times(self.head, self.norm(h))
        top = max(logits)
        total = top + math.log(sum(math.exp(x - top) for x in logits))
        return [x - total for x in logits]

    def bigram(self, text, adapter=False):
        ids = [ID[b] for b in text.encode()]
        return [None] + [self.logprobs(a, adapter)[b] for a, b in zip(ids, ids[1:])]

    def greedy(self, text, count, adapter=False):
        last, out = ID[text.encode()[-1]], []
        for _ in range(count):
            row = self.logprobs(last, adapter)
            last = max(range(V), key=row.__getitem__)
            out.append(ORDER[last] if last < 256 else -1)
        return bytes(b for b in out if b >= 0).decode("utf-8", "replace")

    @staticmethod
    def tensors(path, named):
        head, body = {}, b""
        for name, value in named.items():
            flat = [x for row in value for x in row] if isinstance(value[0], list) else value
            raw = struct.pack(f"<{len(flat)}f", *flat)
            shape = [len(value), len(value[0])] if isinstance(value[0], list) else [len(value)]
            head[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(body), len(body) + len(raw)]}
            body += raw
        text = json.dumps({"__metadata__": {"format": "pt"}, **head}).encode()
        text += b" " * (-len(text) % 8)
        path.write_bytes(struct.pack("<Q", len(text)) + text + body)

    def write(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        zeros = lambda rows, columns: [[0.0] * columns for _ in range(rows)]
        at = "model.layers.0."
        self.tensors(folder / "model.safetensors", {
            "model.embed_tokens.weight": self.embed, "lm_head.weight": self.head, "model.norm.weight": [1.0] * H,
            at + "input_layernorm.weight": [1.0] * H, at + "post_attention_layernorm.weight": [1.0] * H,
            at + "self_attn.q_proj.weight": self.q, at + "self_attn.k_proj.weight": self.k,
            at + "self_attn.v_proj.weight": self.v, at + "self_attn.o_proj.weight": zeros(H, H),
            at + "mlp.gate_proj.weight": self.gate, at + "mlp.up_proj.weight": self.up,
            at + "mlp.down_proj.weight": zeros(H, I)})
        dump = lambda name, value: (folder / name).write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
        dump("config.json", {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": H, "intermediate_size": I,
            "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 4, "head_dim": 8, "hidden_act": "silu",
            "vocab_size": V, "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "rope_scaling": None, "attention_bias": False, "mlp_bias": False, "tie_word_embeddings": False,
            "bos_token_id": 256, "eos_token_id": 258, "torch_dtype": "float32"})
        dump("generation_config.json", {"bos_token_id": 256, "eos_token_id": 258})
        special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
        added = [{"id": 256 + n, "content": word, "single_word": False, "lstrip": False, "rstrip": False,
                  "normalized": False, "special": True} for n, word in enumerate(special)]
        level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
        dump("tokenizer.json", {
            "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
            "pre_tokenizer": level, "post_processor": None, "decoder": level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                      "vocab": {NAMES[b]: n for n, b in enumerate(ORDER)}, "merges": []}})
        dump("tokenizer_config.json", {
            "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 256, "add_bos_token": False,
            "add_prefix_space": False, "bos_token": "<|endoftext|>", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>",
            "clean_up_tokenization_spaces": False,
            "added_tokens_decoder": {str(256 + n): {"content": word, "lstrip": False, "normalized": False, "rstrip": False,
                                                    "single_word": False, "special": True} for n, word in enumerate(special)},
            "chat_template": "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
                             "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"})
        dump("special_tokens_map.json", {"bos_token": special[0], "eos_token": special[2], "pad_token": special[0]})

    def write_adapter(self, folder, zero=False):
        folder.mkdir(parents=True, exist_ok=True)
        at = "base_model.model.model.layers.0.mlp.down_proj."
        b = [[0.0] * R for _ in range(H)] if zero else self.b
        self.tensors(folder / "adapter_model.safetensors", {at + "lora_A.weight": self.a, at + "lora_B.weight": b})
        (folder / "adapter_config.json").write_text(json.dumps({
            "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "stranger", "r": R, "lora_alpha": ALPHA,
            "lora_dropout": 0.0, "target_modules": ["down_proj"], "bias": "none", "use_rslora": False, "use_dora": False,
            "inference_mode": True, "fan_in_fan_out": False, "modules_to_save": None, "layers_to_transform": None,
            "layers_pattern": None, "rank_pattern": {}, "alpha_pattern": {}, "init_lora_weights": True, "revision": None}))


# ---------------------------------------------------------------- TensorBoard's files


def crc32c(raw, table=[]):
    if not table:
        for n in range(256):
            for _ in range(8):
                n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
            table.append(n)
    crc = 0xFFFFFFFF
    for b in raw:
        crc = table[(crc ^ b) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def masked(raw):
    crc = crc32c(raw)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def proto(raw):
    """(field, value) of a message: integers, 8 or 4 bytes, or bytes."""
    at = 0

    def number():
        nonlocal at
        shift = out = 0
        while True:
            b = raw[at]
            at += 1
            out |= (b & 127) << shift
            shift += 7
            if b < 128:
                return out

    while at < len(raw):
        key = number()
        kind = key & 7
        if kind == 0:
            yield key >> 3, number()
        else:
            size = {1: 8, 5: 4}.get(kind)
            size = number() if kind == 2 else size
            if size is None or at + size > len(raw):
                raise Wrong("an event is no protobuf message")
            yield key >> 3, raw[at:at + size]
            at += size


def read_events(path):
    """[(tag, step, value)] of an event file; Wrong where its records or checksums are not TensorBoard's."""
    raw, at, out, version = path.read_bytes(), 0, [], None
    while at < len(raw):
        if at + 12 > len(raw):
            raise Wrong(f"{path.name}: ends within a record")
        size, check = struct.unpack("<QI", raw[at:at + 12])
        if masked(raw[at:at + 8]) != check:
            raise Wrong(f"{path.name}: checksum of a length is wrong at byte {at}")
        data = raw[at + 12:at + 12 + size]
        if len(data) < size or struct.unpack("<I", raw[at + 12 + size:at + 16 + size])[0] != masked(data):
            raise Wrong(f"{path.name}: checksum of a record is wrong at byte {at}")
        at += 16 + size
        step, summary = 0, []
        for field, value in proto(data):
            if field == 2:
                step = value
            elif field == 3:
                version = value.decode()
            elif field == 5:
                summary.append(value)
        for one in summary:
            for field, value in proto(one):
                if field != 1:
                    continue
                tag, number = None, None
                for field, inner in proto(value):
                    if field == 1:
                        tag = inner.decode()
                    elif field == 2:
                        number = struct.unpack("<f", inner)[0]
                    elif field == 8:  # a tensor: float_val (5), double_val (6), or its content (4)
                        for f, x in proto(inner):
                            if f == 5:
                                number = struct.unpack("<f", x[:4])[0]
                            elif f == 6:
                                number = struct.unpack("<d", x[:8])[0]
                            elif f == 4 and len(x) in (4, 8):
                                number = struct.unpack("<f" if len(x) == 4 else "<d", x)[0]
                out.append((tag, step, number))
    if version is None:
        raise Wrong(f"{path.name}: no record says the version of the file (brain.Event:2)")
    return out


# ---------------------------------------------------------------- comparing


def short(value, most=300):
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= most else text[:most] + " ..."


MISSING = "(missing)"


def get(value, path):
    if path in ("", "."):
        return value
    first, _, rest = path.partition(".")
    if first == "*":
        if not isinstance(value, list):
            return MISSING
        return [get(item, rest) for item in value]
    if first == "#":
        return len(value) if isinstance(value, (list, dict, str)) else MISSING
    if isinstance(value, list) and re.fullmatch(r"-?\d+", first):
        n = int(first)
        if not -len(value) <= n < len(value):
            return MISSING
        return get(value[n], rest)
    if isinstance(value, dict) and first in value:
        return get(value[first], rest)
    return MISSING


def near(a, b, by):
    if isinstance(b, list):
        return isinstance(a, list) and len(a) == len(b) and all(near(x, y, by) for x, y in zip(a, b))
    if b is None or a is None:
        return a is None and b is None
    return isinstance(a, (int, float)) and not isinstance(a, bool) and abs(a - b) <= by


def holds(value, op, wanted):
    text = lambda: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    any_of = wanted if isinstance(wanted, list) else [wanted]
    if op == "==":
        return value == wanted and isinstance(value, bool) == isinstance(wanted, bool)
    if op == "!=":
        return value != wanted
    if op == "~":
        return near(value, wanted[0], wanted[1])
    if op == "~first":  # of a list as many as are known
        return isinstance(value, list) and near(value[:len(wanted[0])], wanted[0], wanted[1])
    if op == "in":
        return value in wanted
    if op == "each_in":
        return isinstance(value, list) and all(item in wanted for item in value)
    if op == "some":
        return isinstance(value, list) and wanted in value
    if op in (">=", "<=", "<", ">"):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return False
        return {">=": value >= wanted, "<=": value <= wanted, "<": value < wanted, ">": value > wanted}[op]
    if op == "has":
        return value != MISSING and any(str(w).lower() in text().lower() for w in any_of)
    if op == "hasnot":
        return value != MISSING and not any(str(w).lower() in text().lower() for w in any_of)
    if op == "len":
        return isinstance(value, (list, str, dict)) and len(value) == wanted
    if op == "null":
        return value is None
    if op == "filled":
        return value not in (None, MISSING, "", [], {})
    if op == "absent_or_null":
        return value in (None, MISSING)
    raise ValueError(f"no such check: {op}")


def check(value, checks, what=""):
    problems = []
    for path, op, wanted in (c if len(c) == 3 else [*c, None] for c in checks):
        found = get(value, path)
        if not holds(found, op, wanted):
            problems.append(f"{what}{path or 'it'} is {short(found)}, wanted {op} {short(wanted)}")
    if problems:
        raise Wrong("; ".join(problems))


def mentions(text, wanted, where):
    """wanted: a list of lists; of each inner list one must be said (`re:` for a pattern)."""
    for any_of in wanted:
        any_of = any_of if isinstance(any_of, list) else [any_of]
        if not any(re.search(w[3:], text, re.I | re.S) if w.startswith("re:") else w.lower() in text.lower() for w in any_of):
            raise Wrong(f"{where} says nothing of {' / '.join(any_of)}: {short(text[-500:] or '(nothing)', 500)}")


# ---------------------------------------------------------------- running


class Machine:
    def __init__(self, loophole, python, base, data):
        self.loophole, self.python, self.base, self.data = loophole, python, base, data
        self.servers, self.started = {}, []
        self.model = None
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("LOOPHOLE_")}
        self.env.update(LOOPHOLE_BIN=str(loophole), LOOPHOLE_LINGER="15", NO_COLOR="1", PYTHONDONTWRITEBYTECODE="1",
                        LOOPHOLE_CACHE="off")

    # files

    def fixture(self):
        if self.model is None:
            self.model = Model()
            self.model.write(self.base / "model")
            self.model.write_adapter(self.base / "adapter")
            self.model.write_adapter(self.base / "adapter-zero", zero=True)
        return self.model

    def content(self, spec):
        if "base" in spec:
            spec = self.data["files"][spec["base"]]
        if "text" in spec:
            raw = spec["text"].encode("utf-8", "surrogatepass")
        elif "b64" in spec:
            raw = base64.b64decode(spec["b64"])
        elif "jsonl" in spec:  # a text stands for a line as it is, so that it may be broken
            raw = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in spec["jsonl"]).encode()
        elif "json" in spec:
            raw = json.dumps(spec["json"]).encode()
        elif "parquet" in spec:
            raw = parquet(spec["parquet"])
        elif "inspect" in spec:
            raw = inspect_log(spec["inspect"], spec["form"])
        else:
            raise ValueError(f"no such file: {spec}")
        if spec.get("cut"):
            raw = raw[:-spec["cut"]]
        return gzip.compress(raw) if spec.get("gz") else raw

    def put(self, folder, files):
        for name, spec in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if spec.get("dir"):
                path.mkdir(exist_ok=True)
            elif "link" in spec:
                path.symlink_to(spec["link"])
            elif spec.get("append"):
                with open(path, "ab") as file:
                    file.write(self.content(spec))
            else:
                path.write_bytes(self.content(spec))

    # programs

    def process(self, argv, folder, name):
        out, err = open(folder / f".{name}.out", "wb"), open(folder / f".{name}.err", "wb")
        with out, err:
            return subprocess.Popen(argv, cwd=folder, env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                    start_new_session=True)

    @staticmethod
    def said(folder, name):
        return tuple((folder / f".{name}.{end}").read_bytes().decode("utf-8", "replace") for end in ("out", "err"))

    @staticmethod
    def end(process):
        if process.poll() is None:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except OSError:
                pass
            process.wait()

    def run(self, argv, folder, seconds, name="run"):
        process = self.process(argv, folder, name)
        begun = time.monotonic()
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.end(process)
            out, err = self.said(folder, name)
            raise Wrong(f"did not end in {seconds} s: {short(' '.join(map(str, argv[:6])))}; stderr: {short(err[-300:])}")
        except BaseException:
            self.end(process)
            raise
        return (process.returncode, *self.said(folder, name), time.monotonic() - begun)

    # servers

    def server(self, name):
        if name in self.servers:
            found = self.servers[name]
            if isinstance(found, str):
                raise Wrong(found)
            return found
        self.servers[name] = f"the server {name} did not start"
        spec = self.data["servers"][name]
        folder = self.base / f"server-{name}"
        folder.mkdir()
        self.put(folder, spec.get("files", {}))
        if spec.get("model"):
            self.fixture()
        args = [str(self.base / "model") if a == "$MODEL" else a for a in spec["args"]]
        process = self.process([str(self.loophole), "serve", *args, "--port", "0", "--json"], folder, "serve")
        self.started.append(process)
        until, url = time.monotonic() + 90, None
        while time.monotonic() < until:
            if url is None:
                for line in self.said(folder, "serve")[0].splitlines():
                    try:
                        url = json.loads(line)["url"]
                    except (ValueError, KeyError, TypeError):
                        pass
            else:
                host, port = re.search(r"//([^/:]+):(\d+)", url).groups()
                found = {"host": host, "port": int(port), "folder": folder, "process": process}
                try:
                    if self.http(found, "GET", "/health", seconds=10)[0] == 200:
                        self.servers[name] = found
                        return found
                except (OSError, Wrong):
                    pass
            if process.poll() is not None:
                break
            time.sleep(0.1)
        self.servers[name] = f"the server {name} did not start: {short(self.said(folder, 'serve')[1][-300:])}"
        raise Wrong(self.servers[name])

    def http(self, server, method, path, body=None, headers=None, seconds=120):
        connection = http.client.HTTPConnection(server["host"], server["port"], timeout=seconds)
        try:
            head = {"Content-Type": "application/json", **(headers or {})} if body is not None else (headers or {})
            connection.request(method, path, body=body, headers=head)
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")
        except http.client.HTTPException as e:
            raise Wrong(f"{method} {path}: no HTTP answer: {e!r}")
        except OSError as e:
            raise Wrong(f"{method} {path}: {e!r}")
        finally:
            connection.close()

    def fill(self, value, server=None):
        if isinstance(value, dict):
            if "$ids" in value:
                return [ID[b] for b in value["$ids"].encode()]
            if "$bigram" in value:
                return self.fixture().bigram(value["$bigram"], value.get("adapter", False))
            if "$action" in value:
                return {self.action(server): value["$action"]}
            return {k: self.fill(v, server) for k, v in value.items()}
        if isinstance(value, list):
            return [self.fill(v, server) for v in value]
        if value == "$MODELID":
            status, text = self.http(server, "GET", "/v1/models")
            return json.loads(text)["data"][0]["id"]
        if value in ("$ADAPTER", "$ADAPTER-ZERO"):
            return str(self.base / value[1:].lower())
        return value

    def action(self, server):
        """The name of the text field of an OpenEnv action, as /schema tells it."""
        if "action" in server:
            return server["action"]
        status, text = self.http(server, "GET", "/schema")
        try:
            fields = json.loads(text)["action"]
            known = fields.get("properties", fields)
        except (ValueError, KeyError, AttributeError, TypeError):
            raise Wrong(f"/schema says nothing of actions: {status} {short(text)}")
        likely = ["completion", "submission", "code", "solution", "response", "answer", "text", "message", "action", "program"]
        for name in [n for n in likely if n in known] + list(fields.get("required", [])) + list(known):
            server["action"] = name
            return name
        raise Wrong(f"/schema names no field of an action: {short(text)}")

    # WebSocket

    def socket(self, server, path, says):
        sock = socket.create_connection((server["host"], server["port"]), timeout=90)
        try:
            key = base64.b64encode(os.urandom(16)).decode()
            sock.sendall((f"GET {path} HTTP/1.1\r\nHost: {server['host']}:{server['port']}\r\nUpgrade: websocket\r\n"
                          f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
            buffer = b""
            while b"\r\n\r\n" not in buffer:
                got = sock.recv(4096)
                if not got:
                    raise Wrong(f"{path}: closed before the handshake ended")
                buffer += got
            head, buffer = buffer.split(b"\r\n\r\n", 1)
            if b" 101 " not in head.split(b"\r\n")[0]:
                raise Wrong(f"{path}: no WebSocket: {short(head.decode('latin-1'))}")

            def take(count):
                nonlocal buffer
                while len(buffer) < count:
                    got = sock.recv(65536)
                    if not got:
                        raise Wrong(f"{path}: the socket was closed where an answer was due")
                    buffer += got
                out, buffer = buffer[:count], buffer[count:]
                return out

            def send(kind, payload):
                mask = os.urandom(4)
                size = len(payload)
                head = bytes([0x80 | kind])
                head += bytes([0x80 | size]) if size < 126 else bytes([0xFE]) + struct.pack(">H", size) if size < 65536 \
                    else bytes([0xFF]) + struct.pack(">Q", size)
                sock.sendall(head + mask + bytes(b ^ mask[n % 4] for n, b in enumerate(payload)))

            def receive():
                text = b""
                while True:
                    first, second = take(2)
                    size = second & 127
                    size = struct.unpack(">H", take(2))[0] if size == 126 else struct.unpack(">Q", take(8))[0] if size == 127 else size
                    payload = take(size)
                    kind = first & 15
                    if kind == 9:
                        send(10, payload)
                    elif kind == 8:
                        raise Wrong(f"{path}: the socket was closed where an answer was due")
                    elif kind != 10:
                        text += payload
                        if first & 128:
                            return text.decode("utf-8", "replace")

            for n, say in enumerate(says):
                text = say["raw"] if "raw" in say else json.dumps(self.fill(say["send"], server))
                send(1, text.encode())
                answer = receive()
                try:
                    value = json.loads(answer)
                except ValueError:
                    raise Wrong(f"{path}: answer {n} is no JSON: {short(answer)}")
                check(value, say["expect"], f"answer {n}: ")
        except socket.timeout:
            raise Wrong(f"{path}: silent for 90 s")
        except OSError as e:
            raise Wrong(f"{path}: {e!r}")
        finally:
            sock.close()

    def close(self):
        for process in self.started:
            if process.poll() is None:
                process.terminate()
        for process in self.started:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.end(process)


# ---------------------------------------------------------------- what steps do


def json_lines(text):
    out = []
    for n, line in enumerate(text.splitlines()):
        if line.strip():
            try:
                out.append(json.loads(line))
            except ValueError:
                raise Wrong(f"line {n + 1} of stdout is no JSON: {short(line)}")
    return out


def metrics(folder):
    rows = []
    for path in sorted(folder.rglob("metrics.jsonl")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.strip():
                try:
                    rows.append(json.loads(line))
                except ValueError:
                    raise Wrong(f"{path.name} has a line that is no JSON: {short(line)}")
    return rows


def same_steps(found, wanted):
    return found == wanted or found == [step - 1 for step in wanted]


def leftovers(mark):
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in path.read_bytes() and int(path.parent.name) != os.getpid():
                yield path.parent.name
        except (OSError, ValueError):
            pass


PREAMBLE = r'''
import json, os, sys, time, threading, subprocess, inspect, asyncio
def done(**found):
    print("\nRESULT " + json.dumps(found), flush=True)
def skip(why):
    done(skip=why); sys.exit(0)
class Log:
    def __init__(self): self.columns, self.metrics = {}, {}
    def extra(self, column, values): self.columns[column] = list(values)
    def metric(self, name, value): self.metrics[name] = float(value)
def call(reward, completions, log=None, **columns):
    """As TRL 1.16 calls a reward function: everything by keyword."""
    log = log or Log()
    n = len(completions)
    columns.setdefault("prompts", ["Write it."] * n)
    return reward(completions=completions, completion_ids=[[1]] * n, trainer_state=None, log_extra=log.extra,
                  log_metric=log.metric, **columns)
def plain(rewards):
    """The rewards, and whether each is a float (not bool, not numpy) or None."""
    return [None if r is None else float(r) for r in rewards], all(r is None or type(r) in (float, int) for r in rewards)
def with_deadline(Reward, seconds, *given, **options):
    """The documents speak of deadlines and do not name the option: the first parameter whose name says so."""
    names = list(inspect.signature(Reward).parameters)
    likely = [n for n in names if "deadline" in n] + [n for n in names if "timeout" in n]
    for name in likely + ["deadline", "deadline_seconds", "timeout"]:
        try:
            return Reward(*given, **options, **{name: seconds})
        except TypeError:
            continue
    raise SystemExit("no option of Reward takes a deadline: " + ", ".join(names))
def failing(work):
    """The class and the words of the error that it raises, or what it returned."""
    try:
        return {"raised": None, "words": "", "value": repr(work())[:300]}
    except BaseException as e:
        return {"raised": type(e).__name__, "words": str(e)[:2000], "value": None}
class Served:
    """A service of one's own, at an address of its own."""
    def __init__(self, tasks, *flags):
        self.process = subprocess.Popen([os.environ["LOOPHOLE_BIN"], "serve", "--tasks", tasks, "--port", "0", "--json", *flags],
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        line = json.loads(self.process.stdout.readline())
        self.url = line["url"].rstrip("/")
        self.url = self.url[:-3].rstrip("/") if self.url.endswith("/v1") else self.url
        import urllib.request
        for _ in range(300):
            try:
                if urllib.request.urlopen(self.url + "/health", timeout=5).status == 200: break
            except OSError: time.sleep(0.1)
    def kill(self):
        self.process.kill(); self.process.wait()
'''


class Case:
    def __init__(self, machine, case):
        self.m, self.case = machine, case
        self.clocks, self.shots, self.background, self.saved = {}, {}, {}, {}
        shared = case.get("folder")
        self.folder = machine.base / (shared or case["id"])
        fresh = not self.folder.exists()
        self.folder.mkdir(parents=True, exist_ok=True)
        if fresh or not shared:
            machine.put(self.folder, case.get("files", {}))

    def play(self):
        try:
            for n, step in enumerate(self.case["steps"]):
                kind = next(iter(step))
                try:
                    getattr(self, "do_" + kind)(step[kind], step)
                except Wrong as e:
                    raise Wrong(f"step {n} ({kind}): {e}")
        finally:
            for process in self.background.values():
                self.m.end(process)

    def seen(self, code, out, err, step):
        if "exit" in step and code not in step["exit"]:
            raise Wrong(f"exit {code}, wanted {step['exit']}; stderr: {short(err[-300:])}; stdout: {short(out[-200:])}")
        if "panicked at" in err:
            raise Wrong(f"it broke down: {short(err[-300:])}")
        if "err" in step:
            mentions(err, step["err"], "stderr")
        if "says" in step:
            mentions(out + "\n" + err, step["says"], "what it printed")
        if "records" in step or "verdicts" in step:
            rows = [row for row in json_lines(out) if isinstance(row, dict) and ("verdict" in row or "error" in row)]
            if "verdicts" in step:
                found = [[row.get("task_id"), row.get("verdict")] for row in rows]
                if step.get("any_order"):
                    found.sort(key=str)
                    step = {**step, "verdicts": sorted(step["verdicts"], key=str)}
                if found != step["verdicts"]:
                    raise Wrong(f"records say {short(found, 600)}, wanted {short(step['verdicts'], 600)}")
            if "records" in step:
                check(rows, step["records"], "records: ")

    # a command of the program

    def do_run(self, args, step):
        code, out, err, seconds = self.m.run([str(self.m.loophole), *args], self.folder, step.get("seconds", 180))
        if "clock" in step:
            self.clocks[step["clock"]] = seconds
        self.seen(code, out, err, step)

    def do_start(self, args, step):
        self.background[step["name"]] = self.m.process([str(self.m.loophole), *args], self.folder, step["name"])

    def do_interrupt(self, name, step):
        process = self.background[name]
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=step.get("seconds", 20))
        except subprocess.TimeoutExpired:
            raise Wrong(f"had not ended {step.get('seconds', 20)} s after Ctrl-C")
        out, err = self.m.said(self.folder, name)
        self.seen(process.returncode, out, err, step)

    def do_alive(self, name, step):
        time.sleep(step.get("after", 1))
        if self.background[name].poll() is not None:
            out, err = self.m.said(self.folder, name)
            raise Wrong(f"it ended by itself (exit {self.background[name].returncode}): {short(err[-300:])}")

    def do_await(self, run, step):
        until = time.monotonic() + step.get("seconds", 60)
        rows = []
        while time.monotonic() < until:
            try:
                rows = metrics(self.folder / run)
                if len(rows) >= step["lines"]:
                    return
            except (Wrong, OSError):
                pass
            time.sleep(0.25)
        raise Wrong(f"after {step.get('seconds', 60)} s there are {len(rows)} lines of metrics, wanted {step['lines']}")

    def do_write(self, files, step):
        self.m.put(self.folder, files)

    # what it left

    def do_metrics(self, run, step):
        rows = metrics(self.folder / run)
        steps = [row.get("step") for row in rows]
        if "steps" in step and not same_steps(steps, step["steps"]):
            raise Wrong(f"metrics.jsonl has the steps {steps}, wanted {step['steps']}")
        for key in ("hack_rate", "honest_rate"):
            if key in step:
                found = [row.get(key) for row in rows]
                if not near(found, step[key], 1e-6):
                    raise Wrong(f"{key} by step is {found}, wanted {step[key]}")
        if "families" in step:
            for family in step["families"]:
                if not any(row.get("families", {}).get(family, 0) > 0 for row in rows):
                    raise Wrong(f"no step has the family {family}: {short([row.get('families') for row in rows])}")

    def do_page(self, path, step):
        page = self.folder / path
        if not page.is_file():
            raise Wrong(f"there is no {path}")
        text = page.read_text(encoding="utf-8", errors="replace")
        if "<html" not in text.lower() or len(text) < 1000:
            raise Wrong(f"{path} is no page: {short(text)}")
        if re.search(r"""(src|href)\s*=\s*["']https?://""", text) and re.search(r"""<(script|link|img)[^>]+https?://""", text):
            raise Wrong(f"{path} is not self-contained")
        for words in step.get("has", []):
            if words.lower() not in text.lower():
                raise Wrong(f"{path} says nothing of {words}")
        for words in step.get("hasnot", []):
            if words in text:
                raise Wrong(f"{path} holds {words} as it is")

    def do_snapshot(self, paths, step):
        self.shots[step["name"]] = {p: self.hashes(p) for p in paths}

    def hashes(self, pattern):
        return {str(p.relative_to(self.folder)): (p.read_bytes() if not p.is_symlink() else os.readlink(p).encode())
                for p in sorted(self.folder.glob(pattern)) if p.is_file() or p.is_symlink()}

    def do_same(self, name, step):
        for pattern, before in self.shots[name].items():
            now = self.hashes(pattern)
            if now != before:
                changed = sorted(k for k in {*now, *before} if now.get(k) != before.get(k))
                raise Wrong(f"not as it was: {', '.join(changed)}")
            if not before and step.get("filled"):
                raise Wrong(f"nothing is there: {pattern}")

    def do_faster(self, which, step):
        second, first, share = which
        a, b = self.clocks[second], self.clocks[first]
        if a > max(1.0, b * share):
            raise Wrong(f"the {second} call took {a:.1f} s, the {first} one {b:.1f} s: it did the work again")

    def do_missing(self, path, step):
        if (self.folder / path).exists():
            raise Wrong(f"{path} is there")

    def do_edit(self, pattern, step):
        found = sorted(self.folder.glob(pattern))
        if not found:
            raise Wrong(f"there is no {pattern}")
        with open(found[0], "ab") as file:
            file.write(step["add"].encode())

    def do_nothing_outside(self, inside, step):
        """No file but those known before, those below `inside` and our own logs."""
        extra = [str(p) for p in self.m.base.rglob(step["mark"]) if (self.folder / inside) not in p.parents]
        extra += [str(p) for p in Path(self.m.base.parent).glob(step["mark"])]
        if extra:
            raise Wrong(f"written outside of {inside}: {', '.join(extra[:3])}")

    def do_events(self, folder, step):
        files = [p for p in (self.folder / folder).rglob("*tfevents*") if p.is_file()]
        if not files:
            raise Wrong(f"no file with tfevents in its name below {folder}")
        events = [e for p in files for e in read_events(p)]
        tags = sorted({str(tag) for tag, _, _ in events})
        for tag in step.get("tags", []):
            if not any(tag in t for t in tags):
                raise Wrong(f"no tag has {tag} in its name: {tags}")
        if "series" in step:
            for mark, values in step["series"].items():
                fits = []
                for tag in tags:
                    if mark in tag:
                        series = sorted((s, v) for t, s, v in events if t == tag)
                        fits.append((tag, series))
                if not any(same_steps([s for s, _ in series], step["steps"]) and near([v for _, v in series], values, 1e-5)
                           for _, series in fits):
                    raise Wrong(f"{mark}: no series has the steps {step['steps']} and the values {values}: {short(fits, 500)}")

    def do_harbor(self, folder, step):
        root = self.folder / folder
        tasks = sorted(p.parent for p in root.rglob("task.toml"))
        if len(tasks) != step["tasks"]:
            raise Wrong(f"{len(tasks)} folders with a task.toml, wanted {step['tasks']}")
        try:
            import tomllib
        except ImportError:
            tomllib = None
        told = ""
        for task in tasks:
            text = (task / "task.toml").read_text(encoding="utf-8")
            if tomllib:
                try:
                    tomllib.loads(text)
                except ValueError as e:
                    raise Wrong(f"{task.name}/task.toml: {e}")
            for name in ("instruction.md", "tests/test.sh"):
                if not (task / name).is_file() or not (task / name).read_text(encoding="utf-8").strip():
                    raise Wrong(f"{task.name} has no {name}")
            if not (task / "environment").is_dir() and "docker_image" not in text:
                raise Wrong(f"{task.name} has neither environment/ nor an image")
            if not any("/logs/verifier/reward" in p.read_text(errors="replace") or "logs/verifier" in p.read_text(errors="replace")
                       for p in (task / "tests").rglob("*") if p.is_file()):
                raise Wrong(f"{task.name}: nothing below tests/ writes /logs/verifier/reward")
            shown = (task / "instruction.md").read_text(encoding="utf-8")
            told += shown
            if (task / "environment").is_dir():
                shown += "".join(p.read_text(errors="replace") for p in (task / "environment").rglob("*") if p.is_file())
            for secret in step.get("secret", []):
                if secret in shown:
                    raise Wrong(f"{task.name}: the agent sees {secret!r} (instruction.md or environment/)")
        for words in step.get("told", []):
            if words not in told:
                raise Wrong(f"no instruction.md says {words!r}")

    def do_harbor_round(self, folder, step):
        """The exported folders, given back: their own solution is paid, doing nothing is not."""
        root = self.folder / folder
        rows = []
        for toml in sorted(root.rglob("task.toml")):
            solve = toml.parent / "solution" / "solve.sh"
            if not solve.is_file():
                raise Wrong(f"{toml.parent.name} has no solution/solve.sh")
            rows += [{"task_id": toml.parent.name, "completion": text} for text in (solve.read_text(), "true\n")]
        (self.folder / "agents.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        code, out, err, _ = self.m.run([str(self.m.loophole), "grade", "--tasks", folder, "--submissions", "agents.jsonl",
                                        "--no-label", "--json"], self.folder, 400)
        found = [row.get("reward") for row in json_lines(out) if "summary" not in row]
        if found != [1.0, 0.0] * (len(rows) // 2):
            raise Wrong(f"(solution, nothing) of each task was paid {found}; exit {code}; stderr: {short(err[-300:])}")

    def do_absent(self, mark, step):
        until = time.monotonic() + step.get("within", 10)
        while True:
            left = list(leftovers(mark))
            if not left:
                return
            if time.monotonic() > until:
                raise Wrong(f"processes with {mark} in their command line are left: {left}")
            time.sleep(0.5)

    # the Python package

    def do_python(self, lines, step):
        code = PREAMBLE + "\n".join(self.m.data["programs"] + (lines if isinstance(lines, list) else [lines]))
        status, out, err, seconds = self.m.run([self.m.python, "-c", code], self.folder, step.get("seconds", 240), "python")
        found = [line for line in out.splitlines() if line.startswith("RESULT ")]
        if not found:
            raise Wrong(f"exit {status} without a result; stderr: {short(err[-600:], 600)}")
        value = json.loads(found[-1][7:])
        if value.get("skip"):
            raise Skip(value["skip"])
        if status != 0 and not step.get("any_status"):
            raise Wrong(f"the process ended with {status}; stderr: {short(err[-300:])}")
        check(value, step["checks"])

    # HTTP

    def do_http(self, request, step):
        server = self.m.server(request["server"])
        body = request.get("raw")
        if body is None and "body" in request:
            body = json.dumps(self.m.fill(request["body"], server))
        body = body.encode("utf-8", "surrogatepass") if body is not None else None
        method = request.get("method", "POST" if body is not None else "GET")
        path = request["path"]
        for name, found in self.saved.items():
            path = path.replace(name, str(found))
        begun = time.monotonic()
        status, text = self.m.http(server, method, path, body, request.get("headers"), step.get("seconds", 120))
        if time.monotonic() - begun > step.get("within", 1e9):
            raise Wrong(f"{request['path']} took {time.monotonic() - begun:.1f} s")
        if "status" in step and status not in step["status"]:
            raise Wrong(f"{method} {request['path']}: status {status}, wanted {step['status']}: {short(text)}")
        if "text" in step:
            mentions(text, step["text"], "the answer")
        if "lines" in step:
            check(json_lines(text), self.m.fill(step["lines"], server), "lines: ")
        if "body" in step:
            try:
                value = json.loads(text)
            except ValueError:
                raise Wrong(f"{request['path']}: no JSON: {status} {short(text)}")
            check(value, self.m.fill(step["body"], server), "answer: ")
            for name, at in step.get("save", {}).items():
                self.saved[name] = get(value, at)
        if "counter" in step:  # a number of a Prometheus metric, and by how much it rose since it was last read
            name, rise = step["counter"]
            found = re.findall(re.escape(name) + r"\s+([0-9.e+]+)", text)
            now = float(found[0]) if found else 0.0
            if rise is not None and now - self.clocks[name] < rise:
                raise Wrong(f"{name} rose from {self.clocks[name]} to {now}, wanted at least {rise} more")
            self.clocks[name] = now

    def do_ws(self, request, step):
        server = self.m.server(request["server"])
        self.m.socket(server, request.get("path", "/ws"), request["say"])


# ---------------------------------------------------------------- main


def load(path):
    data = json.loads(Path(path).read_text(encoding="utf-8"))
    seen = set()
    for case in data["cases"]:
        for key in ("id", "given", "truth", "why", "steps"):
            if not case.get(key):
                raise SystemExit(f"case {case.get('id')}: no {key}")
        if case["id"] in seen:
            raise SystemExit(f"two cases {case['id']}")
        seen.add(case["id"])
        for step in case["steps"]:
            if not hasattr(Case, "do_" + next(iter(step))):
                raise SystemExit(f"case {case['id']}: no such step: {next(iter(step))}")
    return data


def dry(data, machine):
    """Everything but the program: files are made and read back, the code of the cases is compiled."""
    model = machine.fixture()
    assert model.greedy("abc", 5) == "defgh", model.greedy("abc", 5)
    base, other = model.bigram("abcd"), model.bigram("abcd", adapter=True)
    assert any(abs(a - b) > 0.05 for a, b in zip(base[1:], other[1:])), (base, other)
    print("model: abcd", base, "with the adapter", other)
    for n, case in enumerate(data["cases"]):
        folder = machine.base / f"dry-{n}"
        folder.mkdir()
        machine.put(folder, case.get("files", {}))
        for step in case["steps"]:
            if "python" in step:
                compile(PREAMBLE + "\n".join(data["programs"] + step["python"]), case["id"], "exec")
            if "write" in step:
                for spec in step["write"].values():
                    if not spec.get("dir") and "link" not in spec:
                        machine.content(spec)
            if "http" in step:
                request = step["http"]
                assert request["server"] in data["servers"], request
            for checks in [step.get("checks"), step.get("body"), step.get("lines") if "http" in step else None, step.get("records")]:
                for one in checks or []:
                    try:
                        holds(0, one[1], one[2] if len(one) == 3 else None)
                    except (TypeError, IndexError):
                        pass
    for name, spec in data["servers"].items():
        folder = machine.base / f"dry-server-{name}"
        folder.mkdir()
        machine.put(folder, spec.get("files", {}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("loophole")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--only", default="", help="groups or ids, with commas between them")
    parser.add_argument("--cases", default=str(HERE / "cases.json"))
    parser.add_argument("--keep", action="store_true", help="leave the folder of the run")
    parser.add_argument("--dry", action="store_true", help="parse and make the data, run nothing of loophole")
    given = parser.parse_args()
    data = load(given.cases)
    base = Path(tempfile.mkdtemp(prefix="stranger16-"))
    machine = Machine(Path(given.loophole).resolve(), given.python, base, data)
    only = [word for word in given.only.split(",") if word]
    right = count = 0

    def late(*_):
        raise Wrong("the case did not end in its time")

    signal.signal(signal.SIGALRM, late)
    try:
        if given.dry:
            dry(data, machine)
            print(f"{len(data['cases'])} cases parsed")
            return
        for case in data["cases"]:
            if only and not any(case["id"] == word or case["id"][0] == word for word in only):
                continue
            begun = time.monotonic()
            signal.alarm(case.get("most", 900))
            try:
                Case(machine, case).play()
                signal.alarm(0)
                right += 1
                count += 1
                print(f"ok    {case['id']}  {case['given']}  ({time.monotonic() - begun:.1f} s)")
            except Skip as e:
                signal.alarm(0)
                print(f"skip  {case['id']}  {case['given']}: {e}")
            except Wrong as e:
                signal.alarm(0)
                count += 1
                print(f"WRONG {case['id']}  {case['given']}\n      truth: {case['truth']}\n      why:   {case['why']}\n      found: {e}")
            except Exception as e:
                signal.alarm(0)
                count += 1
                print(f"WRONG {case['id']}  {case['given']}\n      truth: {case['truth']}\n      found: {type(e).__name__}: {short(str(e))}")
            sys.stdout.flush()
    finally:
        signal.alarm(0)
        machine.close()
        if given.keep:
            print(f"kept: {base}", file=sys.stderr)
        else:
            shutil.rmtree(base, ignore_errors=True)
    print(f"{right} of {count} right")
    sys.exit(0 if right == count else 1)


if __name__ == "__main__":
    main()
