"""lm-nano: its tokenizer, what the package carries, and its pretraining in small."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from zfscale.data.text import TextDomain, load_domain
from zfscale.models.lm import build_lm, load_lm, tokenizer_of
from zfscale.models.load import EMBEDDED
from zfscale.pretraining import lm_nano as lm_base
from zfscale.pretraining.lm_nano import END, PAD, bits_per_byte, build_lm_nano, byte_tokenizer

ODD = "naïve 中文 🎉\r\n\t\0 \x7f\xa0\xad" + END + "  x  , y" + "".join(map(chr, range(0x500))) + "\U0010ffff"


def test_the_byte_tokenizer(tmp_path):
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer

    byte_tokenizer().save_pretrained(tmp_path)
    for tokenizer in (byte_tokenizer(), AutoTokenizer.from_pretrained(tmp_path)):
        assert len(tokenizer) == 258
        ids = tokenizer(ODD, split_special_tokens=True)["input_ids"]
        assert ids == list(ODD.encode())
        assert tokenizer.decode(ids) == ODD
        assert tokenizer(END + PAD)["input_ids"] == [256, 257]
        assert tokenizer.decode(tokenizer(ODD)["input_ids"]) == ODD
        assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (256, 257)
    assert set(lm_base._byte_alphabet()) == set(pre_tokenizers.ByteLevel.alphabet())


def test_lm_nano():
    """What the package carries: small, tied, and a reader of docstrings."""
    assert sum(f.stat().st_size for f in (EMBEDDED / "lm-nano").iterdir()) < 5_000_000
    base = load_lm("embedded/lm-nano")
    assert (base.masked, base.max_block) == (False, 512)
    tokenizer = tokenizer_of(base)
    assert tokenizer.decode(tokenizer(ODD, split_special_tokens=True)["input_ids"]) == ODD
    module: Any = build_lm(base)
    assert module.lm_head.weight is module.model.embed_tokens.weight
    text = "Returns the mean of the array elements along the given axis. If axis is None, the array is flattened.\n"
    ids = np.array([tokenizer(text * 3)["input_ids"]], dtype=np.int32)
    shuffled = np.random.default_rng(0).permutation(ids[0])[None]
    known, noise = (bits_per_byte(module, blocks, 1.0) for blocks in (ids, shuffled))
    assert known < 2.0
    assert noise > 2 * known
    facts = json.loads((EMBEDDED / "lm-nano" / "pretraining.json").read_text())
    bits = {k: v for k, v in facts.items() if k.endswith("_bits_per_byte")}
    assert len(bits) == 5
    assert min(bits, key=bits.__getitem__) == "docstrings_bits_per_byte"


def test_its_pretraining(tmp_path, monkeypatch):
    """The whole of it, small and twice: the same weights, and a loss that falls."""
    rng = np.random.default_rng(0)
    blocks = np.tile(rng.integers(0, 256, 64, dtype=np.int32), (40, 1))
    asked = []

    def domain(name: str, *arguments: Any) -> TextDomain:
        asked.append((name, *arguments[2:]))
        return TextDomain(name, blocks[:32], blocks[32:], 1.0)

    monkeypatch.setattr(lm_base, "load_domain", domain)
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 32}
    monkeypatch.setattr(lm_base, "NANO", lm_base.NANO | shape)
    with torch.random.fork_rng():
        runs = [build_lm_nano(steps=20, out=tmp_path / f"{i}", batch_size=4, lr=1e-2) for i in range(2)]
    assert runs[0] == runs[1] == json.loads((tmp_path / "0" / "pretraining.json").read_text())
    weights = [(tmp_path / f"{i}" / "model.safetensors").read_bytes() for i in range(2)]
    assert weights[0] == weights[1]
    assert asked[0][:3] == ("docstrings", lm_base.BLOCK, None)
    assert runs[0]["docstrings_bits_per_byte"] < 7
    module = build_lm(load_lm(str(tmp_path / "0")))
    assert bits_per_byte(module, blocks[32:], 1.0) == pytest.approx(runs[0]["docstrings_bits_per_byte"], abs=1e-3)


def test_domains_fit_the_model(tmp_path):
    """What a trial does: the model's tokenizer makes the blocks that the model reads."""
    for i in range(50):
        (tmp_path / f"{i}.txt").write_text(f"A function number {i} that returns the sum of its arguments. " * 4)
    base = load_lm("embedded/lm-nano")
    domain = load_domain(
        "own", {"path": str(tmp_path / "*.txt")}, tokenizer_of(base), 64, None, 128, tmp_path / "cache"
    )
    assert bits_per_byte(build_lm(base), domain.held_out, domain.bytes_per_token) < 3
