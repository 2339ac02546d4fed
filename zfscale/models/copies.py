"""Copies of a backbone's last block and final norm, side by side on what the blocks below give (MEMO's special blocks).

The backbone's code stays as it is: the last block and the norm are given hooks, and the copies' tokens follow the
backbone's own in the batch. Shapes: B batch, N tokens, D hidden size, T the backbone's own and its copies.
"""

from __future__ import annotations

import copy
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
        block, norm = _last_block(encoder.backbone), _final_norm(encoder.backbone)
        self._own = (nn.ModuleList([block, norm]),)  # in a tuple: they are the backbone's
        self._blank = (copy.deepcopy(self._own[0]),)  # before it has hooks, which a copy must not have
        block.register_forward_hook(self._blocks, with_kwargs=True)
        norm.register_forward_hook(self._norms)
        encoder.register_forward_hook(self._side_by_side)

    def __len__(self) -> int:
        return 1 + len(self.pairs)

    def fresh(self) -> nn.Module:
        """A block and a norm with the weights of the newest ones; `pairs.append` takes it in."""
        made = copy.deepcopy(self._blank[0])
        newest = self.pairs[-1] if len(self.pairs) else self._own[0]
        made.load_state_dict(newest.state_dict())
        return made.to(next(newest.parameters()).device)

    def _blocks(self, _block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        """Tokens [B, N, D] of the last block -> [T B, N, D]."""
        if not len(self.pairs):
            return output
        outputs = [output, *(pair[0](*args, **kwargs) for pair in self.pairs)]  # type: ignore[index]
        if not isinstance(output, tuple):
            return torch.cat(outputs)
        return (torch.cat([tokens for tokens, *_ in outputs]), *output[1:])

    def _norms(self, _norm: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        """Each T-th of the batch under its own norm."""
        if not len(self.pairs):
            return output
        parts = args[0].chunk(len(self))
        normed = [pair[1](part) for pair, part in zip(self.pairs, parts[1:], strict=True)]  # type: ignore[index]
        return torch.cat([output[: len(parts[0])], *normed])

    def _side_by_side(self, _encoder: nn.Module, _args: Any, features: torch.Tensor) -> torch.Tensor:
        """[T B, D] -> [B, T D]."""
        return torch.cat(features.chunk(len(self)), 1)


def _last_block(backbone: nn.Module) -> nn.Module:
    """The last of the longest list of modules."""
    stacks = [module for module in backbone.modules() if isinstance(module, nn.ModuleList)]
    if not stacks:
        raise ModelError(f"{type(backbone).__name__}: no stack of blocks, of which method memo copies the last")
    return max(stacks, key=len)[-1]


def _final_norm(backbone: nn.Module) -> nn.Module:
    children = dict(backbone.named_children())
    found = next((children[name] for name in FINAL_NORMS if name in children), None)
    if found is None:
        names = ", ".join(FINAL_NORMS)
        raise ModelError(f"{type(backbone).__name__}: no final norm ({names}), which method memo copies")
    return found
