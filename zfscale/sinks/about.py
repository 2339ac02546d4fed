"""What a sink is told of its trial when it is made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from zfscale.results.storage import Place

if TYPE_CHECKING:
    from zfscale.spec import TrialSpec

Scalar: TypeAlias = "bool | int | float | str | None"


@dataclass(frozen=True)
class About:
    """A trial and where its results go.

    Args:
        root: `<output.dir>/<name of the sweep>`, a path, URL or storage; it may not be there yet.
        trial_id: Hash of the spec; the name of what is written.
        spec_json: The resolved spec, a JSON object.
        leaves: The spec flattened: dotted path -> scalar.
        types: Python type of leaves that may be None.
        sweep: The name of the sweep.
    """

    root: Place
    trial_id: str
    spec_json: str = "{}"
    leaves: Mapping[str, Scalar] = field(default_factory=dict)
    types: Mapping[str, type] = field(default_factory=dict)
    sweep: str = ""

    @classmethod
    def of(cls, root: Place, sweep: str, spec: TrialSpec) -> About:
        """A trial by its spec."""
        return cls(root, spec.trial_id, spec.to_json(), spec.leaves(), spec.NULLABLE, sweep)

    @property
    def spec(self) -> dict[str, Any]:
        """The resolved spec, nested."""
        return dict(json.loads(self.spec_json))
