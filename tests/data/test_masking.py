"""Masks for masked language models: BERT's shares, the same count in every block, a function of seed and place."""

from __future__ import annotations

import numpy as np
import pytest

from zfscale.data.masking import IGNORED, mask_blocks
from zfscale.errors import DataError, ModelError
from zfscale.pretraining.lm_nano import byte_tokenizer

MASK, SEP = 258, 259
KNOWN = [[4, 8, 16], [12, 15, 17]]  # places masked in two blocks of 20, seed 7


@pytest.fixture(scope="module")
def tokenizer():
    """258 ordinary and special tokens of the byte tokenizer, then a mask token and a separator."""
    made = byte_tokenizer()
    made.add_special_tokens({"mask_token": "<mask>", "sep_token": "<sep>"})
    assert (made.mask_token_id, made.sep_token_id) == (MASK, SEP)
    return made


@pytest.fixture(scope="module")
def blocks() -> np.ndarray:
    """int32 [2000, 50] of bytes with a special token at every tenth place."""
    made = np.random.Generator(np.random.Philox(0)).integers(0, 256, (2000, 50), dtype=np.int32)
    made[:, ::10] = SEP
    return made


def test_bert_s_rule(blocks, tokenizer):
    inputs, labels = mask_blocks(blocks, tokenizer, seed=1)
    predicted = labels != IGNORED
    assert (inputs.dtype, labels.dtype) == (np.int32, np.int64)
    assert (predicted.sum(1) == 8).all()  # round(0.15 * 50)
    assert not predicted[:, ::10].any()
    assert (labels[predicted] == blocks[predicted]).all()
    assert (inputs[~predicted] == blocks[~predicted]).all()
    masked = (inputs == MASK).sum() / predicted.sum()
    kept = (inputs[predicted] == blocks[predicted]).mean()
    assert masked == pytest.approx(0.8, abs=0.01)  # 16,000 draws: a standard error of 0.003
    assert kept == pytest.approx(0.1 + 0.1 / 256, abs=0.01)
    others = inputs[predicted & (inputs != MASK) & (inputs != blocks)]
    assert others.max() < 256  # another token is never a special one
    assert np.bincount(others, minlength=256).max() < 25  # 1,600 draws of 256
    places = predicted.sum(0)[np.arange(50) % 10 != 0]
    assert places.min() > 0.8 * places.mean()


def test_masks_are_a_function_of_seed_and_place(blocks, tokenizer):
    np.random.seed(3)
    state = np.random.get_state(legacy=False)["state"]["key"].copy()
    inputs, labels = mask_blocks(blocks, tokenizer, seed=1)
    assert (np.random.get_state(legacy=False)["state"]["key"] == state).all()
    again = mask_blocks(blocks[:10], tokenizer, seed=1)  # however many blocks follow
    assert (again[0] == inputs[:10]).all()
    assert (again[1] == labels[:10]).all()
    assert (mask_blocks(blocks, tokenizer, seed=2)[1] != labels).any()
    alike = np.repeat(blocks[:1], 2, 0)
    first, second = mask_blocks(alike, tokenizer, seed=1)[1]
    assert (first != second).any()


def test_known_masks(tokenizer):
    """Pinned: a ledger of masked blocks can only be replayed while these stay."""
    _, labels = mask_blocks(np.arange(40, dtype=np.int32).reshape(2, 20), tokenizer, seed=7)
    assert [list(np.flatnonzero(row >= 0)) for row in labels] == KNOWN


@pytest.mark.parametrize(("size", "share", "count"), [(20, 0.15, 3), (4, 0.15, 1), (2, 0.15, 1), (10, 0.5, 5)])
def test_counts(tokenizer, size, share, count):
    _, labels = mask_blocks(np.zeros((3, size), np.int32), tokenizer, 0, share)
    assert ((labels != IGNORED).sum(1) == count).all()


def test_a_block_of_special_tokens_is_a_clear_error(blocks, tokenizer):
    broken = blocks.copy()
    broken[7, 3:] = SEP
    with pytest.raises(DataError, match="block 7 has 2 ordinary tokens, of which 8 are to be masked"):
        mask_blocks(broken, tokenizer, seed=0)


def test_a_tokenizer_without_a_mask_token_is_a_clear_error(blocks):
    with pytest.raises(ModelError, match="the tokenizer has no mask token"):
        mask_blocks(blocks, byte_tokenizer(), seed=0)
