"""Language models as plain data: what is read, what is rebuilt, and errors that say what does not fit."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_lms import FAMILIES, TIED, make
from transformers import AddedToken

from zfscale.errors import ModelError
from zfscale.models.lm import build_lm, load_lm, tokenizer_of
from zfscale.pretraining.lm_nano import byte_tokenizer


@pytest.fixture(scope="session")
def saved_lm(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Family -> its directory with the byte tokenizer, written once."""
    root = tmp_path_factory.mktemp("language")

    def path(family: str) -> Path:
        if not (root / family).exists():
            make(family).save_pretrained(root / family)
            byte_tokenizer().save_pretrained(root / family)
        return root / family

    return path


@pytest.fixture
def tokens() -> torch.Tensor:
    """int64 [2, 12]."""
    return torch.randint(0, 256, (2, 12), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_rebuilt_model_computes_the_same(family, saved_lm, tokens):
    base = pickle.loads(pickle.dumps(load_lm(str(saved_lm(family)))))  # as through an object store
    state = torch.get_rng_state()
    module = build_lm(base)
    assert torch.equal(torch.get_rng_state(), state)
    assert not module.training
    assert {p.dtype for p in module.parameters()} == {torch.float32}
    assert all(p.requires_grad for p in module.parameters())
    with torch.no_grad():
        torch.testing.assert_close(module(tokens).logits, make(family)(tokens).logits, rtol=0, atol=1e-6)
    eager: Any = build_lm(base, attention="eager")
    assert eager.config._attn_implementation == "eager"
    with torch.no_grad():
        torch.testing.assert_close(eager(tokens).logits, module(tokens).logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_kind_and_limit(family, saved_lm):
    base = load_lm(str(saved_lm(family)))
    assert base.masked == (family in ("bert", "roberta"))
    assert base.max_block == {"bloom": None, "roberta": 38}.get(family, 40)
    module = build_lm(base)
    if base.max_block:
        module(torch.zeros(1, base.max_block, dtype=torch.long))
    assert (module(torch.tensor([[5, 6, 7]])).logits[0, 0] != module(torch.tensor([[5, 6, 8]])).logits[0, 0]).any() == (
        base.masked
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_tied_weights_stay_tied(family, saved_lm):
    base = load_lm(str(saved_lm(family)))
    module: Any = build_lm(base)
    tied = module.get_output_embeddings().weight is module.get_input_embeddings().weight
    assert tied == (family in TIED)
    assert sum(w.size for k, w in base.weights.items()) >= sum(p.numel() for p in module.parameters())
    tables = [k for k, w in base.weights.items() if w.shape == (260, 16)]
    assert len(tables) == (1 if tied else 2)
    with torch.no_grad():
        module.get_input_embeddings().weight.zero_()
    assert (module.get_output_embeddings().weight.abs().sum() == 0) == tied


def test_a_checkpoint_that_is_untied_against_its_configuration(saved_lm, tmp_path, tokens):
    model = make("llama")
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": True}))
    byte_tokenizer().save_pretrained(tmp_path)
    module: Any = build_lm(load_lm(str(tmp_path)))
    assert module.lm_head.weight is not module.model.embed_tokens.weight
    with torch.no_grad():
        torch.testing.assert_close(module(tokens).logits, model(tokens).logits, rtol=0, atol=1e-6)


def test_two_builds_share_nothing(saved_lm):
    base = load_lm(str(saved_lm("llama")))
    before = {k: w.copy() for k, w in base.weights.items()}
    for weight in base.weights.values():
        weight.flags.writeable = False  # as an object store hands it out
    one, two = build_lm(base), build_lm(base)
    with torch.no_grad():
        for p in one.parameters():
            p.zero_()
    assert all(p.abs().sum() > 0 for p in two.parameters())
    assert all(np.array_equal(before[k], w) for k, w in base.weights.items())


def test_weights_in_low_precision_become_float32(tmp_path, tokens):
    model = make("llama").to(torch.bfloat16)
    model.save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    base = load_lm(str(tmp_path))
    assert {w.dtype for w in base.weights.values()} == {np.dtype(np.float32)}
    assert all(np.array_equal(base.weights[k], w.float().numpy()) for k, w in model.state_dict().items())
    assert build_lm(base)(tokens).logits.dtype == torch.float32


def test_a_tokenizer_is_rebuilt_without_its_files(saved_lm, tmp_path):
    """A word-piece tokenizer of BERT's kind: normaliser, special tokens around a text, an unknown word."""
    from transformers import AutoTokenizer, BertTokenizer

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "read", "##ing", "the", "waves", "."]
    make("bert").save_pretrained(tmp_path)
    BertTokenizer(vocab={word: i for i, word in enumerate(words)}).save_pretrained(tmp_path)
    original = AutoTokenizer.from_pretrained(tmp_path)
    base = load_lm(str(tmp_path))
    for file in tmp_path.iterdir():
        file.unlink()
    tokenizer = tokenizer_of(base)
    for text in ("Reading the waves.", "reading [MASK] them", ""):
        for special in (True, False):
            options = {"add_special_tokens": special}
            assert tokenizer(text, **options)["input_ids"] == original(text, **options)["input_ids"]
    assert tokenizer("Reading")["input_ids"] == [2, 5, 6, 3]
    assert tokenizer.special_tokens_map == original.special_tokens_map
    assert (tokenizer.mask_token_id, tokenizer.sep_token_id, len(tokenizer)) == (4, 3, len(original))


def without(files: str, path: Path, to: Path) -> Path:
    """A copy of the model directory that lacks what the glob `files` matches."""
    shutil.copytree(path, to)
    for file in to.glob(files):
        file.unlink()
    return to


@pytest.mark.parametrize("family", ["llama", "gpt2", "bert", "roberta"])
def test_no_tokenizer(family, saved_lm, tmp_path):
    """transformers invents one of special tokens only: it is not taken."""
    path = without("tokenizer*", saved_lm(family), tmp_path / family)
    with pytest.raises(ModelError, match=f"^model '{path}' has no tokenizer"):
        load_lm(str(path))


def test_a_broken_tokenizer(saved_lm, tmp_path):
    path = without("nothing", saved_lm("llama"), tmp_path / "broken")
    (path / "tokenizer.json").write_text('{"model": 3}')
    with pytest.raises(ModelError, match="has no tokenizer that can be loaded: "):
        load_lm(str(path))


def test_a_tokenizer_of_another_model(saved_lm, tmp_path):
    path = without("nothing", saved_lm("llama"), tmp_path / "other")
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens([f"<{i}>" for i in range(3)])
    tokenizer.save_pretrained(path)
    with pytest.raises(ModelError, match="tokenizer does not fit the model: ids up to 260, 260 embeddings"):
        load_lm(str(path))


def test_ids_with_gaps_do_not_fit(saved_lm, tmp_path):
    """Ten tokens, one of which has an id beyond the embeddings."""
    from transformers import BertTokenizer

    path = without("tokenizer*", saved_lm("bert"), tmp_path / "bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "read", "##ing", "the", "waves"]
    BertTokenizer(vocab={word: i for i, word in enumerate(words)} | {"far": 300}).save_pretrained(path)
    with pytest.raises(ModelError, match="tokenizer does not fit the model: ids up to 300, 260 embeddings"):
        load_lm(str(path))


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_a_special_token_that_no_text_becomes_needs_no_embedding(family, saved_lm, tmp_path):
    """A masked model may be given any token, in the place of a hidden one."""
    path = without("nothing", saved_lm(family), tmp_path / family)
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens([AddedToken(f"<{i}>", special=True) for i in range(3)])
    tokenizer.save_pretrained(path)
    if family == "bert":
        with pytest.raises(ModelError, match="ids up to 260"):
            load_lm(str(path))
        return
    again = tokenizer_of(load_lm(str(path)))
    assert len(again) == 261
    assert max(again("a <2> b", add_special_tokens=False, split_special_tokens=True)["input_ids"]) < 256


def test_models_that_are_none(saved_lm, tiny_vit, tmp_path):
    with pytest.raises(ModelError, match=r"\(vit\) is neither a causal nor a masked language model"):
        load_lm(str(tiny_vit))
    with pytest.raises(ModelError, match=r"\(t5\) is neither"):
        load_lm(str(saved_lm("t5")))
    with pytest.raises(ModelError, match=r"embedded/lm-nan'.*did you mean 'embedded/lm-nano'"):
        load_lm("embedded/lm-nan")
    with pytest.raises(ModelError, match=r"lost\.gguf': no such file"):
        load_lm(str(tmp_path / "lost.gguf"))
    with pytest.raises(ModelError, match="the directory is empty"):
        load_lm(str(tmp_path))


def test_checkpoints_that_are_not_whole(saved_lm, tmp_path):
    with pytest.raises(ModelError, match=r"its checkpoint lacks [0-9]+ weights, cls"):
        load_lm(str(saved_lm("bert-headless")))
    path = without("*.safetensors", saved_lm("llama"), tmp_path / "pickled")
    torch.save(make("llama").state_dict(), path / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pytorch_model\.bin is a pickle of weights; safetensors are needed"):
        load_lm(str(path))
    (path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelError, match=r"model\.safetensors is cut or no safetensors file"):
        load_lm(str(path))


def test_quantised_weights_are_refused(saved_lm, tmp_path):
    path = without("nothing", saved_lm("llama"), tmp_path / "gptq")
    config = json.loads((path / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="its weights are quantised"):
        load_lm(str(path))
