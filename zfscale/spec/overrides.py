"""`--set path=value`: a value that wins over the file.

A path starts at the root of the file. Setting a path of the template fixes it: the space no longer varies it.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from typing import Any

from zfscale.errors import SpecError, nearest
from zfscale.spec import yaml
from zfscale.spec.distributions import KINDS
from zfscale.spec.document import Document
from zfscale.spec.outside import is_own, opened
from zfscale.spec.schema import METRICS, TEMPLATE_PATHS, SweepSpec, paths
from zfscale.spec.space import unknown_path
from zfscale.spec.trial_blocks import OPEN
from zfscale.spec.yaml import Place

BOUNDS = tuple(f"search.until.{metric}" for metric in METRICS)
ROOT_PATHS = tuple(dict.fromkeys([*paths(SweepSpec), *TEMPLATE_PATHS, *BOUNDS]))
LEAVES = {path for path in TEMPLATE_PATHS if "." in path} | {"seed"}


def override(document: Document, text: str) -> None:
    """Apply one `path=value` to the document; what it sets cites `--set path=value` from then on."""
    cite = f"--set {' '.join(text.split())}"
    path, equals, value_text = text.partition("=")
    path = path.strip()
    ours = path in TEMPLATE_PATHS or is_own(path, document.opened)
    if not equals or not path:
        raise SpecError(f"{cite}: expected path=value, such as optimizer.lr=1e-3")
    place = _place(path, cite, document.opened)
    value, _ = yaml.parse(value_text, lambda line: cite)
    if ours:
        _fix(document, path, value, cite)
    _untune(document, str(place[1]) if place[0] == "space" and len(place) > 1 else path)
    if ours or place[0] != "space" or len(place) == 1:
        _set(document, place, value, cite)
    else:  # a path of the space has one distribution: the new one replaces the old
        _set(document, place[:2], {place[2]: value} if len(place) == 3 else value, cite)
    document.opened |= opened(document.data, OPEN)


def in_order(texts: Sequence[str]) -> list[str]:
    """The overrides as given, but for own options, which come last: another may name the thing that has them."""

    def own(text: str) -> bool:
        path = text.partition("=")[0].strip().removeprefix("space.")
        option = ".".join(path.split(".")[:2])
        return is_own(option, OPEN) and option not in TEMPLATE_PATHS

    return sorted(texts, key=own)


def _place(path: str, cite: str, opened: Collection[str]) -> Place:
    """The place in the file that a dotted path names; the keys of the space have dots themselves."""
    if path in ROOT_PATHS or is_own(path, opened):
        return tuple(path.split("."))
    if not path.startswith("space."):
        raise SpecError(f"{cite}: {path}: unknown path; {_hint(path)}")
    target = path.removeprefix("space.")
    if target in TEMPLATE_PATHS or is_own(target, opened):
        return ("space", target)
    parent, _, kind = target.rpartition(".")
    if (parent in TEMPLATE_PATHS or is_own(parent, opened)) and kind in KINDS:
        return ("space", parent, kind)
    if parent in LEAVES:
        raise SpecError(f"{cite}: {path}: unknown distribution; {nearest(kind, KINDS)}")
    raise SpecError(f"{cite}: {path}: {unknown_path(parent if parent and kind in KINDS else target)}")


def _hint(path: str) -> str:
    """The valid paths worth naming: those of the same block, else the blocks."""
    block = path.split(".")[0]
    inside = [known for known in ROOT_PATHS if known.startswith(f"{block}.")]
    return nearest(path, inside) if inside else nearest(block, SweepSpec.model_fields)


def _fix(document: Document, path: str, value: Any, cite: str) -> None:
    """Stop the space from varying a path: drop what is at or below it, rewrite what is above it."""
    space = document.data.get("space")
    if not isinstance(space, dict):
        return
    for key in [key for key in space if key == path or key.startswith(f"{path}.")]:
        del space[key]
    for key, values in space.items():
        if path.startswith(f"{key}.") and isinstance(values, dict):
            inner = tuple(path.removeprefix(f"{key}.").split("."))
            _rewrite(document, ("space", key), values, inner, value, cite)


def _untune(document: Document, path: str) -> None:
    """Forget what a search has chosen for a path, or for what is below it."""
    tuned = document.data.get("tuned")
    for entry in tuned if isinstance(tuned, list) else ():
        values = entry.get("values") if isinstance(entry, dict) else None
        if isinstance(values, dict):
            for key in [key for key in values if key == path or key.startswith(f"{path}.")]:
                del values[key]


def _rewrite(document: Document, place: Place, values: dict[str, Any], inner: Place, value: Any, cite: str) -> None:
    for kind in ("grid", "choice"):
        entries = values.get(kind)
        for i, entry in enumerate(entries if isinstance(entries, list) else []):
            if isinstance(entry, dict):
                _set(document, (*place, kind, i, *inner), value, cite)


def _set(document: Document, place: Place, value: Any, cite: str) -> None:
    """Put a value into the data, making the blocks around it, and note where it came from."""
    tree: Any = document.data
    for key, inner in itertools.pairwise(place):
        if isinstance(tree, dict) and isinstance(inner, str) and not isinstance(tree.get(key), dict):
            tree[key] = {}
        tree = tree[key]
    tree[place[-1]] = value
    stale = [known for known in document.origins if known[: len(place)] == place]
    for known in stale:
        del document.origins[known]
    document.origins[place] = cite
