"""The error of one accuracy that comes from the images it is measured on, which runs share."""

from __future__ import annotations

import math
from collections.abc import Sequence

from zfscale.metrics.catalogue import EVALUATED, LAST
from zfscale.records import Status
from zfscale.report.load import VALIDATION, Trial
from zfscale.report.paired import stat


def sampling(trials: Sequence[Trial]) -> str:
    """Sentences on the standard error of the accuracy after the last task; empty where no trial counted its images.

    Args:
        trials: Those of one kind of stream.
    """
    of: dict[tuple[str, int], list[float]] = {}
    for trial in trials:
        count, last = trial.measures[EVALUATED], trial.measures[LAST]
        if trial.status is Status.FINISHED and count and last is not None:
            images = "test" if trial.spec.get(VALIDATION) is None else "validation"
            of.setdefault((images, int(count)), []).append(last)
    sentences = [_sentence(*key, stat(found).mean or 0.0) for key, found in sorted(of.items())]
    return " ".join([*sentences, SHARED] if sentences else [])


SHARED = "± does not contain it, since runs see the same images; most of it falls out of paired differences."


def _sentence(images: str, count: int, mean: float) -> str:
    """The sentence on `count` images of a kind, on which the mean accuracy is `mean`."""
    error = 100 * binomial(mean, count)
    return (
        f"One accuracy of {100 * mean:.1f} % on {count:,} {images} images has a standard error of {error:.2f} points."
    )


def binomial(share: float, count: int) -> float:
    """The standard error of a share of `count` independent trials.

    >>> binomial(0.5, 100)
    0.05
    """
    return math.sqrt(share * (1 - share) / count)
