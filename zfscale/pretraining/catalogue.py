"""What is made: the package's base models, by what pretrains them, a dataset, and a model from another's file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zfscale.errors import ModelError, nearest

BUILDERS = {
    "vit-duo": "zfscale.pretraining.vit_duo:build_vit_duo",
    "vit-mini": "zfscale.pretraining.vit_mini:build_vit_mini",
    "vit-nano": "zfscale.pretraining.vit_nano:build_vit_nano",
    "lm-nano": "zfscale.pretraining.lm_nano:build_lm_nano",
    "mae-nano": "zfscale.pretraining.mae_nano:build_mae_nano",
    "dinov2": "zfscale.pretraining.dinov2:build_dinov2",
    "scripts100": "zfscale.pretraining.scripts100:build_scripts100",
}
MODELS = Path(__file__).parents[1] / "models" / "embedded"
CARD = "pretraining.json"  # beside the weights


def shown(name: str, directory: Path | None = None) -> str:
    """The card of an embedded model, or of the one in `directory`, as text. Errors: ModelError if it has none."""
    card = (directory or MODELS / name) / CARD
    if not card.is_file():
        known = [path.parent.name for path in MODELS.glob(f"*/{CARD}")]
        raise ModelError(f"base model {name!r}: no card at {card}; {nearest(name, known)}")
    return table(json.loads(card.read_text()))


def table(facts: Mapping[str, Any]) -> str:
    """A fact a line; facts of datasets, which are mappings of equal keys, as columns below.

    >>> print(table({"steps": 5, "accuracy": {"digits": {"features": 0.9, "pixels": 0.85}}}))
    steps: 5
    <BLANKLINE>
    accuracy        features      pixels
    digits            0.9000      0.8500
    """
    lines = [f"{key}: {_number(value)}" for key, value in facts.items() if not isinstance(value, Mapping)]
    for key, rows in facts.items():
        if isinstance(rows, Mapping):
            columns = list(next(iter(rows.values())))
            lines += ["", f"{key:12}" + "".join(f"{column:>12}" for column in columns)]
            lines += [
                f"{row:12}" + "".join(f"{_number(values[c]):>12}" for c in columns) for row, values in rows.items()
            ]
    return "\n".join(lines)


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
