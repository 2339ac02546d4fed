"""Domain-incremental stream: domains arrive one after the other, each with examples and what to predict of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zfscale.data.examples import Examples
from zfscale.errors import ZfscaleError
from zfscale.spec.domains import domain_order
from zfscale.streams.base import Stream, Unread

if TYPE_CHECKING:
    from typing_extensions import Self

    from zfscale.models.families.base import Family
    from zfscale.spec import DomainSpec, StreamSpec
    from zfscale.spec.names import Finding
    from zfscale.spec.yaml import Place


@dataclass(frozen=True)
class DomainTask(Examples):
    """Domain `index` of 1..K."""

    index: int = field(kw_only=True)


@dataclass(frozen=True)
class Domains:
    """The domains of a stream in the order of the file; `upstream` stands for what the model was pretrained on."""

    tasks: Sequence[Examples]
    upstream: Examples | None = None


class DomainIncremental(Stream[DomainTask]):
    """The domains in a given order of arrival: `order[i]` is the place in the file of the one that arrives i-th."""

    def __init__(self, domains: Domains, order: Sequence[int]) -> None:
        super().__init__([DomainTask(**vars(domains.tasks[j]), index=k) for k, j in enumerate(order, start=1)])
        self.upstream = domains.upstream

    @staticmethod
    def read(spec: StreamSpec, family: Family, base: Any) -> Domains:
        """All domains in the form of the model. Errors: Unread, with every domain that cannot be read."""
        reader = family.reader(spec, base)
        places: list[tuple[Place, DomainSpec, int | None]] = [
            (("stream", "domains", i), domain, reader.learned) for i, domain in enumerate(spec.domains or ())
        ]
        if spec.upstream is not None:
            places.append((("stream", "upstream"), spec.upstream, reader.upstream))
        found: list[Examples] = []
        problems: list[Finding] = []
        for place, domain, budget in places:
            try:
                found.append(reader.read(domain, budget))
            except ZfscaleError as error:
                problems.append(((*place, "name" if domain.dataset is None else "dataset"), str(error)))
        if problems:
            raise Unread(problems)
        reader.close()
        return Domains(found, None) if spec.upstream is None else Domains(found[:-1], found[-1])

    @classmethod
    def of(cls, spec: StreamSpec, data: Domains) -> Self:
        """The stream of the domains, in the order that `order_seed` gives."""
        return cls(data, domain_order(len(data.tasks), spec.order_seed))
