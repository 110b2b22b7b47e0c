"""Reading and continuing a prompt with a random Qwen2 of half a billion parameters in PyTorch, on the CPU.

Prints one JSON object for bfloat16 and one for float32, each on its line. Usage: python peer_torch_checkpoint.py [THREADS]
Plain modules with a preallocated key-value cache and scaled_dot_product_attention: less overhead than transformers has.
"""
import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F

THREADS = int(sys.argv[1]) if len(sys.argv) > 1 else 2
torch.set_num_threads(THREADS)
torch.manual_seed(1)
H, I, L, NH, KV, HD, V, EPS = 896, 4864, 24, 14, 2, 64, 151936, 1e-6
PROMPT, NEW, BATCH, REPETITIONS = 256, 16, 16, 3


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat([-b, a], -1) * sin


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = torch.nn.Linear(H, (NH + 2 * KV) * HD)
        lin = lambda i, o: torch.nn.Linear(i, o, bias=False)
        self.o, self.gate_up, self.down = lin(NH * HD, H), lin(H, 2 * I), lin(I, H)
        self.n1, self.n2 = torch.nn.RMSNorm(H, EPS), torch.nn.RMSNorm(H, EPS)

    def forward(self, x, cos, sin, keys, values, at):
        b, t, _ = x.shape
        q, k, v = self.qkv(self.n1(x)).view(b, t, NH + 2 * KV, HD).transpose(1, 2).split([NH, KV, KV], 1)
        keys[:b, :, at : at + t], values[:b, :, at : at + t] = rotate(k, cos, sin), v
        y = F.scaled_dot_product_attention(
            rotate(q, cos, sin), keys[:b, :, : at + t], values[:b, :, : at + t], is_causal=t > 1, enable_gqa=True
        )
        x = x + self.o(y.transpose(1, 2).reshape(b, t, H))
        g, u = self.gate_up(self.n2(x)).chunk(2, -1)
        return x + self.down(F.silu(g) * u)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(V, H)
        self.layers = torch.nn.ModuleList(Layer() for _ in range(L))
        self.norm = torch.nn.RMSNorm(H, EPS)

    def forward(self, tokens, cache, at):
        x = self.embed(tokens)
        cos, sin = (table[at : at + tokens.shape[1]] for table in cache[2:])
        for layer, keys, values in zip(self.layers, cache[0], cache[1]):
            x = layer(x, cos, sin, keys, values, at)
        return F.linear(self.norm(x[:, -1]), self.embed.weight)


def timed(work):
    start, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - cpu


@torch.inference_mode()
def measure(model, dtype):
    angle = torch.outer(torch.arange(PROMPT + NEW + 1).float(), 1e6 ** (-torch.arange(0, HD, 2).float() / HD))
    tables = [torch.cat([angle, angle], -1).cos().to(dtype), torch.cat([angle, angle], -1).sin().to(dtype)]
    room = lambda: torch.zeros(L, BATCH, KV, PROMPT + NEW + 1, HD, dtype=dtype)
    cache = [room(), room()] + tables
    rates = [[], [], []]

    def decode(rows):
        tokens = torch.randint(0, V, (rows, 1))
        for i in range(NEW):
            logits = model(tokens, cache, PROMPT + i)
            tokens = torch.multinomial(torch.softmax(logits.float(), -1), 1)

    for _ in range(REPETITIONS):
        prompt = torch.randint(0, V, (1, PROMPT))
        runs = [(PROMPT, timed(lambda: model(prompt, cache, 0))), (NEW, timed(lambda: decode(1)))]
        cache[0][:], cache[1][:] = cache[0][:, :1], cache[1][:, :1]
        runs.append((BATCH * NEW, timed(lambda: decode(BATCH))))
        for rate, (count, (wall, cpu)) in zip(rates, runs):
            rate.append((count / wall, count / cpu))
    median = lambda rate, i: statistics.median(r[i] for r in rate)
    out = {"engine": f"torch {torch.__version__}, {str(dtype).split('.')[1]}", "threads": THREADS}
    for name, rate in zip(["prefill", "decode", "batch"], rates):
        out[f"{name}_tokens_per_s"], out[f"{name}_tokens_per_cpu_s"] = median(rate, 0), median(rate, 1)
    print(json.dumps(out), flush=True)


for dtype in [torch.bfloat16, torch.float32]:
    with torch.device("meta"):
        model = Model().to(dtype)
    model = model.to_empty(device="cpu")
    for p in model.parameters():
        p.data = torch.ones_like(p) if p.dim() == 1 else torch.empty_like(p).uniform_(-0.035, 0.035)
    measure(model, dtype)
    del model
