"""How samples of the space are drawn: functions to numbers of [0, 1).

A number depends on its own path and distribution, the sample's index and the grid point alone, so that the trials of a
file keep their ids when samples or values of grids are added.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from zfscale.spec.distributions import LAST, Distribution

BITS = 53  # of a number
Draw = Callable[[Mapping[str, Distribution], str, int], dict[str, float]]  # of paths, a grid point, a sample's index


def written(point: Mapping[str, Any]) -> str:
    """A grid point, dotted path -> value, as functions here take it: thousands of samples have the same."""
    return json.dumps(point, sort_keys=True)


def independent(draws: Mapping[str, Distribution], point: str, sample: int) -> dict[str, float]:
    """Each number by itself."""
    return {path: _hashed(path, values, point, sample) / 2**BITS for path, values in draws.items()}


def sobol(draws: Mapping[str, Distribution], point: str, sample: int) -> dict[str, float]:
    """Spread evenly over all paths together, best where there are 2^m samples: Sobol's sequence (1967).

    Of each grid point another one: bits are flipped at random, one pattern a path, which keeps the spread (a digital
    shift). NOTE: another path in the space may take a path's place in the sequence, and so its values.
    """
    row = _sobol(len(draws), 1 << sample.bit_length())[sample]
    shares = zip(sorted(draws), row, strict=True)
    return {path: (number ^ _hashed(path, draws[path], point, -1)) / 2**BITS for path, number in shares}


def ends(draws: Mapping[str, Distribution], point: str, sample: int) -> dict[str, float]:
    """Where numbers begin and where they end, with each combination of what has no order.

    >>> from zfscale.spec.distributions import Choice, RandInt
    >>> draws = {"x": Choice(choice=["a", "b"]), "y": RandInt(randint=[0, 10])}
    >>> found = [ends(draws, "{}", i) for i in range(count_ends(draws))]
    >>> [(draws["x"].draw(at["x"]), draws["y"].draw(at["y"])) for at in found]
    [('a', 0), ('a', 9), ('b', 0), ('b', 9)]
    """
    last, rest = sample % 2, sample // 2
    found = dict.fromkeys(draws, LAST * last)
    for path, values in draws.items():
        if values.options is not None:
            rest, i = divmod(rest, values.options)
            found[path] = (i + 0.5) / values.options
    return found


def count_ends(draws: Mapping[str, Distribution]) -> int:
    """How many there are."""
    return 2 * math.prod(values.options or 1 for values in draws.values())


def _hashed(path: str, values: Distribution, point: str, sample: int) -> int:
    key = f"[{_quoted(path)}, {values.text}, {point}, {sample}]"
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >> (64 - BITS)


_quoted = functools.lru_cache(maxsize=1024)(json.dumps)


@functools.lru_cache(maxsize=32)
def _sobol(paths: int, count: int) -> list[list[int]]:
    """[count, paths] the first points of the sequence as integers of BITS bits."""
    from scipy.stats import qmc  # a second, for those who ask for it

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of counts that are no power of 2
        points = qmc.Sobol(paths, scramble=False, bits=BITS).random(count)
    return [[int(x * 2**BITS) for x in point] for point in points.tolist()]
