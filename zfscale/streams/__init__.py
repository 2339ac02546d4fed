"""Streams: data cut into tasks that arrive one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from zfscale.spec.domains import domain_order
from zfscale.spec.tasks import task_sizes
from zfscale.streams.class_incremental import ClassIncremental
from zfscale.streams.domain_incremental import DomainIncremental, Domains

if TYPE_CHECKING:
    from zfscale.spec import StreamSpec

Stream = ClassIncremental | DomainIncremental


def class_incremental(spec: StreamSpec, data: Any) -> ClassIncremental:
    """Images by class; `data` is an ImageData. Its classes can be cut into the tasks (`spec.tasks.misfit`)."""
    return ClassIncremental(data, task_sizes(spec, len(data.classes)), spec.class_order_seed)


def domain_incremental(spec: StreamSpec, data: Domains) -> DomainIncremental:
    """Examples by domain."""
    return DomainIncremental(data, domain_order(len(data.tasks), spec.order_seed))


STREAMS: dict[str, Callable[[StreamSpec, Any], Stream]] = {
    "class_incremental": class_incremental,
    "domain_incremental": domain_incremental,
}
