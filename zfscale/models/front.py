"""The front of an image encoder, in which nothing is trained: it runs once, and later forwards begin behind it.

The backbone's code stays as it is: while a forward ends with the front or begins behind it, its stack of blocks is
another one. Shapes: B images, N tokens, D hidden size, F features.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from zfscale.models.copies import Copies, stack
from zfscale.models.vit import Encoder


@dataclass(frozen=True)
class Begun:
    """What a front has made of B images.

    Args:
        tokens: [B, N, D] that enter the first block in which, or before which, something is trained; None where
            nothing in the encoder is.
        features: [B, F] that no training changes: all of them, or those of MEMO's older copies; None for none.
    """

    tokens: torch.Tensor | None
    features: torch.Tensor | None

    def __getitem__(self, rows: slice | torch.Tensor) -> Begun:
        return Begun(*(part if part is None else part[rows] for part in (self.tokens, self.features)))

    @property
    def parts(self) -> list[torch.Tensor]:
        """The tensors that there are."""
        return [part for part in (self.tokens, self.features) if part is not None]

    def room(self, images: int) -> Begun:
        """Uninitialised, of so many images."""
        return Begun(*(p if p is None else p.new_empty(images, *p.shape[1:]) for p in (self.tokens, self.features)))

    def put(self, rows: slice, some: Begun) -> None:
        """Write what was made of these rows."""
        for mine, part in zip(self.parts, some.parts, strict=True):
            mine[rows] = part


class Front:
    """The embeddings and the first `depth` blocks of an encoder, and the older ones of its `copies`.

    NOTE: in the same batch, what begins behind the front has the bits of a whole forward (but for SigLIP's copies,
    whose tokens its pooler takes in one product). The tokens of an image that were made in another batch may differ in
    the last bits: how a matrix product rounds depends on its size.
    """

    def __init__(self, encoder: Encoder, depth: int, copies: Copies | None = None) -> None:
        found = stack(encoder.backbone)
        assert found is not None
        self._encoder, self._copies, self._place = encoder, copies, found
        blocks: list[nn.Module] = list(getattr(*found))
        self._door = _Door()
        until, behind = [*blocks[:depth], self._door], blocks[depth:]
        if copies is not None:  # the older copies hang on the backbone's own last block
            until, behind = [*until, *behind], [copies.newest[0]]
        self._until, self._behind = nn.ModuleList(until), nn.ModuleList([self._door, *behind])

    @torch.no_grad()
    def run(self, images: torch.Tensor) -> Begun:
        """What it makes of uint8 images [B, C, H, W]."""
        with self._blocks(self._until), nullcontext() if self._copies is None else self._copies.older():
            features = self._encoder(images)
            tokens = self._door.tokens
        return Begun(tokens, None if self._copies is None else features)

    def resume(self, images: torch.Tensor, begun: Begun) -> torch.Tensor:
        """Features [B, F] of the images that this was made of."""
        embeddings: Any = self._encoder.backbone.embeddings
        embeddings.forward = lambda *_args, **_kwargs: begun.tokens
        self._door.opened = begun.tokens
        try:
            with self._blocks(self._behind), nullcontext() if self._copies is None else self._copies.alone():
                features = self._encoder(images)
        finally:
            del embeddings.forward
        return features if begun.features is None else torch.cat([begun.features, features], 1)

    @contextmanager
    def _blocks(self, blocks: nn.ModuleList) -> Iterator[None]:
        """Forwards inside have these blocks."""
        owner, name = self._place
        whole, owner._modules[name] = owner._modules[name], blocks
        try:
            yield
        finally:
            owner._modules[name] = whole
            self._door.tokens = self._door.opened = None


class Features(Front):
    """That of an encoder in which nothing is trained: it makes the features themselves."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    @torch.no_grad()
    def run(self, images: torch.Tensor) -> Begun:
        return Begun(None, self._encoder(images))

    def resume(self, images: torch.Tensor, begun: Begun) -> torch.Tensor:
        assert begun.features is not None
        return begun.features


class _Door(nn.Module):
    """Stands between two blocks: keeps the tokens [B, N, D] that pass, or lets others in where some are given."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: torch.Tensor | None = None
        self.opened: torch.Tensor | None = None

    def forward(self, hidden_states: torch.Tensor, *_args: Any, **_kwargs: Any) -> torch.Tensor:
        self.tokens = hidden_states if self.opened is None else self.opened
        return self.tokens


def front_of(encoder: Encoder, copies: Copies | None, example: torch.Tensor) -> Front | None:
    """The front of an encoder whose trained parameters are those that require a gradient; None if there is none.

    There is none either where a forward cannot begin behind it with the same result, which is tried on `example`, one
    image: where the blocks are those of a hierarchical backbone, or a hook of someone's reads what passes in front.
    Of what is no `Encoder` nothing is known.
    """
    if not isinstance(encoder, Encoder):
        return None
    passing = _Passing(encoder)
    with passing, torch.enable_grad():
        features = encoder(example)
    if not features.requires_grad:
        return Features(encoder)
    front = None
    if copies is None or not len(copies.pairs):
        front = Front(encoder, passing.frozen) if passing.frozen else None
    elif passing.frozen and passing.frozen == passing.count - 1 and not _trained(copies, encoder, example):
        front = Front(encoder, passing.frozen, copies)
    return front if front is not None and _same(front, encoder, example) else None


def _trained(copies: Copies, encoder: Encoder, example: torch.Tensor) -> bool:
    """Whether anything is trained in the older copies."""
    with copies.older(), torch.enable_grad():
        return encoder(example).requires_grad


@torch.no_grad()
def _same(front: Front, encoder: Encoder, example: torch.Tensor) -> bool:
    """Whether a forward behind the front is a whole one, even if that of another image was between.

    But for rounding: SigLIP's pooler takes the tokens of all copies in one product.
    """
    begun, whole = front.run(example), encoder(example)
    encoder(255 - example)
    error = (front.resume(example, begun) - whole).abs().max()
    return bool(error <= whole.abs().max() * torch.finfo(whole.dtype).eps ** 0.5)


class _Passing:
    """Watches the tokens of a forward on their way into the blocks."""

    def __init__(self, encoder: Encoder) -> None:
        found = stack(encoder.backbone)
        self._blocks = [] if found is None else list(getattr(*found))
        self._embeddings = getattr(encoder.backbone, "embeddings", None)
        self._tokens: list[Any] = []

    def __enter__(self) -> None:
        watched = [] if self._embeddings is None else [self._embeddings.register_forward_hook(self._made)]
        watched += [block.register_forward_pre_hook(self._entered, with_kwargs=True) for block in self._blocks]
        self._handles = watched

    def __exit__(self, *_error: object) -> None:
        for handle in self._handles:
            handle.remove()

    @property
    def count(self) -> int:
        """How many blocks there are."""
        return len(self._blocks)

    @property
    def frozen(self) -> int:
        """How many blocks come before the first in which, or before which, something is trained.

        0 where not every block takes, once, tokens [B, N, D] of the embeddings' shape.
        """
        tokens = self._tokens
        if len(tokens) != 1 + self.count or not all(isinstance(t, torch.Tensor) for t in tokens):
            return 0
        if len({t.shape for t in tokens}) > 1:
            return 0
        return max(0, sum(not t.requires_grad for t in tokens[1:]) - 1)

    def _made(self, _module: nn.Module, _args: Any, output: Any) -> None:
        self._tokens.append(output)

    def _entered(self, _module: nn.Module, args: Any, kwargs: Any) -> None:
        self._tokens.append(args[0] if args else kwargs.get("hidden_states"))
