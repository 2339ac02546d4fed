"""The two-task toy of ZeroFlow's Figures 3, 4 and 10: where each optimizer goes on a plane of closed-form losses."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow.parquet as pq

from zfscale.results.storage import Place, storage
from zfscale.toy import plot, racers, table
from zfscale.toy.loss import STARTS
from zfscale.toy.race import run

TABLE = "trajectories.parquet"


def make(out: Place, names: Sequence[str], starts: Sequence[str], steps: int, seed: int) -> str:
    """Run optimizers from every start; write a figure per start, start_A.png, and one table of all steps.

    Args:
        out: A directory or URL, made if it is missing.
        names: Optimizers, as `racers.racer` reads them; empty for all.
        starts: Of `loss.STARTS`; empty for all.
        steps: Of each optimizer.
        seed: The same seed gives the same trajectories.

    Returns:
        Where each optimizer ended, as text.

    Raises:
        ZfscaleError: No such optimizer.
        StorageError: The storage refuses.
    """
    members, there = [racers.racer(name, steps) for name in dict.fromkeys(names or racers.DEFAULT)], storage(out)
    found = {start: [run(member, start, steps, seed) for member in members] for start in starts or STARTS}
    for start, trajectories in found.items():
        with there.writing(f"start_{start}.png") as path:
            plot.draw(trajectories).savefig(path, metadata={"Software": None})
    ways = [way for trajectories in found.values() for way in trajectories]
    with there.writing(TABLE) as path:
        pq.write_table(table.columns(ways), path)
    return table.ends(ways)
