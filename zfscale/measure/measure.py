"""`zfscale measure`: the table of a trial's past, and its picture."""

from __future__ import annotations

from collections.abc import Collection

from zfscale.errors import ZfscaleError
from zfscale.measure.plot import DPI, draw
from zfscale.measure.walk import walked
from zfscale.results.layout import MEASURES, file_of
from zfscale.results.measures import keep
from zfscale.results.storage import Place, storage


def measure(results: Place, trial_id: str, every: int, what: Collection[str], data: str | None = None) -> str:
    """Measure a trial's past: the table `measures`, a picture of it, and a line that says where they are.

    Args:
        results: The results that the trial is in.
        trial_id: A trial that has finished.
        every: Steps of the whole trial from one look to the next; the last one of each stage is looked at, too.
        what: Names of `zfscale.measure.catalogue`, or functions at "module:function".
        data: Test data to look at in place of the trial's own, as YAML: a `stream.dataset`, or one more domain.

    Raises:
        ZfscaleError: No such trial, one that is first-order, files that are not what it wrote, a measure or data that
            are none.
    """
    there, found = storage(results), walked(results, trial_id, every, what, data)
    if not found.rows:
        raise ZfscaleError(f"trial {trial_id}: took no step at which to measure {', '.join(what)}")
    kept = keep(results, trial_id, found.rows, what, data)
    picture = file_of(MEASURES, trial_id).replace(".parquet", ".png")
    with there.writing(picture) as path:
        draw(found.title, kept, found.names).savefig(path, dpi=DPI, metadata={"Software": None})
    steps = len({row.step for row in found.rows})
    return f"trial {trial_id}: measured at {steps} steps: {there}/{file_of(MEASURES, trial_id)}, {there}/{picture}"
