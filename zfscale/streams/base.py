"""What a stream is: data cut into stages that arrive one after the other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np

from zfscale.errors import ZfscaleError

if TYPE_CHECKING:
    from typing_extensions import Self

    from zfscale.spec import StreamSpec
    from zfscale.spec.names import Finding

T = TypeVar("T")


class Unread(ZfscaleError):
    """Sources of a stream that cannot be read: where each is in the spec, and why."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("; ".join(message for _, message in findings))
        self.findings = list(findings)


class Stage(Protocol):
    """What is learned at once: number `index` of 1..K, inputs [N, ...] and targets [N, ...]."""

    @property
    def index(self) -> int:
        """The number."""
        ...

    @property
    def train_x(self) -> np.ndarray:
        """Inputs."""
        ...

    @property
    def train_y(self) -> np.ndarray:
        """Targets."""
        ...


class Stream(ABC, Generic[T]):
    """Stages in the order of their arrival; iterate, or index by stage number - 1."""

    @staticmethod
    @abstractmethod
    def read(spec: StreamSpec, family: Any, base: Any) -> Any:
        """The data of the stream in the form that a model's family gives it, ready for an object store.

        Errors: DataError; `Unread`, where several sources cannot be read.
        """

    @classmethod
    @abstractmethod
    def of(cls, spec: StreamSpec, data: Any) -> Self:
        """The stream of the data."""

    @staticmethod
    def misfit(spec: StreamSpec, data: Any) -> Finding | None:
        """What of the spec does not go with the data that was read: where, and what is allowed."""
        return None

    def __init__(self, stages: Sequence[T]) -> None:
        self._stages = list(stages)

    def arrange(self, stages: Sequence[T]) -> None:
        """Let other stages arrive in place of these."""
        self._stages = list(stages)

    def __len__(self) -> int:
        return len(self._stages)

    def __iter__(self) -> Iterator[T]:
        return iter(self._stages)

    def __getitem__(self, i: int) -> T:
        return self._stages[i]
