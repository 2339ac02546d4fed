"""Masked language modelling's examples from token blocks: which tokens are hidden, and what is to be predicted.

Shapes: N blocks, B tokens a block.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zfscale.errors import DataError, ModelError

IGNORED = -100  # the label of a token that is not predicted, as torch's cross-entropy has it
MASKED, REPLACED = 0.8, 0.1  # shares of the predicted tokens that become the mask token, another token; rest: as is


def mask_blocks(blocks: np.ndarray, tokenizer: Any, seed: int, share: float = 0.15) -> tuple[np.ndarray, np.ndarray]:
    """Blocks int32 [N, B] -> inputs int32 [N, B], labels int64 [N, B], `IGNORED` where nothing is predicted.

    BERT's rule (Devlin et al. 2019, section 3.1) on round(share * B) tokens of every block, one at least, so that all
    blocks weigh the same in a mean; special tokens are never among them. Block n's masks depend on (seed, n) alone.
    NOTE: static masks, drawn once and not anew every epoch (as in RoBERTa): so the loss of a batch is a function of
    the weights, which zeroth-order estimates need.
    Errors: ModelError if the tokenizer has no mask token, DataError for a block of too few ordinary tokens.
    """
    if tokenizer.mask_token_id is None:
        raise ModelError("the tokenizer has no mask token, which training a masked language model needs")
    special = np.array(tokenizer.all_special_ids, blocks.dtype)
    ordinary = np.setdiff1d(np.fromiter(tokenizer.get_vocab().values(), blocks.dtype), special)
    count = max(1, round(share * blocks.shape[1]))
    place, fate, other = _noise(seed, blocks.shape)
    hidden = _lowest(place, ~np.isin(blocks, special), count)
    chance = fate / 2.0**64
    inputs = np.where(hidden & (chance < MASKED), np.asarray(tokenizer.mask_token_id, blocks.dtype), blocks)
    swapped = hidden & (chance >= MASKED) & (chance < MASKED + REPLACED)
    inputs[swapped] = ordinary[other[swapped] % np.uint64(len(ordinary))]
    return inputs, np.where(hidden, blocks, IGNORED).astype(np.int64)


def _noise(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """uint64 [3, N, B] of Philox keyed by (seed, block)."""
    n, size = shape
    words = [np.random.Philox(key=np.array([seed, block], np.uint64)).random_raw(3 * size) for block in range(n)]
    return np.array(words, np.uint64).reshape(n, 3, size).transpose(1, 0, 2)


def _lowest(noise: np.ndarray, allowed: np.ndarray, count: int) -> np.ndarray:
    """Bool [N, B]: the `count` positions of each row that are allowed and have the least noise."""
    if len(short := np.flatnonzero(allowed.sum(1) < count)):
        have = int(allowed[short[0]].sum())
        raise DataError(f"block {short[0]} has {have} ordinary tokens, of which {count} are to be masked")
    order = np.argsort(np.where(allowed, noise >> np.uint64(1), np.uint64(2**63)), axis=1, kind="stable")
    chosen = np.zeros_like(allowed)
    np.put_along_axis(chosen, order[:, :count], True, axis=1)
    return chosen
