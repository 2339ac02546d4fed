"""The parallel adapter of AdaptFormer (Chen et al. 2022), hung into any ViT-family backbone.

    h = x + Attention(LN x);  out = h + FFN(LN h) + scale * U ReLU(D h)

The backbone's code stays as it is: the adapter reads h where the block's second norm receives it and adds its output
to the block's. Shapes: B batch, N tokens, D hidden size.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from zfscale.errors import ModelError

FFN_NORMS = (
    "layernorm_after",
    "layer_norm2",
    "norm2",
    "post_attention_layernorm",
)  # the norm before the FFN: ViT/BEiT/DeiT, CLIP/SigLIP, DINO, Llama and its kin


class Adapter(nn.Module):
    """[B, N, D] -> [B, N, D]: scale * U dropout(ReLU(D h)); zero at the start, as U and both biases are."""

    def __init__(self, width: int, bottleneck: int, scale: float, dropout: float, generator: torch.Generator) -> None:
        super().__init__()
        self.down = nn.utils.skip_init(nn.Linear, width, bottleneck)  # torch's own draws from the global generator
        self.up = nn.utils.skip_init(nn.Linear, bottleneck, width)
        self.scale = scale
        self.dropout = nn.Dropout(dropout)
        bound = 1 / math.sqrt(width)  # Kaiming-uniform with a = sqrt 5
        with torch.no_grad():
            self.down.weight.uniform_(-bound, bound, generator=generator)
            for zero in (self.down.bias, self.up.weight, self.up.bias):
                zero.zero_()

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return self.up(self.dropout(F.relu(self.down(h)))) * self.scale


class Adapters(nn.Module):
    """One set of adapters a task, each set an adapter a block; `active` chooses the set in use, None for none."""

    def __init__(self, backbone: nn.Module, bottleneck: int, scale: float, dropout: float) -> None:
        super().__init__()
        self.sets = nn.ModuleList()
        self.active: int | None = None
        self._shape = (_width(backbone), bottleneck, scale, dropout)
        self._blocks = _blocks(backbone)
        for position, (block, norm) in enumerate(self._blocks):
            _attach(self, position, block, norm)

    def add(self, seed: int) -> int:
        """Append a fresh set, initialised from `seed`, and activate it; returns its index."""
        generator = torch.Generator().manual_seed(seed)
        fresh = nn.ModuleList(Adapter(*self._shape, generator) for _ in self._blocks)
        self.sets.append(fresh.to(next(self._blocks[0][0].parameters()).device))
        self.active = len(self.sets) - 1
        return self.active

    def current(self, position: int) -> nn.Module | None:
        """The active set's adapter at block `position`."""
        if self.active is None:
            return None
        return self.sets[self.active][position]  # type: ignore[index]


def _attach(adapters: Adapters, position: int, block: nn.Module, norm: nn.Module) -> None:
    kept: list[torch.Tensor] = []

    def keep(_norm: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        kept[:] = [inputs[0]]

    def add(_block: nn.Module, _inputs: Any, output: Any) -> Any:
        h = kept.pop()
        adapter = adapters.current(position)
        if adapter is None:
            return output
        if isinstance(output, tuple):
            return (output[0] + adapter(h), *output[1:])
        return output + adapter(h)

    norm.register_forward_pre_hook(keep)
    block.register_forward_hook(add)


def _blocks(backbone: nn.Module) -> list[tuple[nn.Module, nn.Module]]:
    """(block, its norm before the FFN), in order of depth."""
    modules = dict(backbone.named_modules())
    found = [
        (modules[path.rpartition(".")[0]], module)
        for path, module in modules.items()
        if path.rpartition(".")[2] in FFN_NORMS
    ]
    if not found:
        raise ModelError(
            f"{type(backbone).__name__}: no transformer block with a norm before its FFN "
            f"(looked for {', '.join(FFN_NORMS)}); adapters need one. Method 'finetune' or 'simplecil' does not."
        )
    return found


def _width(backbone: nn.Module) -> int:
    config: Any = backbone.config
    return int(config.hidden_size)
