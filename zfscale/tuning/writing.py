"""The sweep file that a search writes: the one it was given, with what was chosen and what that took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zfscale.spec import Sweep, yaml
from zfscale.tuning.choosing import Chosen


def tuned_text(sweep: Sweep, found: Sequence[Chosen]) -> str:
    """The text of the file; overrides of the command line are in it, comments of the given file are not."""
    data = {key: value for key, value in sweep.document.data.items() if key != "tuned"}
    entries = [f"  - {yaml.dump(chosen.entry.model_dump(), flow=True)}" for chosen in found]
    return "\n".join([*_header(sweep, found), yaml.dump(data), "tuned:", *entries]) + "\n"


def _header(sweep: Sweep, found: Sequence[Chosen]) -> list[str]:
    """What was spent, on what, with which seeds, of which values; as comments."""
    search = sweep.spec.search
    seeds = ", ".join(map(str, search.seeds))
    lines = [
        f"{sweep.path.name}, tuned by `zfscale tune`: the values under `tuned` are those of the best {search.metric}",
        f"({search.mode}, mean over seeds {seeds}, which draw the class orders, too), measured on training images",
        f"that were held out (stream.validation: {search.validation:g}); no test image was looked at.",
        f"Budget: {search.each:,} forwards for each line below; a first-order step counts as one forward, its",
        "backward not.",
        "",
    ]
    for chosen in found:
        lines.append(f"{chosen.cell}: {search.metric} {chosen.score:.4f} by {_values(chosen)}; {_spent(chosen)}")
        lines += [f"  WARNING: {chosen.warning}"] if chosen.warning else []
    return [f"# {line}".rstrip() for line in lines]


def _values(chosen: Chosen) -> str:
    parts = [
        f"{path} {_short(value)} of [{', '.join(map(_short, chosen.tried[path]))}]"
        for path, value in chosen.entry.values.items()
    ]
    return ", ".join(parts)


def _spent(chosen: Chosen) -> str:
    entry = chosen.entry
    failed = f", {chosen.failed} candidates without a result" if chosen.failed else ""
    return f"spent {entry.forwards:,} forwards on {chosen.count}, {entry.trials} trials{failed}"


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else " ".join(str(value).split())
