"""What a run of `zfscale bench step` measures."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection
from dataclasses import dataclass

from zfscale.errors import ZfscaleError, nearest
from zfscale.models.precision import PRECISIONS
from zfscale.zo.catalogue import DIRECTIONS

PEERS = ("infty", "mezo")
TRAINED = ("all", "adapter", "copy")
OPTIMIZERS = ("zo-sgd", "zo-sgd-sign", "zo-adam", "zo-adam-sign", "zo-adamm", "zo-adamm-sign")  # of fixed forwards
INSTALL = "pip install --no-deps infty==0.1.2"


@dataclass(frozen=True)
class Settings:
    """The options of the command; `against` of None: every peer that can be measured. Errors: ZfscaleError.

    `trained` is what a step trains: every parameter, as finetune does; an adapter of `bottleneck` in every block and a
    cosine head, as EASE and APER do; or the newest of `copies` copies of the last block and a linear head, as MEMO does
    in its task copies + 1.
    """

    model: str = "vit-b16"
    trained: str = "all"
    bottleneck: int = 64
    copies: int = 1
    batch_size: int = 8
    precision: str = "fp32"
    noise: str = "rademacher"
    optimizer: str = "zo-sgd"
    momentum: float = 0.0
    queries: int = 1
    sides: int = 2
    repeats: int = 7
    threads: int = 1
    against: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        _check_name("trained", self.trained, TRAINED)
        _check_name("precision", self.precision, PRECISIONS)
        _check_name("noise", self.noise, DIRECTIONS)
        _check_name("optimizer", self.optimizer, OPTIMIZERS)
        for name in self.against or ():
            _check_name("against", name, PEERS)
        for field in ("bottleneck", "copies", "batch_size", "queries", "repeats", "threads"):
            if (value := getattr(self, field)) < 1:
                raise ZfscaleError(f"{_option(field)} {value}: expected an integer >= 1")
        if self.sides not in (1, 2):
            raise ZfscaleError(f"--sides {self.sides}: expected 1 or 2")
        if not 0 <= self.momentum < 1:
            raise ZfscaleError(f"--momentum {self.momentum}: expected a number in [0, 1)")
        if self.against and not self.comparable:
            raise ZfscaleError(f"--against {self.against[0]}: the peers take --queries 1 --sides 2 only")
        if "infty" in (self.against or ()) and not _has_infty():
            raise ZfscaleError(f"--against infty: it is not installed; {INSTALL}")

    @property
    def forwards(self) -> int:
        """Of one step."""
        return 2 * self.queries if self.sides == 2 else self.queries + 1

    @property
    def comparable(self) -> bool:
        """Whether a step has the forwards of the peers' steps: one direction, two sides."""
        return self.queries == 1 and self.sides == 2

    @property
    def peers(self) -> tuple[str, ...]:
        """Those to measure."""
        if self.against is not None:
            return tuple(dict.fromkeys(self.against))
        return tuple(name for name in PEERS if self.comparable and (name != "infty" or _has_infty()))


def _has_infty() -> bool:
    return importlib.util.find_spec("infty") is not None


def _check_name(field: str, value: str, names: Collection[str]) -> None:
    if value not in names:
        raise ZfscaleError(f"{_option(field)} {value}: unknown; {nearest(value, names)}")


def _option(field: str) -> str:
    return "--" + field.replace("_", "-")
