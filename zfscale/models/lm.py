"""Language models, causal or masked: anything that transformers' Auto classes load from safetensors or GGUF."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from zfscale import installed
from zfscale.errors import ModelError, one_line
from zfscale.models.directory import TEXT_FILES, check_file
from zfscale.models.load import arrays, configuration, quiet, read_module, resolve


@dataclass(frozen=True)
class LanguageBase:
    """A pretrained language model as plain data, ready for an object store.

    `weights` holds a tied tensor once; `tokenizer` is JSON for `tokenizer_of`; `max_block` is the longest sequence
    that the model has positions for, None if it has no such limit.
    """

    name: str
    config: Any  # transformers.PretrainedConfig
    weights: dict[str, np.ndarray]
    tokenizer: str
    max_block: int | None
    masked: bool


def load_lm(name: str) -> LanguageBase:
    """Read a model and its tokenizer once: `embedded/<name>`, a local directory, a hub id, a `.gguf` file, or one that
    a pip package carries, `installed/<distribution>/<file>.gguf`.

    Errors: ModelError if either cannot be read, if it is no causal or masked LM, or if they do not fit each other.
    """
    where, options = _locate(name)
    config, masked = _config(name, where, options)
    module = read_module(name, where, _auto(masked), config=config, **options)
    tokenizer = _tokenizer(name, where, options)
    rows = module.get_input_embeddings().num_embeddings
    if (largest := _largest_id(tokenizer, masked)) >= rows:
        raise ModelError(f"model {name!r}: tokenizer does not fit the model: ids up to {largest}, {rows} embeddings")
    weights = arrays(name, _state(module))
    return LanguageBase(name, _plain(module), weights, _serialise(tokenizer), _max_block(module), masked)


def build_lm(base: LanguageBase, attention: str = "sdpa") -> nn.Module:
    """A fresh float32 module with the base's weights, in eval mode: token ids [B, T] -> `.logits` [B, T, vocabulary].

    Tied weights stay tied; nothing is drawn from the caller's random state. `attention="eager"` gives an attention
    with a forward-mode derivative, which the fused kernels lack.
    """
    module = _blank(base, attention)
    state = _state(module)
    if state.keys() != base.weights.keys():
        raise ModelError(f"model {base.name!r}: weights {sorted(state.keys() ^ base.weights.keys())[:3]} do not match")
    with torch.no_grad():
        for key, tensor in state.items():
            tensor.copy_(torch.tensor(base.weights[key]))
    return module.eval()


def outline_lm(base: LanguageBase) -> nn.Module:
    """The module of `build_lm` on the meta device: its parts and their names, no weights."""
    with torch.device("meta"):
        return _blank(base)


def _blank(base: LanguageBase, attention: str = "sdpa") -> nn.Module:
    config = copy.deepcopy(base.config)
    config._attn_implementation = None if attention == "sdpa" else attention  # None: sdpa if the family has it
    with torch.random.fork_rng(devices=[]):
        return _auto(base.masked).from_config(config, dtype=torch.float32)


def tokenizer_of(base: LanguageBase) -> Any:
    """The base's tokenizer, a transformers.PreTrainedTokenizerFast; reads no file."""
    return read_tokenizer(base.tokenizer)


def read_tokenizer(serialised: str) -> Any:
    """The tokenizer that `LanguageBase.tokenizer` describes."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    facts = json.loads(serialised)
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(facts.pop("backend")), **facts)


def _locate(name: str) -> tuple[str, dict[str, str]]:
    """What transformers is given: a directory or hub id, and the option that picks a GGUF file of a directory."""
    if name.startswith(installed.PREFIX):
        file = installed.find(name)
    elif name.endswith(".gguf"):
        file = Path(name).expanduser()
    else:
        return resolve(name), {}
    if not file.is_file():
        raise ModelError(f"model {name!r}: no such file")
    check_file(name, file)
    return str(file.parent), {"gguf_file": file.name}


def _config(name: str, where: str, options: dict[str, str]) -> tuple[Any, bool]:
    """The model's configuration, and whether it is a masked LM.

    An encoder such as BERT is in both of transformers' tables: what the checkpoint says of itself comes first.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING

    config = configuration(name, where, TEXT_FILES, options)
    kinds = "".join(getattr(config, "architectures", None) or ())
    causal, masked = (type(config) in table for table in (MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING))
    if getattr(config, "is_encoder_decoder", False) or not (causal or masked):
        raise ModelError(f"model {name!r} ({config.model_type}) is neither a causal nor a masked language model")
    decoder = "CausalLM" in kinds or "LMHead" in kinds or getattr(config, "is_decoder", False)
    return config, masked and not (causal and decoder)


