"""The engine's measurement in PyTorch: the same model, batch shape and sampling, float32 on the CPU.

Prints one JSON object. Usage: python peer_torch.py [TRAIN_STEPS] [THREADS]
The training batch is padded to its longest sequence and runs with the built-in causal mask (the
fastest form of scaled_dot_product_attention); sampling keeps a preallocated key-value cache and
reads each prompt of a group once.
"""
import json
import math
import statistics
import sys
import time

import torch
import torch.nn.functional as F

STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 3
THREADS = int(sys.argv[2]) if len(sys.argv) > 2 else 2
torch.set_num_threads(THREADS)
torch.manual_seed(1)
H, I, L, NH, HD, V, EPS = 128, 448, 4, 4, 32, 1000, 1e-5
PROMPT, NEW, ROWS = 200, 100, 256
inv = 10000.0 ** (-torch.arange(0, HD, 2).float() / HD)
angle = torch.outer(torch.arange(1024).float(), inv)
COS, SIN = torch.cat([angle, angle], -1).cos(), torch.cat([angle, angle], -1).sin()


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat([-b, a], -1) * sin


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        lin = lambda i, o: torch.nn.Linear(i, o, bias=False)
        self.qkv, self.o = lin(H, 3 * H), lin(H, H)
        self.gate_up, self.down = lin(H, 2 * I), lin(I, H)
        self.n1, self.n2 = torch.nn.RMSNorm(H, EPS), torch.nn.RMSNorm(H, EPS)

    def forward(self, x, cos, sin, attend):
        b, t, _ = x.shape
        q, k, v = self.qkv(self.n1(x)).view(b, t, 3, NH, HD).permute(2, 0, 3, 1, 4)
        y = attend(rotate(q, cos, sin), rotate(k, cos, sin), v)
        x = x + self.o(y.transpose(1, 2).reshape(b, t, H))
        g, u = self.gate_up(self.n2(x)).chunk(2, -1)
        return x + self.down(F.silu(g) * u)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(V, H)
        self.layers = torch.nn.ModuleList(Layer() for _ in range(L))
        self.norm = torch.nn.RMSNorm(H, EPS)
        for p in self.parameters():
            if p.dim() > 1:
                torch.nn.init.normal_(p, std=0.02)

    def body(self, x, cos, sin, attends):
        x = self.embed(x)
        for layer, attend in zip(self.layers, attends):
            x = layer(x, cos, sin, attend)
        return self.norm(x)

    def head(self, x):
        return x @ self.embed.weight.T


causal = lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True)
model = Model()


def train():
    lens = [300 + int(x) for x in torch.randint(0, 101, (64,))]
    longest = max(lens)
    x = torch.randint(0, V, (64, longest))
    mask = torch.arange(longest)[None] < torch.tensor(lens)[:, None]
    target_at = mask.clone()
    target_at[:, 0] = False
    opt = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.01, fused=True)
    times, cpu = [], []
    for step in range(STEPS + 1):
        start, start_cpu = time.perf_counter(), time.process_time()
        opt.zero_grad(set_to_none=True)
        out = model.body(x, COS[:longest], SIN[:longest], [causal] * L)
        # Only the targets go through the head, as in the engine.
        rows = out[:, :-1][target_at[:, 1:]]
        loss = F.cross_entropy(model.head(rows), x[target_at], reduction="sum")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        if step:
            times.append(time.perf_counter() - start)
            cpu.append(time.process_time() - start_cpu)
    return statistics.median(times) * 1e3, statistics.median(cpu) * 1e3, sum(lens)


@torch.inference_mode()
def sample(group):
    """All rows decode together; prompts are read once per group and copied into the rows' caches."""
    prompts = torch.randint(0, V, (ROWS // group, PROMPT))
    start, start_cpu = time.perf_counter(), time.process_time()
    keys = torch.zeros(L, ROWS, NH, PROMPT + NEW, HD)
    values = torch.zeros_like(keys)

    def prefill(l):
        def attend(q, k, v):
            keys[l, :, :, :PROMPT] = k.repeat_interleave(group, 0)
            values[l, :, :, :PROMPT] = v.repeat_interleave(group, 0)
            return causal(q, k, v)
        return attend

    def decode(l, at):
        def attend(q, k, v):
            keys[l, :, :, at], values[l, :, :, at] = k[:, :, 0], v[:, :, 0]
            return F.scaled_dot_product_attention(q, keys[l, :, :, : at + 1], values[l, :, :, : at + 1])
        return attend

    out = model.body(prompts, COS[:PROMPT], SIN[:PROMPT], [prefill(l) for l in range(L)])
    logits = model.head(out[:, -1]).repeat_interleave(group, 0)
    tokens, log_probs = [], []
    for i in range(NEW):
        lp = torch.log_softmax(logits, -1)
        new = torch.multinomial(lp.exp(), 1)
        tokens.append(new)
        log_probs.append(lp.gather(1, new))
        at = PROMPT + i
        if i + 1 < NEW:
            out = model.body(new, COS[at : at + 1], SIN[at : at + 1], [decode(l, at) for l in range(L)])
            logits = model.head(out[:, 0])
    assert math.isfinite(float(torch.cat(log_probs, 1).sum()))
    n = ROWS * NEW
    return n / (time.perf_counter() - start), n / (time.process_time() - start_cpu)


ms, cpu_ms, tokens = train()
shared, unshared = sample(8), sample(1)
print(json.dumps({
    "engine": "torch " + torch.__version__,
    "threads": THREADS,
    "train_ms_per_step": ms,
    "train_cpu_ms_per_step": cpu_ms,
    "train_tokens_per_s": tokens / ms * 1e3,
    "sample_tokens_per_s": shared[0],
    "sample_unshared_tokens_per_s": unshared[0],
    "sample_tokens_per_cpu_s": shared[1],
    "sample_unshared_tokens_per_cpu_s": unshared[1],
}))
