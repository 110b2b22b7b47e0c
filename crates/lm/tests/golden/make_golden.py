"""Writes the fixtures of golden.rs with PyTorch and transformers: two tiny random Llamas, their
logits on a fixed text, the weighted loss, the gradient norm of every tensor, and the loss after one
AdamW step. Usage: python make_golden.py [FOLDER] (without one it writes into its own folder)
"""
import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

OUT = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
CASES = {
    "tied": dict(num_key_value_heads=4, tie_word_embeddings=True, head_dim=8, rope_theta=10000.0),
    "gqa": dict(num_key_value_heads=2, tie_word_embeddings=False, head_dim=16, rope_theta=500.0),
}
for seed, (name, extra) in enumerate(CASES.items()):
    torch.manual_seed(seed)
    theta = extra.pop("rope_theta")
    config = LlamaConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, vocab_size=64,
        max_position_embeddings=256, rms_norm_eps=1e-5, attn_implementation="eager",
        rope_parameters={"rope_type": "default", "rope_theta": theta},
        bos_token_id=None, eos_token_id=4, pad_token_id=0, **extra,
    )
    model = LlamaForCausalLM(config).float()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn_like(p) * 0.15 + (1.0 if p.dim() == 1 else 0.0))
    folder = OUT / name
    model.save_pretrained(folder)
    # Not the padding token: PyTorch drops the gradient of its embedding.
    tokens = torch.randint(1, 64, (1, 90))
    weights = torch.randint(0, 3, (90,)).float() * 0.5

    def loss_of():
        logits = model(tokens).logits[0]
        lp = torch.log_softmax(logits, -1)[:-1].gather(1, tokens[0, 1:, None])[:, 0]
        return logits, -(weights[1:] * lp).sum()

    logits, loss = loss_of()
    loss.backward()
    # The tied head is one parameter with one gradient.
    norms = {n: float(p.grad.double().norm()) for n, p in model.named_parameters()}
    decay = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() == 1]
    optimiser = torch.optim.AdamW(
        [dict(params=decay, weight_decay=0.1), dict(params=rest, weight_decay=0.0)],
        lr=1e-3, betas=(0.9, 0.95), eps=1e-8,
    )
    optimiser.step()
    _, after = loss_of()
    save_file({"logits": logits.detach().contiguous()}, folder / "expected.safetensors")
    (folder / "expected.json").write_text(json.dumps({
        "tokens": tokens[0].tolist(), "weights": weights.tolist(), "loss": float(loss),
        "gradient_norms": norms, "loss_after_step": float(after),
    }))
