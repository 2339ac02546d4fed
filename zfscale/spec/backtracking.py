"""Whether a regular expression may take for ever: Python's engine tries every way in which one can match.

The number of ways is bounded from the parsed pattern: what can be matched in several ways multiplies them, and within a
repetition it is raised to a power, so there it is refused.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import pairwise
from math import prod
from typing import Any

if sys.version_info >= (3, 11):
    from re import _compiler, _parser  # type: ignore[attr-defined]
    from re import _constants as op  # type: ignore[attr-defined]
else:
    import sre_compile as _compiler
    import sre_constants as op
    import sre_parse as _parser

LENGTH = 100  # characters of the texts that are searched: names of parameters
MOST_WAYS = LENGTH**5  # five times `.*`, say
REPEATS = (op.MAX_REPEAT, op.MIN_REPEAT)


def backtracking(pattern: str) -> str | None:
    r"""Why a valid pattern may take for ever on a text of LENGTH characters; None if it cannot.

    >>> backtracking(r"blocks\.(8|9)\..*(query|value)+"), backtracking("(a+)+b")
    (None, 'repeats what can itself match in several ways, which may take for ever; allowed: (a|b)+, but not (a+)+')
    """
    try:
        ways = _ways(_parser.parse(pattern))
    except _Endless:
        return "repeats what can itself match in several ways, which may take for ever; allowed: (a|b)+, but not (a+)+"
    return (
        None if ways <= MOST_WAYS else "can match in too many ways, which may take for ever; allowed: at most five .*"
    )


class _Endless(Exception):
    """A repetition of what matches in several ways."""


def _ways(parsed: Any) -> int:
    """In how many ways a sequence may match a text, at most."""
    items = [*parsed, (None, None)]
    return prod(_ways_of(*item) for item, after in pairwise(items) if not _ended(item, after))


def _ended(item: tuple[Any, Any], after: tuple[Any, Any]) -> bool:
    r"""Whether a repetition ends in one place, as `\w+` before a dot does: one character that is not the next one."""
    if item[0] not in REPEATS or after[0] is not op.LITERAL:
        return False
    body = item[1][2]
    alone = body.getwidth() == (1, 1) and len(body) == 1 and _ways(body) == 1
    return alone and not _compiler.compile(body).fullmatch(chr(after[1]))


def _ways_of(code: Any, value: Any) -> int:
    if code in REPEATS:
        least, most, body = value
        if _ways(body) > 1 and most > 1:
            raise _Endless
        return int(min(most, LENGTH - 1) - min(least, LENGTH - 1) + 1) * _ways(body)
    if code is op.BRANCH:
        return sum(map(_ways, value[1])) if _ambiguous(value[1]) else max(map(_ways, value[1]))
    return prod(map(_ways, _within(value)))


def _ambiguous(branches: list[Any]) -> bool:
    """Whether two branches may match at the same place: they do not where each begins with a character of its own."""
    firsts = [branch[0] if len(branch) else (None, None) for branch in branches]
    return any(code is not op.LITERAL for code, _ in firsts) or len(set(firsts)) < len(firsts)


def _within(value: Any) -> Iterable[Any]:
    """The patterns inside a group, a look-ahead, or whatever else holds some."""
    if isinstance(value, _parser.SubPattern):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from _within(part)
