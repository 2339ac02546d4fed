"""What was spent on the search for the values of trials; their own tables know only what they themselves took."""

from __future__ import annotations

import json
from collections.abc import Mapping

from zfscale.results.layout import TUNED
from zfscale.results.storage import Place, storage


def spent(root: Place) -> dict[str, int]:
    """Trial id -> forwards that the search spent which has chosen its values; of other trials, nothing.

    >>> spent("no/such/results")
    {}
    """
    try:
        found = json.loads(storage(root).read(TUNED) or b"{}")
        return {str(trial): int(forwards) for trial, forwards in found.items()}
    except (ValueError, TypeError, AttributeError):  # damaged; the next run of the sweep writes it again
        return {}


def note(root: Place, found: Mapping[str, int]) -> None:
    """Add to what `spent` says; nothing is written if it says so already."""
    known = spent(root)
    if not found.items() <= known.items():
        storage(root).write(TUNED, json.dumps(known | dict(found), indent=0, sort_keys=True).encode())
