"""Pretraining of embedded/vit-duo: a ViT of vit-mini's size whose features say what a thing is and how it looks.

It learns by regression what teachers say of an image: vit-mini's feature, for drawings the mean over slightly moved
copies, and how the image looks by its pixels, colours and edges, much of which contrast has unlearned. The cosine of
two of its features is then about the weighted mean of the teachers'. It sees what vit-mini has seen, and clip art.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from zfscale.models.load import EMBEDDED
from zfscale.models.vit import Encoder, build, load_base
from zfscale.pretraining import card, looks, vit_mini
from zfscale.pretraining.clip_art import clip_art
from zfscale.pretraining.recipe import averaged
from zfscale.pretraining.vit_mini import PIXELS, Batches, Source, backbone, source

TEACHER = "embedded/vit-mini"


class Share(NamedTuple):
    """How much of what a teacher says is learned."""

    components: int  # main ones; of all teachers together as many as vit-duo's features have numbers
    weight: float  # of its cosine, beside those of the others


OF_TEACHER = Share(52, 0.4)
LOOKS = {looks.pixels: Share(24, 0.6), looks.colours: Share(16, 0.4), looks.edges: Share(36, 0.7)}
MOVED = 4  # copies of a drawing whose features are averaged with its own
MOVES = (0.25, 0.15, 0.06, 0.06)  # at most: turned by radians, scaled by a share, shifted by shares of half the side
BANK = (140, 512)  # batches of images that are learned again and again, and images in one
MIX = {  # of a batch
    **{"simple": 0.3, "sized": 0.09, "complex": 0.08},
    **{"clothes": 0.11, "coloured": 0.13, "clip_art": 0.13, "photographs": 0.16},
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

    What vit-mini says comes in its own directions and the rest in those in which its features are smallest, so that a
    student which starts as vit-mini has that part already.
    """
    images, shown = [], []
    for _ in range(n):
        x, labels = batches.next()
        images.append(x)
        shown.append(_shown(teacher, x, labels < batches.first_picture, batches.generator))
    x, features = torch.cat(images), torch.cat(shown)
    own = directions(features)
    said = [features @ own[:, : OF_TEACHER.components]]
    said += [main(look, x, share.components) for look, share in LOOKS.items()]
    weights = torch.tensor([share.weight for share in (OF_TEACHER, *LOOKS.values())])
    parts = [part * share.sqrt() for part, share in zip(said, weights / weights.sum(), strict=True)]
    return Bank(x, torch.cat(parts, 1) @ own.T)


def directions(features: torch.Tensor) -> torch.Tensor:
    """[N, D] -> [D, D]: the main components, as columns, the largest first."""
    return torch.linalg.eigh(features.T @ features).eigenvectors.flip(1)


def main(look: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, components: int) -> torch.Tensor:
    """[N, components]: the main components of how images look, found on every 16th of them."""
    basis = directions(torch.cat([look(part) for part in images[::16].split(512)]))[:, :components]
    return torch.cat([look(part) @ basis for part in images.split(512)])


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
    steps: int = 6000, seed: int = 0, out: Path = EMBEDDED / "vit-duo", batch_size: int = 256, lr: float = 1.5e-3
) -> dict[str, Any]:
    """Pretrain vit-duo, which starts as embedded/vit-mini, and write it to `out` with its card; returns the card.

    Errors: DataError if the fonts, Fashion-MNIST or the pictures are missing; it says what to install.
    """
    torch.manual_seed(seed)  # a command of its own process: the one place where the global generator is ours
    random = card.features(Encoder(backbone(), PIXELS).eval())
    student = build(load_base(TEACHER))
    taught = bank(build(load_base(TEACHER)), Mixed(sources(), BANK[1], seed), BANK[0])
    made = _train(student, taught, steps, batch_size, lr, torch.Generator().manual_seed(seed))
    made.backbone.save_pretrained(out)
    PIXELS.save(out)
    teachers = ", ".join((TEACHER, *(look.__name__ for look in LOOKS)))
    facts: dict[str, Any] = {"teachers": teachers, "steps": steps, "seed": seed, "batch_size": batch_size}
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
