"""Pretraining of embedded/lm-nano: a byte-level causal LM that has read docstrings and nothing else.

The other embedded text domains are what continual pre-training teaches it later.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from zfscale.data.embedded_texts import DOMAINS
from zfscale.data.text import load_domain
from zfscale.models.lm import build_lm, load_lm
from zfscale.models.load import EMBEDDED
from zfscale.pretraining.recipe import adamw

GENERAL = "docstrings"
END, PAD = "<|endoftext|>", "<|pad|>"
BLOCK = 512
HELD_OUT = 256 * BLOCK  # tokens of each domain that the final measurement reads
NANO: dict[str, Any] = {
    "vocab_size": 258,
    "hidden_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "intermediate_size": 384,
    "max_position_embeddings": BLOCK,
    "tie_word_embeddings": True,
    "bos_token_id": None,
    "eos_token_id": 256,
    "pad_token_id": 257,
}


def build_lm_nano(
    steps: int = 2800, seed: int = 0, out: Path = EMBEDDED / "lm-nano", batch_size: int = 8, lr: float = 3e-3
) -> dict[str, float]:
    """Pretrain lm-nano and write it to `out`; returns steps, tokens read and held-out bits per byte by domain.

    The figures are those of the weights as saved, in bfloat16. The default is one pass over the docstrings: some
    20 minutes of one core with bfloat16 instructions.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)  # a command of its own process: the one place where the global generator is ours
    tokenizer = byte_tokenizer()
    domain = load_domain(GENERAL, GENERAL, tokenizer, BLOCK, None, HELD_OUT)
    model: nn.Module = LlamaForCausalLM(LlamaConfig(**NANO))
    _train(model, domain.train, steps, batch_size, lr, seed)
    model.to(torch.bfloat16).save_pretrained(out)  # type: ignore[operator]
    tokenizer.save_pretrained(out)
    facts = {"steps": steps, "seed": seed, "tokens": steps * batch_size * BLOCK, **_measure(out, tokenizer)}
    (out / "pretraining.json").write_text(json.dumps(facts, indent=2) + "\n")
    return facts


def byte_tokenizer() -> Any:
    """One token a byte of UTF-8, its id the byte's value; then end of text (256) and padding (257)."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE(vocab=_byte_alphabet(), merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in (END, PAD)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token=END,
        pad_token=PAD,
        model_max_length=BLOCK,
        clean_up_tokenization_spaces=False,
    )


def _byte_alphabet() -> dict[str, int]:
    """The printable character that the ByteLevel pre-tokenizer writes for each byte -> the byte.

    A byte that is a printable Latin-1 character stands for itself; the others follow, in order, from U+0100 on.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [b for b in range(256) if b not in printable]
    return {chr(b) if b in printable else chr(0x100 + others.index(b)): b for b in range(256)}


@torch.no_grad()
def bits_per_byte(model: nn.Module, blocks: np.ndarray, bytes_per_token: float) -> float:
    """Mean loss over int32 blocks [M, B], each from its own second token on."""
    model.eval()
    total = sum(float(_loss(model, part)) * len(part) for part in torch.tensor(blocks).long().split(16))
    return total / len(blocks) / math.log(2) / bytes_per_token


def _measure(out: Path, tokenizer: Any) -> dict[str, float]:
    """Held-out bits per byte of the saved model, by domain."""
    model, facts = build_lm(load_lm(str(out))), {}
    for name in DOMAINS:
        domain = load_domain(name, name, tokenizer, BLOCK, BLOCK, HELD_OUT)
        facts[f"{name}_bits_per_byte"] = round(bits_per_byte(model, domain.held_out, domain.bytes_per_token), 4)
    return facts


def _loss(model: nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """Next-token cross-entropy of ids [B, T], in nats a token."""
    logits = model(ids, use_cache=False).logits.float()
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def _train(model: nn.Module, blocks: np.ndarray, steps: int, batch_size: int, lr: float, seed: int) -> None:
    """AdamW, linear warm-up over the first 5 % of the steps, then cosine to 0; bfloat16 matrix products."""
    optimizer, schedule = adamw(model, lr, 0.1, steps, warm=max(1, steps // 20))
    order, x = np.random.Generator(np.random.Philox(seed)), torch.tensor(blocks)
    rows = np.concatenate([order.permutation(len(x)) for _ in range(-(-steps * batch_size // len(x)))])
    model.train()
    start = time.perf_counter()
    for step in range(steps):
        with torch.autocast("cpu", torch.bfloat16):
            loss = _loss(model, x[rows[step * batch_size : (step + 1) * batch_size]].long())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step + 1}/{steps}: loss {loss.item():.3f}, {time.perf_counter() - start:.0f} s", flush=True)
