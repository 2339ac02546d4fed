"""Pretraining of embedded/vit-mini: thousands of printed characters, clothes and coloured pictures, as classes.

It is taught no Latin, Greek or Cyrillic letter, no digit, no kana and no Thai, and no photograph of the embedded
datasets: what it is tested on. Many of the fonts that draw its characters draw those of scripts100 as well.
Fashion-MNIST's training split is among what it learns, so that of the embedded datasets the two of Fashion-MNIST are
new pictures of known classes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from zfscale.data.images import load
from zfscale.models.load import EMBEDDED
from zfscale.models.pixels import Pixels
from zfscale.models.vit import Encoder
from zfscale.pretraining import card
from zfscale.pretraining.distort import Distortion, thin
from zfscale.pretraining.fonts import INKED, complex_script, draw, font_files, learned, thinned
from zfscale.pretraining.photographs import pieces
from zfscale.pretraining.recipe import averaged
from zfscale.pretraining.small_pictures import coloured

PIXELS = Pixels(size=28, channels=3, mean=(0.5,) * 3, std=(0.5,) * 3)
MINI: dict[str, Any] = {
    "hidden_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 256,
    "image_size": 28,
    "patch_size": 7,
    "num_channels": 3,
    "initializer_range": 0.08,
}
OF_A_SCRIPT = 400  # characters of a script, at most
FONTS = 20  # drawings of a character, at most
MIX = {  # of a batch
    **{"simple": 0.4, "sized": 0.11, "complex": 0.1},
    **{"clothes": 0.12, "coloured": 0.16, "photographs": 0.11},
}
SIZES = ((0.85, 1.05), (0.5, 0.65))  # of what is large and what is small
TEMPERATURE = 0.12
ROTATIONS = 4


@dataclass(frozen=True)
class Source:
    """Examples by class: `rows[offsets[c] : offsets[c + 1]]` are those of class c, whose label is `first + c`."""

    x: torch.Tensor
    rows: torch.Tensor
    offsets: torch.Tensor
    first: int
    strokes: torch.Tensor | None = None

    @property
    def classes(self) -> int:
        """How many."""
        return len(self.offsets) - 1

    def pairs(self, n: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows [2 n] and labels [2 n]: n classes at random, two examples of each, perhaps the same."""
        c = torch.randint(self.classes, (n,), generator=generator).repeat(2)
        sizes = self.offsets[c + 1] - self.offsets[c]
        at = (torch.rand(2 * n, generator=generator) * sizes).long()
        return self.rows[self.offsets[c] + at], c + self.first


def source(x: np.ndarray, y: np.ndarray, first: int, strokes: np.ndarray | None = None) -> Source:
    """A source of examples x [N, ...] with labels y [N]."""
    labels, place = np.unique(y, return_inverse=True)
    rows = torch.tensor(np.argsort(place, kind="stable"))
    offsets = torch.tensor(np.concatenate([[0], np.bincount(place).cumsum()]))
    assert len(labels) == len(offsets) - 1
    return Source(torch.tensor(x), rows, offsets, first, None if strokes is None else torch.tensor(strokes))


def sources() -> dict[str, Source]:
    """All that is learned; labels count over all of them. Errors: DataError if fonts or pictures are missing."""
    drawings = draw(font_files(), lambda has: thinned(learned(has), OF_A_SCRIPT), FONTS)
    strokes = thin(drawings.x > INKED)
    dense = np.array([complex_script(c) for c in drawings.characters])[drawings.y]
    found: dict[str, Source] = {}
    first = 0
    for name, rows in (("simple", ~dense), ("complex", dense)):
        found[name] = source(drawings.x[rows], drawings.y[rows], first, strokes[rows])
        first += found[name].classes
    clothes = load("fashion_mnist", 28)
    found["clothes"] = source(clothes.train_x[:, 0], clothes.train_y, first)
    first += found["clothes"].classes * ROTATIONS
    for name, pictures in (("coloured", coloured()), ("photographs", pieces())):
        found[name] = source(pictures, np.arange(len(pictures)), first)
        first += len(pictures)
    return found


