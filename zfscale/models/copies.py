"""Copies of a backbone's last block and final norm, side by side on what the blocks below give (MEMO's special blocks).

The backbone's code stays as it is: the last block and the norm are given hooks, and the copies' tokens follow the
backbone's own in the batch. Shapes: B batch, N tokens, D hidden size, T the backbone's own and its copies.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import nn

from zfscale.errors import ModelError
from zfscale.models.vit import Encoder

FINAL_NORMS = ("post_layernorm", "layernorm", "norm")  # CLIP, SigLIP; ViT, DeiT, BEiT, DINOv2; DINOv3


class Copies(nn.Module):
    """Makes the features of `encoder` [B, T D]: those of the backbone as it is, then those of each copy.

    Errors: ModelError if the backbone has no stack of blocks or no final norm by a known name.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.pairs = nn.ModuleList()  # of a block and a norm
        self._shown = slice(None)  # which of the backbone's own and the copies a forward is of
        block, norm = _last_block(encoder.backbone), _final_norm(encoder.backbone)
        self._own = (nn.ModuleList([block, norm]),)  # in a tuple: they are the backbone's
        self._blank = (copy.deepcopy(self._own[0]),)  # before it has hooks, which a copy must not have
        block.register_forward_hook(self._blocks, with_kwargs=True)
        norm.register_forward_hook(self._norms)
        encoder.register_forward_hook(self._side_by_side)

    def __len__(self) -> int:
        return 1 + len(self.pairs)

    @property
    def newest(self) -> nn.ModuleList:
        """The block and the norm of the newest copy, or the backbone's own."""
        return self._all[-1]

    def fresh(self) -> nn.Module:
        """A block and a norm with the weights of the newest ones; `pairs.append` takes it in."""
        made = copy.deepcopy(self._blank[0])
        made.load_state_dict(self.newest.state_dict())
        return made.to(next(self.newest.parameters()).device)

    def older(self) -> AbstractContextManager[None]:
        """Forwards inside make the features [B, (T - 1) D] of all but the newest."""
        return self._show(slice(0, -1))

    def alone(self) -> AbstractContextManager[None]:
        """Forwards inside make the features [B, D] of the newest, whose block is in the place of the backbone's own."""
        return self._show(slice(-1, None))

    @contextmanager
    def _show(self, which: slice) -> Iterator[None]:
        self._shown = which
        try:
            yield
        finally:
            self._shown = slice(None)

    @property
    def _all(self) -> list[nn.ModuleList]:
        return [*self._own, *self.pairs]

    @property
    def _beside(self) -> list[nn.ModuleList]:
        return self._all[self._shown]

    def _blocks(self, _block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        """Tokens [B, N, D] of the last block -> [T B, N, D]."""
        _, *copies = self._beside
        if not copies:
            return output
        outputs = [output, *(pair[0](*args, **kwargs) for pair in copies)]
        if not isinstance(output, tuple):
            return torch.cat(outputs)
        return (torch.cat([tokens for tokens, *_ in outputs]), *output[1:])

    def _norms(self, _norm: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        """Each T-th of the batch under its own norm."""
        pairs = self._beside
        parts = zip(pairs, args[0].chunk(len(pairs)), output.chunk(len(pairs)), strict=True)
        normed = [own if pair is self._own[0] else pair[1](part) for pair, part, own in parts]
        return normed[0] if len(normed) == 1 else torch.cat(normed)

    def _side_by_side(self, _encoder: nn.Module, _args: Any, features: torch.Tensor) -> torch.Tensor:
        """[T B, D] -> [B, T D]."""
        return torch.cat(features.chunk(len(self._beside)), 1)


def stack(backbone: nn.Module) -> tuple[nn.Module, str] | None:
    """The module that holds the backbone's blocks, the longest list of modules, and the list's name in it."""
    lists = [
        (parent, name)
        for parent in backbone.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.ModuleList)
    ]
    return max(lists, key=lambda found: len(getattr(*found)), default=None)


def _last_block(backbone: nn.Module) -> nn.Module:
    if (found := stack(backbone)) is None:
        raise ModelError(f"{type(backbone).__name__}: no stack of blocks, of which method memo copies the last")
    return getattr(*found)[-1]


def _final_norm(backbone: nn.Module) -> nn.Module:
    children = dict(backbone.named_children())
    found = next((children[name] for name in FINAL_NORMS if name in children), None)
    if found is None:
        names = ", ".join(FINAL_NORMS)
        raise ModelError(f"{type(backbone).__name__}: no final norm ({names}), which method memo copies")
    return found
