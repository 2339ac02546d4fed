"""A GGUF file of llama.cpp's layout gives the model that it was written from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small_lms import make

from tests.troubles import assert_told
from zfscale.errors import ModelError
from zfscale.models.lm import build_lm, load_lm, tokenizer_of
from zfscale.pretraining import lm_nano as lm_base
from zfscale.pretraining.lm_nano import END, PAD

gguf = pytest.importorskip("gguf")
pytest.importorskip("accelerate")


def write_gguf(path: Path, model: Any) -> None:
    """The model as llama.cpp's converter writes it, in float32, with a byte vocabulary."""
    config, state, writer = model.config, model.state_dict(), gguf.GGUFWriter(path, "llama")
    heads = config.num_attention_heads
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    letters = sorted(lm_base._byte_alphabet().items(), key=lambda pair: pair[1])
    names = [letter for letter, _ in letters] + [END, PAD, "ab", "<b>"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(names)
    writer.add_token_types([1] * 256 + [3, 3, 1, 3])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(256)
    parts = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v"}
    parts |= {"self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up"}
    parts |= {"mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
    tops = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    for key, tensor in state.items():
        name = key.removesuffix(".weight")
        if name.startswith("model.layers."):
            _, _, layer, part = name.split(".", 3)
            if "q_proj" in part or "k_proj" in part:  # llama.cpp rotates neighbours, transformers halves
                rows = tensor.shape[0]
                tensor = tensor.view(heads, 2, rows // heads // 2, -1).transpose(1, 2).reshape(rows, -1)
            target = f"blk.{layer}.{parts[part]}"
        else:
            target = tops[name]
        writer.add_tensor(f"{target}.weight", tensor.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_gguf(tmp_path):
    tokens = torch.randint(0, 256, (2, 12), generator=torch.Generator().manual_seed(1))
    model = make("llama")
    write_gguf(tmp_path / "small.gguf", model)
    base = load_lm(str(tmp_path / "small.gguf"))
    assert (base.masked, base.max_block) == (False, 40)
    with torch.no_grad():
        torch.testing.assert_close(build_lm(base)(tokens).logits, model(tokens).logits, rtol=0, atol=1e-5)
    assert tokenizer_of(base)("é!")["input_ids"] == list("é!".encode())


def test_a_damaged_file_is_one_line(tmp_path):
    file, model = tmp_path / "small.gguf", make("llama")
    with torch.no_grad():
        model.lm_head.weight[0, :3] = float("nan")
    write_gguf(file, model)
    with pytest.raises(ModelError) as caught:
        load_lm(str(file))
    assert_told(caught.value, str(file), "is not finite: 3 of its 4160 numbers (shape 260 x 16)")
    data = file.read_bytes()
    damaged = {b"version https://git-lfs.github.com/spec/v1\n": "Git LFS", data[:50]: "", data[:-99]: "", b"": "empty"}
    for content, says in damaged.items():
        file.write_bytes(content)
        with pytest.raises(ModelError) as caught:
            load_lm(str(file))
        assert_told(caught.value, str(file), says)
