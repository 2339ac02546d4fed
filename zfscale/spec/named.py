"""A block that names one of a catalogue, and that has options which only some of these read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from pydantic import model_validator

from zfscale.block import Block
from zfscale.errors import nearest


class Reads(Protocol):
    """Facts that say which options a thing reads."""

    @property
    def options(self) -> tuple[str, ...]:
        """Their names."""


class NamedBlock(Block):
    """Refuses an option that what it names does not read."""

    CATALOGUE: ClassVar[Mapping[str, Reads]]
    name: str

    @model_validator(mode="after")
    def _reads_them(self) -> NamedBlock:
        known = ("name", *self.CATALOGUE[self.name].options)
        for option in sorted(self.model_fields_set - set(known)):
            raise ValueError(f"{option!r} has no effect on {self.name}; {nearest(option, known)}")
        return self

    @classmethod
    def readers(cls, option: str) -> str:
        """Who reads an option, in words; empty for the name, which all have."""
        return ", ".join(name for name, facts in cls.CATALOGUE.items() if option in facts.options)


def by_name(given: Any) -> Any:
    """A name alone, as the block with its default options.

    >>> by_name("asha")
    {'name': 'asha'}
    """
    return {"name": given} if isinstance(given, str) else given
