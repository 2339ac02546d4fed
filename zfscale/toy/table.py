"""The trajectories as numbers: a Parquet table of every step, and a text table of where each optimizer ended."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from zfscale.toy.race import Trajectory


def columns(trajectories: Sequence[Trajectory]) -> pa.Table:
    """A row per step of each trajectory, step 0 its start: start, optimizer, lr, step, t1, t2, L1, L2."""
    return pa.concat_tables([_one(trajectory) for trajectory in trajectories])


def _one(trajectory: Trajectory) -> pa.Table:
    count, (old, new) = len(trajectory.points), trajectory.losses
    return pa.table(
        {
            "start": pa.array([trajectory.start] * count, pa.string()),
            "optimizer": pa.array([trajectory.racer.name] * count, pa.string()),
            "lr": pa.array([trajectory.racer.options.lr] * count, pa.float64()),
            "step": pa.array(range(count), pa.int32()),
            "t1": trajectory.points[:, 0],
            "t2": trajectory.points[:, 1],
            "L1": old,
            "L2": new,
        }
    )


def ends(trajectories: Sequence[Trajectory]) -> str:
    """Where each trajectory ended; low L1 + L2 with L1 = L2 is the balance of both tasks."""
    width = max(len(trajectory.racer.name) for trajectory in trajectories)
    lines = [f"start  {'optimizer':{width}}  {'lr':>6} {'t1':>8} {'t2':>8} {'L1':>8} {'L2':>8} {'L1+L2':>8}"]
    for trajectory in trajectories:
        old, new = (float(values[-1]) for values in trajectory.losses)
        numbers = (*trajectory.points[-1], old, new, old + new)
        told = " ".join(f"{number:8.2f}" for number in numbers)
        lines.append(f"{trajectory.start:5}  {trajectory.racer.name:{width}}  {trajectory.racer.options.lr:6g} {told}")
    return "\n".join(lines)
