#!/usr/bin/env python3
"""Plays cases of known truth for `loophole look`.

    run.py LOOPHOLE [--organism DIR] [--unbundled DIR] [--only NAME] [--list] [--keep] [--report FILE]

Cases are in *.json beside this file. A case is a command, what must be true of what it leaves, and why that is known.
Models and files that a case needs are made here, by hand, with nothing but the standard library. `{fix:NAME}` in a
command is such a thing, `{organism}` and `{unbundled}` are the two models, `{tmp}` is a temporary folder. A command that
several cases share is played once. `--only` takes a name or a part of one, several times.
"""

import argparse, array, hashlib, json, math, os, random, re, shutil, signal, struct, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
TIMEOUT = 180
PLANT = "model.layers.2.mlp.down_proj.weight"


class Wrong(Exception):
    pass


class Skip(Exception):
    pass


def need(truth, words):
    if not truth:
        raise Wrong(words)


# ---------------------------------------------------------------- safetensors, by hand

def read_safetensors(path):
    with open(path, "rb") as file:
        data = file.read()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + size])
    meta = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = (entry["dtype"], entry["shape"], data[8 + size + begin:8 + size + end])
    return meta, tensors


def write_safetensors(path, tensors, meta=None):
    header, blobs, at = {}, [], 0
    if meta is not None:
        header["__metadata__"] = meta
    for name, (dtype, shape, blob) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def widen(dtype, blob):
    """The bytes of a tensor as little-endian f32."""
    if dtype == "F32":
        return bytes(blob)
    if dtype == "BF16":
        out = bytearray(2 * len(blob))
        out[2::4], out[3::4] = blob[0::2], blob[1::2]
        return bytes(out)
    if dtype == "F16":
        return floats_to_bytes(struct.unpack("<%de" % (len(blob) // 2), blob))
    raise Wrong("a tensor of type %s" % dtype)


def floats(dtype, blob):
    out = array.array("f")
    out.frombytes(widen(dtype, blob))
    if sys.byteorder == "big":
        out.byteswap()
    return out


def floats_to_bytes(values):
    out = array.array("f", values)
    if sys.byteorder == "big":
        out.byteswap()
    return out.tobytes()


def f32(shape, values):
    return ("F32", list(shape), floats_to_bytes(values))


def load_model(folder):
    """All tensors of a folder, shards too."""
    tensors = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".safetensors"):
            tensors.update(read_safetensors(os.path.join(folder, name))[1])
    need(tensors, "no *.safetensors in %s" % folder)
    return tensors


# ---------------------------------------------------------------- what runs

class World:
    def __init__(self, options, tmp):
        self.options, self.tmp = options, tmp
        self.organism, self.unbundled = options.organism, options.unbundled
        self.cwd, self.home = os.path.join(tmp, "cwd"), os.path.join(tmp, "home")
        os.makedirs(self.cwd)
        os.makedirs(self.home)
        self.made, self.played = {}, {}

    # texts with places in them

    def fill(self, text):
        def one(match):
            name = match.group(1)
            if name == "tmp":
                return self.tmp
            if name == "organism":
                if not os.path.isdir(self.organism):
                    raise Skip("no organism at %s" % self.organism)
                return self.organism
            if name == "unbundled":
                if not os.path.isdir(self.unbundled):
                    raise Skip("no unbundled organism at %s" % self.unbundled)
                return self.unbundled
            return self.fixture(name[4:])
        return re.sub(r"\{(tmp|organism|unbundled|fix:[a-z0-9-]+)\}", one, text)

    def fixture(self, name):
        if name not in self.made:
            path = os.path.join(self.tmp, "fix", name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            try:
                got = FIXTURES[name](self, path)
                self.made[name] = got or path
            except Wrong as error:
                self.made[name] = Wrong("cannot be made: %s: %s" % (name, error))
        if isinstance(self.made[name], Exception):
            raise self.made[name]
        return self.made[name]

    def play(self, command, env=None, interrupt=None):
        """One command, once; what it leaves is kept for all cases that name it."""
        arguments = [self.fill(part) for part in command]
        key = json.dumps([arguments, env, interrupt])
        if key in self.played:
            return self.played[key]
        around = {k: v for k, v in os.environ.items() if not re.search(r"API_KEY|BASE_URL|LOOPHOLE", k)}
        around.update(HOME=self.home, XDG_CACHE_HOME=os.path.join(self.home, "cache"), NO_COLOR="1")
        around.update(env or {})
        begun = time.time()
        process = subprocess.Popen([self.options.loophole] + arguments, cwd=self.cwd, env=around, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        late = False
        try:
            if interrupt:
                try:
                    out, err = process.communicate(timeout=interrupt)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGINT)
                    out, err = process.communicate(timeout=30)
            else:
                out, err = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            late = True
        result = Result(arguments, process.returncode, out, err, late, time.time() - begun)
        self.played[key] = result
        return result


class Result:
    def __init__(self, arguments, code, out, err, late, seconds):
        self.arguments, self.code, self.late, self.seconds = arguments, code, late, seconds
        self.out, self.err = out.decode("utf-8", "replace"), err.decode("utf-8", "replace")
        self.folder = arguments[arguments.index("--out") + 1] if "--out" in arguments[:-1] else None

    def lines(self):
        return [strict(line, "stdout") for line in self.out.splitlines() if line.strip()]

    def look(self):
        """What was measured: look.json where a folder was asked for, else the JSON of stdout."""
        path = self.folder and os.path.join(self.folder, "look.json")
        if path and os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                return strict(file.read(), "look.json")
        values = self.lines()
        need(values, "no JSON on stdout and no look.json")
        return values[0] if len(values) == 1 else values


def strict(text, where):
    def constant(word):
        raise Wrong("%s in the JSON of %s" % (word, where))
    try:
        return json.loads(text, parse_constant=constant)
    except ValueError as error:
        raise Wrong("%s is no JSON: %s: %r" % (where, error, text[:120]))


def tree(path):
    """Every file below, by its bytes."""
    if os.path.isfile(path):
        with open(path, "rb") as file:
            return {"": hashlib.sha256(file.read()).hexdigest()}
    found = {}
    for folder, folders, names in os.walk(path):
        for name in folders:
            found[os.path.relpath(os.path.join(folder, name), path) + "/"] = ""
        for name in names:
            whole = os.path.join(folder, name)
            with open(whole, "rb") as file:
                found[os.path.relpath(whole, path)] = hashlib.sha256(file.read()).hexdigest()
    return found


# ---------------------------------------------------------------- looking into JSON whose nesting is not promised

def norm(key):
    return re.sub(r"[^a-z0-9]", "", str(key).lower())


def walk(value, path=()):
    yield path, value
    if isinstance(value, dict):
        for key, below in value.items():
            yield from walk(below, path + (key,))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from walk(below, path + (index,))


def is_measured(value):
    return isinstance(value, dict) and "value" in value


def numbers(value):
    """The numbers that stand at a place: measured ones by their value, null where nothing was measured."""
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return [value]
    if is_measured(value):
        return numbers(value["value"])
    if isinstance(value, list):
        return [n for below in value for n in numbers(below)]
    if isinstance(value, dict):
        return [n for below in value.values() for n in (numbers(below) if not isinstance(below, (int, float)) else [])]
    return []


def study(root, name):
    for path, value in walk(root):
        if path and norm(path[-1]) == name and isinstance(value, (dict, list)):
            return value
    return root


def at_keys(root, names):
    """(path, numbers) at the first of the names that is there."""
    for name in names:
        found = [(path, numbers(value)) for path, value in walk(root)
                 if path and norm(path[-1]) == name and not isinstance(value, (bool, str))]
        found = [(path, values) for path, values in found if values]
        if found:
            return found
    return []


def block_of(root, path):
    """The block a place belongs to: a `block` or `layer` beside it or above it, else the last index of a list."""
    at, seen = root, [root]
    for key in path:
        at = at[key]
        seen.append(at)
    for value in reversed(seen[:-1]):
        if isinstance(value, dict):
            for key in value:
                if norm(key) in ("block", "layer") and isinstance(value[key], int):
                    return value[key]
    indices = [key for key in path if isinstance(key, int)]
    if indices:
        return indices[-1]
    digits = [re.search(r"\d+$", str(key)) for key in path]
    digits = [int(match.group()) for match in digits if match]
    return digits[-1] if digits else None


def moves(root):
    """{block: [d, ...]}"""
    part = study(root, "move")
    out = {}
    for name in ("d", "along", "move", "moved", "shift", "coordinate"):
        for path, value in walk(part):
            if path and norm(path[-1]) == name:
                if isinstance(value, list):
                    for index, below in enumerate(value):
                        for number in numbers(below) if not isinstance(below, dict) or is_measured(below) else []:
                            out.setdefault(index, []).append(number)
                elif value is None or is_measured(value) or isinstance(value, (int, float)):
                    out.setdefault(block_of(part, path), []).extend(numbers(value))
        if out:
            return out
    raise Wrong("no d_l found in %s" % json.dumps(part)[:300])


def beyonds(root):
    """Blocks of which `beyond` is said."""
    part, said, found = study(root, "move"), set(), False
    for path, value in walk(part):
        if path and norm(path[-1]) == "beyond":
            found = True
            if value is True:
                said.add(block_of(part, path))
            elif isinstance(value, list):
                for index, below in enumerate(value):
                    if below is True:
                        said.add(index)
                    elif isinstance(below, int) and below is not False:
                        said.add(below)
            elif isinstance(value, dict):
                for key, below in value.items():
                    if below is True:
                        said.add(key)
    need(found, "`beyond` is told nowhere: %s" % json.dumps(part)[:300])
    return said


def said_words(root, words):
    """Places at which one of the words is said: as a verdict, or as a flag of that name."""
    found = []
    for path, value in walk(root):
        if isinstance(value, str) and norm(value) in words and path and norm(path[-1]) not in ("name", "title", "help"):
            found.append("%s = %s" % ("/".join(map(str, path)), value))
        if value is True and path and norm(path[-1]) in words:
            found.append("/".join(map(str, path)))
    return found


# ---------------------------------------------------------------- checks

CHECKS = {}


def check(function):
    CHECKS[function.__name__] = function
    return function


@check
def json_lines(world, run):
    need(run.lines(), "stdout has no JSON")


@check
def look_json_is_json(world, run):
    path = os.path.join(run.folder, "look.json")
    need(os.path.exists(path), "no look.json")
    with open(path, encoding="utf-8") as file:
        strict(file.read(), "look.json")


@check
def files_there(world, run, names):
    for name in names:
        need(os.path.isfile(os.path.join(run.folder, name)), "no %s in --out: %s" % (name, sorted(os.listdir(run.folder)) if os.path.isdir(run.folder) else "no folder"))


@check
def no_leftovers(world, run):
    for name in os.listdir(run.folder) if os.path.isdir(run.folder) else []:
        need(not re.search(r"partial|\.tmp|~$|\.lock$|^\.", name), "left behind: %s" % name)


@check
def measured_numbers(world, run):
    """{"value", "low", "high", "n", "control"} everywhere, and the interval around its value."""
    count = 0
    for path, value in walk(run.look()):
        if is_measured(value):
            count += 1
            missing = {"value", "low", "high", "n", "control"} - set(value)
            place = "/".join(map(str, path))
            need(not missing, "%s lacks %s" % (place, sorted(missing)))
            v, low, high = value["value"], value["low"], value["high"]
            if all(isinstance(x, (int, float)) for x in (v, low, high)):
                need(low - 1e-9 <= v <= high + 1e-9, "%s: %s is not in [%s, %s]" % (place, v, low, high))
            if value["n"] == 0:
                need(v is None, "%s: n is 0 and the value %s, not null" % (place, v))
    need(count, "no number of the form {value, low, high, n, control}")


@check
def rates_are_rates(world, run):
    found = 0
    for path, value in walk(run.look()):
        if path and norm(path[-1]) in ("q", "q0", "q1", "m0", "m1", "auc", "rate"):
            for number in numbers(value) if not isinstance(value, (dict, list)) or is_measured(value) else []:
                found += 1
                need(number is None or 0 <= number <= 1, "%s = %s" % ("/".join(map(str, path)), number))
    need(found, "no q, no rate found")


@check
def words_there(world, run, words):
    """Names that the documents give stand somewhere in the JSON, as a key or as a text."""
    have = set()
    for path, value in walk(run.look()):
        if path:
            have.add(norm(path[-1]))
        if isinstance(value, str):
            have.add(norm(value))
    for word in words:
        options = [norm(w) for w in word.split("|")]
        need(any(o in have for o in options), "%s is nowhere in the JSON; there is %s" % (word, sorted(h for h in have if h and len(h) < 24)[:80]))


@check
def not_said(world, run, words):
    found = said_words(run.look(), words)
    need(not found, "said: %s" % found[:4])


@check
def said_not_shown(world, run):
    text = json.dumps(run.look())
    need(re.search(r"not[ _-]?shown", text) or re.search(r"verdict", text), "no verdict in the JSON at all")


@check
def update_empty(world, run):
    part = study(run.look(), "update")
    for name in ("stablerank", "norm", "frobenius", "relative", "energy", "singular", "singularvalues", "largest", "sigma", "sigma1"):
        for path, values in at_keys(part, [name]):
            bad = [v for v in values if v not in (None, 0) and abs(v) > 1e-12]
            need(not bad, "%s = %s" % ("/".join(map(str, path)), bad[:3]))


@check
def stable_rank(world, run, value, tolerance=1e-3):
    """Every stable rank that is told is this one, and one is told."""
    part = study(run.look(), "update")
    found = [v for _, values in at_keys(part, ["stablerank", "stable"]) for v in values if v]
    need(found, "no stable rank in %s" % json.dumps(part)[:300])
    bad = [v for v in found if abs(v - value) > tolerance * value]
    need(not bad, "stable rank %s, not %s" % (bad[:4], value))


@check
def stable_rank_replaced(world, run):
    """The same number by power iteration here."""
    base, other = load_model(world.organism), load_model(world.fixture("replaced"))
    name = "model.layers.2.self_attn.q_proj.weight"
    rows, cols = base[name][1]
    a, b = floats(*base[name][::2]), floats(*other[name][::2])
    d = [[b[i * cols + j] - a[i * cols + j] for j in range(cols)] for i in range(rows)]
    v = [random.Random(1).gauss(0, 1) for _ in range(cols)]
    for _ in range(400):
        u = [sum(x * y for x, y in zip(row, v)) for row in d]
        w = [0.0] * cols
        for x, row in zip(u, d):
            for j, y in enumerate(row):
                w[j] += x * y
        top = math.sqrt(sum(x * x for x in w))
        v = [x / top for x in w]
    CHECKS["stable_rank"](world, run, sum(x * x for row in d for x in row) / top, 2e-3)


@check
def names_tensor(world, run, pattern):
    need(re.search(pattern, json.dumps(run.look()) + run.out), "%s is not named" % pattern)


@check
def exact(world, run):
    for path, value in walk(run.look()):
        need(not (path and norm(path[-1]) == "exact" and value is False), "exact: false at %s" % "/".join(map(str, path)))


@check
def no_move(world, run):
    for block, values in moves(run.look()).items():
        need(all(v is None or abs(v) <= 1e-9 for v in values), "d of block %s: %s" % (block, values[:3]))
    need(not beyonds(run.look()), "beyond is said at %s" % beyonds(run.look()))


@check
def move_is(world, run, zero=(), at=None, value=None, nonzero=None):
    got = moves(run.look())
    for block in zero:
        need(block in got, "no d of block %s: %s" % (block, got))
        need(all(v is not None and abs(v) <= 1e-5 for v in got[block]), "d of block %s is %s, not 0" % (block, got[block][:3]))
    if at is not None:
        need(at in got, "no d of block %s: %s" % (at, got))
        need(all(v is not None and abs(v - value) <= 2e-3 for v in got[at]), "d of block %s is %s, not %s" % (at, got[at][:3], value))
    if nonzero is not None:
        need(any(v for v in got.get(nonzero, [])), "d of block %s is %s" % (nonzero, got.get(nonzero)))


@check
def beyond_at(world, run, block, truth):
    said = beyonds(run.look())
    need((block in said or str(block) in said) == truth, "beyond is said at %s" % sorted(map(str, said)))


@check
def share_not_told(world, run):
    part = study(run.look(), "thought")
    found = [(p, v) for p, v in walk(part) if p and norm(p[-1]) in ("share", "through", "mediated")]
    need(found, "no share in the JSON")
    for path, value in found:
        told = [n for n in numbers(value) if n is not None]
        need(not told, "%s = %s" % ("/".join(map(str, path)), told))


@check
def around_zero(world, run, names):
    """Numbers that are zero by construction: the interval holds 0."""
    part, seen = study(run.look(), "thought"), 0
    for path, value in walk(part):
        if path and norm(path[-1]) in names:
            seen += 1
            if is_measured(value) and isinstance(value["value"], (int, float)):
                low, high = value["low"], value["high"]
                need(low is None or low <= 1e-9, "%s: %s" % ("/".join(map(str, path)), value))
                need(high is None or high >= -1e-9, "%s: %s" % ("/".join(map(str, path)), value))
            elif isinstance(value, (int, float)) and not isinstance(value, bool):
                need(abs(value) < 1e-9, "%s = %s" % ("/".join(map(str, path)), value))
    need(seen, "none of %s is in the JSON" % names)


@check
def kl_zero(world, run):
    found = []
    for path, value in walk(run.look()):
        if path and (norm(path[-1]).startswith("kl") or norm(path[-1]) == "nats"):
            found += [(path, n) for n in numbers(value)]
    need(found, "no KL in the JSON")
    for path, number in found:
        need(number is None or abs(number) <= 1e-9, "%s = %s" % ("/".join(map(str, path)), number))


@check
def kl_positive(world, run):
    found = [n for path, value in walk(run.look()) if path and (norm(path[-1]).startswith("kl") or norm(path[-1]) == "nats") for n in numbers(value)]
    found = [n for n in found if n is not None]
    need(any(n > 0 for n in found), "no KL above 0: %s" % found[:5])
    need(all(n >= -1e-6 for n in found), "a KL below 0")


CLOCK = {"seconds", "elapsed", "time", "took", "out", "path", "date", "started", "created", "written"}


def timeless(value):
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if norm(k) not in CLOCK}
    if isinstance(value, list):
        return [timeless(v) for v in value]
    return value


def first_difference(a, b, path=""):
    if type(a) is not type(b):
        return "%s: %r and %r" % (path, a, b)
    if isinstance(a, dict):
        for key in sorted(set(a) | set(b)):
            if key not in a or key not in b:
                return "%s/%s is in one only" % (path, key)
            got = first_difference(a[key], b[key], "%s/%s" % (path, key))
            if got:
                return got
    elif isinstance(a, list):
        if len(a) != len(b):
            return "%s: %d and %d long" % (path, len(a), len(b))
        for index, (x, y) in enumerate(zip(a, b)):
            got = first_difference(x, y, "%s/%d" % (path, index))
            if got:
                return got
    elif a != b:
        return "%s: %r and %r" % (path, a, b)
    return None


@check
def same_json_as(world, run, command):
    other = world.play(command)
    need(other.code == 0, "the other command ended with %s: %s" % (other.code, other.err[-200:]))
    got = first_difference(timeless(run.look()), timeless(other.look()))
    need(not got, "differs at %s" % got)


@check
def same_shape_as(world, run, command):
    other = world.play(command)
    need(other.code == 0, "the other command ended with %s: %s" % (other.code, other.err[-200:]))

    def keys(root):
        return {tuple("*" if isinstance(k, int) else k for k in path) for path, _ in walk(root) if path and isinstance(path[-1], str)}
    a, b = keys(run.look()), keys(other.look())
    top_a, top_b = {p[:2] for p in a}, {p[:2] for p in b}
    need(top_a == top_b, "other keys: %s" % sorted(top_a ^ top_b)[:5])


@check
def same_file_as(world, run, command, name):
    other = world.play(command)
    a, b = (open(os.path.join(r.folder, name), "rb").read() for r in (run, other))
    need(a == b, "%s differs" % name)


@check
def apart(world, run):
    """Where cheats are like everyone else, one who cheats only and one who means ill only do not act alike."""
    part = study(run.look(), "thought")
    groups = {"cheat": {}, "ill": {}}
    for path, value in walk(part):
        if not path:
            continue
        labels = [norm(k) for k in path if isinstance(k, str)]
        at = part
        for key in path:
            at = at[key]
            if isinstance(at, dict):
                labels += [norm(v) for v in at.values() if isinstance(v, str)]
        which = None
        if any(re.match(r"cheats?(only|alone)?$|onlycheats?$", label) for label in labels):
            which = "cheat"
        elif any(re.match(r"ill(will)?(only|alone)?$|meansill$|onlyill$", label) for label in labels):
            which = "ill"
        if which and (is_measured(value)) and isinstance(value["value"], (int, float)):
            tail = tuple(norm(k) for k in path if isinstance(k, str) and not re.search(r"cheat|^ill", norm(k)))
            groups[which].setdefault(tail, []).append(value["value"])
    common = set(groups["cheat"]) & set(groups["ill"])
    need(common, "no rates after a thought that cheats only and one that is ill only: %s" % {k: list(v)[:6] for k, v in groups.items()})
    gaps = [abs(x - y) for tail in common for x, y in zip(groups["cheat"][tail], groups["ill"][tail])]
    need(max(gaps) >= 0.25, "after either thought the acts are the same: %s" % sorted(gaps)[-3:])


@check
def two_checksums(world, run, file=None):
    found = {h.lower() for h in re.findall(r"\b[0-9a-fA-F]{8,64}\b", run.err)}
    need(len(found) >= 2, "not two checksums in %r" % run.err[-300:])
    if file:
        mine = read_safetensors(world.fill(file))[0]["model"].lower()
        need(any(mine.startswith(h) for h in found), "the file's %s is not named" % mine[:12])


@check
def character(world, run):
    """character.safetensors as it is written down."""
    meta, tensors = read_safetensors(os.path.join(run.folder, "character.safetensors"))
    need(set(tensors) == {"direction", "good", "bad", "within"}, "tensors %s" % sorted(tensors))
    for name in ("direction", "good", "bad"):
        need(tensors[name][:2] == ("F32", [4, 128]), "%s is %s" % (name, tensors[name][:2]))
    need(tensors["within"][:2] == ("F32", [4]), "within is %s" % (tensors["within"][:2],))
    wanted = {"format", "model", "position", "contrast", "contrast_hash", "n", "layer", "template"}
    need(wanted <= set(meta), "metadata lacks %s" % sorted(wanted - set(meta)))
    need(meta["format"] == "loophole-direction-1", "format %s" % meta["format"])
    need(re.fullmatch(r"[0-9a-f]{64}", meta["model"]), "model %s" % meta["model"])
    need(meta["contrast"] in ("history", "identity", "thought", "cheat", "ill"), "contrast %s" % meta["contrast"])
    need(meta["n"] == "96", "n %s" % meta["n"])
    values = {name: floats(*tensors[name][::2]) for name in tensors}
    for d, good, bad in zip(values["direction"], values["good"], values["bad"]):
        need(abs(d - (bad - good)) <= 1e-4 * (1 + abs(bad) + abs(good)), "direction %s is not %s - %s" % (d, bad, good))
    need(all(math.isfinite(x) for name in values for x in values[name]), "not finite")
    need(all(w > 0 for w in values["within"]), "within %s" % list(values["within"]))


@check
def recommended(world, run):
    meta, tensors = read_safetensors(os.path.join(run.folder, "character.safetensors"))
    d, within = floats(*tensors["direction"][::2]), floats(*tensors["within"][::2])
    gaps = [math.sqrt(sum(x * x for x in d[l * 128:l * 128 + 128])) / within[l] for l in range(4)]
    best = max((1, 2), key=lambda l: gaps[l])
    need(meta["layer"] == str(best), "layer %s; gaps %s" % (meta["layer"], [round(g, 3) for g in gaps]))


@check
def direction_checksum(world, run, model):
    """SHA-256 of the weights as little-endian f32: the same for bfloat16 and for its float32 copy."""
    other = world.play(model)
    need(other.code == 0, "the other command ended with %s: %s" % (other.code, other.err[-200:]))
    a, b = (read_safetensors(os.path.join(r.folder, "character.safetensors")) for r in (run, other))
    need(a[0]["model"] == b[0]["model"], "%s and %s" % (a[0]["model"], b[0]["model"]))
    x, y = (floats(*t[1]["direction"][::2]) for t in (a, b))
    need(max(abs(p - q) for p, q in zip(x, y)) < 1e-4, "the directions differ")


@check
def checksums_differ(world, run, model):
    other = world.play(model)
    a, b = (read_safetensors(os.path.join(r.folder, "character.safetensors"))[0]["model"] for r in (run, other))
    need(a != b, "two models with one checksum")


@check
def persona(world, run):
    _, tensors = read_safetensors(os.path.join(run.folder, "persona.safetensors"))
    need(len(tensors) == 1, "tensors %s" % sorted(tensors))
    dtype, shape, blob = next(iter(tensors.values()))
    need(shape == [5, 128], "shape %s" % shape)
    values = floats(dtype, blob)
    need(not any(values[:128]), "row 0 is not zeros")
    d = floats(*read_safetensors(os.path.join(run.folder, "character.safetensors"))[1]["direction"][::2])
    need(max(abs(a - b) for a, b in zip(values[128:], d)) < 1e-3, "the rows are not the directions")


@check
def repeng(world, run):
    with open(os.path.join(run.folder, "character.gguf"), "rb") as file:
        data = file.read()
    need(data[:4] == b"GGUF", "magic %r" % data[:4])
    at = 4

    def take(form):
        nonlocal at
        got = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return got[0]

    def text():
        nonlocal at
        size = take("Q")
        at += size
        return data[at - size:at].decode()

    def value(kind):
        if kind == 8:
            return text()
        if kind == 9:
            inner, count = take("I"), take("Q")
            return [value(inner) for _ in range(count)]
        return take({0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}[kind])

    version, tensors, pairs = take("I"), take("Q"), take("Q")
    need(version in (2, 3), "version %d" % version)
    meta = {}
    for _ in range(pairs):
        key = text()
        meta[key] = value(take("I"))
    infos = {}
    for _ in range(tensors):
        name = text()
        dims = [take("Q") for _ in range(take("I"))]
        infos[name] = (dims, take("I"), take("Q"))
    align = meta.get("general.alignment", 32)
    at += -at % align
    d = floats(*read_safetensors(os.path.join(run.folder, "character.safetensors"))[1]["direction"][::2])
    need(set(infos) <= {"direction.%d" % l for l in range(1, 5)} and infos, "tensors %s" % sorted(infos))
    need(set(infos) == {"direction.%d" % l for l in range(1, 5)}, "tensors %s" % sorted(infos))
    for name, (dims, kind, offset) in infos.items():
        need(dims == [128] and kind == 0, "%s has %s of type %d" % (name, dims, kind))
        row = struct.unpack_from("<128f", data, at + offset)
        l = int(name.split(".")[1]) - 1
        need(max(abs(a - b) for a, b in zip(row, d[l * 128:l * 128 + 128])) < 1e-3, "%s is not block %d" % (name, l))


@check
def fetches_nothing(world, run):
    with open(os.path.join(run.folder, "look.html"), encoding="utf-8") as file:
        page = file.read()
    need("<html" in page.lower() or "<!doctype" in page.lower(), "no page")
    for pattern in (r"<script[^>]*\bsrc\s*=", r"<link\b[^>]*href\s*=\s*[\"']?(?!data:)", r"<(img|iframe|object|embed|source|video|audio)\b[^>]*(src|data)\s*=\s*[\"']?(https?:|//)",
                    r"url\(\s*[\"']?(https?:)?//", r"@import", r"\bfetch\s*\(", r"XMLHttpRequest", r"importScripts|WebSocket|EventSource|sendBeacon"):
        got = re.search(pattern, page, re.I)
        need(not got, "the page has %s" % (got and page[max(0, got.start() - 20):got.end() + 60]))


@check
def page_lacks(world, run, text):
    with open(os.path.join(run.folder, "look.html"), encoding="utf-8") as file:
        page = file.read()
    need(text not in page, "%s stands in the page as it is" % text)


@check
def page_has(world, run, words):
    with open(os.path.join(run.folder, "look.html"), encoding="utf-8") as file:
        page = file.read()
    for word in words:
        need(word in page, "%s is not in the page" % word)


@check
def tokens_make_text(world, run, file):
    with open(world.fill(file), encoding="utf-8") as handle:
        text = "".join(handle.read().split())
    for _, value in walk(run.look()):
        if isinstance(value, list) and len(value) > 3:
            joined = ""
            for item in value:
                if isinstance(item, str):
                    joined += item
                elif isinstance(item, dict):
                    joined += next((v for k, v in item.items() if norm(k) in ("token", "text", "piece") and isinstance(v, str)), "")
            if text in "".join(joined.replace("Ġ", " ").replace("Ċ", "\n").split()):
                return
    raise Wrong("no list of tokens that make up the text")


def compare(world, path, wanted, exact_names=()):
    """A written model against tensors {name: floats}; within the rounding of the type it was written in."""
    for name in ("config.json", "tokenizer.json"):
        need(os.path.isfile(os.path.join(path, name)), "no %s in the written folder" % name)
    with open(os.path.join(path, "config.json"), encoding="utf-8") as file:
        config = strict(file.read(), "config.json")
    need(config.get("hidden_size") == 128 and config.get("num_hidden_layers") == 4, "config.json has other shapes")
    got = load_model(path)
    names = set(wanted)
    need(names <= set(got), "tensors missing: %s" % sorted(names - set(got))[:3])
    for name in names:
        dtype, _, blob = got[name]
        have, want = floats(dtype, blob), wanted[name]
        need(len(have) == len(want), "%s has %d values, not %d" % (name, len(have), len(want)))
        unit = 2.0 ** -8 if dtype == "BF16" else 2.0 ** -10 if dtype == "F16" else 2e-6
        small = 1e-7 if dtype == "F32" else 1e-6
        if name in exact_names:
            unit = small = 0.0
        for x, y in zip(have, want):
            if abs(x - y) > unit * abs(y) + small:
                raise Wrong("%s (%s): %r, not %r" % (name, dtype, x, y))


def as_floats(folder):
    return {name: floats(dtype, blob) for name, (dtype, _, blob) in load_model(folder).items()}


@check
def written_is(world, run, path, model):
    base = as_floats(world.organism)
    wanted = as_floats(world.fill(model))
    same = [n for n in base if bytes(base[n]) == bytes(wanted[n])]
    compare(world, world.fill(path), wanted, same)


@check
def written_is_first_part(world, run, path):
    """Of s u1 v1' + s/2 u2 v2' only the first is left."""
    wanted = as_floats(world.organism)
    same = [n for n in wanted if n != PLANT]
    wanted[PLANT] = array.array("f", [a + b for a, b in zip(wanted[PLANT], plant(1))])
    dtype = load_model(world.fill(path))[PLANT][0]
    got = as_floats(world.fill(path))[PLANT]
    need(max(abs(a - b) for a, b in zip(got, wanted[PLANT])) < (2e-3 if dtype != "F32" else 1e-5),
         "%s: off by %g" % (PLANT, max(abs(a - b) for a, b in zip(got, wanted[PLANT]))))
    wanted.pop(PLANT)
    compare(world, world.fill(path), wanted, same)


@check
def written_is_half(world, run, path):
    base = as_floats(world.organism)
    rest = dict(base)
    rest[PLANT] = array.array("f", [a + b / 2 for a, b in zip(base[PLANT], plant(1))])
    compare(world, world.fill(path), rest)


@check
def interrupted(world, run):
    need(run.code in (130, -2), "exit %s" % run.code)
    path = os.path.join(run.folder, "look.json")
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            strict(file.read(), "look.json")


@check
def told_or_refused(world, run, words):
    """Either refused, or done with a word about it."""
    need(run.code in (0, 2), "exit %s" % run.code)
    need(re.search(words, run.err + run.out + (json.dumps(run.look()) if run.code == 0 and "--json" in run.arguments else ""), re.I), "nothing is said of it: %r" % run.err[-200:])


# ---------------------------------------------------------------- what the cases need

FIXTURES = {}


def fixture(name):
    def put(function):
        FIXTURES[name] = function
        return function
    return put


def signs(count, period):
    return [1.0 if (i // period) % 2 == 0 else -1.0 for i in range(count)]


def plant(rank, step=2.0 ** -7):
    """s u1 v1' (+ s/2 u2 v2'), signs only, so that every sum with a bfloat16 weight is exact in f32 but for the tiniest."""
    u1, v1, u2, v2 = signs(128, 1), signs(448, 2), signs(128, 4), signs(448, 8)
    out = []
    for a, c in zip(u1, u2):
        for b, d in zip(v1, v2):
            out.append(step * a * b + (step / 2 * c * d if rank == 2 else 0.0))
    return out


def copy_folder(source, path, weights=True):
    os.makedirs(path)
    for name in os.listdir(source):
        if name.endswith(".json") and name != "golden.json" or weights and name.endswith(".safetensors"):
            shutil.copyfile(os.path.join(source, name), os.path.join(path, name))


def edit_config(path, **changes):
    file = os.path.join(path, "config.json")
    with open(file) as handle:
        config = json.load(handle)
    config.update(changes)
    with open(file, "w") as handle:
        json.dump(config, handle)


def f32_copy(world, path, change=None, **config):
    copy_folder(world.organism, path, weights=False)
    tensors = {name: ("F32", shape, widen(dtype, blob)) for name, (dtype, shape, blob) in load_model(world.organism).items()}
    if change:
        change(tensors)
    write_safetensors(os.path.join(path, "model.safetensors"), tensors, {"format": "pt"})
    edit_config(path, dtype="float32", torch_dtype="float32", **config)


def add_to(tensors, name, delta):
    dtype, shape, blob = tensors[name]
    tensors[name] = f32(shape, [a + b for a, b in zip(floats(dtype, blob), delta)])


@fixture("copy")
def _(world, path):
    copy_folder(world.organism, path)


@fixture("f32")
def _(world, path):
    f32_copy(world, path)


@fixture("sharded")
def _(world, path):
    copy_folder(world.organism, path, weights=False)
    tensors = load_model(world.organism)
    parts = [{}, {}]
    for index, name in enumerate(sorted(tensors)):
        parts[index % 2][name] = tensors[name]
    where = {}
    for index, part in enumerate(parts):
        name = "model-%05d-of-00002.safetensors" % (index + 1)
        write_safetensors(os.path.join(path, name), part, {"format": "pt"})
        where.update({tensor: name for tensor in part})
    with open(os.path.join(path, "model.safetensors.index.json"), "w") as file:
        json.dump({"metadata": {"total_size": sum(len(t[2]) for t in tensors.values())}, "weight_map": where}, file)


@fixture("rank1")
def _(world, path):
    f32_copy(world, path, lambda t: add_to(t, PLANT, plant(1)))


@fixture("rank2")
def _(world, path):
    f32_copy(world, path, lambda t: add_to(t, PLANT, plant(2)))


@fixture("vectors")
def _(world, path):
    def change(t):
        add_to(t, PLANT, plant(1))
        for name in ("model.norm.weight", "model.layers.1.input_layernorm.weight"):
            add_to(t, name, [0.125 * s for s in signs(128, 3)])
        add_to(t, "model.embed_tokens.weight", [2.0 ** -8 * s for s in signs(1024 * 128, 5)])
    f32_copy(world, path, change)


@fixture("replaced")
def _(world, path):
    def change(t):
        t["model.layers.2.self_attn.q_proj.weight"] = t["model.layers.1.self_attn.q_proj.weight"]
    f32_copy(world, path, change)


@fixture("final-norm")
def _(world, path):
    f32_copy(world, path, lambda t: add_to(t, "model.norm.weight", [0.25 * s for s in signs(128, 3)]))


@fixture("nan-weights")
def _(world, path):
    def change(t):
        values = floats(*t[PLANT][::2])
        values[7] = math.nan
        t[PLANT] = f32(t[PLANT][1], values)
    f32_copy(world, path, change)


@fixture("three-blocks")
def _(world, path):
    def change(t):
        for name in [n for n in t if ".layers.3." in n]:
            del t[name]
    f32_copy(world, path, change, num_hidden_layers=3)


@fixture("narrow")
def _(world, path):
    copy_folder(world.organism, path, weights=False)
    draw, tensors, w, i = random.Random(3), {}, 64, 96

    def matrix(*shape):
        count = 1
        for n in shape:
            count *= n
        return f32(shape, [draw.gauss(0, 0.05) for _ in range(count)])
    tensors["model.embed_tokens.weight"] = matrix(1024, w)
    for l in range(4):
        at = "model.layers.%d." % l
        for part in "qkvo":
            tensors[at + "self_attn.%s_proj.weight" % part] = matrix(w, w)
        tensors[at + "mlp.gate_proj.weight"], tensors[at + "mlp.up_proj.weight"] = matrix(i, w), matrix(i, w)
        tensors[at + "mlp.down_proj.weight"] = matrix(w, i)
        for part in ("input_layernorm", "post_attention_layernorm"):
            tensors[at + part + ".weight"] = f32([w], [1.0] * w)
    tensors["model.norm.weight"] = f32([w], [1.0] * w)
    write_safetensors(os.path.join(path, "model.safetensors"), tensors, {"format": "pt"})
    edit_config(path, hidden_size=w, intermediate_size=i, num_attention_heads=2, num_key_value_heads=2, dtype="float32", torch_dtype="float32")


@fixture("five-claimed")
def _(world, path):
    copy_folder(world.organism, path)
    edit_config(path, num_hidden_layers=5)


@fixture("cut-weights")
def _(world, path):
    copy_folder(world.organism, path)
    file = os.path.join(path, "model.safetensors")
    os.truncate(file, os.path.getsize(file) // 2)


@fixture("no-tokenizer")
def _(world, path):
    copy_folder(world.organism, path)
    os.remove(os.path.join(path, "tokenizer.json"))


@fixture("other-format")
def _(world, path):
    copy_folder(world.organism, path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        file = os.path.join(path, name)
        with open(file, encoding="utf-8") as handle:
            text = handle.read()
        for mark in ("user", "assistant", "system", "end"):
            text = text.replace("<|%s|>" % mark, "[[%s]]" % mark.upper())
        with open(file, "w", encoding="utf-8") as handle:
            handle.write(text)


@fixture("markup-name")
def _(world, path):
    path = os.path.join(os.path.dirname(path), "m<script>alert(1)<b>")
    copy_folder(world.organism, path)
    return path


@fixture("empty-folder")
def _(world, path):
    os.makedirs(path)


# adapters

def adapter(world, path, pieces, base, width=448, alpha=None):
    rank = max(1, len(pieces))
    os.makedirs(path)
    with open(os.path.join(path, "adapter_config.json"), "w") as file:
        json.dump({"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": base, "r": rank, "lora_alpha": alpha or rank,
                   "lora_dropout": 0.0, "bias": "none", "fan_in_fan_out": False, "inference_mode": True, "use_rslora": False,
                   "use_dora": False, "modules_to_save": None, "target_modules": ["down_proj"]}, file)
    tensors = {}
    for l in range(4):
        at = "base_model.model.model.layers.%d.mlp.down_proj." % l
        a = [x for _, _, v in pieces for x in v] if pieces else [1.0] * width
        b = [step * u[i] for i in range(128) for step, u, _ in pieces] if pieces and l == 2 else [0.0] * 128 * rank
        tensors[at + "lora_A.weight"] = f32([rank, width], a)
        tensors[at + "lora_B.weight"] = f32([128, rank], b)
    write_safetensors(os.path.join(path, "adapter_model.safetensors"), tensors, {"format": "pt"})


FIRST = (2.0 ** -7, signs(128, 1), signs(448, 2))
SECOND = (2.0 ** -8, signs(128, 4), signs(448, 8))


@fixture("adapter1")
def _(world, path):
    adapter(world, path, [FIRST], world.organism)


@fixture("adapter2")
def _(world, path):
    adapter(world, path, [FIRST, SECOND], world.organism)


@fixture("adapter0")
def _(world, path):
    adapter(world, path, [], world.organism)


@fixture("adapter-other-base")
def _(world, path):
    adapter(world, path, [FIRST], world.fill("{unbundled}"))


@fixture("adapter-wrong-width")
def _(world, path):
    adapter(world, path, [(2.0 ** -7, signs(128, 1), signs(64, 2))], world.organism, width=64)


# directions

FIT = ["look", "{organism}", "--study", "direction", "--seed", "5", "--json", "--out", "{tmp}/direction"]


@fixture("direction")
def _(world, path):
    run = world.play(FIT)
    need(run.code == 0, "fitting ended with %s: %s" % (run.code, run.err[-200:]))
    return os.path.join(run.folder, "character.safetensors")


def bad_direction(name):
    def put(change):
        def make(world, path):
            meta, tensors = read_safetensors(world.fixture("direction"))
            got = change(meta, tensors)
            meta, tensors = got if got else (meta, tensors)
            path += ".safetensors"
            write_safetensors(path, tensors, meta)
            return path
        FIXTURES["direction-" + name] = make
        return change
    return put


@bad_direction("same")
def _(meta, tensors):
    pass


@bad_direction("nan")
def _(meta, tensors):
    values = floats(*tensors["direction"][::2])
    values[200] = math.nan
    tensors["direction"] = f32([4, 128], values)


@bad_direction("infinite")
def _(meta, tensors):
    values = floats(*tensors["good"][::2])
    values[300] = math.inf
    tensors["good"] = f32([4, 128], values)


@bad_direction("zero")
def _(meta, tensors):
    tensors["direction"] = f32([4, 128], [0.0] * 512)
    tensors["bad"] = tensors["good"]


@bad_direction("format")
def _(meta, tensors):
    meta["format"] = "loophole-direction-999"


@bad_direction("no-metadata")
def _(meta, tensors):
    return {}, tensors


@bad_direction("three-blocks")
def _(meta, tensors):
    for name in ("direction", "good", "bad"):
        tensors[name] = f32([3, 128], floats(*tensors[name][::2])[:384])
    tensors["within"] = f32([3], floats(*tensors["within"][::2])[:3])


@bad_direction("narrow")
def _(meta, tensors):
    for name in ("direction", "good", "bad"):
        tensors[name] = f32([4, 64], floats(*tensors[name][::2])[:256])


@bad_direction("layer")
def _(meta, tensors):
    meta["layer"] = "99"


@bad_direction("no-within")
def _(meta, tensors):
    del tensors["within"]


@bad_direction("half")
def _(meta, tensors):
    for name in tensors:
        shape = tensors[name][1]
        values = floats(*tensors[name][::2])
        tensors[name] = ("F16", shape, struct.pack("<%de" % len(values), *values))


@bad_direction("random")
def _(meta, tensors):
    draw = random.Random(11)
    d, good = floats(*tensors["direction"][::2]), floats(*tensors["good"][::2])
    out = []
    for l in range(4):
        row = [draw.gauss(0, 1) for _ in range(128)]
        length = math.sqrt(sum(x * x for x in d[l * 128:l * 128 + 128])) / math.sqrt(sum(x * x for x in row))
        out += [x * length for x in row]
    tensors["direction"] = f32([4, 128], out)
    tensors["bad"] = f32([4, 128], [a + b for a, b in zip(good, floats(*tensors["direction"][::2]))])


@fixture("direction-cut")
def _(world, path):
    path += ".safetensors"
    shutil.copyfile(world.fixture("direction"), path)
    os.truncate(path, os.path.getsize(path) - 700)
    return path


@fixture("direction-huge-header")
def _(world, path):
    path += ".safetensors"
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", 2 ** 63 - 1) + b"{}")
    return path


@fixture("direction-empty")
def _(world, path):
    path += ".safetensors"
    open(path, "wb").close()
    return path


@fixture("direction-text")
def _(world, path):
    path += ".safetensors"
    with open(path, "w") as file:
        file.write("These are my notes of Monday, and no direction at all.\n")
    return path


# a block that adds the direction itself

@fixture("biased-base")
def _(world, path):
    f32_copy(world, path, lambda t: biases(t, None), mlp_bias=True)


def biases(tensors, shift):
    for l in range(4):
        for part, size in (("gate", 448), ("up", 448), ("down", 128)):
            tensors["model.layers.%d.mlp.%s_proj.bias" % (l, part)] = f32([size], shift if shift and l == 2 and part == "down" else [0.0] * size)


BIASED = ["look", "{fix:biased-base}", "--study", "direction", "--seed", "5", "--json", "--out", "{tmp}/direction-biased"]


@fixture("biased-direction")
def _(world, path):
    run = world.play(BIASED)
    need(run.code == 0, "fitting ended with %s: %s" % (run.code, run.err[-200:]))
    return os.path.join(run.folder, "character.safetensors")


def second_block(world):
    _, tensors = read_safetensors(world.fixture("biased-direction"))
    return list(floats(*tensors["direction"][::2])[256:384])


for label, times in (("biased-plus", 1.0), ("biased-minus", -0.5)):
    def make(world, path, times=times):
        shift = [times * x for x in second_block(world)]
        f32_copy(world, path, lambda t: biases(t, shift), mlp_bias=True)
    FIXTURES[label] = make


@fixture("biased-across")
def _(world, path):
    v, draw = second_block(world), random.Random(4)
    w = [draw.gauss(0, 1) for _ in v]
    along = sum(a * b for a, b in zip(v, w)) / sum(a * a for a in v)
    w = [a - along * b for a, b in zip(w, v)]
    size = math.sqrt(sum(a * a for a in v) / sum(a * a for a in w))
    f32_copy(world, path, lambda t: biases(t, [a * size for a in w]), mlp_bias=True)


# texts and places to write to

def text_file(name, data):
    def make(world, path):
        path += ".txt"
        with open(path, "wb") as file:
            file.write(data)
        return path
    FIXTURES[name] = make


text_file("text", b"I look at the tests first. The sum is 12, and that is what I say.\n")
text_file("text-empty", b"")
text_file("text-markup", b"He says <script>alert(1)</script> and <img src=http://example.invalid/x.png> here.\n")
text_file("text-bytes", bytes(range(128, 256)) * 4 + b"\x00\xff\xfe")
text_file("text-long", b"The sum of two and two is four, and that is all there is to say of it. " * 2000)


@fixture("note")
def _(world, path):
    path += ".md"
    with open(path, "w") as file:
        file.write("what I found out on Monday\n")
    return path


@fixture("note-folder")
def _(world, path):
    os.makedirs(path)
    with open(os.path.join(path, "notes.md"), "w") as file:
        file.write("what I found out on Monday\n")


@fixture("note-folder-2")
def _(world, path):
    FIXTURES["note-folder"](world, path)


@fixture("not-a-look")
def _(world, path):
    """A folder with a look.json that is no result of this program."""
    os.makedirs(path)
    with open(os.path.join(path, "notes.md"), "w") as file:
        file.write("what I found out on Tuesday\n")


# ---------------------------------------------------------------- playing

def load_cases():
    cases = []
    for name in sorted(os.listdir(HERE)):
        if name.endswith(".json"):
            with open(os.path.join(HERE, name), encoding="utf-8") as file:
                for case in json.load(file):
                    case["file"] = name
                    cases.append(case)
    names = [case["name"] for case in cases]
    assert len(names) == len(set(names)), "two cases of one name: %s" % sorted(n for n in names if names.count(n) > 1)
    for case in cases:
        assert case.get("why"), case["name"]
        for function, _ in case["expect"].get("checks", []):
            assert function in CHECKS, function
        for name in re.findall(r"\{fix:([a-z0-9-]+)\}", json.dumps(case)):
            assert name in FIXTURES, name
    return cases


def play_case(world, case):
    expect = case["expect"]
    wrong = []
    for command in case.get("before", []):
        run = world.play(command)
        if run.code != 0:
            raise Wrong("what comes before ended with %s: %s" % (run.code, run.err[-300:]))
    kept = {path: tree(world.fill(path)) for path in expect.get("unchanged", [])}
    run = world.play(case["command"], case.get("env"), case.get("interrupt"))
    case["ran"] = run

    def must(truth, words):
        if not truth:
            wrong.append(words)
    must(not run.late, "took more than %d s" % TIMEOUT)
    must("panicked at" not in run.err and "RUST_BACKTRACE" not in run.err, "panicked: %s" % run.err[-300:])
    must(run.code == -2 and case.get("interrupt") or run.code >= 0, "ended by signal %s" % -run.code)
    if "exit" in expect:
        must(run.code in expect["exit"], "exit %s, not %s" % (run.code, " or ".join(map(str, expect["exit"]))))
    if run.code in (2, 3):
        must(run.err.strip(), "nothing on stderr")
        must(not run.out.strip() or "--json" in run.arguments, "an error, but stdout has %r" % run.out[:80])
    for pattern in expect.get("stderr", []):
        must(re.search(world.fill(pattern), run.err, re.I | re.S), "stderr does not name /%s/" % pattern)
    for pattern in expect.get("stdout", []):
        must(re.search(world.fill(pattern), run.out, re.I | re.S), "stdout has no /%s/" % pattern)
    for path in expect.get("absent", []):
        must(not os.path.lexists(world.fill(path)), "%s is there" % path)
        folder, name = os.path.split(world.fill(path))
        if os.path.isdir(folder):
            left = [n for n in os.listdir(folder) if n != name and n.strip(".").startswith(name + ".")]
            must(not left, "left behind: %s" % left)
    for path, before in kept.items():
        must(tree(world.fill(path)) == before, "%s was changed" % path)
    must(not os.listdir(world.cwd), "left in the current folder: %s" % os.listdir(world.cwd))
    for name in os.listdir(world.cwd):
        whole = os.path.join(world.cwd, name)
        shutil.rmtree(whole) if os.path.isdir(whole) else os.remove(whole)
    if not wrong or expect.get("always"):
        for function, options in expect.get("checks", []):
            try:
                CHECKS[function](world, run, **options)
            except Wrong as error:
                wrong.append("%s: %s" % (function, error))
            except (KeyError, TypeError, ValueError, IndexError, OSError, struct.error) as error:
                wrong.append("%s: %s: %s" % (function, type(error).__name__, error))
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("loophole")
    parser.add_argument("--organism", default=os.path.join(HERE, "..", "organism"))
    parser.add_argument("--unbundled", default=os.path.join(HERE, "..", "organism-unbundled"))
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--keep", action="store_true", help="leave the temporary folder")
    parser.add_argument("--report", help="write what came out as JSON")
    options = parser.parse_args()
    options.loophole = os.path.abspath(options.loophole) if os.sep in options.loophole else options.loophole
    options.organism, options.unbundled = os.path.abspath(options.organism), os.path.abspath(options.unbundled)
    cases = load_cases()
    if options.only:
        exact_names = [c for c in cases if c["name"] in options.only]
        cases = exact_names or [c for c in cases if any(part in c["name"] for part in options.only)]
    if options.list:
        for case in cases:
            print("%-34s %s" % (case["name"], case["why"]))
        return 0
    tmp = tempfile.mkdtemp(prefix="look-cases-")
    world = World(options, tmp)
    right, skipped, report, begun = 0, 0, [], time.time()
    try:
        for case in cases:
            start = time.time()
            try:
                wrong = play_case(world, case)
            except Skip as reason:
                skipped += 1
                print("skip  %s: %s" % (case["name"], reason), flush=True)
                continue
            except Wrong as error:
                wrong = [str(error)]
            right += not wrong
            run = case.get("ran")
            print("%-5s %s (%.1f s)" % ("ok" if not wrong else "WRONG", case["name"], time.time() - start), flush=True)
            if wrong:
                print("        loophole " + " ".join(case["command"]))
                for words in wrong:
                    print("        " + words)
                if run:
                    print("        stderr: %r" % run.err[-400:])
            report.append({"name": case["name"], "wrong": wrong, "command": case["command"], "why": case["why"],
                           "exit": run and run.code, "stderr": run and run.err[-1500:], "stdout": run and run.out[-1500:], "seconds": run and round(run.seconds, 2)})
    finally:
        if options.keep:
            print("left in %s" % tmp)
        else:
            shutil.rmtree(tmp, ignore_errors=True)
    print("%d of %d as expected, %d skipped, %.0f s" % (right, len(cases) - skipped, skipped, time.time() - begun))
    if options.report:
        with open(options.report, "w") as file:
            json.dump(report, file, indent=1)
    return 0 if right == len(cases) - skipped else 1


if __name__ == "__main__":
    sys.exit(main())