def _tokenizer(name: str, where: str, options: dict[str, str]) -> Any:
    from transformers import AutoTokenizer

    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(where, trust_remote_code=False, **options)
    except Exception as error:  # a file that tokenizers cannot parse is a bare Exception
        reason = _broken_tokenizer(where) or one_line(error)
        raise ModelError(f"model {name!r} has no tokenizer that can be loaded: {reason}") from error
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise ModelError(f"model {name!r}: {type(tokenizer).__name__} has no fast version; a tokenizer.json is needed")
    if len(tokenizer.get_vocab()) <= len(tokenizer.all_special_tokens):  # transformers invents one where no file is
        raise ModelError(f"model {name!r} has no tokenizer: no tokenizer.json nor vocabulary beside the weights")
    return tokenizer


def _largest_id(tokenizer: Any, masked: bool) -> int:
    """Of the tokens that a model may be given: ids have gaps, so that their number does not tell.

    Not of the special tokens that no text becomes, as Gemma 3's language models have one without an embedding, but
    where any token may stand for a hidden one.
    """
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special and not masked}
    ends = {tokenizer.eos_token_id, tokenizer.sep_token_id, tokenizer.mask_token_id} - {None}
    return max({*tokenizer.get_vocab().values()} - special | ends)


def _broken_tokenizer(where: str) -> str:
    """What is wrong with a directory's tokenizer.json; empty if it is not that file."""
    from tokenizers import Tokenizer

    file = Path(where) / "tokenizer.json"
    try:
        Tokenizer.from_file(str(file)) if file.is_file() else None
    except Exception as error:
        return f"tokenizer.json: {one_line(error)}"
    return ""


def _serialise(tokenizer: Any) -> str:
    special = {k: str(v) for k, v in tokenizer.special_tokens_map.items() if isinstance(v, str)}
    facts = {"model_max_length": tokenizer.model_max_length, "clean_up_tokenization_spaces": False}
    return json.dumps({"backend": tokenizer.backend_tokenizer.to_str(), **special, **facts})


def _auto(masked: bool) -> Any:
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

    return AutoModelForMaskedLM if masked else AutoModelForCausalLM


def _state(module: nn.Module) -> dict[str, torch.Tensor]:
    """`state_dict`, a tensor of several names once, under the first."""
    seen: dict[int, str] = {}
    state = module.state_dict()
    return {k: v for k, v in state.items() if not v.numel() or seen.setdefault(v.data_ptr(), k) == k}


def _plain(module: Any) -> Any:
    """The module's configuration without what concerns its file; tied only if the weights are."""
    config = copy.deepcopy(module.config)
    head = module.get_output_embeddings()
    if head is not None:
        config.tie_word_embeddings = head.weight is module.get_input_embeddings().weight
    return config


def _max_block(module: Any) -> int | None:
    """Positions of the model; a table with a padding row (RoBERTa) starts counting behind it."""
    limit = getattr(module.config.get_text_config(), "max_position_embeddings", None)
    for key, part in module.named_modules():
        if key.endswith("position_embeddings") and getattr(part, "padding_idx", None) is not None:
            limit = part.num_embeddings - part.padding_idx - 1
    return limit if isinstance(limit, int) and limit > 0 else None
