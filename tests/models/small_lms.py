"""Tiny random language models of several families."""

from __future__ import annotations

from typing import Any

import torch

SHAPE: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
SIZES: dict[str, Any] = SHAPE | {"vocab_size": 260, "max_position_embeddings": 40}
GPT2: dict[str, Any] = {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 260, "n_positions": 40}
OPT: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "ffn_dim": 32,
    "vocab_size": 260,
}
TIED = ("llama-tied", "gpt2", "opt", "bloom", "bert", "bert-decoder", "roberta")
FAMILIES = ("llama", *TIED)


def opt(hf: Any, **options: Any) -> Any:
    """OPT's configuration; without dropout, which its attention has by default."""
    return hf.OPTConfig(**OPT, max_position_embeddings=40, word_embed_proj_dim=16, dropout=0.0, **options)


def make(family: str) -> Any:
    """A randomly initialised model of `family`."""
    import transformers as hf

    ends: dict[str, Any] = {"bos_token_id": None, "eos_token_id": 256, "pad_token_id": 257}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = {
            "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**SIZES, **ends)),
            "llama-tied": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**SIZES, **ends, tie_word_embeddings=True)),
            "gpt2": lambda: hf.GPT2LMHeadModel(hf.GPT2Config(**GPT2, **ends)),
            "opt": lambda: hf.OPTForCausalLM(opt(hf)),
            "opt-post-norm": lambda: hf.OPTForCausalLM(opt(hf, do_layer_norm_before=False)),
            "gpt1": lambda: hf.OpenAIGPTLMHeadModel(hf.OpenAIGPTConfig(**GPT2)),
            "gemma2": lambda: hf.Gemma2ForCausalLM(hf.Gemma2Config(**SIZES, **ends, head_dim=8, num_key_value_heads=2)),
            "olmo": lambda: hf.OlmoForCausalLM(hf.OlmoConfig(**SIZES, **ends)),
            "olmo2": lambda: hf.Olmo2ForCausalLM(hf.Olmo2Config(**SIZES, **ends)),
            "bloom": lambda: hf.BloomForCausalLM(hf.BloomConfig(hidden_size=16, n_layer=1, n_head=2, vocab_size=260)),
            "bert": lambda: hf.BertForMaskedLM(hf.BertConfig(**SIZES)),
            "bert-decoder": lambda: hf.BertLMHeadModel(hf.BertConfig(**SIZES, is_decoder=True)),
            "roberta": lambda: hf.RobertaForMaskedLM(hf.RobertaConfig(**SIZES)),
            "bert-headless": lambda: hf.BertModel(hf.BertConfig(**SIZES)),
            "t5": lambda: hf.T5ForConditionalGeneration(
                hf.T5Config(d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, vocab_size=260)
            ),
        }[family]()
        for p in model.parameters():
            p.data.add_(torch.randn_like(p), alpha=0.1)
    return model.eval()