class Batches:
    """Batches of the mix, of pairs of one class, a function of the seed."""

    def __init__(self, of: dict[str, Source], size: int, seed: int, mix: Mapping[str, float] = MIX) -> None:
        self._of, self._generator = of, torch.Generator().manual_seed(seed)
        self.distortion = Distortion(seed + 1)
        self._pairs = {name: round(size / 2 * share) for name, share in mix.items()}
        last = of["photographs"]
        self.classes = last.first + last.classes

    def next(self) -> tuple[torch.Tensor, torch.Tensor]:
        """uint8 [B, 3, 28, 28] and labels int64 [B]."""
        parts = [getattr(self, f"_{name}")(n) for name, n in self._pairs.items()]
        images, labels = zip(*parts, strict=True)
        return torch.cat(images), torch.cat(labels)

    def _simple(self, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self._characters("simple", n)

    def _complex(self, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self._characters("complex", n)

    def _characters(self, name: str, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        of = self._of[name]
        rows, labels = of.pairs(n, self._generator)
        assert of.strokes is not None
        return self.distortion.characters(of.x[rows], of.strokes[rows]), labels

    def _sized(self, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        """A character drawn large is one class and drawn small another, as `C` and `c` are: labels below 0."""
        of = self._of["simple"]
        rows, labels = of.pairs(n // 2, self._generator)
        assert of.strokes is not None
        large, small = (self.distortion.characters(of.x[rows], of.strokes[rows], scale) for scale in SIZES)
        return torch.cat([large, small]), torch.cat([-2 * labels - 1, -2 * labels - 2])

    def _clothes(self, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        """With joint labels class x rotation (Lee et al., ICML 2020)."""
        of = self._of["clothes"]
        rows, labels = of.pairs(n, self._generator)
        turns = torch.randint(ROTATIONS, (n,), generator=self._generator).repeat(2)
        images = torch.stack([torch.rot90(x, int(k)) for x, k in zip(of.x[rows], turns, strict=True)])
        return self.distortion.greys(images), of.first + (labels - of.first) * ROTATIONS + turns

    def _coloured(self, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        rows, labels = self._of["coloured"].pairs(n, self._generator)
        return self.distortion.pictures(self._of["coloured"].x[rows], scale=(0.6, 1.5)), labels

    def _photographs(self, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        rows, labels = self._of["photographs"].pairs(n, self._generator)
        return self.distortion.pictures(self._of["photographs"].x[rows], scale=(1.3, 2.2)), labels


def contrast(features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Supervised contrastive loss of features [B, D] and labels [B] (Khosla et al., NeurIPS 2020, eq. 2); a scalar.

    It draws features of one class together, by cosine, and those of others apart: what a nearest class mean needs, also
    of classes that were not learned. Every label occurs twice at least.
    """
    z = F.normalize(features)
    itself = torch.eye(len(z), dtype=torch.bool)
    log_p = F.log_softmax((z @ z.T / TEMPERATURE).masked_fill(itself, -torch.inf), 1).masked_fill(itself, 0.0)
    same = (labels[:, None] == labels[None]) & ~itself
    return -((log_p * same).sum(1) / same.sum(1)).mean()


def build_vit_mini(
    steps: int = 5000, seed: int = 0, out: Path = EMBEDDED / "vit-mini", batch_size: int = 512, lr: float = 1e-3
) -> dict[str, Any]:
    """Pretrain vit-mini and write it to `out` with its card; returns the card.

    Fifty minutes of one core with bfloat16 instructions. Errors: DataError if the fonts, Fashion-MNIST or the
    pictures are missing; it says what to install.
    """
    torch.manual_seed(seed)  # a command of its own process: the one place where the global generator is ours
    encoder = Encoder(backbone(), PIXELS)
    random = card.features(encoder.eval())
    batches = Batches(sources(), batch_size, seed)
    made = _train(encoder, batches, steps, lr)
    made.backbone.save_pretrained(out)
    PIXELS.save(out)
    facts: dict[str, Any] = {"steps": steps, "seed": seed, "batch_size": batch_size, "classes": batches.classes}
    facts["nearest_mean"] = card.compare(made.eval(), random)
    (out / "pretraining.json").write_text(json.dumps(facts, indent=2) + "\n")
    return facts


def backbone() -> Any:
    """A randomly initialised ViT of vit-mini's size."""
    from transformers import ViTConfig, ViTModel

    return ViTModel(ViTConfig(**MINI), add_pooling_layer=False)


def _train(encoder: Encoder, batches: Batches, steps: int, lr: float) -> Any:
    """By contrast. It starts with white drawings on black, hardly distorted; all is as it will be after 40 %."""

    def loss_of(step: int) -> torch.Tensor:
        grown = min(1.0, step / (0.4 * steps))
        batches.distortion.strength, batches.distortion.plain = 0.3 + 0.7 * grown, 1 - 0.5 * grown
        images, labels = batches.next()
        with torch.autocast("cpu", torch.bfloat16):
            features = encoder(images)
        return contrast(features.float(), labels)

    return averaged(encoder, loss_of, steps, lr, weight_decay=0.05, decay=0.998)
