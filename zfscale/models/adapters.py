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

# The norm before the FFN, by the names it has; of several in a block, the first listed here is it.
FFN_NORMS = (
    "pre_feedforward_layernorm",  # Gemma 2 and 3, which have a post_attention_layernorm of another place
    "layernorm_after",  # ViT, DeiT, BEiT
    "layer_norm2",  # CLIP, SigLIP
    "norm2",  # DINO
    "post_attention_layernorm",  # Llama and its kin, BLOOM, GPT-NeoX
    "ln_2",  # GPT-2, GPT-Neo
    "final_layer_norm",  # OPT
)
AFTER_FFN = (
    "post_feedforward_layernorm"  # where a block has it, post_attention_layernorm does not feed the FFN (OLMo 2)
)


HINT = "adapters need one; of classes, method finetune or simplecil does without, of domains model.train full or lora"


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
    kept: list[tuple[torch.Tensor, Any]] = []

    def keep(_norm: nn.Module, inputs: tuple[torch.Tensor, ...], output: Any) -> None:
        kept[:] = [(inputs[0], output)]

    def add(_block: nn.Module, _inputs: Any, output: Any) -> Any:
        h, normed = kept.pop()
        adapter = adapters.current(position)
        if adapter is None:
            return output
        several = isinstance(output, (tuple, list))
        out, *others = output if several else (output,)
        if out is normed:
            raise ModelError(f"{type(block).__name__}: its last norm comes after its FFN; {HINT}")
        out = out + adapter(h).view_as(out)  # OPT's FFN has batch and tokens in one dimension
        return (out, *others) if several else out

    norm.register_forward_hook(keep)
    block.register_forward_hook(add)


def _blocks(backbone: nn.Module) -> list[tuple[nn.Module, nn.Module]]:
    """(block, its norm before the FFN), in order of depth."""
    layers = [layer for stack in backbone.modules() if isinstance(stack, nn.ModuleList) for layer in stack]
    found = [(layer, norm) for layer in layers if (norm := _ffn_norm(layer)) is not None]
    if not found:
        names = ", ".join(FFN_NORMS)
        raise ModelError(
            f"{type(backbone).__name__}: no transformer block with a norm before its FFN ({names}); {HINT}"
        )
    return found


def _ffn_norm(block: nn.Module) -> nn.Module | None:
    parts = dict(block.named_children())
    if AFTER_FFN in parts and FFN_NORMS[0] not in parts:
        return None
    return next((parts[name] for name in FFN_NORMS if name in parts), None)


def _width(backbone: nn.Module) -> int:
    config: Any = backbone.config
    return int(config.hidden_size)
