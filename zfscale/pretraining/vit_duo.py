"""Pretraining of embedded/vit-duo: a ViT of vit-mini's size whose features say what a thing is and how it looks.

It learns by regression what two teachers say of an image: vit-mini's feature, for drawings the mean over slightly moved
copies, and the image's main components by pixels, which contrast has unlearned. The cosine of two of its features is
then about the weighted mean of what both teachers say. It is taught of what vit-mini was, and of clip art.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from zfscale.models.load import EMBEDDED
from zfscale.models.vit import Encoder, build, load_base
from zfscale.pretraining import card, vit_mini
from zfscale.pretraining.clip_art import clip_art
from zfscale.pretraining.recipe import averaged
from zfscale.pretraining.vit_mini import PIXELS, Batches, Source, backbone, source

TEACHER = "embedded/vit-mini"
LOOKS = 24  # main components of the pixels
COLOUR = 2.0  # times what differences of colour count by pixels
WEIGHT = 1.5  # of the pixels' cosine, beside that of vit-mini's features
MOVED = 4  # copies of a drawing whose features are averaged with its own
MOVES = (0.25, 0.15, 0.06, 0.06)  # at most: turned by radians, scaled by a share, shifted by shares of half the side
BANK = (160, 512)  # batches of images that are learned again and again, and images in one
MIX = {  # of a batch
    **{"simple": 0.33, "sized": 0.1, "complex": 0.09},
    **{"clothes": 0.12, "coloured": 0.12, "clip_art": 0.1, "photographs": 0.14},
}


def sources() -> dict[str, Source]:
    """All that is learned: vit-mini's and the clip art. Errors: DataError if fonts or pictures are missing."""
    found = vit_mini.sources()
    last = found["photographs"]
    drawings = clip_art()
    return found | {"clip_art": source(drawings, np.arange(len(drawings)), last.first + last.classes)}


class Mixed(Batches):
    """vit-mini's batches in another mix, with clip art, as hard as they become."""

    def __init__(self, of: dict[str, Source], size: int, seed: int) -> None:
        super().__init__(of, size, seed, MIX)
        self.distortion.plain = 0.5
        self.first_picture = of["clothes"].first
        self.generator = torch.Generator().manual_seed(seed + 2)

    def _clip_art(self, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        rows, labels = self._of["clip_art"].pairs(n, self._generator)
        return self.distortion.pictures(self._of["clip_art"].x[rows], scale=(0.6, 1.5)), labels


@dataclass(frozen=True)
class Bank:
    """Images uint8 [N, 3, 28, 28], and what the teachers say of each, float32 [N, D], of a length of about 1."""

    images: torch.Tensor
    targets: torch.Tensor


@torch.no_grad()
def bank(teacher: Encoder, batches: Mixed, n: int) -> Bank:
    """`n` batches.

    The main components of the pixels take the place of those directions in which the teacher's features are smallest,
    so that a student which starts as the teacher keeps the rest.
    """
    images, shown = [], []
    for _ in range(n):
        x, labels = batches.next()
        images.append(x)
        shown.append(_shown(teacher, x, labels < batches.first_picture, batches.generator))
    x, features = torch.cat(images), torch.cat(shown)
    free = torch.linalg.eigh(features.T @ features).eigenvectors[:, :LOOKS]
    kept = F.normalize(features - features @ free @ free.T)
    share = WEIGHT / (1 + WEIGHT)
    return Bank(x, math.sqrt(1 - share) * kept + math.sqrt(share) * looks(x) @ free.T)


def looks(images: torch.Tensor) -> torch.Tensor:
    """uint8 [N, 3, 28, 28] -> [N, LOOKS]: main components of the pixels.

    The inner product of two is about the cosine of `_pixels`.
    """
    pixels = torch.cat([_pixels(part) for part in images[::16].split(512)])
    basis = torch.linalg.eigh(pixels.T @ pixels).eigenvectors[:, -LOOKS:]
    return torch.cat([_pixels(part) @ basis for part in images.split(512)])


def _pixels(images: torch.Tensor) -> torch.Tensor:
    """uint8 [N, 3, 28, 28] -> [N, 3 * 28 * 28], of length 1: brightness, and two differences of colour, enlarged."""
    axes = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]])
    axes = F.normalize(axes) * torch.tensor([1.0, COLOUR, COLOUR])[:, None]
    return F.normalize(torch.einsum("ij,njhw->nihw", axes, images.float()).flatten(1))


def _shown(teacher: Encoder, x: torch.Tensor, drawn: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The teacher's features [B, D] of length 1, of drawings the mean over moved copies."""
    with torch.autocast("cpu", torch.bfloat16):
        features = F.normalize(teacher(x).float())
        copies = [F.normalize(teacher(_moved(x[drawn], generator)).float()) for _ in range(MOVED)]
    features[drawn] = F.normalize((features[drawn] + sum(copies)) / (1 + MOVED))
    return features


def _moved(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """uint8 [B, 3, 28, 28]: each image slightly turned, scaled and shifted."""
    most = torch.tensor(MOVES)[:, None]
    angle, scale, right, down = (2 * torch.rand(4, len(x), generator=generator) - 1) * most
    cos, sin = torch.cos(angle) * (1 + scale), torch.sin(angle) * (1 + scale)
    theta = torch.stack([torch.stack([cos, -sin, right], 1), torch.stack([sin, cos, down], 1)], 1)
    grid = F.affine_grid(theta, [len(x), 1, 28, 28], align_corners=False)
    found = F.grid_sample(x.float(), grid, padding_mode="border", align_corners=False)
    return found.round().to(torch.uint8)


def build_vit_duo(
    steps: int = 1600, seed: int = 0, out: Path = EMBEDDED / "vit-duo", batch_size: int = 256, lr: float = 1e-3
) -> dict[str, Any]:
    """Pretrain vit-duo, whose teacher is embedded/vit-mini, and write it to `out` with its card; returns the card.

    Errors: DataError if the fonts, Fashion-MNIST or the pictures are missing; it says what to install.
    """
    torch.manual_seed(seed)  # a command of its own process: the one place where the global generator is ours
    random = card.features(Encoder(backbone(), PIXELS).eval())
    student = build(load_base(TEACHER))
    taught = bank(build(load_base(TEACHER)), Mixed(sources(), BANK[1], seed), BANK[0])
    made = _train(student, taught, steps, batch_size, lr, torch.Generator().manual_seed(seed))
    made.backbone.save_pretrained(out)
    PIXELS.save(out)
    facts: dict[str, Any] = {"teacher": TEACHER, "steps": steps, "seed": seed, "batch_size": batch_size}
    facts |= {"images": len(taught.images), "nearest_mean": card.compare(made.eval(), random)}
    (out / "pretraining.json").write_text(json.dumps(facts, indent=2) + "\n")
    return facts


def _train(student: Encoder, taught: Bank, steps: int, batch_size: int, lr: float, generator: torch.Generator) -> Any:
    """By the square of the distance to what the teachers say, on rows of the bank at random."""

    def loss_of(_: int) -> torch.Tensor:
        rows = torch.randint(len(taught.images), (batch_size,), generator=generator)
        with torch.autocast("cpu", torch.bfloat16):
            features = student(taught.images[rows])
        found = features.float() / math.sqrt(features.shape[1])  # a LayerNorm's, so of a length of about 1
        return (found - taught.targets[rows]).square().sum(1).mean()

    return averaged(student, loss_of, steps, lr, weight_decay=0.01, decay=0.995)
