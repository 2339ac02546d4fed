"""Images that are in two places: equal by a hash of their decoded pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from zfscale.data.findings import Findings


class Splits(Protocol):
    """What `ImageData` has of images."""

    @property
    def train_x(self) -> np.ndarray: ...

    @property
    def test_x(self) -> np.ndarray: ...


@dataclass(frozen=True)
class Overlap:
    """Rows of the training split that are also in the test split (bool [N]), and images with more than one label."""

    shared: np.ndarray
    ambiguous: int

    def say(self, findings: Findings) -> None:
        """Add to the findings what is worth saying."""
        if count := int(self.shared.sum()):
            findings.note(
                f"{count} of {len(self.shared)} training images are also test images; they are left out of training"
            )
        if self.ambiguous:
            findings.note(f"{self.ambiguous} images of a split equal another of a different class")


def digest(image: np.ndarray) -> bytes:
    """16 bytes that equal images of equal shape have in common."""
    key = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
    key.update(image.tobytes())
    return key.digest()


def digests(images: Iterable[np.ndarray]) -> list[bytes]:
    """Those of all images [N, C, H, W]."""
    return [digest(image) for image in images]


def overlap(train: Sequence[bytes], train_y: np.ndarray, test: Sequence[bytes], test_y: np.ndarray) -> Overlap:
    """What two splits share, by the digests of their images."""
    held = set(test)
    shared = np.fromiter((key in held for key in train), bool, len(train))
    return Overlap(shared, _ambiguous(train, train_y) + _ambiguous(test, test_y))


def say_shared_domains(domains: Sequence[tuple[str, Splits]]) -> None:
    """Log how many training images of each domain another one is evaluated on; nothing is left out."""
    held = [(name, set(digests(data.test_x))) for name, data in domains]
    for name, data in domains:
        findings, train = Findings(name), digests(data.train_x)
        for other, keys in held:
            if other != name and (count := sum(key in keys for key in train)):
                findings.note(f"{count} of {len(train)} training images are held-out images of the domain {other!r}")
        findings.say()


def _ambiguous(keys: Sequence[bytes], labels: np.ndarray) -> int:
    """How many images have another's pixels and not its label."""
    seen: dict[bytes, set[int]] = {}
    for key, label in zip(keys, labels.tolist(), strict=True):
        seen.setdefault(key, set()).add(label)
    return sum(len(seen[key]) > 1 for key in keys)
