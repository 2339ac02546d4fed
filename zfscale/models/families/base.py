"""What a family of models answers: everything that the rest of the package needs to know of a kind of model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from zfscale.data.examples import Examples
    from zfscale.data.image_data import ImageData
    from zfscale.models.trained import Trained
    from zfscale.spec import DomainSpec, ModelSpec, StreamSpec, TrialSpec
    from zfscale.spec.sources import DatasetPath, HubDataset


@dataclass(frozen=True)
class Price:
    """What a trial of a model keeps in memory, in numbers of values.

    Args:
        weights: All weights.
        adapter: What is trained where only an adapter is.
        block: The activations of one block for a batch: a forward keeps these, a backward those of all blocks.
        blocks: How many blocks there are.
        outputs: The outputs for a batch, if they are large; a backward keeps them twice.
    """

    weights: int
    adapter: int
    block: int
    blocks: int
    outputs: int = 0


class Reader(ABC):
    """Reads the domains of one stream. `learned` and `upstream` are what is read of a domain that is learned (None for
    all of it), and of one that is only evaluated.
    """

    learned: int | None = None
    upstream: int = 1

    @abstractmethod
    def read(self, domain: DomainSpec, budget: int | None) -> Examples:
        """The examples of a domain, of which `budget` are for training. Errors: DataError."""

    def close(self) -> None:
        """All domains are read: say what they share, if that can be told."""


class Family(ABC):
    """A kind of model. `base` is what `load` returns: plain data that an object store can hold, with a `name`."""

    @abstractmethod
    def load(self, model: ModelSpec) -> Any:
        """Read the pretrained model once. Errors: ModelError."""

    @abstractmethod
    def network(self, spec: TrialSpec, base: Any, seed: int, adapters: bool = False) -> Trained:
        """A fresh module with the base's weights, as a trial trains it.

        `adapters` asks for room for the adapters of a method; `seed` initialises what the model itself adds.
        """

    @abstractmethod
    def price(self, spec: TrialSpec, base: Any) -> Price:
        """What a trial of the spec keeps in memory."""

    def images(self, source: str | HubDataset | DatasetPath | None, base: Any, zoom: float = 1.0) -> ImageData:
        """A labelled dataset at `zoom` times the size of the model, if it classifies images. Errors: DataError.

        `zoom` is given only where it is not 1: where the stream's transform asks for a margin to cut off.
        """
        raise NotImplementedError(f"{type(self).__name__} learns no classes")

    def reader(self, stream: StreamSpec, base: Any) -> Reader:
        """What reads the domains of a stream in the form of the model, if it learns domains."""
        raise NotImplementedError(f"{type(self).__name__} learns no domains")

    def outline(self, base: Any) -> nn.Module | None:
        """The module on the meta device, of which `model.train` picks parameters; None where a method decides."""
        return None

    def longest_block(self, base: Any) -> int | None:
        """The longest sequence of tokens that the model has positions for; None if it has no such limit."""
        return None
