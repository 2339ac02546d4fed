"""The kinds of streams by name, and how a trial of each is measured.

Nothing here needs torch: a stream is a path, "package.module:Class", that is imported when data is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from zfscale import registry
from zfscale.errors import SpecError, nearest

Protocol = Literal["class_incremental", "domain_incremental"]


@dataclass(frozen=True)
class Stream:
    """The facts of a stream.

    Args:
        path: Its class, a zfscale.streams.base.Stream.
        protocol: How a trial of it is measured: by the accuracy on the classes seen so far, or by held-out losses.
        order: The options of the `stream` block that trials may differ in that share arrays: they
            arrange or augment the data, or say what is measured.
        own: A pydantic model (zfscale.spec.Block) of options that no other stream has.
    """

    path: str
    protocol: Protocol
    order: frozenset[str] = frozenset()
    own: Any = None

    def __post_init__(self) -> None:
        if self.protocol not in get_args(Protocol):
            raise SpecError(f"unknown protocol {self.protocol!r}; {nearest(self.protocol, get_args(Protocol))}")

    def load(self) -> Any:
        """The class."""
        return registry.load_user(self.path)


STREAMS: dict[str, Stream] = {
    "class_incremental": Stream(
        "zfscale.streams.class_incremental:ClassIncremental",
        "class_incremental",
        frozenset(
            {"class_order_seed", "class_order", "tasks", "first_task_classes", "task_sizes", "validation"}
            | {"random_crop", "random_flip", "old_loss_every", "forward_transfer"}
        ),
    ),
    "domain_incremental": Stream(
        "zfscale.streams.domain_incremental:DomainIncremental", "domain_incremental", frozenset({"order_seed"})
    ),
}


def stream(name: str) -> Stream:
    """The facts of a kind of stream, or of a user's own at "package.module:Class". Errors: SpecError."""
    return registry.facts_of(name, STREAMS, Stream, "stream.kind")
