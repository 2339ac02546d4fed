"""In which order the values of a search are tried: spread over their range however many there are."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from zfscale.spec.distributions import Distribution

PATIENCE = 10_000  # points in a row that were tried before: then there is no other


def candidates(ranges: Mapping[str, Distribution]) -> Iterator[dict[str, Any]]:
    """Distinct points of the product of ranges, dotted path -> value; ends when there is no other.

    Point i has u_k = frac(1/2 + i phi^-k) in dimension k, where phi^(d+1) = phi + 1 in d dimensions: the R-sequence of
    Roberts (2018), which begins in the middle and of which every beginning is spread evenly. So a larger budget adds
    candidates, and all that ran stay.

    Args:
        ranges: Dotted path -> its values. Numbers of a grid should be in order.
    """
    phi = _phi(len(ranges))
    seen: set[str] = set()
    vain = 0
    for i in itertools.count():
        shares = ((0.5 + i * phi**-k) % 1 for k in itertools.count(1))
        point = {path: values.draw(u) for (path, values), u in zip(ranges.items(), shares, strict=False)}
        key = json.dumps(point, sort_keys=True)
        vain = vain + 1 if key in seen else 0
        if vain > PATIENCE:
            return
        if not vain:
            seen.add(key)
            yield point


def _phi(d: int) -> float:
    """The positive root of x^(d+1) = x + 1; the golden ratio in one dimension."""
    x = 2.0
    for _ in range(60):
        x = (1 + x) ** (1 / (d + 1))
    return x
