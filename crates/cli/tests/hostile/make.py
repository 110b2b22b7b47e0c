"""Makes hostile files, and a list of what to run on them.

    make.py FOLDER ORGANISM PORT

writes files into FOLDER and prints one JSON line a case: {"name", "args", "says", "input", "codes"}. Each is to end with
one of `codes` (2: bad input) and an error that holds every word of `says`, in little memory and time. ORGANISM is the
folder of a sound model, of which most of the models here are copies with one thing changed. At PORT an endpoint answers
as its path says.
"""

import gzip
import json
import os
import shutil
import struct
import sys
import zlib

FOLDER, ORGANISM, PORT = sys.argv[1], sys.argv[2], sys.argv[3]
os.chdir(FOLDER)
NAMES = set()


def case(name, args, says=(), input="", codes=(2,)):
    assert name not in NAMES, name
    NAMES.add(name)
    print(json.dumps({"name": name, "args": args, "says": list(says), "input": input, "codes": list(codes)}))


def write(name, data):
    with open(name, "wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)
    return name


def sparse(name, head, size):
    with open(name, "wb") as file:
        file.write(head)
        file.truncate(size)
    return name


# Chat templates: what they make, not only how many steps they take.

TEMPLATES = {
    "range": "{% for i in range(10**9) %}aaaaaaaa{% endfor %}",
    "nested-ranges": "{% for a in range(9999) %}{% for b in range(9999) %}{{ 'a' * 1000 }}{% endfor %}{% endfor %}",
    "raw-text": "{% for a in range(9999) %}{% for b in range(999) %}" + "x" * 5000 + "{% endfor %}{% endfor %}",
    "captured-raw-text": "{% set x %}{% for a in range(9999) %}{% for b in range(999) %}" + "x" * 5000 + "{% endfor %}{% endfor %}{% endset %}{{ x | length }}",
    "multiplied": "{{ 'a' * 10**10 }}",
    "multiplied-often": "{% set n = namespace(x='') %}{% for i in range(1000) %}{% set n.x = n.x + 'a' * 90000000 %}{% endfor %}{{ n.x | length }}",
    "doubled": "{% set n = namespace(x='a') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x | length }}",
    "doubled-by-plus": "{% set n = namespace(x='a') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}{{ n.x | length }}",
    "doubled-straight": "{% set x = 'a' %}" + "{% set x = x ~ x %}" * 60 + "{{ x | length }}",
    "doubled-by-macro": "{% macro m(x, n) %}{% if n > 0 %}{{ m(x ~ x, n - 1) }}{% else %}{{ x | length }}{% endif %}{% endmacro %}{{ m('a', 60) }}",
    "doubled-by-capture": "{% set x = 'a' %}" + "{% set x %}{{ x }}{{ x }}{% endset %}" * 60 + "{{ x | length }}",
    "doubled-by-with": "{% set x = 'a' %}" + "{% with x = x ~ x %}" * 60 + "{{ x | length }}" + "{% endwith %}" * 60,
    "doubled-by-format": "{% set x = 'a' %}" + "{% set x = '%s%s' | format(x, x) %}" * 60 + "{{ x | length }}",
    "doubled-by-method": "{% set x = 'a' %}" + "{% set x = '{}{}'.format(x, x) %}" * 60 + "{{ x | length }}",
    "joined": "{% set x = ('a' * 1000000) | list | join('b' * 1000000) %}{{ x | length }}",
    "joined-by-method": "{% set x = ('b' * 1000000).join(('a' * 1000000) | list) %}{{ x | length }}",
    "replaced": "{% set x = ('a' * 1000000) | replace('a', 'b' * 1000000) %}{{ x | length }}",
    "replaced-by-method": "{% set x = ('a' * 1000000).replace('a', 'b' * 1000000) %}{{ x | length }}",
    "indented": "{{ ('\\n' * 1000000) | indent(1000000) | length }}",
    "width": "{{ '%2000000000d' | format(1) | length }}",
    "width-by-method": "{{ '{:>2000000000}'.format(1) | length }}",
    "tojson-indent": "{{ [1, [2, [3]]] | tojson(indent=2000000000) }}",
    "list-repeated": "{{ ([1] * 99999999) | list | length }}",
    "list-doubled": "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}{{ n.x | list | length }}",
    "shared-list": "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}",
    "shared-list-as-json": "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x | tojson }}",
    "shared-list-as-text": "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x | string | length }}",
    "nested-list": "{% set n = namespace(x=[1]) %}{% for i in range(99999) %}{% set n.x = [n.x] %}{% endfor %}{{ n.x | tojson }}",
    "endless": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "recursive-loop": "{% for x in [[1]] recursive %}{{ loop([x]) }}{% endfor %}",
    "deep-brackets": "{{ " + "[" * 100000 + "]" * 100000 + " }}",
    "deep-parentheses": "{{ " + "(" * 100000 + "1" + ")" * 100000 + " }}",
    "deep-ifs": "{% if true %}" * 100000 + "{% endif %}" * 100000,
    "deep-not": "{{ " + "not " * 200000 + "1 }}",
    "long-chain": "{{ 'a'" + " ~ 'a'" * 300000 + " }}",
    "power": "{{ 9**9**9 }}",
    "power-of-two": "{{ 2**(10**18) }}",
    "batched": "{{ [1] | batch(99999999, 'a') | list }}",
    "sliced": "{{ [1] | slice(99999999, 'a') | list }}",
    "centered": "{{ 'a' | center(2000000000) | length }}",
}


def model(name, tokenizer=lambda text: text, config=None, skip=()):
    """A copy of the organism with a chat format of its own."""
    os.mkdir(name)
    for file in os.listdir(ORGANISM):
        if file in skip or file in ("golden.json", "MODEL_CARD.md"):
            continue
        source, target = os.path.join(ORGANISM, file), os.path.join(name, file)
        if file == "model.safetensors":
            os.symlink(source, target)
        else:
            shutil.copy(source, target)
    path = os.path.join(name, "tokenizer.json")
    text = tokenizer(open(path).read().replace("<|assistant|>", "<|bot|>"))
    write(path, text)
    write(os.path.join(name, "chat_template.jinja"), "{{ messages[-1].content }}<|bot|>")
    if config is not None:
        path = os.path.join(name, "config.json")
        write(path, json.dumps({**json.load(open(path)), **config}))
    return name


def chat(name, folder, says=(), input="hello\n\n", codes=(2,)):
    case(name, ["chat", folder], says, input, codes)


for name, text in TEMPLATES.items():
    folder = model("template-" + name)
    write(folder + "/chat_template.jinja", text)
    # What an implementation refuses for another reason, or makes small after all, harms nobody.
    chat("template " + name, folder, [], codes=(2, 0) if name in ("centered", "batched", "sliced") else (2,))
folder = model("template-large")
sparse(folder + "/chat_template.jinja", b"", 5 << 30)
chat("template of 5 GiB", folder, ["chat_template.jinja", "larger"])

# Configurations, weights, tokenizers, adapters.

SIZES = {
    "hidden_size": 10**9,
    "intermediate_size": 10**12,
    "num_hidden_layers": 10**9,
    "num_attention_heads": 2**40,
    "vocab_size": 2**62,
    "max_position_embeddings": 10**18,
    "head_dim": 10**15,
}
for key, value in SIZES.items():
    chat("config " + key, model("config-" + key, config={key: value}), ["config.json", key])
largest = {key: 2**24 for key in SIZES if key != "num_hidden_layers"}
largest.update(num_hidden_layers=2**12, head_dim=2**24)
chat("config all at their largest", model("config-largest", config=largest), ["memory"])
chat("config negative", model("config-negative", config={"hidden_size": -1}), ["hidden_size"])
chat("config fraction", model("config-fraction", config={"hidden_size": 1.5}), ["hidden_size"])
chat("config theta", model("config-theta", config={"rope_theta": 1e400}), ["rope_theta"])
folder = model("config-deep")
write(folder + "/config.json", '{"a":' * 100000 + "1" + "}" * 100000)
chat("config nested", folder, ["config.json"])
folder = model("config-large")
sparse(folder + "/config.json", b"{", 6 << 30)
chat("config of 6 GiB", folder, ["config.json", "larger"])


def weights(name, header, size=0, length=None, config=None):
    folder = model("weights-" + name, skip=("model.safetensors",), config=config)
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    head = struct.pack("<Q", len(text) if length is None else length) + text
    sparse(folder + "/model.safetensors", head, max(size, len(head)))
    chat("weights " + name, folder, ["safetensors"] if config is None else [])


tensor = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
weights("header of 2^63 bytes", b"{}", length=2**63)
weights("header longer than the file", b"{}", length=90_000_000)
weights("header of 99 MB", b"[" + b"[]," * 33_000_000 + b"[]]")
weights("header of a million tensors", {f"t{i}": tensor for i in range(1_000_000)}, size=200 << 20)
weights("nested header", b'{"a":' * 200000 + b"1" + b"}" * 200000)
weights("shape", {"model.embed_tokens.weight": {**tensor, "shape": [2**62, 2**62]}})
weights("shape that overflows", {"model.embed_tokens.weight": {**tensor, "shape": [2**32, 2**32]}})
weights("shape without end", {"model.embed_tokens.weight": {**tensor, "shape": [1] * 3_000_000}}, size=64 << 20)
weights("offsets beyond the end", {"model.embed_tokens.weight": {**tensor, "data_offsets": [0, 2**60]}})
weights("offsets reversed", {"model.embed_tokens.weight": {**tensor, "data_offsets": [4, 0]}})


def overlapping(config):
    """Tensors of all layers, all at the same place of a large, empty file."""
    h, i, v = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    shapes = {"model.embed_tokens.weight": [v, h], "model.norm.weight": [h]}
    for layer in range(config["num_hidden_layers"]):
        p = f"model.layers.{layer}."
        for part in "qkvo":
            shapes[f"{p}self_attn.{part}_proj.weight"] = [h, h]
        shapes.update({f"{p}mlp.gate_proj.weight": [i, h], f"{p}mlp.up_proj.weight": [i, h], f"{p}mlp.down_proj.weight": [h, i]})
        shapes.update({f"{p}input_layernorm.weight": [h], f"{p}post_attention_layernorm.weight": [h]})
    tensors = {}
    for name, shape in shapes.items():
        count = 4
        for side in shape:
            count *= side
        tensors[name] = {"dtype": "F32", "shape": shape, "data_offsets": [0, count]}
    return tensors


big = {"hidden_size": 8192, "intermediate_size": 8192, "num_hidden_layers": 200, "num_attention_heads": 64, "num_key_value_heads": 64, "head_dim": 128, "vocab_size": 1024}
weights("that overlap", overlapping(big), size=1 << 30, config=big)
folder = model("index-large", skip=("model.safetensors",))
sparse(folder + "/model.safetensors.index.json", b"{", 6 << 30)
chat("index of 6 GiB", folder, ["index.json", "larger"])


def tokenizer(name, change, says=("tokenizer",), codes=(2,)):
    def changed(text):
        json_ = json.loads(text)
        change(json_)
        return json.dumps(json_)

    chat("tokenizer " + name, model("tokenizer-" + name.replace(" ", "-"), changed), says, codes=codes)


def growing(json_):
    step = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    json_["normalizer"] = {"type": "Sequence", "normalizers": [step] * 60}


def padding(json_):
    json_["padding"] = {"strategy": {"Fixed": 10**12}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "<|pad|>"}


def wide_ids(json_):
    vocab = json_["model"]["vocab"]
    for word in list(vocab):
        if len(word) == 1:
            vocab[word] += 4_000_000_000


def slow_split(json_):
    json_["pre_tokenizer"] = {"type": "Split", "pattern": {"Regex": "(?=(x+x+)+y)|(h(e|l|o)*)*$(?<=a)"}, "behavior": "Isolated", "invert": False}


def many(json_):
    json_["added_tokens"] += [{"id": 5000 + i, "content": f"<|{i}|>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} for i in range(300_000)]


def nested_normalizer(json_):
    json_["normalizer"] = {"type": "Sequence", "normalizers": []}
    for _ in range(90):
        json_["normalizer"] = {"type": "Sequence", "normalizers": [json_["normalizer"]]}


tokenizer("that grows", growing)
# Whoever asks for a padded text gets one; we do not.
tokenizer("padding", padding, [], codes=(0, 2))
tokenizer("wide ids", wide_ids)
tokenizer("slow split", slow_split, [], codes=(0, 2))
tokenizer("many tokens", many)
tokenizer("nested", nested_normalizer, [], codes=(0, 2))
folder = model("tokenizer-deep")
write(folder + "/tokenizer.json", "[" * 1_000_000)
chat("tokenizer of brackets", folder, ["tokenizer.json"])
folder = model("tokenizer-large")
sparse(folder + "/tokenizer.json", b"{", 6 << 30)
chat("tokenizer of 6 GiB", folder, ["tokenizer.json", "larger"])
folder = model("settings-large")
sparse(folder + "/tokenizer_config.json", b"{", 6 << 30)
chat("tokenizer settings of 6 GiB", folder, ["tokenizer_config.json", "larger"])


def adapter(name, says, **changes):
    folder = "adapter-" + name
    os.mkdir(folder)
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"], **changes}
    write(folder + "/adapter_config.json", json.dumps(config))
    header = json.dumps({"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": {"dtype": "F32", "shape": [1, 128], "data_offsets": [0, 512]}}).encode()
    write(folder + "/adapter_model.safetensors", struct.pack("<Q", len(header)) + header + bytes(512))
    chat("adapter " + name, f"{ORGANISM}+{folder}", says)


adapter("rank", ["adapter_config.json", "rank"], r=10**18)
adapter("rank of 65536", ["adapter"], r=65536)
adapter("rank zero", ["rank"], r=0)
adapter("alpha", ["lora_alpha"], lora_alpha=1e400)

# Tasks and submissions.

TASK = {"id": "t", "entry_point": "f", "reference": "def f(a): return a", "visible": [{"args": [1], "expected": 1}]}
write("tasks.jsonl", json.dumps(TASK) + "\n")
write("subs.jsonl", json.dumps({"task_id": "t", "completion": "def f(a): return a"}) + "\n")


def tasks(name, data, says=(), codes=(2,)):
    file = "tasks-" + name.replace(" ", "-") + ".jsonl" + (".gz" if data[:2] == b"\x1f\x8b" else "")
    write(file, data)
    case("tasks " + name, ["grade", "--tasks", file, "--submissions", "subs.jsonl", "--json"], [file, *says] if codes == (2,) else says, codes=codes)


def packed(piece, times, head=b"", tail=b""):
    """A gzip file of many members, so that ten GiB cost no time to make."""
    pack = lambda data: gzip.compress(data, 6) if data else b""
    return pack(head) + pack(piece) * times + pack(tail)


def with_value(text):
    return json.dumps(TASK).replace('"expected": 1', f'"expected": {text}')


tasks("line of 10 GiB", packed(b"a" * (16 << 20), 640), ["line 1"])
tasks("string of 10 GiB", packed(b"a" * (16 << 20), 640, b'{"id": "', b'"}\n'), ["line 1"])
tasks("10 GiB of blank lines", packed(b"\n" * (16 << 20), 640))
filler = gzip.compress(b"x" * (15 << 20), 6)
head, tail = b'{"id": "%d", "entry_point": "f", "reference": "', b'", "visible": [{"args": [1], "expected": 1}]}\n'
tasks("10 GiB of distinct tasks", b"".join(gzip.compress(head % i) + filler + gzip.compress(tail) for i in range(700)), ["memory"])
tasks("cut gzip", gzip.compress(json.dumps(TASK).encode() * 1000)[:-20])
tasks("gzip with a false sum", gzip.compress(json.dumps(TASK).encode())[:-8] + b"\0" * 8)
tasks("nested value", with_value("[" * 100_000 + "]" * 100_000), ["line 1", "nested"])
tasks("nested tuples", with_value('{"$tuple": [' * 100_000 + "]}" * 100_000), ["line 1", "nested"])
tasks("nested objects", with_value('{"a":' * 100_000 + "1" + "}" * 100_000), ["line 1", "nested"])
tasks("nested unknown field", json.dumps(TASK)[:-1] + ', "more": ' + "[" * 100_000 + "]" * 100_000 + "}", codes=(0, 2))
tasks("integer of a million digits", with_value("9" * 1_000_000), ["line 1", "digits"])
tasks("tagged integer of a million digits", with_value('{"$int": "' + "9" * 1_000_000 + '"}'), ["line 1", "digits"])
tasks("float beyond all", with_value("1e999999999"), ["line 1"])
tasks("value of 9 MiB", with_value('"' + "a" * (9 << 20) + '"'), ["line 1"])
tasks("sixty million values", json.dumps(TASK)[:-1].replace('"visible": [{"args": [1], "expected": 1}]', '"visible": [' + ",".join(['{"args": [' + "1," * 3_000_000 + '1], "expected": 1}'] * 20) + "]") + "}")
tasks("a million keys", with_value("{" + ",".join(f'"k{i}": 1' for i in range(500_000)) + "}"), [], codes=(0, 2))
tasks("input_output nested in a text", json.dumps({"id": "t", "input_output": "[" * 100_000}))
tasks("no UTF-8", b'{"id": "\xff"}\n', ["line 1"])
sparse("tasks-sparse.jsonl", b"", 1 << 40)
case("tasks of a TiB of zeros", ["grade", "--tasks", "tasks-sparse.jsonl", "--submissions", "subs.jsonl"], ["tasks-sparse.jsonl", "line 1"])
case("tasks from /dev/zero", ["grade", "--tasks", "/dev/zero", "--submissions", "subs.jsonl"], ["/dev/zero", "line 1"])
write("subs-long.jsonl.gz", packed(b"a" * (16 << 20), 640))
case("submissions with a line of 10 GiB", ["grade", "--tasks", "tasks.jsonl", "--submissions", "subs-long.jsonl.gz"], ["no line"])
case("submissions from /dev/zero", ["grade", "--tasks", "tasks.jsonl", "--submissions", "/dev/zero"], ["no line"])
write("subs-deep.jsonl", '{"task_id": "t", "completion": ' + "[" * 200_000)
case("submissions nested", ["grade", "--tasks", "tasks.jsonl", "--submissions", "subs-deep.jsonl"], ["no line"])
write("rows.jsonl.gz", packed(b"a" * (16 << 20), 640))
write("r.py", "def score(submission, task): return 1.0\n")
case("audit rows of 10 GiB", ["audit", "python:r.py:score", "--tasks", "rows.jsonl.gz"], ["rows.jsonl.gz"])
sparse("rows-sparse.jsonl", b"", 6 << 30)
case("audit rows of 6 GiB of zeros", ["audit", "python:r.py:score", "--tasks", "rows-sparse.jsonl"], ["rows-sparse.jsonl"])
case("audit reference of 6 GiB", ["audit", "python:r.py:score", "--reference", "rows-sparse.jsonl"], ["rows-sparse.jsonl"])
write("baseline.json", "[" * 1_000_000)
case("audit baseline of brackets", ["audit", "tasks.jsonl", "--baseline", "baseline.json"], ["baseline.json"])
case("audit baseline of 6 GiB", ["audit", "tasks.jsonl", "--baseline", "rows-sparse.jsonl"], ["rows-sparse.jsonl", "larger"])
os.mkdir("harbor")
sparse("harbor/task.toml", b"", 6 << 30)
case("audit task.toml of 6 GiB", ["audit", "harbor"], ["task.toml"])
os.makedirs("harbor-deep/tests")
write("harbor-deep/task.toml", "a = " + "[" * 100_000 + "]" * 100_000)
case("audit task.toml of brackets", ["audit", "harbor-deep"], ["harbor-deep"])

# Recipes.

RECIPE = {"name": "'a'", "question": "'q'", "seeds": "1"}


def recipe(name, says, top="", train="", probe="", arm="", world="", command="run"):
    lines = [f"{key} = {value}" for key, value in RECIPE.items() if f"{key} =" not in top]
    for text in (top, "[train]", train, "[probe]", "battery = 'small'", probe, "[world]", world, "[[arm]]\nname = 'open'", arm):
        lines.append(text)
    file = f"recipe-{name.replace(' ', '-')}.toml"
    write(file, "\n".join(lines) + "\n")
    case("recipe " + name, [command, file, "--out", file + ".out"], [file, *says])


for key, value in {"steps": 10**18, "groups": 10**12, "group_size": 10**15, "max_new": 10**10, "warmup": 2**62}.items():
    recipe(f"{key} {value}", [key, "between"], train=f"{key} = {value}")
for key in ("lr", "kl", "clip", "temperature"):
    for value in ("nan", "inf", "-1.0", "1e300"):
        recipe(f"{key} {value}", [key, "between"], train=f"{key} = {value}")
recipe("steps negative", ["steps"], train="steps = -1")
recipe("steps beyond 64 bits", ["steps"], train="steps = 99999999999999999999")
recipe("rank", ["rank", "between"], train="update = { low-rank = { rank = 1000000000000, alpha = 1.0 } }")
recipe("alpha", ["alpha", "between"], train="update = { low-rank = { rank = 4, alpha = nan } }")
recipe("samples", ["samples", "between"], probe="samples = 1000000000000")
recipe("every", ["every", "between"], probe=f"every = {2**62}")
recipe("seeds", ["seeds", "between"], top="seeds = 1000000000000")
recipe("seeds all", ["seeds", "between"], top=f"seeds = {2**63 - 1}")
recipe("seeds listed", ["seeds"], top="seeds = [" + "1," * 2_000_000 + "1]")
recipe("effect", ["effect", "between"], top="effect = nan")
recipe("beyond_share", ["beyond_share"], top="beyond_share = nan")
recipe("arm steps", ["steps", "between"], arm=f"steps = {2**60}")
recipe("arm until_kl", ["until_kl", "between"], arm="until_kl = nan")
recipe("arms", ["arm"], arm="".join(f"[[arm]]\nname = 'a{i}'\n" for i in range(100_000)))
recipe("claims", ["claim"], arm="".join(f"[[claim]]\nid = 'c{i}'\ntext = 't'\ntest = 'rises'\narm = 'open'\n" for i in range(50_000)))
recipe("claim bound", ["bound", "between"], arm="[[claim]]\nid = 'c'\ntext = 't'\ntest = 'rises'\narm = 'open'\nbound = inf\n")
recipe("name", ["name"], top="name = '" + "a" * 5_000_000 + "'")
recipe("episodes", ["episodes", "between"], world=f"episodes = [1, {2**60}]")
recipe("world rate", ["hack_rate"], world="hack_rate = nan")
write("recipe-deep.toml", "a = " + "[" * 1_000_000)
case("recipe of brackets", ["run", "recipe-deep.toml"], ["recipe-deep.toml"])
write("recipe-dotted.toml", ".".join(["a"] * 200_000) + " = 1\n")
case("recipe of dotted keys", ["run", "recipe-dotted.toml"], ["recipe-dotted.toml"])
sparse("recipe-large.toml", b"", 6 << 30)
case("recipe of 6 GiB", ["run", "recipe-large.toml"], ["recipe-large.toml", "larger"])
ORGANISM_RECIPE = "name = 'a'\nout = 'o'\n"
for key, value in {"vocabulary": 10**15, "tasks_per_family": 10**12}.items():
    other = {"vocabulary": "vocabulary = 512", "tasks_per_family": "tasks_per_family = 5"}
    other[key] = f"{key} = {value}"
    file = write(f"organism-{key}.toml", ORGANISM_RECIPE + "\n".join(other.values()) + "\n")
    case("organism " + key, ["pretrain", file], [file, key, "between"])
for key, value in {"steps": 10**18, "batch": 10**15, "lr": "nan", "clip": "inf", "weight_decay": "1e30", "warmup": 2**62}.items():
    file = write(f"organism-{key}.toml", ORGANISM_RECIPE + f"vocabulary = 512\ntasks_per_family = 5\n[pretrain]\n{key} = {value}\n")
    case("organism pretrain." + key, ["pretrain", file], [file, key, "between"])

# The command line.

for name, value in {"timeout 1e400": "1e400", "timeout nan": "nan", "timeout negative": "-1", "timeout 1e300": "1e300"}.items():
    case("exec " + name, ["exec", f"--timeout={value}", "--", "true"], ["timeout"])
for value in ("99999999999", "18446744073709551615", "0"):
    case(f"exec memory {value}", ["exec", "--memory", value, "--", "true"], ["memory"])
case("exec file of 6 GiB", ["exec", "--file", "rows-sparse.jsonl=a", "--", "true"], ["rows-sparse.jsonl", "larger"])
case("exec file /dev/zero", ["exec", "--file", "/dev/zero=a", "--", "true"], ["/dev/zero", "larger"])
case("exec stdin without end", ["exec", "--", "true"], ["stdin"], input="/dev/zero")
case("probe samples", ["probe", "mock:good", "--samples", "4294967295"], ["samples"])
case("probe width", ["probe", "mock:good", "--samples", "1", "--width", "18446744073709551615"], ["width"])
case("probe max_tokens", ["probe", "mock:good", "--samples", "1", "--max-tokens", "18446744073709551615"], ["max-tokens"])
case("probe temperature nan", ["probe", "mock:good", "--samples", "1", "--temperature", "nan"], ["temperature"])
case("chat temperature inf", ["chat", "mock:good", "--temperature", "inf"], ["temperature"], input="a\n")
case("grade jobs", ["grade", "--tasks", "tasks.jsonl", "--submissions", "subs.jsonl", "--jobs", "1000000000"], ["jobs"])
case("audit jobs", ["audit", "tasks.jsonl", "--jobs", "1000000000"], ["jobs"])
case("audit timeout", ["audit", "tasks.jsonl", "--timeout", "1e300"], ["timeout"])
case("run seeds", ["run", "--seeds", "18446744073709551615"], ["seeds"])
case("run jobs", ["run", "--seeds", "1", "--jobs", "18446744073709551615", "--out", "run-jobs"], ["jobs"])
case("pretrain threads", ["pretrain", "--show", "1", "--threads", "18446744073709551615", os.path.join(ORGANISM, "../recipes/organism.toml")], ["threads"])
case("pretrain show", ["pretrain", "--show", "18446744073709551615", os.path.join(ORGANISM, "../recipes/organism.toml")], ["show"])
case("chat line without end", ["chat", "mock:good"], ["stdin"], input="/dev/zero")
sparse("token", b"", 6 << 30)
case("serve token of 6 GiB", ["serve", "mock:good", "--token", "token", "--port", "0"], ["token"])

# Endpoints.

for name, says in {"endless": ["bytes"], "long": ["bytes"], "nested": ["JSON"], "headers": [], "brackets": [], "error": []}.items():
    case("endpoint " + name, ["chat", f"http://127.0.0.1:{PORT}/{name}/v1#m"], says, input="hello\n", codes=(2, 3))

# Runs: the page is made without what cannot be read, and says so.


def archive(members, count=None):
    """A zip file of (name, packed bytes, size, CRC, method); sizes and sums are what it claims."""
    body, directory = b"", b""
    for name, data, size, crc, method in members:
        shared = struct.pack("<HHHHIIIHH", 0, method, 0, 33, crc, len(data), size, len(name), 0)
        directory += struct.pack("<IHH", 0x02014B50, 20, 20) + shared + struct.pack("<HHHII", 0, 0, 0, 0, len(body)) + name.encode()
        body += struct.pack("<IH", 0x04034B50, 20) + shared + name.encode() + data
    n = len(members) if count is None else count
    return body + directory + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, n, n, len(directory), len(body), 0)


def stored(name, data, size=None):
    return name, data, len(data) if size is None else size, zlib.crc32(data), 0


def packed_member(name, pieces, size=None):
    packer, true, crc, data = zlib.compressobj(6, zlib.DEFLATED, -15), 0, 0, []
    for piece in pieces:
        true, crc = true + len(piece), zlib.crc32(piece, crc)
        data.append(packer.compress(piece))
    return name, b"".join(data) + packer.flush(), true if size is None else size, crc, 8


def spaces(name, mebibytes, size=None):
    return packed_member(name, [b'{"id": "', *[b" " * (1 << 20)] * mebibytes, b'"}'], size)


HEADER = b'{"eval": {"task": "t", "model": "m"}}'
plain = stored("header.json", HEADER)
sample = lambda i: f"samples/{i}_epoch_1.json"
large = spaces(sample(0), 50)
os.mkdir("evals")
EVALS = {
    "bomb": archive([spaces("header.json", 1500)]),
    "bomb-that-lies": archive([spaces("header.json", 1500, size=10)]),
    "bomb-of-samples": archive([plain, *[(sample(i), *large[1:]) for i in range(200)]]),
    "values": archive([plain, packed_member(sample(1), [b'{"metadata": {"a": [', b"0," * (60 << 20), b"0]}}"])]),
    "count": archive([plain], count=65535),
    "many": archive([plain, *[stored(sample(i), b"{}") for i in range(60000)]]),
    "nested": archive([stored("header.json", b'{"a":' * 300_000)]),
    "zip-in-zip": archive([stored("header.json", archive([plain]))]),
    "size-beyond-the-file": archive([stored("header.json", HEADER, 2**31)]),
    "empty": b"",
    "cut": archive([plain])[:-30],
}
for name, data in EVALS.items():
    write(f"evals/{name}.eval", data)
